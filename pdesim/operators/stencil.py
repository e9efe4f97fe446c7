"""Central differences, computed from shifted slices of an array with ghost cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from pdesim.model.grid import Grid
from pdesim.operators import differences
from pdesim.operators.differences import Neighbour, along, derivative
from pdesim.operators.differentiable import barrier
from pdesim.operators.schemes import Terms


def shifted(
    padded: tf.Tensor, grid: Grid, halo: int, offsets: tuple[int, ...] | None = None
) -> tf.Tensor:
    """Return, for all interior cells, the values of the cells at given offsets along x, y, z.

    Args:
        padded: values with ``halo`` ghost cells on each side.
        offsets: the offsets in cells; None for 0.
    """
    offsets = offsets or (0,) * grid.dimensions
    index = [
        slice(halo + m, halo + m + n) for n, m in zip(grid.shape, reversed(offsets), strict=True)
    ]
    return padded[(..., *index)]


def derivative_of_padded(padded: tf.Tensor, grid: Grid, halo: int, terms: Terms) -> tf.Tensor:
    """Return :func:`derivative` of values with ``halo`` ghost cells on each side.

    Its own derivative is the transposed stencil, applied to values with a margin of zeros, which is
    faster than a sum of shifted arrays.
    """
    whole = replace(grid, points=tuple(n + 2 * halo for n in grid.points))

    @tf.custom_gradient
    def apply(padded: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            margins = [[0, 0]] * (upstream.shape.rank - grid.dimensions)
            wide = barrier(tf.pad(upstream, [*margins, *[[2 * halo] * 2] * grid.dimensions]))
            return derivative(lambda offsets: shifted(wide, whole, halo, offsets), _mirrored(terms))

        return derivative(lambda offsets: shifted(padded, grid, halo, offsets), terms), gradient

    return apply(padded)


def periodic_derivative(
    values: tf.Tensor, extend: Callable[[tf.Tensor], tf.Tensor], padded: tf.Tensor, grid: Grid,
    halo: int, terms: Terms,
) -> tf.Tensor:  # fmt: skip
    """Return :func:`derivative` of values on a grid that is periodic along all axes.

    Its own derivative is the transposed stencil, applied to periodic values.

    Args:
        extend: returns an array with its ghost cells.
        padded: ``extend(values)``.
    """

    def apply(padded: tf.Tensor, terms: Terms) -> tf.Tensor:
        return derivative(lambda offsets: shifted(padded, grid, halo, offsets), terms)

    @tf.custom_gradient
    def result(values: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return apply(padded, terms), lambda upstream: apply(extend(upstream), _mirrored(terms))

    return result(values)


def _mirrored(terms: Terms) -> Terms:
    return {tuple(-m for m in offsets): weight for offsets, weight in terms.items()}


def divergence(
    diffusivity: Neighbour,
    values: Neighbour,
    grid: Grid,
    order: int,
    axes: Sequence[int] | None = None,
    boundary: Sequence[Sequence[tf.Tensor] | None] | None = None,
) -> tf.Tensor:
    """Return ``div(D grad f)`` in conservative form; see :func:`.differences.divergence`.

    Args:
        boundary: None for the arithmetic mean of D on faces. For the harmonic mean (order 2 only):
            two arrays for each axis x, y, z, which are True in the cells whose lower or upper face
            is on the boundary; on these faces the arithmetic mean of a cell and its ghost cell is
            used. The entry of a periodic axis is None.
    """
    if boundary is None:
        return differences.divergence(diffusivity, values, grid, order, axes)

    def harmonic(axis: int, side: int) -> tf.Tensor:
        return _harmonic(diffusivity, grid, axis, side, boundary[axis])

    return differences.divergence(diffusivity, values, grid, order, axes, harmonic)


def _harmonic(neighbour: Neighbour, grid: Grid, axis: int, side: int, boundary: Any) -> tf.Tensor:
    """Return ``2 a b / (a + b)`` on a face; 0 where a and b differ in sign or one of them is 0.

    It is the effective diffusivity between the centres of two cells of different materials, since
    the two halves of the path between them are resistances in series (Patankar, Numerical Heat
    Transfer and Fluid Flow (1980), section 4.2-3).
    """
    a, b = neighbour(along(grid, axis, 0)), neighbour(along(grid, axis, side))
    same = tf.sign(a) * tf.sign(b) > 0
    total = a + b
    mean = tf.where(same, 2 * a * (b / tf.where(same, total, tf.ones_like(total))), 0 * total)
    return mean if boundary is None else tf.where(boundary[side > 0], 0.5 * total, mean)
