"""The parts of work_precision.py."""
