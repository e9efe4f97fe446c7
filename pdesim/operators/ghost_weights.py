"""Weights of ghost cells: sums over interior cells and boundary values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from pdesim.errors import BoundaryError
from pdesim.model.boundary_conditions import BoundaryCondition

#: a Robin condition with a*b < 0 is rejected where a and b cancel to this fraction: ghost cells
#: would be 20 or more times the adjacent interior cells
NEARLY_SINGULAR = 0.1


def extrapolation_points(order: int, points: int, clamped: bool = False) -> int:
    """Return the number of interior cells used to extrapolate a ghost cell, for a global order.

    At order 2, one less than the order suffices, since a truncation error at the boundary affects
    the solution one order higher; higher orders need all cells at Neumann conditions. With
    ``clamped``, the polynomial satisfies two conditions as well, so one less than the order
    suffices at all orders; at order 2 no matrix of a fourth derivative is then stiffer than the
    shortest wave, 16 / h**4.
    """
    return min(order - 1 if order == 2 or clamped else order, points)


@lru_cache(maxsize=64)
def extrapolation_weights(halo: int, known: int) -> np.ndarray:
    """Return the weights in ``ghost[m] = sum_j weights[m, j]*u[j]``, shape ``(halo, known)``.

    The polynomial through the first ``known`` cells is continued outward; for two cells this is
    ``2*u[0] - u[1]``.
    """
    cells = sympy.Matrix([[sympy.Integer(j) ** p for p in range(known)] for j in range(known)])
    ghosts = [[sympy.Integer(-1 - m) ** p for p in range(known)] for m in range(halo)]
    return np.array(sympy.Matrix(ghosts) * cells.inv(), dtype=float)


def ghost_weights(
    wall: BoundaryCondition, spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights in ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*value``.

    The polynomial that satisfies the boundary condition on the face and interpolates the first
    ``known`` cell values is continued outward; for one known cell this is ``2*g - u[0]``
    (Dirichlet) and ``u[0] + spacing*g`` (Neumann). Ghost cell m lies (m + 1/2) spacings beyond the
    face. With ``mirror`` and value 0, ghost m equals cell m.

    Raises:
        BoundaryError: for a Robin condition that is singular, or nearly singular, on this grid.
    """
    if wall.mirror and wall.value == 0 and halo <= known:
        return np.eye(halo, known), np.zeros(halo)
    return _ghost_weights(wall.a, wall.b, spacing, halo, known)


@lru_cache(maxsize=64)
def clamped_weights(
    spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights of ghost cells where both u and du/dn are given on a face.

    ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*u(face) + slope_weights[m]*du/dn``: the
    polynomial that satisfies both conditions and interpolates the first ``known`` cell values is
    continued outward. For one known cell, ghost 0 is ``u[0] + spacing*du/dn``, and the others are
    those of a parabola.
    """
    h, half = sympy.Rational(spacing), sympy.Rational(1, 2)
    powers = range(known + 2)
    # in units of the spacing, with y inwards: du/dn = -du/dy
    inner = [[(j + half) ** power for power in powers] for j in range(known)]
    on_face = [[sympy.Integer(power == n) for power in powers] for n in (0, 1)]
    outward = sympy.Matrix([[(-(m + half)) ** power for power in powers] for m in range(halo)])
    weights = np.array(outward * sympy.Matrix([*on_face, *inner]).inv(), dtype=float)
    return weights[:, 2:], weights[:, 0], -float(h) * weights[:, 1]


#: cached, since all right-hand sides of a trace use the same few weights
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
        # the determinant is the sum of one term from a and one from b, which may cancel
        parts = with_condition(sympy.Rational(a), 0), with_condition(0, sympy.Rational(b))
        if abs(system.det()) < NEARLY_SINGULAR * sum(abs(part.det()) for part in parts):
            raise BoundaryError(
                f"the Robin condition a={a:g}, b={b:g} cannot be satisfied on cells of "
                f"{spacing:g}: solutions that grow away from the face within a cell satisfy it",
                "a and b of the same sign, or cells far smaller than |b/a|",
            )
    outward = sympy.Matrix(
        [[(-(m + half)) ** power for power in range(known + 1)] for m in range(halo)]
    )
    weights = np.array(outward * system.inv(), dtype=float)
    return weights[:, 1:], weights[:, 0]
