"""Everything that runs TensorFlow: devices, step loops, compiled programs, the simulation."""
