"""States with values that differ by one rounding error, by which rounding errors are measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pdesim.model.grid import Grid

#: multipliers and shifts of a hash function of integers, whose lowest bit gives a sign: lowbias32
#: of C. Wellons, https://nullprogram.com/blog/2018/07/31/
FACTORS, SHIFTS = (0x7FEB352D, 0x846CA68B), (16, 15, 16)


def perturbed(state: tf.Tensor, grid: Grid, first: int = 0) -> tf.Tensor:
    """Return ``state * (1 + s * eps)``, where s is 1 or -1 in each cell.

    The signs are a function of the index of the cell in the complete grid, so that they are the
    same in every call, for all members, and on any number of devices.

    Args:
        state: shape ``(..., fields, *grid shape)``, or a part of its rows.
        grid: the complete grid.
        first: the index of the first row of the part.
    """
    fields, *shape = state.shape[-1 - grid.dimensions :]
    sizes, starts = (fields, *grid.shape), (0, first, *[0] * (grid.dimensions - 1))
    index = tf.zeros((), tf.uint32)
    for axis, (size, start, length) in enumerate(zip(sizes, starts, (fields, *shape), strict=True)):
        along = tf.cast(tf.range(start, start + length, dtype=tf.int64), tf.uint32)
        along = tf.reshape(along, (-1, *[1] * (grid.dimensions - axis)))
        index = index * tf.constant(size % 2**32, tf.uint32) + along
    epsilon = np.finfo(state.dtype.as_numpy_dtype).eps
    signs = 1 - 2 * tf.cast(
        tf.bitwise.bitwise_and(_hash(index), tf.constant(1, tf.uint32)), state.dtype
    )
    return state + tf.constant(epsilon, state.dtype) * signs * state


def _hash(values: tf.Tensor, shifts: Sequence[int] = SHIFTS) -> tf.Tensor:
    for shift, factor in zip(shifts, (*FACTORS, None), strict=True):
        shifted = tf.bitwise.right_shift(values, tf.constant(shift, tf.uint32))
        values = tf.bitwise.bitwise_xor(values, shifted)
        values = values if factor is None else values * tf.constant(factor, tf.uint32)
    return values
