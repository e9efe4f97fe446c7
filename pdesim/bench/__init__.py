"""How fast a run's step loop is here: beside the memory's copy speed, and beside NumPy."""
