"""Central differences as sums of neighbours, for values of any type with ``+ - *``.

The step loop applies them to tensors (:mod:`pdesim.operators.stencil`), and pages that compute in
the browser to expressions of a shader.

This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pdesim.model.grid import Grid
from pdesim.operators.schemes import STAGGERED, Terms

#: returns the values at given offsets along x, y, z
Neighbour = Callable[[tuple[int, ...]], Any]


def derivative(neighbour: Neighbour, terms: Terms) -> Any:
    """Return the weighted sum of neighbours of a cell.

    Neighbours of equal weight are added before they are multiplied by the weight, and the smallest
    weight is factored out of the sum: ``w * (s - 4 u)`` for a Laplacian on equal spacing. This
    avoids sums of two products, in which a compiler may use a fused multiply-add for either of the
    products, so that different kernels would give different results. Mirror images are added first,
    so that the result for a mirrored array is exactly the mirrored result.

    Args:
        neighbour: returns the values at given offsets along x, y, z .
        terms: ``{offsets: weight}`` (``Discretisation.terms``).
    """
    images: dict[tuple[int, ...], Terms] = {}
    for offsets, weight in terms.items():
        images.setdefault(tuple(map(abs, offsets)), {})[offsets] = weight
    sums: dict[float, Any] = {}
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


def _sum_of_images(neighbour: Neighbour, images: Terms) -> tuple[float, Any]:
    """Return a weight, and the sum of neighbours that are mirror images of each other.

    The weights of all images are equal up to their signs, so that the sum is one of differences in
    the direction of an odd derivative. Pairs along x are added first, then those along y and z.
    """
    values = {offsets: (weight, neighbour(offsets)) for offsets, weight in images.items()}
    for axis in range(len(next(iter(images)))):
        pairs: dict[tuple[int, ...], tuple[float, Any]] = {}
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
    harmonic: Callable[[int, int], Any] | None = None,
) -> Any:
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
            a function of the axis and the side, 1 or -1, that returns D on that face of a cell.
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
                    flux = harmonic(axis, side)
                flux = flux * _staggered(values, grid, axis, low, slopes, -1)
                term = (side * weight / spacing**2) * flux
                total = term if total is None else total + term
    return total


def _staggered(
    neighbour: Neighbour, grid: Grid, axis: int, low: int, weights: Sequence[float], sign: int
) -> Any:
    """Return ``sum_m weights[m] * (f[low + 1 + m] + sign * f[low - m])`` on a face."""
    total = None
    for m, weight in enumerate(weights):
        upper = neighbour(along(grid, axis, low + 1 + m))
        lower = neighbour(along(grid, axis, low - m))
        term = weight * (upper + lower if sign == 1 else upper - lower)
        total = term if total is None else total + term
    return total


def along(grid: Grid, axis: int, offset: int) -> tuple[int, ...]:
    """Return the offsets of a neighbour along an axis."""
    return tuple(offset if a == axis else 0 for a in range(grid.dimensions))
