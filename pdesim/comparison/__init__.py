"""Differences between two runs.

- `match` finds the fields and the frame times that two files have in common.
- `grids` finds a grid on which frames of different resolution can be compared.
- `compute` computes the norms of the differences, `report` prints them.
"""

from pdesim.comparison.compute import Comparison, Difference, compare

__all__ = ["Comparison", "Difference", "compare"]
