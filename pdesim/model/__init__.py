"""Grids, equations, boundary conditions, initial states, obstacles, and resampling."""
