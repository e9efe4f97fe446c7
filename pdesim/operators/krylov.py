"""Krylov iterations for linear systems that no transform makes diagonal, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Operator = Callable[[tf.Tensor], tf.Tensor]
#: the residual to reach, relative to the right-hand side, and how often to try
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}
ITERATIONS = 500


def conjugate_gradients(operator: Operator, known: tf.Tensor, guess: tf.Tensor) -> tf.Tensor:
    """Solve ``operator(u) = known`` for a self-adjoint positive operator.

    Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409.
    """
    target = _target(known)
    residual = known - operator(guess)

    def unfinished(count, u, residual, direction, size):
        return (count < ITERATIONS) & (size > target)

    def improve(count, u, residual, direction, size):
        image = operator(direction)
        step = size / _dot(direction, image)
        u, residual = u + step * direction, residual - step * image
        after = _dot(residual, residual)
        return count + 1, u, residual, residual + after / size * direction, after

    start = (0, guess, residual, residual, _dot(residual, residual))
    return tf.while_loop(unfinished, improve, start)[1]


def bicgstab(operator: Operator, known: tf.Tensor, guess: tf.Tensor) -> tf.Tensor:
    """Solve ``operator(u) = known`` for any operator.

    van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992) 631.
    """
    target = _target(known)
    residual = known - operator(guess)
    shadow = residual

    def unfinished(count, u, residual, direction, rho):
        return (count < ITERATIONS) & (_dot(residual, residual) > target)

    def improve(count, u, residual, direction, rho):
        image = operator(direction)
        alpha = rho / _dot(shadow, image)
        half = residual - alpha * image
        half_image = operator(half)
        norm = _dot(half_image, half_image)
        omega = tf.where(norm > 0, _dot(half_image, half) / tf.where(norm > 0, norm, 1), 0)
        u = u + alpha * direction + omega * half
        residual = half - omega * half_image
        after = _dot(shadow, residual)
        beta = tf.math.divide_no_nan(after, rho) * tf.math.divide_no_nan(alpha, omega)
        return count + 1, u, residual, residual + beta * (direction - omega * image), after

    start = (0, guess, residual, residual, _dot(shadow, residual))
    return tf.while_loop(unfinished, improve, start)[1]


def _target(known: tf.Tensor) -> tf.Tensor:
    return tf.cast(TOLERANCE[known.dtype.name] ** 2, known.dtype) * _dot(known, known)


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b)
