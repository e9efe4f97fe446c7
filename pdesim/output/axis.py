"""The axes of stored frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """A coordinate axis of stored frames, with equal cells.

    Attributes:
        name: the name, ``x``, ``y`` or ``z``.
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
        """The distance of neighbouring cell centres."""
        n = len(self.centres)
        if n < 2:
            return self.single_spacing
        return float(self.centres[-1] - self.centres[0]) / (n - 1)

    @property
    def lower(self) -> float:
        """The coordinate of the lower face of the first cell."""
        return float(self.centres[0]) - self.spacing / 2

    @property
    def upper(self) -> float:
        """The coordinate of the upper face of the last cell."""
        return float(self.centres[-1]) + self.spacing / 2
