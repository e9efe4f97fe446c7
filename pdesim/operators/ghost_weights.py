"""Ghost cells beside a boundary, as sums over the cells inside and the values of its conditions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from pdesim.errors import BoundaryError
from pdesim.model.boundary_conditions import BoundaryCondition

#: a Robin condition with a*b < 0 is refused where a and b cancel to this fraction: ghost cells
#: would be the cells beside the wall times 20 or more
NEARLY_SINGULAR = 0.1


def extrapolation_points(order: int, points: int, clamped: bool = False) -> int:
    """How many cells beside a wall its ghosts are made of, for a global order of accuracy.

    One less than the order is enough at order 2, where the error that a wall makes is one order
    better in its effect than in itself; higher orders need it in full at Neumann walls. With
    ``clamped``, two conditions are met besides; one less than the order is then enough for all, and
    at order 2 no matrix of a fourth derivative is stiffer than the shortest wave, 16 / h**4.
    """
    return min(order - 1 if order == 2 or clamped else order, points)


@lru_cache(maxsize=64)
def extrapolation_weights(halo: int, known: int) -> np.ndarray:
    """Ghost cells as ``ghost[m] = sum_j weights[m, j]*u[j]``, shape ``(halo, known)``.

    The polynomial through the first ``known`` cells is continued outward; for two cells this is
    ``2*u[0] - u[1]``.
    """
    cells = sympy.Matrix([[sympy.Integer(j) ** p for p in range(known)] for j in range(known)])
    ghosts = [[sympy.Integer(-1 - m) ** p for p in range(known)] for m in range(halo)]
    return np.array(sympy.Matrix(ghosts) * cells.inv(), dtype=float)


def ghost_weights(
    wall: BoundaryCondition, spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ghost cells as ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*value``.

    The polynomial that meets the wall condition on the face and the first ``known`` cell values is
    continued outward; for one known cell this is ``2*g - u[0]`` (Dirichlet) and
    ``u[0] + spacing*g`` (Neumann). Cell m lies (m + 1/2) spacings beyond the wall. At a wall of
    value 0 with ``mirror`` ghost m is cell m.

    Raises:
        BoundaryError: for a Robin condition that no polynomial meets on this grid, or nearly none.
    """
    if wall.mirror and wall.value == 0 and halo <= known:
        return np.eye(halo, known), np.zeros(halo)
    return _ghost_weights(wall.a, wall.b, spacing, halo, known)


@lru_cache(maxsize=64)
def clamped_weights(
    spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ghost cells where both u and du/dn are given on a face.

    ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*u(face) + slope_weights[m]*du/dn``: the
    polynomial that meets both and the first ``known`` cell values is continued outward. For one
    known cell, ghost 0 is ``u[0] + spacing*du/dn``, and the others are those of a parabola.
    """
    h, half = sympy.Rational(spacing), sympy.Rational(1, 2)
    powers = range(known + 2)
    # in units of the spacing, with y inwards: du/dn = -du/dy
    inner = [[(j + half) ** power for power in powers] for j in range(known)]
    on_face = [[sympy.Integer(power == n) for power in powers] for n in (0, 1)]
    outward = sympy.Matrix([[(-(m + half)) ** power for power in powers] for m in range(halo)])
    weights = np.array(outward * sympy.Matrix([*on_face, *inner]).inv(), dtype=float)
    return weights[:, 2:], weights[:, 0], -float(h) * weights[:, 1]


#: every right-hand side of a trace asks for the same few
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
        # the determinant is the sum of one part from a and one from b, which may cancel
        parts = with_condition(sympy.Rational(a), 0), with_condition(0, sympy.Rational(b))
        if abs(system.det()) < NEARLY_SINGULAR * sum(abs(part.det()) for part in parts):
            raise BoundaryError(
                f"the Robin condition a={a:g}, b={b:g} cannot be met with cells of "
                f"{spacing:g}: solutions that grow away from the wall within a cell meet it, too",
                "a and b of the same sign, or cells far smaller than |b/a|",
            )
    outward = sympy.Matrix(
        [[(-(m + half)) ** power for power in range(known + 1)] for m in range(halo)]
    )
    weights = np.array(outward * system.inv(), dtype=float)
    return weights[:, 1:], weights[:, 0]
