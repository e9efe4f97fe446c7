"""Obstacles inside the domain: excluded cells with boundary conditions on their faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.model.boundary_conditions import BoundaryCondition


@dataclass(frozen=True)
class Mask:
    """The cells inside obstacles, and the boundary conditions on their faces.

    In the stencil of a cell with the value u, a neighbour inside an obstacle gets the ghost value
    ``u`` (no flux) or ``2 g - u`` (value g on the face). This is of second order if the obstacle's
    faces are faces of cells, and of first order if a boundary is approximated by a staircase.
    Fluxes between cells outside obstacles are unchanged, so that conservation is preserved.

    Attributes:
        solid: an array of shape ``grid.shape``, True inside obstacles.
        walls: for each field, the boundary condition on the faces of obstacles.
    """

    solid: np.ndarray
    walls: tuple[BoundaryCondition, ...]

    def padded(self, halo: int, periodic: Sequence[bool]) -> np.ndarray:
        """Return ``solid`` with ghost cells: periodic copies, or False on axes that are bounded."""
        result = self.solid
        for axis, wraps in enumerate(periodic):
            width = [(0, 0)] * result.ndim
            width[-1 - axis] = (halo, halo)
            result = np.pad(result, width, mode="wrap" if wraps else "constant")
        return result

    def fill(self, state: np.ndarray) -> np.ndarray:
        """Return a copy of ``state`` with the boundary value (0 for no flux) inside obstacles."""
        values = [float(face.value) if face.kind == "dirichlet" else 0.0 for face in self.walls]
        return np.stack([np.where(self.solid, v, u) for v, u in zip(values, state, strict=True)])
