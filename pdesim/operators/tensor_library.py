"""TensorFlow's functions for the evaluation of formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import tensorflow as tf

from pdesim.formula import Library, library
from pdesim.operators.differentiable import barrier

#: number of parts of an array that are combined before a reduction, at most
FOLDS = 8


def tensor_library(dtype: tf.DType) -> Library:
    """Return TensorFlow's functions for the evaluator; arguments are converted to ``dtype``."""

    class Module:
        @staticmethod
        def where(condition: Any, a: Any, b: Any) -> tf.Tensor:
            condition = tf.convert_to_tensor(condition)
            return tf.where(condition, *(tf.convert_to_tensor(v, dtype) for v in (a, b)))

        logical_and, logical_or = staticmethod(tf.logical_and), staticmethod(tf.logical_or)
        logical_not = staticmethod(tf.logical_not)

        def __getattr__(self, name: str) -> Any:
            function = getattr(tf.math, name)
            return lambda *values: function(*(tf.convert_to_tensor(v, dtype) for v in values))

    return library(Module(), scaled, TensorArrays(dtype))


@dataclass(frozen=True)
class TensorArrays:
    """The operations for networks; see :class:`pdesim.formula.networks.Arrays`."""

    dtype: tf.DType

    def asarray(self, values: Any) -> tf.Tensor:
        return tf.cast(values, self.dtype)

    def product(self, matrix: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matmul(matrix, values, transpose_a=True)

    def stacked(self, inputs: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple[int, ...]]:
        shape = reduce(tf.broadcast_static_shape, (value.shape for value in inputs))
        rows = [tf.reshape(tf.broadcast_to(value, shape), [-1]) for value in inputs]
        return tf.stack(rows), tuple(shape)

    def restored(self, rows: tf.Tensor, shape: tuple[int, ...]) -> list[tf.Tensor]:
        return [tf.reshape(row, shape) for row in tf.unstack(rows)]

    def __getattr__(self, name: str) -> Any:
        return getattr(tf.math, name)


def scaled(a: Any, b: Any) -> Any:
    """Return ``a * b``.

    If one of them is a number for all cells, the derivative with respect to it is a sum over all
    cells, which is computed from :func:`folded` arrays.
    """
    if not (tf.is_tensor(a) and tf.is_tensor(b)) or bool(a.shape.rank) == bool(b.shape.rank):
        return a * b
    number, field = (b, a) if a.shape.rank else (a, b)

    @tf.custom_gradient
    def product(number: tf.Tensor, field: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            parts = barrier(folded(upstream * field, tf.add, 0))
            total = tf.reduce_sum(tf.cast(parts, tf.float64))
            return tf.cast(total, number.dtype), number * upstream

        return number * field, gradient

    return product(number, field)


def folded(values: tf.Tensor, combine: Any, axis: int) -> tf.Tensor:
    """Return the elementwise combination of equal parts of an array along an axis.

    XLA's CPU compiler vectorises elementwise operations, but not reductions. A reduction of the
    result takes a fraction of the time of a reduction of ``values``.
    """
    count = next((n for n in range(FOLDS, 1, -1) if values.shape[axis] % n == 0), 1)
    parts = tf.split(values, count, axis)
    return reduce(combine, parts[1:], parts[0])
