"""Central differences, computed from shifted slices of an array with ghost cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from pdesim.model.grid import Grid
from pdesim.operators.differentiable import barrier
from pdesim.operators.schemes import STAGGERED, Terms


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


Neighbour = Callable[[tuple[int, ...]], tf.Tensor]


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


def derivative(neighbour: Neighbour, terms: Terms) -> tf.Tensor:
    """Return the weighted sum of neighbours in all interior cells.

    Neighbours of equal weight are added before they are multiplied by the weight, and the smallest
    weight is factored out of the sum: ``w * (s - 4 u)`` for a Laplacian on equal spacing. This
    avoids sums of two products, in which a compiler may use a fused multiply-add for either of the
    products, so that different kernels would give different results. Mirror images are added first,
    so that the result for a mirrored array is exactly the mirrored result.

    Args:
        neighbour: returns the values at given offsets along x, y, z (:func:`shifted`).
        terms: ``{offsets: weight}`` (``Discretisation.terms``).
    """
    images: dict[tuple[int, ...], Terms] = {}
    for offsets, weight in terms.items():
        images.setdefault(tuple(map(abs, offsets)), {})[offsets] = weight
    sums: dict[float, tf.Tensor] = {}
    for group in images.values():
        weight, value = _sum_of_images(neighbour, group)
        if -weight in sums and weight not in sums:
            sums[-weight] = sums[-weight] - value
        else:
            sums[weight] = sums[weight] + value if weight in sums else value
    unit = min(sums, key=abs)
    total = sums.pop(unit)
    for weight, values in sums.items():
        total = total + weight / unit * values
    return unit * total


def _sum_of_images(neighbour: Neighbour, images: Terms) -> tuple[float, tf.Tensor]:
    """Return a weight, and the sum of neighbours that are mirror images of each other.

    The weights of all images are equal up to their signs, so that the sum is one of differences in
    the direction of an odd derivative. Pairs along x are added first, then those along y and z.
    """
    values = {offsets: (weight, neighbour(offsets)) for offsets, weight in images.items()}
    for axis in range(len(next(iter(images)))):
        pairs: dict[tuple[int, ...], tuple[float, tf.Tensor]] = {}
        # the upper image first: d/dx is a difference of the upper and the lower neighbour
        for offsets, (weight, value) in sorted(
            values.items(), key=lambda item: item[0], reverse=True
        ):
            key = (*offsets[:axis], abs(offsets[axis]), *offsets[axis + 1 :])
            if key not in pairs:
                pairs[key] = weight, value
            else:
                first, total = pairs[key]
                pairs[key] = first, total + value if weight == first else total - value
        values = pairs
    (result,) = values.values()
    return result


def divergence(
    diffusivity: Neighbour,
    values: Neighbour,
    grid: Grid,
    order: int,
    axes: Sequence[int] | None = None,
    harmonic: Sequence[tf.Tensor | None] | None = None,
) -> tf.Tensor:
    """Return ``div(D grad f)`` in conservative (flux) form.

    The flux on each face is ``interpolate(D) * difference(f)``, and the divergence is the staggered
    difference of the fluxes. The interpolation and both differences are of order ``order``. At
    order 2 the result is ``[D_(i+1/2) (f_(i+1) - f_i) - D_(i-1/2) (f_i - f_(i-1))] / h**2``, where
    ``D_(i+1/2)`` is the mean of D in two cells.

    Args:
        diffusivity, values: functions that return the values of D and f at given offsets, up to
            ``order - 1`` cells away.
        axes: the axes along which there is a flux; all by default.
        harmonic: None for the arithmetic mean of D on faces. For the harmonic mean (order 2 only):
            a list with two arrays for each axis x, y, z, which are True in the cells whose lower or
            upper face is on the boundary; on these faces the arithmetic mean of a cell and its
            ghost cell is used. The entry of a periodic axis is None.
    """
    slopes, means = STAGGERED[order]
    total = None
    for axis in range(grid.dimensions) if axes is None else axes:
        spacing = grid.spacing[axis]
        for face, weight in enumerate(slopes):
            for side in (1, -1):
                # the face between the cells with offsets `low` and `low + 1`
                low = face if side == 1 else -face - 1
                if harmonic is None:
                    flux = _staggered(diffusivity, grid, axis, low, means, 1)
                else:
                    flux = _harmonic(diffusivity, grid, axis, side, harmonic[axis])
                flux = flux * _staggered(values, grid, axis, low, slopes, -1)
                term = (side * weight / spacing**2) * flux
                total = term if total is None else total + term
    return total


def _harmonic(neighbour: Neighbour, grid: Grid, axis: int, side: int, boundary: Any) -> tf.Tensor:
    """Return ``2 a b / (a + b)`` on a face; 0 where a and b differ in sign or one of them is 0.

    It is the effective diffusivity between the centres of two cells of different materials, since
    the two halves of the path between them are resistances in series (Patankar, Numerical Heat
    Transfer and Fluid Flow (1980), section 4.2-3).
    """
    a, b = neighbour(_offsets(grid, axis, 0)), neighbour(_offsets(grid, axis, side))
    same = tf.sign(a) * tf.sign(b) > 0
    total = a + b
    mean = tf.where(same, 2 * a * (b / tf.where(same, total, tf.ones_like(total))), 0 * total)
    return mean if boundary is None else tf.where(boundary[side > 0], 0.5 * total, mean)


def _staggered(
    neighbour: Neighbour, grid: Grid, axis: int, low: int, weights: Sequence[float], sign: int
) -> tf.Tensor:
    """Return ``sum_m weights[m] * (f[low + 1 + m] + sign * f[low - m])`` on a face."""
    total = None
    for m, weight in enumerate(weights):
        upper = neighbour(_offsets(grid, axis, low + 1 + m))
        lower = neighbour(_offsets(grid, axis, low - m))
        term = weight * (upper + lower if sign == 1 else upper - lower)
        total = term if total is None else total + term
    return total


def _offsets(grid: Grid, axis: int, offset: int) -> tuple[int, ...]:
    return tuple(offset if a == axis else 0 for a in range(grid.dimensions))
