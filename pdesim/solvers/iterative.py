"""Iterations for linear systems that stop at a residual, with a multigrid cycle for each field.

The iterations are driven from the host, one compiled call for each product, since a solution takes
about ten of them. All functions solve ``operator(u) = residual`` from zero, with the arguments of
:func:`conjugate_gradients`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

Operator = Callable[[tf.Tensor], tf.Tensor]
#: largest number of iterations, if the settings contain none
MOST = 500
#: iterations without a smaller residual after which they are given up
STALLED = 60


@dataclass(frozen=True)
class Iterations:
    """The result of iterations.

    Attributes:
        solution: the last approximation.
        history: the norm of the residual at the start and after each iteration.
    """

    solution: tf.Tensor
    history: Sequence[float]


def conjugate_gradients(
    operator: Operator, inverse: Operator, residual: tf.Tensor, target: float, most: int = MOST
) -> Iterations:
    """Solve ``operator(u) = residual`` for a self-adjoint positive operator, from zero.

    Saad, Iterative Methods for Sparse Linear Systems (2003), algorithm 9.1, with the formula of
    Polak and Ribiere for the direction, since the cycle is computed in single precision.

    Args:
        operator: the operator.
        inverse: the preconditioner.
        residual: the right-hand side.
        target: the norm of the residual at which the iterations end.
        most: the largest number of iterations.
    """
    u = before = direction = tf.zeros_like(residual)
    slope, history = tf.zeros([], residual.dtype), [_norm(residual)]
    while not _ended(history, target, most):
        direction, slope = _conjugate(inverse(residual), residual, before, direction, slope)
        before = residual
        u, residual, norm, curvature = _advanced(u, residual, direction, operator(direction))
        if not curvature > 0:
            break  # not a positive operator, or the residual is at its rounding error
        history.append(float(norm))
    return Iterations(u, history)


@tf.function(autograph=False, reduce_retracing=True)
def _conjugate(
    improved: tf.Tensor, residual: tf.Tensor, before: tf.Tensor, direction: tf.Tensor,
    slope: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """Return the direction of the next step, and the slope along it."""
    fresh = _dot(improved, residual)
    factor = tf.math.divide_no_nan(_dot(improved, residual - before), slope)
    return improved + factor * direction, fresh


@tf.function(autograph=False, reduce_retracing=True)
def _advanced(
    u: tf.Tensor, residual: tf.Tensor, direction: tf.Tensor, image: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the approximation after a step, its residual and norm, and the curvature.

    Without a positive curvature, there is no step.
    """
    curvature = _dot(direction, image)
    step = tf.where(curvature > 0, _dot(direction, residual) / curvature, 0)
    residual -= step * image
    return u + step * direction, residual, tf.norm(residual), curvature


def bicgstab(
    operator: Operator, inverse: Operator, residual: tf.Tensor, target: float, most: int = MOST
) -> Iterations:
    """Solve ``operator(u) = residual`` for any linear operator, from zero.

    van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992) 631, with right preconditioning.
    """
    u, history = tf.zeros_like(residual), [_norm(residual)]
    shadow, direction = residual, residual
    rho = _dot(shadow, residual)
    while not _ended(history, target, most):
        forward = inverse(direction)
        image = operator(forward)
        across = _dot(shadow, image)
        if across == 0 or rho == 0:
            break
        alpha = rho / across
        half = residual - alpha * image
        second = inverse(half)
        half_image = operator(second)
        size = _dot(half_image, half_image)
        omega = _dot(half_image, half) / size if size else 0.0
        u = u + alpha * forward + omega * second
        residual = half - omega * half_image
        history.append(_norm(residual))
        if omega == 0:
            break
        after = _dot(shadow, residual)
        direction = residual + after / rho * alpha / omega * (direction - omega * image)
        rho = after
    return Iterations(u, history)


def steepest_descent(
    operator: Operator, inverse: Operator, residual: tf.Tensor, target: float, most: int = MOST
) -> Iterations:
    """Solve ``operator(u) = residual`` by ``u <- u + omega*inverse(residual - operator(u))``.

    The factor omega minimises the error in the norm of the operator, which must be self-adjoint
    and positive (Saad, sec. 5.3.1, with a preconditioner).
    """
    return _corrected(operator, inverse, residual, target, most, lambda correction, _: correction)


def minimal_residual(
    operator: Operator, inverse: Operator, residual: tf.Tensor, target: float, most: int = MOST
) -> Iterations:
    """Solve ``operator(u) = residual`` like :func:`steepest_descent`, for any linear operator.

    The factor omega minimises the norm of the residual (Saad, sec. 5.3.2).
    """
    return _corrected(operator, inverse, residual, target, most, lambda _, image: image)


def _corrected(
    operator: Operator, inverse: Operator, residual: tf.Tensor, target: float, most: int,
    test: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> Iterations:  # fmt: skip
    """Add multiples of ``inverse(residual)`` after which the residual is orthogonal to ``test``.

    Args:
        test: a function of the correction and of its image under the operator.
    """
    u, history = tf.zeros_like(residual), [_norm(residual)]
    while not _ended(history, target, most):
        correction = inverse(residual)
        image = operator(correction)
        direction = test(correction, image)
        size = _dot(direction, image)
        if not size > 0:
            break
        omega = _dot(direction, residual) / size
        u, residual = u + omega * correction, residual - omega * image
        history.append(_norm(residual))
    return Iterations(u, history)


def _ended(history: Sequence[float], target: float, most: int) -> bool:
    best = int(np.argmin(history))
    finite = np.isfinite(history[-1])
    return (
        not finite or history[-1] <= target or len(history) > most
        or len(history) - best > STALLED
    )  # fmt: skip


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b)


def _norm(a: tf.Tensor) -> float:
    return float(tf.norm(a))
