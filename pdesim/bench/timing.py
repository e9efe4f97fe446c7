"""The time per step: estimates, and the rounds of a measurement.

TensorFlow is not imported, so that other programs can be timed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

#: duration in seconds of a trial that is long enough for an estimate
TRIAL_SECONDS = 0.2


class Rounds:
    """The rounds of a measurement, for dataclasses with these fields.

    Attributes:
        points: the number of cells per axis.
        steps: the number of steps per round.
        seconds: the duration of every round in seconds.
    """

    points: tuple[int, ...]
    steps: int
    seconds: tuple[float, ...]

    @property
    def cells(self) -> int:
        return math.prod(self.points)

    @property
    def rates(self) -> np.ndarray:
        """The cell updates per second, one value per round."""
        return self.cells * self.steps / np.array(self.seconds)

    @property
    def step_seconds(self) -> float:
        """The median time per step in seconds."""
        return float(np.median(self.seconds)) / self.steps


def estimate_step_time(run: Callable[[int], object]) -> float:
    """Estimate the time per step in seconds by increasingly long trials.

    The time of a call that does not depend on the number of steps is excluded.

    Args:
        run: a function that performs a given number of time steps.
    """

    def timed(steps: int) -> float:
        began = time.perf_counter()
        run(steps)
        return time.perf_counter() - began

    steps, before = 1, timed(1)
    while True:
        seconds = timed(4 * steps)
        if seconds > TRIAL_SECONDS or steps >= 2**20:
            # at least a tenth of the time, since noise could make the difference zero or negative
            return max(seconds - before, 0.1 * seconds) / (3 * steps)
        steps, before = 4 * steps, seconds
