"""The stiffest modes near boundaries, which may be stiffer than any plane wave (NumPy, float64)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pdesim.model.boundary_conditions import BoundaryCondition
from pdesim.model.grid import Grid
from pdesim.operators.ghost_weights import clamped_weights, extrapolation_points, ghost_weights
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import Discretisation

#: a given value on the face
HELD_VALUE = BoundaryCondition("dirichlet", 1.0, 0.0)
#: number of cells of the one-dimensional model of an axis
POINTS = 24


def stiffest_mode(problem: Problem, axis: int) -> float:
    """Return the lowest eigenvalue of the second difference along an axis with boundaries.

    The result is 0 for a periodic axis and for spectral operators. With stencils of high order,
    extrapolation through a Dirichlet condition results in modes that are stiffer than any plane
    wave. If the settings state second conditions, the result is at most ``-sqrt(m)``, where m is
    the largest eigenvalue of the fourth difference with these conditions.
    """
    grid, scheme = problem.grid, problem.discretisation
    if scheme.is_spectral or problem.boundary.is_joined(axis):
        return 0.0
    points = min(grid.points[axis], POINTS)
    line = _Line(scheme, Grid((points,), (points * grid.spacing[axis],), (0.0,)))
    lowest = 0.0
    pairs = [field[axis] for field in problem.boundary.walls]
    for pair in {(lower.homogeneous, upper.homogeneous) for lower, upper in pairs}:
        lowest = min(lowest, float(np.linalg.eigvals(line.second(pair)).real.min()))
        if any(condition.has_second for condition in pair):
            stiffest = np.linalg.eigvals(line.fourth(pair)).real.max()
            lowest = min(lowest, -float(np.sqrt(max(stiffest, 0.0))))
    return lowest


class _Line:
    """Difference matrices in one dimension with homogeneous boundary conditions."""

    def __init__(self, scheme: Discretisation, grid: Grid) -> None:
        self.order, self.spacing = scheme.order, grid.spacing[0]
        self.points = grid.points[0]
        self.terms: Mapping = scheme.terms("d2_dx2", grid)
        self.reach = scheme.reach("d2_dx2", 1)

    def second(self, pair: tuple[BoundaryCondition, BoundaryCondition]) -> np.ndarray:
        """Return the matrix of d2/dx2, shape ``(points, points)``."""
        return self._difference(self._extended(np.eye(self.points), pair, self.reach))

    def fourth(self, pair: tuple[BoundaryCondition, BoundaryCondition]) -> np.ndarray:
        """Return the matrix of d4/dx4, as d2/dx2 of d2/dx2, with the second conditions."""
        wide = self._difference(self._extended(np.eye(self.points), pair, 2 * self.reach))
        inside = slice(self.reach, self.reach + self.points)
        lower, upper = (condition.laplacian or replace(condition, slope=None) for condition in pair)
        extended = self._extended(wide[inside], (lower, upper), self.reach)
        if pair[0].is_clamped:
            extended[: self.reach] = wide[: self.reach]
        if pair[1].is_clamped:
            extended[-self.reach :] = wide[-self.reach :]
        return self._difference(extended)

    def _difference(self, extended: np.ndarray) -> np.ndarray:
        count = len(extended) - 2 * self.reach
        return sum(
            weight * extended[self.reach + m : self.reach + m + count]
            for (m,), weight in self.terms.items()
        )

    def _extended(
        self, rows: np.ndarray, pair: tuple[BoundaryCondition, BoundaryCondition], halo: int
    ) -> np.ndarray:
        below, above = self._weights(pair[0], halo), self._weights(pair[1], halo)
        lower = below[::-1] @ rows[: below.shape[1]]
        upper = above @ rows[::-1][: above.shape[1]]
        return np.vstack([lower, rows, upper])

    def _weights(self, condition: BoundaryCondition, halo: int) -> np.ndarray:
        if condition.is_general:
            # with a and b of the same sign, no mode is stiffer than with a given value on the face
            condition = HELD_VALUE
        known = extrapolation_points(self.order, self.points, condition.is_clamped)
        if condition.is_clamped:
            return clamped_weights(self.spacing, halo, known)[0]
        return ghost_weights(condition, self.spacing, halo, known)[0]
