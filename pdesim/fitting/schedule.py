"""The steps that all runs of a fit take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Schedule:
    """The steps of all runs of a fit.

    Args:
        targets: the times at which steps must end, shape ``(targets,)``.
        steps: the number of equal steps in each interval between them, ``(targets - 1,)``.
    """

    targets: np.ndarray
    steps: np.ndarray

    @property
    def dt(self) -> np.ndarray:
        """The length of the steps in each interval."""
        return np.diff(self.targets) / self.steps

    def refined(self) -> Schedule:
        """Return the schedule with steps of half the length."""
        return Schedule(self.targets, 2 * self.steps)
