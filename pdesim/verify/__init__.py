"""Verification of the orders of accuracy with manufactured solutions, with tables and plots."""
