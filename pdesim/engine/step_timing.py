"""The duration of a step, measured before a run."""

from __future__ import annotations

import time as clock_module
from collections.abc import Callable

#: minimum and maximum number of steps, and target duration, of a timing trial
TRIAL_STEPS, MOST_TRIAL_STEPS = 4, 1024
TRIAL_SECONDS = 0.05


def seconds_per_step(
    trial: Callable[[int], None],
    steps_at_once: int,
    max_steps: int | None,
    agree: Callable[[float], float] = float,
) -> float:
    """Return the seconds per step, measured with enough steps to make call overhead negligible.

    Args:
        trial: a function that takes a given number of steps.
        steps_at_once: the number of steps that are always taken together.
        max_steps: the maximum number of steps per call in the run; None if unknown.
        agree: returns the seconds that count, if several devices have measured them.
    """
    steps = max(TRIAL_STEPS, steps_at_once)
    max_steps = max(
        steps, MOST_TRIAL_STEPS if max_steps is None else min(MOST_TRIAL_STEPS, max_steps)
    )
    trial(steps)  # page faults at the first use of memory take longer than the steps
    while True:
        began = clock_module.perf_counter()
        trial(steps)
        seconds = agree(clock_module.perf_counter() - began)
        if seconds >= TRIAL_SECONDS or steps >= max_steps:
            return seconds / steps
        steps = min(4 * steps, max_steps)
