"""Frames with fewer cells, whose values are means over the cells they replace."""

from __future__ import annotations

import numpy as np


def reduced_shape(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return a shape of the same ratio, with at most ``most`` cells on the longer side."""
    longer = max(shape)
    if longer <= most:
        return shape
    return tuple(max(1, round(n * most / longer)) for n in shape)


def overlaps(cells: int, fewer: int) -> np.ndarray:
    """Return the fractions of the old cells in every new cell along an axis.

    Args:
        cells: the number of cells.
        fewer: the number of new cells, which divide the same length equally.

    Returns:
        An array of shape ``(fewer, cells)``, whose rows have the sum 1.
    """
    edges = np.arange(fewer + 1) * cells / fewer
    old = np.arange(cells)
    common = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.clip(common, 0, None) * fewer / cells


def average(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the means over the cells of a coarser grid, as float64.

    Values that are not finite are left out of the means; a new cell without any finite value is
    NaN.

    Args:
        values: a frame, ``(nx,)`` or ``(ny, nx)``.
        shape: the shape of the result.
    """
    values = np.asarray(values, np.float64)
    if values.shape == shape:
        return values
    finite = np.isfinite(values)
    if finite.all():
        return _apply(values, shape)
    weight = _apply(finite.astype(np.float64), shape)
    with np.errstate(all="ignore"):
        means = _apply(np.where(finite, values, 0.0), shape) / weight
    return np.where(weight > 1e-9, means, np.nan)


def _apply(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    values = values @ overlaps(values.shape[-1], shape[-1]).T
    return overlaps(values.shape[0], shape[0]) @ values if values.ndim == 2 else values
