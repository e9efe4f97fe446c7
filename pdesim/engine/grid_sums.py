"""Sums over the grid in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

#: number of values of a state in a band of rows: in double precision, they fit into a cache
BAND_VALUES = 2**18

#: returns arrays of the shape of the given ones
Terms = Callable[..., Sequence[tf.Tensor]]


def grid_sums(
    terms: Terms, arrays: Sequence[tf.Tensor], dimensions: int, in_bands: bool
) -> list[tf.Tensor]:
    """Return the sums of each of ``terms(*arrays)`` over the grid.

    Args:
        terms: returns the terms for all or some rows of the arrays, in float64.
        arrays: shape ``(..., *grid shape)``.
        in_bands: whether the terms of a few rows are computed at a time. A compiler for CPUs stores
            the terms, so that those of the complete grid would take more memory than the state.
    """
    axes = list(range(-dimensions, 0))
    rows = arrays[0].shape[-dimensions]
    size = arrays[0].shape.num_elements() // rows
    band = min(rows, max(1, BAND_VALUES // size)) if in_bands else rows

    def sums(first: tf.Tensor | int, count: int) -> list[tf.Tensor]:
        pieces = [_rows_of(values, first, count, dimensions) for values in arrays]
        return [tf.reduce_sum(values, axis=axes) for values in terms(*pieces)]

    if band == rows:
        return sums(0, rows)

    def add_band(number: tf.Tensor, *totals: tf.Tensor) -> tuple:
        added = sums(number * band, band)
        return number + 1, *(a + b for a, b in zip(totals, added, strict=True))

    count, left = divmod(rows, band)
    # the remaining rows first: the sums then have the right number and shape
    totals = sums(rows - left, left) if left else [tf.zeros_like(one) for one in sums(0, band)]
    _, *totals = tf.while_loop(
        lambda number, *_: number < count, add_band, (tf.constant(0), *totals)
    )
    return list(totals)


def _rows_of(values: tf.Tensor, first: tf.Tensor | int, count: int, dimensions: int) -> tf.Tensor:
    axis = values.shape.rank - dimensions
    begin: list[tf.Tensor | int] = [0] * values.shape.rank
    size = list(values.shape)
    begin[axis], size[axis] = first, count
    return tf.slice(values, begin, size)


def square(values: tf.Tensor) -> tf.Tensor:
    """Return the squares of values in float64."""
    return tf.square(tf.cast(values, tf.float64))
