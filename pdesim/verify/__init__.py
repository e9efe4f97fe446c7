"""Proof of accuracy: manufactured solutions, measured orders, tables and plots."""
