"""Runs from their plans to their files."""
