"""Reductions over the grid in TensorFlow, in an order that does not depend on how it is divided.

The values of each row are reduced first, and then the results of all rows. Several devices, each of
which reduces its own rows, therefore find bit for bit the result of one device, unless the values
that are reduced are products in float64, which a compiler may round together with the sum. A row is
an index along the first array axis of the grid.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from pdesim.operators.problem import Problem
from pdesim.operators.reductions import weight
from pdesim.operators.tensor_library import FOLDS, folded

#: the functions that combine two arrays and that reduce one, and the value that changes nothing;
#: sums by default
EXTREMES = {
    "max": (tf.maximum, tf.reduce_max, -np.inf),
    "min": (tf.minimum, tf.reduce_min, np.inf),
}
SUM = (tf.add, tf.reduce_sum, 0.0)
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
    combine, reduce_all, outside = EXTREMES.get(word, SUM)
    values = tf.cast(values, tf.float64) if word in SUMS else values
    if mask is not None:
        values = tf.where(tf.constant(mask.solid), tf.constant(outside, values.dtype), values)
    if dimensions == 1:
        return values
    return reduce_all(folded(values, combine, -1), list(range(1 - dimensions, 0)))


def reduce_all_rows(word: str, rows: tf.Tensor, problem: Problem, keep: bool = False) -> tf.Tensor:
    """Return the reduction over the grid from those of all rows.

    Args:
        rows: the result of :func:`reduce_rows`, for all rows of the grid.
        problem: the problem on the complete grid.
        keep: whether the result has axes of length 1 in place of those of the grid.
    """
    total = combined(word, rows)
    if word in SUMS:
        solid = None if problem.mask is None else problem.mask.solid
        total = total * weight(word, problem.grid, solid)
    if not keep:
        return total
    return tf.reshape(total, (*total.shape, *[1] * problem.grid.dimensions))


def combined(word: str, values: tf.Tensor) -> tf.Tensor:
    """Return the sum or the extreme value along the last axis.

    The parts of the axis are combined elementwise, in an order that a compiler keeps, unlike that
    of ``tf.reduce_sum`` after another reduction.
    """
    combine, _, neutral = EXTREMES.get(word, SUM)
    while (size := values.shape[-1]) > 1:
        parts = min(FOLDS, size)
        length = -(-size // parts)
        missing = [[0, 0]] * (values.shape.rank - 1) + [[0, parts * length - size]]
        values = tf.pad(values, missing, constant_values=tf.constant(neutral, values.dtype))
        values = functools.reduce(combine, tf.split(values, parts, axis=-1))
    return values[..., 0]
