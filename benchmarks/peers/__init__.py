"""The packages that peers.py compares, a module for each, and the problems they solve."""
