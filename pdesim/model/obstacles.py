"""Obstacles inside the domain: excluded cells with boundary conditions on their faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.model.boundary_conditions import BoundaryCondition


@dataclass(frozen=True)
class Mask:
    """The cells inside obstacles, and the boundary conditions on their faces.

    In the stencil of a fluid cell u, a solid neighbour has the ghost value ``u`` (no flux) or
    ``2 g - u`` (value g on the face). This is of second order on faces along the grid, and of first
    order on staircases. Fluxes between fluid cells are unchanged, so conservation is preserved.

    Attributes:
        solid: True inside obstacles, shape ``grid.shape``.
        walls: the boundary condition of every field.
    """

    solid: np.ndarray
    walls: tuple[BoundaryCondition, ...]

    def padded(self, halo: int, periodic: Sequence[bool]) -> np.ndarray:
        """Return ``solid`` with ghost cells: wrapped on periodic axes, fluid on others."""
        result = self.solid
        for axis, wraps in enumerate(periodic):
            width = [(0, 0)] * result.ndim
            width[-1 - axis] = (halo, halo)
            result = np.pad(result, width, mode="wrap" if wraps else "constant")
        return result

    def fill(self, state: np.ndarray) -> np.ndarray:
        """Return a state whose cells inside obstacles have the boundary value (0 for no flux)."""
        values = [float(wall.value) if wall.kind == "dirichlet" else 0.0 for wall in self.walls]
        return np.stack([np.where(self.solid, v, u) for v, u in zip(values, state, strict=True)])
