"""Checks of ``time.noise_step``, the step in which the noise of a run is drawn."""

from __future__ import annotations

import math

import numpy as np

from pdesim.errors import StepperError

#: largest number of bisections of a step of the noise: places are rounded to 2**-20 of it
MOST_BISECTIONS = 16
#: relative rounding error of times
ROUNDING = 1e-9


def bisections(step: float, dt: float) -> int:
    """Return the number n with ``dt = step / 2**n``, rounded."""
    return round(math.log2(step / dt))


def longest_step(step: float, dt: float) -> float:
    """Return the largest ``step / 2**n`` that is not longer than dt."""
    return step / 2.0 ** max(0, math.ceil(math.log2(step / dt) - ROUNDING))


def check_noise_step(step: float, dt: float, targets: np.ndarray) -> None:
    """Check that every step of a run is a bisection of a step of the noise.

    Raises:
        StepperError: otherwise.
    """
    count = bisections(step, dt)
    if not 0 <= count <= MOST_BISECTIONS or abs(step / 2.0**count / dt - 1) > ROUNDING:
        raise StepperError(
            f"time.dt={dt:g} is not time.noise_step={step:g} divided by a power of two",
            f"time.dt={longest_step(step, dt):g}, or time.dt=auto",
        )
    steps = targets / dt
    if (np.abs(steps - np.round(steps)) > ROUNDING * np.maximum(1.0, np.abs(steps))).any():
        wrong = targets[np.argmax(np.abs(steps - np.round(steps)))]
        raise StepperError(
            f"with time.noise_step, all steps have the length {dt:g}, but a step must end at "
            f"t = {wrong:g}",
            f"output times and events that are multiples of {dt:g}",
            "output.frames sets the number of frames",
        )
