"""What all pictures of a run have in common: their limits, and how many colours they have.

A GIF takes as much room as its frames have detail and change, and steps between colours are visible
in smooth pictures only. So smooth pictures get many colours and detailed ones few; how few follows
from what some frames take when they are compressed on trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pdesim.render.limits import Limits, RunStatistics, early_frames, find_limits
from pdesim.render.movie import changed_block
from pdesim.render.painters import resize
from pdesim.settings import Animation

#: the numbers of colours to choose from
PALETTES = (32, 40, 48, 64, 80, 96, 128)
#: the bytes that a frame should take at most, so that a hundred of them take less than 5 MB
FRAME_BYTES = 42_000
#: frames are compressed on trial with so many colours, every so many frames
TRIAL_COLORS, TRIAL_EVERY = 64, 8
#: bytes grow with this power of the number of colours; 0.6 to 0.8 for the shipped equations
GROWTH = 0.7


@dataclass(frozen=True)
class Look:
    """The limits, and the number of colours of a GIF."""

    limits: Limits
    colors: int


@dataclass
class RunLook:
    """What decides the look of a run's pictures: all of its frames so far.

    Args:
        size: of a picture, in pixels of the longer side; None if the number of colours is given.
    """

    size: int | None
    statistics: RunStatistics = field(default_factory=RunStatistics)
    #: frame -> its bytes on trial, and the size of the range of values that had all colours
    _trials: dict[int, tuple[int, float]] = field(default_factory=dict)
    _before: np.ndarray | None = None

    @property
    def seen(self) -> int:
        """How many frames were taken in."""
        return len(self.statistics.frames)

    def add(self, values: np.ndarray, roundoff: float | None = None) -> None:
        """Take the next frame in; arguments as of :func:`.limits.frame_statistics`."""
        number, before = self.seen, self._before
        self.statistics.add(values, roundoff)
        if self.size is None or values.ndim < 2:
            return
        self._before = values
        one = self.statistics.frames[number]
        on_trial = number % TRIAL_EVERY == 0 or number in (1, 2, 4)
        if on_trial and before is not None and one and one.inner_high > one.inner_low:
            low, high = one.inner_low, one.inner_high
            now, then = (_on_trial(frame, low, high, self.size) for frame in (values, before))
            self._trials[number] = len(changed_block(now, then, TRIAL_COLORS)), high - low

    def frame_bytes(self, planned: int, limits: Limits) -> float:
        """About how many bytes a frame takes with ``TRIAL_COLORS`` colours; 0 if unknown."""
        early, whole = early_frames(planned), limits.high - limits.low
        late = [one for number, one in self._trials.items() if number >= early]
        sizes = [
            size * min(1.0, colored / whole) ** GROWTH
            for size, colored in late or self._trials.values()
        ]
        return sum(sizes) / max(1, len(sizes))


def find_look(runs: Sequence[tuple[RunLook, int]], animation: Animation, curve: bool) -> Look:
    """The look that pictures of all ``runs`` share, which lie side by side if there are several.

    The number of colours is ``animation.colors``, or as large as the file stays small.

    Args:
        runs: each with the number of frames that it is to have.
        curve: for curves.
    """
    limits = find_limits([(run.statistics, planned) for run, planned in runs], animation, curve)
    if animation.colors is not None:
        return Look(limits, animation.colors)
    expected = sum(run.frame_bytes(planned, limits) for run, planned in runs)
    fitting = TRIAL_COLORS * (FRAME_BYTES / max(expected, 1.0)) ** (1 / GROWTH)
    return Look(limits, max((n for n in PALETTES if n <= fitting), default=PALETTES[0]))


def _on_trial(values: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    """A frame, ``(ny, nx)``, as indices of ``TRIAL_COLORS`` colours from ``low`` to ``high``."""
    rows, columns = (max(1, round(size * n / max(values.shape))) for n in values.shape)
    with np.errstate(all="ignore"):
        fractions = ((values - low) / (high - low)).astype(np.float32)
        levels = TRIAL_COLORS * resize(fractions, columns, rows)
    return np.nan_to_num(levels).clip(0, TRIAL_COLORS - 1).astype(np.uint8)
