"""Estimates of the time of a step. Needs no TensorFlow, since other programs are timed as well."""

from __future__ import annotations

import time
from collections.abc import Callable

#: seconds of a trial that suffice for an estimate
TRIAL_SECONDS = 0.2


def estimate_step_time(run: Callable[[int], object]) -> float:
    """Estimate the seconds per step, without the cost of a call, by increasingly long trials.

    Args:
        run: a function that takes a number of steps.
    """

    def timed(steps: int) -> float:
        began = time.perf_counter()
        run(steps)
        return time.perf_counter() - began

    steps, before = 1, timed(1)
    while True:
        seconds = timed(4 * steps)
        if seconds > TRIAL_SECONDS or steps >= 2**20:
            # a lower bound, since noise could make the difference zero or negative
            return max(seconds - before, 0.1 * seconds) / (3 * steps)
        steps, before = 4 * steps, seconds
