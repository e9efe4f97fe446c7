"""Krylov iterations for linear systems that no transform diagonalises, in TensorFlow.

The systems of all members of a sweep are solved together. Sums run over the axes of one state only,
so that each member converges, or fails, independently of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Operator = Callable[[tf.Tensor], tf.Tensor]
#: the target residual relative to the right-hand side, and the residual that is still accepted at
#: the end, since rounding may stop BiCGStab slightly above the target
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}
ACCEPTED = {"float32": 1e-5, "float64": 1e-10}
#: fill value of all cells of a solution that did not converge
UNSOLVED = -math.inf


def most_iterations(points: Sequence[int]) -> int:
    """Return the maximum number of iterations of a solve on a grid.

    For a Laplacian, the iterations of conjugate gradients are proportional to the cells per axis,
    with a larger factor for discontinuous coefficients: about 5 for a contrast of 1000.
    """
    return 1000 + 20 * sum(points)


@dataclass(frozen=True)
class System:
    """A linear system ``operator(u) = b`` with its preconditioner and iteration limit.

    Args:
        operator: linear; takes and returns tensors of the shape of ``b``.
        b: the right-hand side, ``(fields, *grid.shape)`` with members before.
        axes: the number of trailing axes that belong to one member.
        limit: the maximum number of iterations.
        inverse: a preconditioner, an approximate inverse of ``operator``.
    """

    operator: Operator
    b: tf.Tensor
    axes: int
    limit: int
    inverse: Operator = tf.identity

    def dot(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Return one dot product per member, shaped to broadcast against its state."""
        return tf.reduce_sum(a * b, axis=self.over, keepdims=True)

    @property
    def over(self) -> list[int]:
        return list(range(-self.axes, 0))


def solve(system: System, x0: tf.Tensor, self_adjoint: bool) -> tf.Tensor:
    """Return the solution; :data:`UNSOLVED` in every cell of a member that did not converge.

    A member whose initial guess is ``UNSOLVED`` stays ``UNSOLVED``; one whose right-hand side is
    not finite becomes NaN.

    Args:
        guess: where to begin, such as the solution of the time step before.
        self_adjoint: whether the operator is self-adjoint and positive: conjugate gradients are
            then used, else BiCGStab.
    """
    over, b = system.over, system.b
    # scaled to order one, since the squares of a field of 1e-20 underflow in float32
    size = tf.reduce_max(tf.abs(b), axis=over, keepdims=True)
    is_finite = tf.math.is_finite(size)
    size = tf.where((size > 0) & is_finite, size, tf.ones_like(size))
    scaled = System(system.operator, b / size, system.axes, system.limit, system.inverse)
    method = conjugate_gradients if self_adjoint else bicgstab
    u, residual = method(scaled, x0 / size)
    solved = residual <= _target(scaled, ACCEPTED)
    lost = tf.reduce_all(tf.equal(x0, UNSOLVED), axis=over, keepdims=True)
    return tf.where(lost | (is_finite & ~solved), tf.cast(UNSOLVED, b.dtype), u * size)


