"""Benchmarks of the step loop, compared with the memory bandwidth and with NumPy."""
