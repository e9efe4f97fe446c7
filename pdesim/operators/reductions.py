"""Reductions over the domain: ``mean(f)``, ``integral(f)``, ``max(f)`` and ``min(f)``.

With N cells of volume V that do not belong to obstacles, the integral is ``V * sum(f)`` (the
midpoint rule) and the mean is ``sum(f) / N``. ``max`` and ``min`` are those of the values at cell
centres. This module does not import TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdesim.model.grid import Grid


def weight(word: str, grid: Grid, solid: np.ndarray | None) -> float:
    """Return the factor of the sum in ``mean`` or ``integral``."""
    if word == "integral":
        return grid.cell_volume
    return 1.0 / (grid.cells if solid is None else int(np.count_nonzero(~solid)))


def reduced(word: str, values: np.ndarray, grid: Grid, solid: np.ndarray | None) -> Any:
    """Return a reduction of the values in all cells, in float64.

    Args:
        word: ``mean``, ``integral``, ``max`` or ``min``.
        values: an array whose last axes are those of the grid; other axes remain.
        solid: the cells of obstacles; None if there are none.
    """
    axes = tuple(range(-grid.dimensions, 0))
    values = np.asarray(values, np.float64)
    inside = True if solid is None else ~solid
    if word in ("mean", "integral"):
        return values.sum(axes, where=inside) * weight(word, grid, solid)
    if word == "max":
        return values.max(axes, where=inside, initial=-np.inf)
    return values.min(axes, where=inside, initial=np.inf)
