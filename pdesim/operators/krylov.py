"""Krylov iterations, in TensorFlow, for linear systems that no transform diagonalises.

The systems of all members of a sweep are solved together. Dot products are sums over the axes of
one member, so that each member converges or fails independently of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Operator = Callable[[tf.Tensor], tf.Tensor]
#: iterations end when the residual relative to the right-hand side is below ``TOLERANCE``. After
#: the maximum number of iterations, a residual below ``ACCEPTED`` also counts as converged, since
#: rounding may prevent BiCGStab from reaching the tolerance
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}
ACCEPTED = {"float32": 1e-5, "float64": 1e-10}
#: the value of all cells of a solution that did not converge
UNSOLVED = -math.inf


def most_iterations(points: Sequence[int]) -> int:
    """Return the maximum number of iterations for a linear system on a grid.

    For a Laplacian, the number of iterations of conjugate gradients is proportional to the number
    of cells along an axis. The factor is larger for discontinuous coefficients: about 5 for
    coefficients that jump by a factor of 1000.
    """
    return 1000 + 20 * sum(points)


@dataclass(frozen=True)
class System:
    """A linear system ``operator(u) = b`` with its preconditioner and iteration limit.

    Args:
        operator: a linear function of tensors of the shape of ``b``.
        b: the right-hand side, ``(fields, *grid.shape)``, with a leading axis of members if there
            are several.
        axes: the number of trailing axes that belong to one member.
        limit: the maximum number of iterations.
        inverse: the preconditioner, an approximate inverse of ``operator``.
    """

    operator: Operator
    b: tf.Tensor
    axes: int
    limit: int
    inverse: Operator = tf.identity

    def dot(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Return the dot product of each member, shaped to broadcast against states."""
        return tf.reduce_sum(a * b, axis=self.over, keepdims=True)

    @property
    def over(self) -> list[int]:
        return list(range(-self.axes, 0))


def solve(system: System, x0: tf.Tensor, self_adjoint: bool) -> tf.Tensor:
    """Solve the system. Every cell of a member that did not converge is set to :data:`UNSOLVED`.

    A member whose initial guess is ``UNSOLVED`` remains ``UNSOLVED``. The solution of a member
    whose right-hand side is not finite is NaN.

    Args:
        system: the linear system.
        x0: the initial guess, such as the solution at the previous time step.
        self_adjoint: whether the operator is self-adjoint and positive. If so, conjugate gradients
            are used, otherwise BiCGStab.
    """
    over, b = system.over, system.b
    # b is scaled to order one, since the squares of values of 1e-20 underflow in float32
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
    """Return the solution for a self-adjoint positive operator, and the squared residual norm.

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
    """Return the solution for any linear operator, and the squared residual norm.

    van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992) 631, with right preconditioning.
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
    """Return the diagonal of an operator whose stencil reaches fewer than ``period`` cells.

    The operator is applied to ``fields * period**grid_axes`` patterns. In each pattern, one field
    is 1 in every ``period``-th cell along each axis, so that no stencil contains two of these
    cells, and all other values are 0. If the number of cells along a periodic axis is not a
    multiple of the period, the diagonal is inexact in cells near the ends of this axis, which is
    acceptable in a preconditioner.

    Args:
        like: a tensor with the shape and type of the state.
        grid_axes: the number of axes of the grid.
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
    """Return ``a / b`` for the members that are ``active``; 0 for others and where b is 0."""
    return tf.where(active, tf.math.divide_no_nan(a, b), tf.zeros_like(a))
