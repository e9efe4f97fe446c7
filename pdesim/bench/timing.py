"""How long a turn has to be to be timed; needs no TensorFlow, as it times other programs too."""

from __future__ import annotations

import time
from collections.abc import Callable

#: seconds of a trial that are enough to set the length of the turns by
LONG_ENOUGH = 0.2


def pace(run: Callable) -> float:
    """Seconds a step beyond what a call costs by itself, from ever longer trials."""

    def timed(steps: int) -> float:
        began = time.perf_counter()
        run(steps)
        return time.perf_counter() - began

    steps, before = 1, timed(1)
    while True:
        seconds = timed(4 * steps)
        if seconds > LONG_ENOUGH or steps >= 2**20:
            # noise must not make a step free
            return max(seconds - before, 0.1 * seconds) / (3 * steps)
        steps, before = 4 * steps, seconds
