"""Normal random numbers as a pure function of a key and a cell, inside a TensorFlow trace.

The generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, Parallel random numbers:
as easy as 1, 2, 3, SC11 (2011), doi:10.1145/2063384.2063405). It has no state: the numbers depend
neither on the order in which they are drawn nor on the device. It consists of 32-bit additions,
rotations and exclusive ors, which XLA fuses with the arithmetic around it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
ROUNDS = 20


class Key(NamedTuple):
    """A key of 64 bits: two tensors of type uint32 that broadcast against the numbers drawn."""

    low: tf.Tensor
    high: tf.Tensor


def threefry(key: Key, low: Any, high: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the two encrypted words of the counters ``(low, high)``."""
    words = (key.low, key.high, key.low ^ key.high ^ tf.constant(PARITY, tf.uint32))
    a, b = low + words[0], high + words[1]
    for number in range(ROUNDS):
        a = a + b
        b = _rotated(b, ROTATIONS[number // 4 % 2][number % 4]) ^ a
        if number % 4 == 3:
            turn = number // 4 + 1
            a = a + words[turn % 3]
            b = b + words[(turn + 1) % 3] + tf.constant(turn, tf.uint32)
    return a, b


def _rotated(word: tf.Tensor, bits: int) -> tf.Tensor:
    left = tf.bitwise.left_shift(word, tf.constant(bits, tf.uint32))
    return left | tf.bitwise.right_shift(word, tf.constant(32 - bits, tf.uint32))


def derived(key: Key, number: tf.Tensor) -> Key:
    """Return the key of a number (int64) in the family of a key."""
    bits = tf.bitcast(number, tf.uint64)
    low = tf.cast(bits & tf.constant(2**32 - 1, tf.uint64), tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(bits, tf.constant(32, tf.uint64)), tf.uint32)
    return Key(*threefry(key, low, high))


def normals(
    key: Key, shape: tuple[int, ...], dtype: tf.DType, rows: np.ndarray | None = None
) -> tf.Tensor:
    """Return independent standard normal numbers.

    They are ``sqrt(2) * erfinv(s)``, where s is uniform on 2**24 values in (-1, 1). Their largest
    magnitude is therefore 5.4. Both precisions have the same numbers, up to rounding.

    Args:
        key: its words have a leading axis of members and axes of size 1, or no axis.
        shape: the shape of the numbers of one member; each word serves two rows of its first axis.
        rows: indices of rows of the first axis; the result consists of these rows of the numbers
            of ``shape``, and the others are not computed. None: all rows.
    """
    half = -(-shape[0] // 2)
    if rows is None:
        words = _words(key, np.arange(half), shape[1:])
        both = tf.concat([_normal(word, dtype) for word in words], -len(shape))
        return both[(..., slice(shape[0]), *[slice(None)] * (len(shape) - 1))]
    pieces = [
        _normal(_words(key, run % half, shape[1:])[int(run[0] >= half)], dtype)
        for run in _runs(rows, half)
    ]
    return tf.concat(pieces, -len(shape))


def _words(key: Key, rows: np.ndarray, row_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return both words of the counters of consecutive rows."""
    shape = (len(rows), *row_shape)
    first = int(rows[0]) * math.prod(row_shape)
    cells = tf.cast(tf.reshape(tf.range(first, first + math.prod(shape)), shape), tf.uint32)
    return threefry(key, cells, tf.zeros_like(cells))


def _runs(rows: np.ndarray, half: int) -> list[np.ndarray]:
    """Divide rows into runs of consecutive rows of one word each; the second begins at ``half``.

    There are at least two runs, since the numbers of all rows are joined of two arrays, too. If
    they were one array, the compiler would combine the factor of :func:`_normal` with other
    factors, and the numbers would be rounded differently.
    """
    breaks = (np.diff(rows) != 1) | ((rows[1:] >= half) != (rows[:-1] >= half))
    places = np.flatnonzero(breaks) + 1
    return np.split(rows, places if len(places) else [len(rows) // 2])


def _normal(word: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    signed = tf.bitwise.right_shift(tf.bitcast(word, tf.int32), tf.constant(8, tf.int32))
    uniform = (tf.cast(signed, dtype) + 0.5) * 2.0**-23
    return tf.constant(math.sqrt(2), dtype) * tf.math.erfinv(uniform)
