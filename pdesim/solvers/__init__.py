"""Solvers for steady problems."""