def conjugate_gradients(system: System, x0: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the solution for a self-adjoint positive operator, and its squared residual.

    Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409; with a preconditioner, Saad,
    Iterative Methods for Sparse Linear Systems (2003), algorithm 9.1.
    """
    dot, target = system.dot, _target(system, TOLERANCE)
    residual = system.b - system.operator(x0)
    improved = system.inverse(residual)

    def unfinished(
        count: tf.Tensor,
        u: tf.Tensor,
        residual: tf.Tensor,
        direction: tf.Tensor,
        slope: tf.Tensor,
        size: tf.Tensor,
    ) -> Any:
        return (count < system.limit) & tf.reduce_any(size > target)

    def improve(
        count: tf.Tensor,
        u: tf.Tensor,
        residual: tf.Tensor,
        direction: tf.Tensor,
        slope: tf.Tensor,
        size: tf.Tensor,
    ) -> Any:
        active = size > target
        image = system.operator(direction)
        step = _ratio(slope, dot(direction, image), active)
        u, residual = u + step * direction, residual - step * image
        improved = system.inverse(residual)
        after = dot(residual, improved)
        direction = improved + _ratio(after, slope, active) * direction
        return count + 1, u, residual, direction, after, dot(residual, residual)

    start = (0, x0, residual, improved, dot(residual, improved), dot(residual, residual))
    _, u, *_, size = tf.while_loop(unfinished, improve, start)
    return u, size


def bicgstab(system: System, x0: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the solution for any operator, and its squared residual.

    van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992) 631, preconditioned from the right.
    """
    dot, target = system.dot, _target(system, TOLERANCE)
    residual = system.b - system.operator(x0)
    shadow = residual

    def unfinished(
        count: tf.Tensor,
        u: tf.Tensor,
        residual: tf.Tensor,
        direction: tf.Tensor,
        rho: tf.Tensor,
        size: tf.Tensor,
    ) -> Any:
        return (count < system.limit) & tf.reduce_any(size > target)

    def improve(
        count: tf.Tensor,
        u: tf.Tensor,
        residual: tf.Tensor,
        direction: tf.Tensor,
        rho: tf.Tensor,
        size: tf.Tensor,
    ) -> Any:
        active = size > target
        forward = system.inverse(direction)
        image = system.operator(forward)
        alpha = _ratio(rho, dot(shadow, image), active)
        half = residual - alpha * image
        second = system.inverse(half)
        half_image = system.operator(second)
        omega = _ratio(dot(half_image, half), dot(half_image, half_image), active)
        u = u + alpha * forward + omega * second
        residual = half - omega * half_image
        after = dot(shadow, residual)
        beta = _ratio(after, rho, active) * _ratio(alpha, omega, active)
        direction = residual + beta * (direction - omega * image)
        return count + 1, u, residual, direction, after, dot(residual, residual)

    start = (0, x0, residual, residual, dot(shadow, residual), dot(residual, residual))
    _, u, *_, size = tf.while_loop(unfinished, improve, start)
    return u, size


def diagonal(operator: Operator, like: tf.Tensor, grid_axes: int, period: int) -> tf.Tensor:
    """Return the diagonal of an operator that reads neighbours fewer than ``period`` cells away.

    The operator is applied to ``fields * period**grid_axes`` patterns: in each, one field is 1 in
    cells whose stencils do not overlap, and 0 elsewhere. If the period does not divide a periodic
    axis, cells near the seam are inexact, which is acceptable in a preconditioner.

    Args:
        like: a tensor with the shape and type of the state.
    """
    shape = like.shape[-1 - grid_axes :]
    color = tf.reshape(tf.range(shape[0]), (-1, *[1] * grid_axes))
    for axis in range(1, grid_axes + 1):
        place = tf.reshape(tf.range(shape[axis]) % period, (-1, *[1] * (grid_axes - axis)))
        color = color * period + place

    def add(number: tf.Tensor, total: tf.Tensor) -> Any:
        pattern = tf.broadcast_to(tf.cast(tf.equal(color, number), like.dtype), like.shape)
        return number + 1, total + pattern * operator(pattern)

    count = shape[0] * period**grid_axes
    start = (0, tf.zeros_like(like))
    return tf.while_loop(lambda number, _: number < count, add, start)[1]


def _target(system: System, tolerance: dict[str, float]) -> tf.Tensor:
    b = system.b
    return tf.cast(tolerance[b.dtype.name] ** 2, b.dtype) * system.dot(b, b)


def _ratio(a: tf.Tensor, b: tf.Tensor, active: tf.Tensor) -> tf.Tensor:
    """Return ``a / b``; 0 where it is undefined, and for members that have converged."""
    return tf.where(active, tf.math.divide_no_nan(a, b), tf.zeros_like(a))
