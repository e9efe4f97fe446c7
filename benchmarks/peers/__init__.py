"""The contestants of peers.py, a module each, and what they all solve."""
