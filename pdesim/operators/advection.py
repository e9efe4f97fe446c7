"""Finite volumes for ``advect(v, u)``: upwind fluxes through the faces of cells.

The rate of change of a cell is the difference of the fluxes through its two faces, so that the sum
over all cells changes by the fluxes through the boundary only. The flux through a face follows from
the cells upstream. Three schemes differ in how they continue the values of cells to a face:

- ``upwind``: the value of the cell.
- ``limited``: a linear function in each cell with the slope of van Leer, J. Comput. Phys. 14 (1974)
  361, doi:10.1016/0021-9991(74)90019-9: the harmonic mean of the differences to both neighbours, 0
  at extrema.
- ``weno5``: the weighted mean of three parabolas of Jiang and Shu, J. Comput. Phys. 126 (1996) 202,
  doi:10.1006/jcph.1996.0130, applied to fluxes of cells instead of averages, so that it has its
  order for values at the centres of cells, also with velocities that vary.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from pdesim.model.grid import Grid
from pdesim.operators.transport import TRANSPORT

#: returns an array with one value for each face along an axis: that of the cell ``m`` cells above
#: the cell below the face; 0 is the cell below, 1 the cell above
Cells = Callable[[int], tf.Tensor]

#: Jiang and Shu's constant that avoids a division by 0
EPSILON = 1e-6


def cells_at_faces(padded: tf.Tensor, grid: Grid, halo: int, axis: int) -> Cells:
    """Return the reader of an array with ghost cells at the ``n + 1`` faces along an axis.

    Args:
        padded: values with ``halo`` ghost cells on each side.
    """

    def cell(m: int) -> tf.Tensor:
        index = [slice(halo, halo + n) for n in grid.points]
        index[axis] = slice(halo - 1 + m, halo + m + grid.points[axis])
        return padded[(..., *reversed(index))]

    return cell


def flux(velocity: Cells, u: Cells, scheme: str) -> tf.Tensor:
    """Return the flux ``a*u`` through each face, for a velocity a that does not depend on u.

    The velocity on a face is the mean of those of both cells; its sign determines the cell
    upstream. For ``weno5``, the products a*u of cells are continued to the face instead of u.
    """
    on_face = 0.5 * (velocity(0) + velocity(1))
    if scheme == "weno5":
        return _value(_upstream(lambda m: velocity(m) * u(m), on_face), scheme)
    return on_face * _value(_upstream(u, on_face), scheme)


def split_flux(velocity: Cells, u: Cells, speed: Cells, scheme: str) -> tf.Tensor:
    """Return the flux ``a*u`` through each face, for a velocity a that depends on u.

    It is the local Lax-Friedrichs flux: the part ``(a*u + s*u)/2`` travels upwards and is continued
    from below, ``(a*u - s*u)/2`` downwards from above, where s is the largest speed in the cells
    from which values are continued (Jiang and Shu, section 2).

    Args:
        speed: the speed of small changes of u, of either sign.
    """
    reach = TRANSPORT[scheme].reach
    fastest = tf.abs(speed(0))
    for m in (*range(1 - reach, 0), *range(1, reach + 1)):
        fastest = tf.maximum(fastest, tf.abs(speed(m)))
    up = _value(lambda m: 0.5 * (velocity(m) + fastest) * u(m), scheme)
    down = _value(lambda m: 0.5 * (velocity(1 - m) - fastest) * u(1 - m), scheme)
    return up + down


def divergence(flux: tf.Tensor, grid: Grid, axis: int) -> tf.Tensor:
    """Return the difference of the fluxes through both faces of each cell, per cell width."""
    where = grid.array_axis(axis)
    index = [slice(None)] * -where
    lower, upper = [slice(None, -1), *index[1:]], [slice(1, None), *index[1:]]
    return (flux[(..., *upper)] - flux[(..., *lower)]) * (1 / grid.spacing[axis])


def _upstream(cell: Cells, velocity: tf.Tensor) -> Cells:
    """Return a reader of the cells upstream of each face: 0 is the next one, -1 the one behind."""
    return lambda m: tf.where(velocity > 0, cell(m), cell(1 - m))


def _value(cell: Cells, scheme: str) -> tf.Tensor:
    """Return the values on faces, continued from the cell 0 below."""
    if scheme == "upwind":
        return cell(0)
    return _limited(cell) if scheme == "limited" else _weno5(cell)


def _limited(cell: Cells) -> tf.Tensor:
    behind, ahead = cell(0) - cell(-1), cell(1) - cell(0)
    monotone = behind * ahead > 0
    total = tf.where(monotone, behind + ahead, tf.ones_like(ahead))
    # half the slope: the harmonic mean of both differences is 2*behind*ahead/(behind + ahead)
    return cell(0) + tf.where(monotone, behind * (ahead / total), tf.zeros_like(ahead))


def _weno5(cell: Cells) -> tf.Tensor:
    a, b, c, d, e = (cell(m) for m in range(-2, 3))
    parabolas = (
        (2 * a - 7 * b + 11 * c) / 6,
        (-b + 5 * c + 2 * d) / 6,
        (2 * c + 5 * d - e) / 6,
    )
    roughness = (
        13 / 12 * (a - 2 * b + c) ** 2 + 1 / 4 * (a - 4 * b + 3 * c) ** 2,
        13 / 12 * (b - 2 * c + d) ** 2 + 1 / 4 * (b - d) ** 2,
        13 / 12 * (c - 2 * d + e) ** 2 + 1 / 4 * (3 * c - 4 * d + e) ** 2,
    )
    weights = [g / (EPSILON + s) ** 2 for g, s in zip((0.1, 0.6, 0.3), roughness, strict=True)]
    total = weights[0] + weights[1] + weights[2]
    products = [w * p for w, p in zip(weights, parabolas, strict=True)]
    return (products[0] + products[1] + products[2]) / total
