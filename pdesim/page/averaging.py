"""Frames with fewer cells, whose values are means over the cells they replace."""

from __future__ import annotations

import numpy as np


def reduced_shape(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return a shape of the same ratio, with at most ``most`` cells on the longer side."""
    longer = max(shape)
    if longer <= most:
        return shape
    return tuple(max(1, round(n * most / longer)) for n in shape)


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
    with np.errstate(all="ignore"):  # sums of the largest numbers may overflow
        if finite.all():
            return _apply(values, shape)
        weight = _apply(finite.astype(np.float64), shape)
        means = _apply(np.where(finite, values, 0.0), shape) / weight
    return np.where(weight > 1e-9, means, np.nan)


def _apply(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis, fewer in enumerate(shape):
        values = np.swapaxes(_means(np.swapaxes(values, axis, -1), fewer), axis, -1)
    return values


def _means(values: np.ndarray, fewer: int) -> np.ndarray:
    """Return the means over ``fewer`` equal parts of the last axis, which may cut cells.

    They are differences of the integral up to the ends of the parts, which takes no more memory
    than the frame.
    """
    cells = values.shape[-1]
    if cells == fewer:
        return values
    ends = np.arange(fewer + 1) * cells / fewer
    whole = np.minimum(ends.astype(int), cells - 1)
    integral = np.cumsum(values, axis=-1)
    before = np.where(whole > 0, integral[..., whole - 1], 0.0)
    return np.diff(before + (ends - whole) * values[..., whole], axis=-1) * fewer / cells
