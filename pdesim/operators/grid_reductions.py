"""Reductions over the grid in TensorFlow, in an order that does not depend on how it is divided.

The values of each row are reduced first, and then the results of all rows. Several devices, each of
which reduces its own rows, therefore find bit for bit the result of one device. A row is an index
along the first array axis of the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.operators.problem import Problem
from pdesim.operators.reductions import weight
from pdesim.operators.tensor_library import folded

#: the functions that reduce an array, and that combine two arrays; sums by default
EXTREMES = {"max": (tf.reduce_max, tf.maximum), "min": (tf.reduce_min, tf.minimum)}
SUM = (tf.reduce_sum, tf.add)
SUMS = ("mean", "integral")


def reduce_rows(word: str, values: tf.Tensor, problem: Problem) -> tf.Tensor:
    """Return the sum or the extreme value of each row, shape ``(..., rows)``.

    Sums are computed in float64, so that their rounding error is that of the result.

    Args:
        word: ``mean``, ``integral``, ``max`` or ``min``.
        values: a field, shape ``(..., *grid shape)``.
        problem: the problem on the grid of the values; cells of obstacles are left out.
    """
    dimensions, mask = problem.grid.dimensions, problem.mask
    values = tf.cast(values, tf.float64) if word in SUMS else values
    if mask is not None:
        outside = {"max": -np.inf, "min": np.inf}.get(word, 0.0)
        values = tf.where(tf.constant(mask.solid), tf.constant(outside, values.dtype), values)
    if dimensions == 1:
        return values
    reduce_all, combine = _functions(word)
    return reduce_all(folded(values, combine, -1), list(range(1 - dimensions, 0)))


def reduce_all_rows(word: str, rows: tf.Tensor, problem: Problem, keep: bool = False) -> tf.Tensor:
    """Return the reduction over the grid from those of all rows.

    Args:
        rows: the result of :func:`reduce_rows`, for all rows of the grid. It must be stored, since
            a compiler could combine both reductions into one, in another order.
        problem: the problem on the complete grid.
        keep: whether the result has axes of length 1 in place of those of the grid.
    """
    reduce_all, _ = _functions(word)
    total = reduce_all(rows, -1)
    if word in SUMS:
        solid = None if problem.mask is None else problem.mask.solid
        total = total * weight(word, problem.grid, solid)
    if not keep:
        return total
    return tf.reshape(total, (*total.shape, *[1] * problem.grid.dimensions))


def _functions(word: str) -> tuple[Any, Any]:
    return EXTREMES.get(word, SUM)
