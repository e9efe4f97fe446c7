"""What all pictures of a run have in common: their limits, and how many colours they have.

A GIF takes as much room as its frames have detail and change, and steps between colours are visible
in smooth pictures only. So detailed pictures get few colours and smooth ones many; how many follows
from some frames that are compressed on trial.
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
#: the width in pixels that a band of one colour may have on average: wider ones are visible
BAND = 2.5
#: bytes grow with this power of the number of colours; 0.6 to 0.8 for the shipped equations
GROWTH = 0.7


@dataclass(frozen=True)
class Look:
    """The limits, and the number of colours of a GIF."""

    limits: Limits
    colors: int


@dataclass(frozen=True)
class _Trial:
    """A frame with all ``TRIAL_COLORS`` colours for values that are ``size`` apart at most.

    ``steps`` is by how many colours a pixel differs from the next one in its row, on average.
    """

    bytes: int
    steps: float
    size: float


@dataclass
class RunLook:
    """What decides the look of a run's pictures: all of its frames so far.

    Args:
        size: of a picture, in pixels of the longer side; None if the number of colours is given.
    """

    size: int | None
    statistics: RunStatistics = field(default_factory=RunStatistics)
    _trials: dict[int, _Trial] = field(default_factory=dict)
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
            steps = np.abs(np.diff(now.astype(np.int16), axis=1))
            self._trials[number] = _Trial(
                len(changed_block(now, then, TRIAL_COLORS)), float(steps.mean()), high - low
            )

    def expected(self, planned: int, limits: Limits) -> tuple[float, float]:
        """About how many bytes a frame takes with ``TRIAL_COLORS`` colours, and its mean step.

        Both are 0 if unknown.
        """
        early, whole = early_frames(planned), limits.high - limits.low
        late = [one for number, one in self._trials.items() if number >= early]
        found = late or list(self._trials.values())
        parts = [(one, min(1.0, one.size / whole)) for one in found]
        count = max(1, len(parts))
        return (
            sum(one.bytes * part**GROWTH for one, part in parts) / count,
            sum(one.steps * part for one, part in parts) / count,
        )


def find_look(runs: Sequence[tuple[RunLook, int]], animation: Animation, curve: bool) -> Look:
    """The look that pictures of all ``runs`` share, which lie side by side if there are several.

    The number of colours is ``animation.colors``, or the largest that keeps the file small, but at
    least so large that bands of one colour are too narrow to be seen.

    Args:
        runs: each with the number of frames that it is to have.
        curve: for curves.
    """
    limits = find_limits([(run.statistics, planned) for run, planned in runs], animation, curve)
    if animation.colors is not None:
        return Look(limits, animation.colors)
    expected = [run.expected(planned, limits) for run, planned in runs]
    size, steps = sum(one[0] for one in expected), sum(one[1] for one in expected) / len(runs)
    small = TRIAL_COLORS * (FRAME_BYTES / max(size, 1.0)) ** (1 / GROWTH)
    smooth = TRIAL_COLORS / BAND / max(steps, 1e-3)
    return Look(limits, max((n for n in PALETTES if n <= max(small, smooth)), default=PALETTES[0]))


def _on_trial(values: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    """A frame, ``(ny, nx)``, as indices of ``TRIAL_COLORS`` colours from ``low`` to ``high``."""
    rows, columns = (max(1, round(size * n / max(values.shape))) for n in values.shape)
    with np.errstate(all="ignore"):
        fractions = ((values - low) / (high - low)).astype(np.float32)
        levels = TRIAL_COLORS * resize(fractions, columns, rows)
    return np.nan_to_num(levels).clip(0, TRIAL_COLORS - 1).astype(np.uint8)
