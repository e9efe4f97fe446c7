"""Operations with derivatives that TensorFlow lacks: barriers, real transforms, linear solutions.

The derivative of a real number L with respect to a complex tensor z is the tensor g for which
``dL = Re(sum(conj(g) * dz))``, as in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

_FORWARD = {1: tf.signal.rfft, 2: tf.signal.rfft2d, 3: tf.signal.rfft3d}
_BACKWARD = {1: tf.signal.irfft, 2: tf.signal.irfft2d, 3: tf.signal.irfft3d}


@tf.custom_gradient
def barrier(values: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Return a tensor that XLA stores, instead of computing it again where it is used."""

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return xla.optimization_barrier(upstream)[0]

    return xla.optimization_barrier(values)[0], gradient


@tf.custom_gradient
def same_values(values: tf.Tensor, equal: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Return ``values``, read from another array with the same values."""
    # `equal` is an argument because TensorFlow searches the graph behind a result for variables,
    # and stops at the arguments
    return equal, lambda upstream: (upstream, None)


def rfft(values: tf.Tensor, axes: int) -> tf.Tensor:
    """Return the discrete Fourier transform of real values along the last ``axes`` axes.

    Its derivative is the adjoint: an inverse transform in which coefficients that are stored once
    for two wave vectors count half.
    """
    shape = values.shape[-axes:]
    cells = int(np.prod(shape))

    @tf.custom_gradient
    def transform(values: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            weights = _multiplicity(shape[-1], upstream.dtype)
            return cells * _BACKWARD[axes](upstream / weights, fft_length=list(shape))

        return _FORWARD[axes](values), gradient

    return transform(values)


def irfft(coefficients: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Return the real values, of a given shape, whose transform has these coefficients.

    The inverse of :func:`rfft`, of the same number of axes as ``shape``.
    """
    axes, cells = len(shape), int(np.prod(shape))

    @tf.custom_gradient
    def transform(coefficients: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            modes = _FORWARD[axes](upstream)
            return modes * _multiplicity(shape[-1], modes.dtype) / cells

        return _BACKWARD[axes](coefficients, fft_length=list(shape)), gradient

    return transform(coefficients)


def _multiplicity(points: int, dtype: tf.DType) -> tf.Tensor:
    """Return how many wave numbers each stored one represents: 1 if it is its own opposite."""
    waves = np.arange(points // 2 + 1)
    return tf.constant(np.where((waves == 0) | (2 * waves == points), 1, 2), dtype)


def linear_solution(
    solve: Callable[..., tf.Tensor],
    operator: Callable[..., Callable],
    b: tf.Tensor,
    arguments: Sequence[tf.Tensor],
) -> tf.Tensor:
    """Return the solution u of ``A(*arguments) u = b``, with its derivative.

    With the solution w of the adjoint equation ``A^T w = dL/du``, the derivatives are ``dL/db = w``
    and ``dL/da = -w^T (dA/da) u``. No derivative of an iteration is computed.

    Args:
        solve: ``solve(A, b, first)`` returns the solution for a linear function A. It is also
            called with the adjoint of A; ``first`` is then False.
        operator: ``operator(*arguments)`` returns the linear function A.
        arguments: the tensors on which A depends.
    """

    @tf.custom_gradient
    def solution(b: tf.Tensor, *arguments: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        linear = operator(*arguments)
        u = solve(linear, b, True)

        def adjoint(values: tf.Tensor) -> tf.Tensor:
            return _pullback(linear, (u,), values)[0]

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            w = solve(adjoint, upstream, False)
            return [w, *_pullback(lambda *a: operator(*a)(u), arguments, -w)]

        return u, gradient

    return solution(b, *arguments)


def _pullback(function: Callable, arguments: Sequence[tf.Tensor], upstream: tf.Tensor) -> Any:
    """Return the derivatives of ``sum(upstream * function(*arguments))``; 0 where there is none."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        values = function(*arguments)
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(values, list(arguments), upstream, unconnected_gradients=zero)
