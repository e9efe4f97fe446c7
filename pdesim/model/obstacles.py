"""Obstacles inside the domain: cells that take no part, with walls on their faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.model.boundary_conditions import BoundaryCondition


@dataclass(frozen=True)
class Mask:
    """``solid`` is True inside obstacles, shape ``grid.shape``; one wall per field on their faces.

    A solid neighbour of a fluid cell is replaced by the ghost value of its wall, ``u`` (no flux) or
    ``2 g - u`` (value g on the face): second order on straight faces, first on staircases. Fluxes
    between fluid cells are untouched, so what they conserve stays conserved.
    """

    solid: np.ndarray
    walls: tuple[BoundaryCondition, ...]

    def padded(self, halo: int, periodic: Sequence[bool]) -> np.ndarray:
        """``solid`` with ``halo`` more cells: wrapped on periodic axes, fluid beyond walls."""
        result = self.solid
        for axis, wraps in enumerate(periodic):
            width = [(0, 0)] * result.ndim
            width[-1 - axis] = (halo, halo)
            result = np.pad(result, width, mode="wrap" if wraps else "constant")
        return result

    def fill(self, state: np.ndarray) -> np.ndarray:
        """A state with every obstacle at its wall's value (0 for no flux)."""
        values = [float(wall.value) if wall.kind == "dirichlet" else 0.0 for wall in self.walls]
        return np.stack([np.where(self.solid, v, u) for v, u in zip(values, state, strict=True)])
