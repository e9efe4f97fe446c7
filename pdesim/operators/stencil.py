"""Central differences as slices of an array that carries its ghost cells."""

from __future__ import annotations

import tensorflow as tf

from pdesim.grid import Grid
from pdesim.operators.catalogue import STAGGERED, Terms


def shifted(
    padded: tf.Tensor, grid: Grid, halo: int, offsets: tuple[int, ...] | None = None
) -> tf.Tensor:
    """The interior of ``padded``, taken some cells further along x, y, z."""
    offsets = offsets or (0,) * grid.dimensions
    index = [
        slice(halo + m, halo + m + n) for n, m in zip(grid.shape, reversed(offsets), strict=True)
    ]
    return padded[(..., *index)]


def derivative(padded: tf.Tensor, grid: Grid, halo: int, terms: Terms) -> tf.Tensor:
    """A weighted sum of neighbours, on the interior.

    Args:
        padded: shape ``(..., n + 2*halo)`` on every axis.
        terms: ``{offsets: weight}``, offsets along x, y, z (``Discretisation.terms``).

    Neighbours of equal weight are added before they are weighted, so a Laplacian on equal spacing
    takes two products a cell.
    """
    sums: dict[float, tf.Tensor] = {}
    for offsets, weight in terms.items():
        neighbour = shifted(padded, grid, halo, offsets)
        # d/dx pairs weights of opposite sign
        if -weight in sums and weight not in sums:
            sums[-weight] = sums[-weight] - neighbour
        else:
            sums[weight] = sums[weight] + neighbour if weight in sums else neighbour
    total = None
    for weight, neighbours in sums.items():
        term = weight * neighbours
        total = term if total is None else total + term
    return total


def divergence(diffusivity, padded: tf.Tensor, grid: Grid, halo: int, order: int) -> tf.Tensor:
    """``div(D grad f)`` in flux form: what leaves a cell enters its neighbour.

    On each face ``flux = interpolate(D) * difference(f)``, and the divergence is the staggered
    difference of the fluxes, all of one order; for order 2 this is
    ``[D_(i+1/2) (f_(i+1) - f_i) - D_(i-1/2) (f_i - f_(i-1))] / h**2`` with D the mean of two cells.

    Args:
        diffusivity, padded: D and f with ``halo >= order - 1`` ghost cells.
    """
    slopes, means = STAGGERED[order]
    total = None
    for axis, spacing in enumerate(grid.spacing):
        for face, weight in enumerate(slopes):
            for side in (1, -1):
                # the face between cells `low` and `low + 1`, counted from the cell in the middle
                low = face if side == 1 else -face - 1
                flux = _staggered(diffusivity, grid, halo, axis, low, means, 1)
                flux = flux * _staggered(padded, grid, halo, axis, low, slopes, -1)
                term = (side * weight / spacing**2) * flux
                total = term if total is None else total + term
    return total


def _staggered(padded, grid: Grid, halo: int, axis: int, low: int, weights, sign: int) -> tf.Tensor:
    """``sum_m weights[m] * (f[low + 1 + m] + sign * f[low - m])`` on a face."""
    total = None
    for m, weight in enumerate(weights):
        upper = shifted(padded, grid, halo, _offsets(grid, axis, low + 1 + m))
        lower = shifted(padded, grid, halo, _offsets(grid, axis, low - m))
        term = weight * (upper + lower if sign == 1 else upper - lower)
        total = term if total is None else total + term
    return total


def _offsets(grid: Grid, axis: int, offset: int) -> tuple[int, ...]:
    return tuple(offset if a == axis else 0 for a in range(grid.dimensions))
