"""What all pictures of a run have in common: limits, number of colours, and size.

The size of a GIF grows with the detail and the motion in its frames. In detailed pictures few
colours are enough, and every pixel counts. In smooth pictures bands of one colour become visible
if there are few colours, but fewer pixels show the same. So detailed pictures get few colours and
smooth ones many, and a smooth picture that would still be too large is drawn a little smaller. Both
numbers follow from some frames that are compressed on trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pdesim.render.limits import Limits, RunStatistics, early_frames, find_limits
from pdesim.render.movie import changed_block
from pdesim.render.painters import resize
from pdesim.settings import Animation

#: pixels of a picture's longer side, unless the settings give a number
SIZE = 512
#: the numbers of colours to choose from
PALETTES = (32, 40, 48, 64, 80, 96, 128)
#: the sizes to choose from, as fractions of ``SIZE``
SCALES = (1, 15 / 16, 7 / 8, 13 / 16, 3 / 4)
#: the bytes that a frame should take at most, so that a hundred of them take less than 5 MB
FRAME_BYTES = 43_000
#: frames are compressed on trial with so many colours, every so many frames
TRIAL_COLORS, TRIAL_EVERY = 64, 8
#: the width in pixels that a band of one colour may have on average: wider ones are visible
BAND = 2.5
#: bands are hardly visible with so many colours, however wide they are: more of them do not make a
#: picture smaller
ENOUGH_COLORS = 96
#: bytes grow with this power of the number of colours; 0.6 to 0.8 for the shipped equations
GROWTH = 0.7
#: bytes of smooth pictures grow with this power of the size; 1.6 to 1.7 for the shipped equations
SIZE_GROWTH = 1.65


@dataclass(frozen=True)
class Look:
    """The limits, the number of colours of a GIF, and its size as a fraction of that on trial."""

    limits: Limits
    colors: int
    scale: float = 1.0


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
        """The mean bytes of a frame with ``TRIAL_COLORS`` colours, and its mean step.

        The bytes are a mean over all frames, the step is one over all but the first frames.
        Both are 0 if unknown.
        """
        early, whole = early_frames(planned), limits.high - limits.low
        parts = {n: (one, min(1.0, one.size / whole)) for n, one in self._trials.items()}
        if not parts:
            return 0.0, 0.0
        sizes = [one.bytes * part**GROWTH for one, part in parts.values()]
        # a trial stands for the frames that are nearer to it than to another one
        numbers = np.array(list(parts))
        middles = (numbers[1:] + numbers[:-1]) / 2
        weights = np.diff(np.concatenate([[0.5], middles, [max(self.seen - 0.5, numbers[-1])]]))
        late = [pair for n, pair in parts.items() if n >= early] or list(parts.values())
        steps = [one.steps * part for one, part in late]
        return float(np.average(sizes, weights=weights)), sum(steps) / len(steps)


def find_look(
    runs: Sequence[tuple[RunLook, int]],
    animation: Animation,
    curve: bool,
    scales: Sequence[float] = (1.0,),
) -> Look:
    """The look that pictures of all ``runs`` share, which lie side by side if there are several.

    Args:
        runs: each with the number of frames that it is to have.
        curve: for curves.
        scales: the sizes to choose from, the largest first, as fractions of the size on trial.
    """
    limits = find_limits([(run.statistics, planned) for run, planned in runs], animation, curve)
    if animation.colors is not None:
        return Look(limits, animation.colors)
    expected = [run.expected(planned, limits) for run, planned in runs]
    size, step = sum(one[0] for one in expected), sum(one[1] for one in expected) / len(runs)
    return Look(limits, *_colors_and_scale(size, step, scales))


def _colors_and_scale(size: float, step: float, scales: Sequence[float]) -> tuple[int, float]:
    """The largest picture without visible bands whose frames take ``FRAME_BYTES`` at most.

    It has as many colours as fit. If there is no such picture, the smallest one without visible
    bands. A picture so detailed that the fewest colours make no visible bands is not reduced.

    Args:
        size: the mean bytes of a frame with ``TRIAL_COLORS`` colours.
        step: by how many of these colours a pixel differs from the next one in its row, on average.
    """
    detailed = BAND * step * PALETTES[0] >= TRIAL_COLORS
    enough = ENOUGH_COLORS if len(scales) > 1 else PALETTES[-1]
    for scale in scales[:1] if detailed else scales:
        frame = max(size * scale**SIZE_GROWTH, 1.0)
        fit = TRIAL_COLORS * (FRAME_BYTES / frame) ** (1 / GROWTH)
        needed = _palette(min(enough, TRIAL_COLORS / BAND * scale / max(step, 1e-3)))
        if fit >= needed:
            return _palette(fit), scale
    return needed, scale


def _palette(colors: float) -> int:
    """The largest of ``PALETTES`` with at most so many colours, or the smallest."""
    return max((n for n in PALETTES if n <= colors), default=PALETTES[0])


def _on_trial(values: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    """A frame, ``(ny, nx)``, as indices of ``TRIAL_COLORS`` colours from ``low`` to ``high``."""
    rows, columns = (max(1, round(size * n / max(values.shape))) for n in values.shape)
    with np.errstate(all="ignore"):
        fractions = ((values - low) / (high - low)).astype(np.float32)
        levels = TRIAL_COLORS * resize(fractions, columns, rows)
    return np.nan_to_num(levels).clip(0, TRIAL_COLORS - 1).astype(np.uint8)
