"""Weights of interior cells and of boundary values in the values of ghost cells."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from pdesim.errors import BoundaryError
from pdesim.model.boundary_conditions import BoundaryCondition

#: a Robin condition with a*b < 0 is rejected if the terms of a and b in the determinant cancel to
#: less than this fraction of their sizes: ghost cells would have 20 or more times the values of the
#: adjacent interior cells
NEARLY_SINGULAR = 0.1


def extrapolation_points(order: int, points: int, clamped: bool = False) -> int:
    """Return the number of interior cells used to extrapolate a ghost cell.

    The number is that for which the solution has the order ``order``. At order 2 one cell suffices,
    since the error of the solution that is caused by a truncation error at the boundary is one
    order higher than this truncation error. At higher orders, Neumann conditions need as many cells
    as the order. With ``clamped``, the polynomial satisfies two conditions on the face, so one cell
    less than the order suffices at all orders. At order 2, the eigenvalues of matrices of the
    fourth derivative then do not exceed that of the shortest wave, 16 / h**4.

    Args:
        points: the number of cells along the axis, which is an upper bound of the result.
        clamped: whether both u and du/dn are given on the face.
    """
    return min(order - 1 if order == 2 or clamped else order, points)


def cells_read(wall: BoundaryCondition, points: int, order: int, extra: int = 0) -> int:
    """Return the number of interior cells from which the ghost cells of a side are computed."""
    return min(extrapolation_points(order, points, wall.is_clamped) + extra, points)


def may_be_singular(wall: BoundaryCondition) -> bool:
    """Whether a derived condition has a value that can be infinite or undefined at some points."""
    value = wall.value
    if not wall.derived or value.is_number:
        return False
    if value.has(sympy.log, sympy.tan):
        return True
    powers = value.atoms(sympy.Pow)
    return any(not (p.exp.is_Integer and p.exp.is_positive) and p.base != sympy.E for p in powers)


@lru_cache(maxsize=64)
def extrapolation_weights(halo: int, known: int) -> np.ndarray:
    """Return the weights in ``ghost[m] = sum_j weights[m, j]*u[j]``, shape ``(halo, known)``.

    The polynomial through the first ``known`` cells is continued outward. For two cells, the first
    ghost cell is ``2*u[0] - u[1]``.
    """
    cells = sympy.Matrix([[sympy.Integer(j) ** p for p in range(known)] for j in range(known)])
    ghosts = [[sympy.Integer(-1 - m) ** p for p in range(known)] for m in range(halo)]
    return np.array(sympy.Matrix(ghosts) * cells.inv(), dtype=float)


def ghost_weights(
    wall: BoundaryCondition, spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights in ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*value``.

    The polynomial that satisfies the boundary condition on the face and interpolates the first
    ``known`` cell values is continued outward. For one known cell, the first ghost cell is
    ``2*value - u[0]`` (Dirichlet) or ``u[0] + spacing*value`` (Neumann). The centre of ghost cell m
    is (m + 1/2) spacings beyond the face. If ``wall.mirror`` is set and the value is 0, ghost cell
    m equals cell m.

    Raises:
        BoundaryError: for a Robin condition for which the equations of the ghost cells are singular
            or nearly singular on this grid.
    """
    if wall.mirror and wall.value == 0 and halo <= known:
        return np.eye(halo, known), np.zeros(halo)
    return _ghost_weights(wall.a, wall.b, spacing, halo, known)


@lru_cache(maxsize=64)
def slope_weights(spacing: float, known: int) -> tuple[np.ndarray, float]:
    """Return the weights in ``du/dn = sum_j weights[j]*u[j] + of_face*u(face)`` on a face.

    They are those of the polynomial through the value on the face and the first ``known`` cells.
    For one known cell, du/dn is ``2*(u(face) - u[0]) / spacing``.

    Returns:
        ``weights`` and ``of_face``.
    """
    half = sympy.Rational(1, 2)
    places = [sympy.Integer(0), *(j + half for j in range(known))]
    values = sympy.Matrix([[y**power for power in range(known + 1)] for y in places])
    # y is the distance from the face inwards, in units of the spacing: du/dn = -du/dy / h
    inward = np.array(values.inv()[1, :], dtype=float).ravel() / -spacing
    return inward[1:], float(inward[0])


@lru_cache(maxsize=64)
def face_weights(known: int) -> np.ndarray:
    """Return the weights of the first ``known`` cells in the value extrapolated to the face.

    For two cells, the value on the face is ``(3*u[0] - u[1]) / 2``.
    """
    half = sympy.Rational(1, 2)
    cells = sympy.Matrix([[(j + half) ** power for power in range(known)] for j in range(known)])
    return np.array(cells.inv()[0, :], dtype=float).ravel()


@lru_cache(maxsize=64)
def clamped_weights(
    spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights of ghost cells beyond a face on which both u and du/dn are given.

    ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*u(face) + slope_weights[m]*du/dn``. The
    polynomial that satisfies both conditions and interpolates the first ``known`` cell values is
    continued outward. For one known cell the polynomial is a parabola, and ghost cell 0 is
    ``u[0] + spacing*du/dn``.

    Returns:
        ``weights``, ``value_weights`` and ``slope_weights``.
    """
    h, half = sympy.Rational(spacing), sympy.Rational(1, 2)
    powers = range(known + 2)
    # y is the distance from the face inwards, in units of the spacing: du/dn = -du/dy / h
    inner = [[(j + half) ** power for power in powers] for j in range(known)]
    on_face = [[sympy.Integer(power == n) for power in powers] for n in (0, 1)]
    outward = sympy.Matrix([[(-(m + half)) ** power for power in powers] for m in range(halo)])
    weights = np.array(outward * sympy.Matrix([*on_face, *inner]).inv(), dtype=float)
    return weights[:, 2:], weights[:, 0], -float(h) * weights[:, 1]


#: cached, since all right-hand sides in a TensorFlow trace use the same few sets of weights
@lru_cache(maxsize=256)
def _ghost_weights(
    a: float, b: float, spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray]:
    h = sympy.Rational(spacing)
    half = sympy.Rational(1, 2)
    inner = [[(j + half) ** power for power in range(known + 1)] for j in range(known)]

    def with_condition(a: Any, b: Any) -> sympy.Matrix:
        return sympy.Matrix([[a, -b / h] + [0] * (known - 1), *inner])

    system = with_condition(sympy.Rational(a), sympy.Rational(b))
    if a * b < 0:
        # the determinant is the sum of a term of a and a term of b, which may cancel
        parts = with_condition(sympy.Rational(a), 0), with_condition(0, sympy.Rational(b))
        if abs(system.det()) < NEARLY_SINGULAR * sum(abs(part.det()) for part in parts):
            raise BoundaryError(
                f"the Robin condition with a={a:g} and b={b:g} cannot be discretised with cells of "
                f"size {spacing:g}: a and b have opposite signs and |b/a| is not much larger than "
                "a cell",
                "a and b of the same sign, or cells far smaller than |b/a|",
            )
    outward = sympy.Matrix(
        [[(-(m + half)) ** power for power in range(known + 1)] for m in range(halo)]
    )
    weights = np.array(outward * system.inv(), dtype=float)
    return weights[:, 1:], weights[:, 0]
