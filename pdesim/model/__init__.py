"""Grids, equations, boundary conditions, initial states and obstacles."""
