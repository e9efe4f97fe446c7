"""Central differences as slices of an array that carries its ghost cells."""

from __future__ import annotations

import tensorflow as tf

from pdesim.grid import Grid
from pdesim.operators.catalogue import STENCILS


def shifted(padded: tf.Tensor, grid: Grid, halo: int, axis: int = 0, offset: int = 0) -> tf.Tensor:
    """The interior of ``padded``, taken ``offset`` cells further along a coordinate axis."""
    index = [slice(halo, halo + n) for n in grid.shape]
    where = grid.array_axis(axis)
    index[where] = slice(halo + offset, halo + offset + grid.shape[where])
    return padded[(..., *index)]


def derivative(
    padded: tf.Tensor, grid: Grid, terms: list[tuple[int, int]], order: int
) -> tf.Tensor:
    """The sum of some derivatives of a padded array, on the interior.

    Args:
        padded: shape ``(..., n + 2*halo)`` on every axis, ``halo = order // 2``.
        terms: (axis, derivative) pairs; a Laplacian is the second derivative along every axis.
        order: order of accuracy.

    Neighbours of equal weight are added before they are weighted, as they are on equal spacing,
    and the centre weights are added up first, so a Laplacian reads its centre once.
    """
    halo = order // 2
    centre, sums = 0.0, {}
    for axis, power in terms:
        scale = grid.spacing[axis] ** power
        weights = STENCILS[power, order]
        centre += weights[halo] / scale
        for m in range(1, halo + 1):
            plus = shifted(padded, grid, halo, axis, m)
            minus = shifted(padded, grid, halo, axis, -m)
            pair = plus + minus if power == 2 else plus - minus
            weight = weights[halo + m] / scale
            sums[weight] = sums[weight] + pair if weight in sums else pair
    total = None
    for weight, pairs in sums.items():
        term = weight * pairs
        total = term if total is None else total + term
    return total + centre * shifted(padded, grid, halo) if centre else total


def divergence(diffusivity, padded: tf.Tensor, grid: Grid) -> tf.Tensor:
    """``div(D grad f)`` in flux form, second order: what leaves a cell enters its neighbour.

    ``sum_axes [D_(i+1/2) (f_(i+1) - f_i) - D_(i-1/2) (f_i - f_(i-1))] / h**2`` with ``D`` on faces
    the mean of its two cells. Both arrays carry one ghost cell.
    """
    centre, d_centre = shifted(padded, grid, 1), shifted(diffusivity, grid, 1)
    total = None
    for axis, spacing in enumerate(grid.spacing):
        plus, minus = (shifted(padded, grid, 1, axis, m) for m in (1, -1))
        d_plus, d_minus = (shifted(diffusivity, grid, 1, axis, m) for m in (1, -1))
        flux = (d_plus + d_centre) * (plus - centre) - (d_minus + d_centre) * (centre - minus)
        term = flux * (0.5 / spacing**2)
        total = term if total is None else total + term
    return total
