"""Bands of rows: values of a grid that are computed and used without the complete array.

A row is an index along the first array axis of the grid. Bands follow one another from the first
row to the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

#: the index of the first row of a band, and the values there, shape ``(fields, rows, ...)``
Band: TypeAlias = tuple[int, np.ndarray]
#: a band with its neighbouring rows: the index of the first row, the values, and the rows of the
#: band in these values
Window: TypeAlias = tuple[int, np.ndarray, slice]


def windows(bands: Iterable[Band], total: int, halo: int) -> Iterator[Window]:
    """Yield bands with up to ``halo`` neighbouring rows on both sides, fewer at the ends.

    Args:
        bands: all bands of a grid, in their order.
        total: the number of rows of the grid.
        halo: the number of neighbouring rows.
    """
    kept, start, waiting = np.empty(0), 0, []
    for first, values in bands:
        kept = np.concatenate([kept, values], axis=1) if kept.size else values
        start = start if kept is not values else first
        end = first + values.shape[1]
        waiting.append((first, end))
        while waiting and (end == total or waiting[0][1] + halo <= end):
            lower, upper = waiting.pop(0)
            low, high = max(0, lower - halo), min(total, upper + halo)
            inside = slice(lower - low, upper - low)
            yield low, kept[:, low - start : high - start], inside
            drop = max(0, max(0, upper - halo) - start)
            kept, start = kept[:, drop:], start + drop
