"""Execution of runs: from the plan of a run to its files."""
