"""Frames on cells of unequal sizes, interpolated to equal cells for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pdesim.output.axis import Axis

#: an axis is drawn with at most this many times as many cells as it has
MOST = 4


def equal_axis(axis: Axis) -> Axis:
    """Return an axis of equal cells, about as small as the smallest cells of an axis."""
    if axis.is_uniform:
        return axis
    faces = axis.faces
    length, count = faces[-1] - faces[0], len(axis.centres)
    number = int(np.clip(np.ceil(length / np.diff(faces).min()), count, MOST * count))
    width = length / number
    return replace(axis, centres=faces[0] + (np.arange(number) + 0.5) * width)


def on_equal_cells(values: np.ndarray, stored: Sequence[Axis], drawn: Sequence[Axis]) -> np.ndarray:
    """Return a frame, interpolated linearly between the centres of its cells.

    Args:
        values: the frame on the stored axes.
        stored, drawn: the axes in the order of the array axes.
    """
    for number, (one, other) in enumerate(zip(stored, drawn, strict=True)):
        if one is not other:
            values = _along(values, number, one.centres, other.centres)
    return values


def _along(values: np.ndarray, axis: int, centres: np.ndarray, points: np.ndarray) -> np.ndarray:
    lower = np.clip(np.searchsorted(centres, points) - 1, 0, len(centres) - 2)
    share = (points - centres[lower]) / (centres[lower + 1] - centres[lower])
    # beyond the outermost centres, the values of the first and the last cell
    share = np.clip(share, 0.0, 1.0).astype(values.dtype)
    shape = [1] * values.ndim
    shape[axis] = -1
    share = share.reshape(shape)
    first, second = np.take(values, lower, axis), np.take(values, lower + 1, axis)
    return np.where(
        share == 0, first, np.where(share == 1, second, first + share * (second - first))
    )
