"""Computation with TensorFlow: devices, step loops, compiled programs, simulations."""
