"""The axes of stored frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdesim.model.grid import equal_steps


@dataclass(frozen=True)
class Axis:
    """A coordinate axis of stored frames.

    Attributes:
        name: the name, ``x``, ``y``, ``z`` or ``r``.
        unit: the unit; empty if the coordinate is dimensionless.
        centres: the cell centres, shape ``(n,)``.
        single_spacing: the cell size if there is only one cell, which centres do not determine.
    """

    name: str
    unit: str
    centres: np.ndarray
    single_spacing: float = 1.0

    @property
    def spacing(self) -> float:
        """The distance of neighbouring cell centres; its mean if the cells are not equal."""
        n = len(self.centres)
        if n < 2:
            return self.single_spacing
        return float(self.centres[-1] - self.centres[0]) / (n - 1)

    @property
    def lower(self) -> float:
        """The coordinate of the lower face of the first cell."""
        return float(self.centres[0]) - self._ends[0] / 2

    @property
    def upper(self) -> float:
        """The coordinate of the upper face of the last cell."""
        return float(self.centres[-1]) + self._ends[1] / 2

    @cached_property
    def is_uniform(self) -> bool:
        """Whether the cells are equal."""
        return equal_steps(self.centres)

    @property
    def _ends(self) -> tuple[float, float]:
        """The widths of the first and the last cell."""
        if self.is_uniform:
            return self.spacing, self.spacing
        steps = np.diff(self.centres)
        return float(steps[0]), float(steps[-1])

    @property
    def faces(self) -> np.ndarray:
        """The faces of cells, shape ``(n + 1,)``: midpoints of centres if cells are not equal."""
        if self.is_uniform:
            return self.lower + self.spacing * np.arange(len(self.centres) + 1)
        inside = (self.centres[1:] + self.centres[:-1]) / 2
        return np.concatenate([[self.lower], inside, [self.upper]])
