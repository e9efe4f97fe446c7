"""Verification of the orders of accuracy by manufactured solutions; tables and plots of them."""
