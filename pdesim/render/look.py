"""The look that all pictures of a run share: limits, number of colours, and size.

The file size of a GIF grows with the detail and the motion in its frames. Detailed pictures need
few colours but all pixels. Smooth pictures need many colours, since few colours cause visible
bands, but fewer pixels suffice. The number of colours therefore depends on the detail, and smooth
pictures whose files would still be too large are drawn with fewer pixels. The number of colours and
the size are determined by compressing every eighth frame as a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pdesim.render.limits import Limits, RunStatistics, early_frames, find_limits
from pdesim.render.movie import changed_block
from pdesim.render.painters import resize
from pdesim.settings import Animation

#: pixels of a picture's longer side, unless ``animation.size`` is set
SIZE = 512
#: the numbers of colours to choose from
PALETTES = (32, 40, 48, 64, 80, 96, 128)
#: the sizes to choose from, as fractions of ``SIZE``
SCALES = (1, 15 / 16, 7 / 8, 13 / 16, 3 / 4)
#: largest mean size of a frame in bytes, so that a hundred frames take less than 5 MB
FRAME_BYTES = 43_000
#: the number of colours in a trial, and the number of frames from one trial to the next
TRIAL_COLORS, TRIAL_EVERY = 64, 8
#: largest mean width in pixels of a band of one colour; wider bands are visible
BAND_PIXELS = 2.5
#: with this number of colours, bands of any width are hardly visible, so that a picture need not be
#: made smaller to allow for more colours
ENOUGH_COLORS = 96
#: the size in bytes grows with this power of the number of colours; measured: 0.6 to 0.8
GROWTH = 0.7
#: the size of smooth pictures in bytes grows with this power of their width; measured: 1.6 to 1.7
SIZE_GROWTH = 1.65


@dataclass(frozen=True)
class Look:
    """The colour limits and, for a GIF, its number of colours and its scale.

    ``scale`` is the size of the picture relative to the frames compressed as trials (``_Trial``).
    """

    limits: Limits
    colors: int
    scale: float = 1.0


@dataclass(frozen=True)
class _Trial:
    """The result of compressing a frame with ``TRIAL_COLORS`` colours as a trial.

    ``bytes`` is the compressed size. ``steps`` is the mean difference between neighbouring pixels
    in a row, in colours. ``size`` is the length of the range of values that the colours represent.
    """

    bytes: int
    steps: float
    size: float


@dataclass
class RunLook:
    """Statistics and trials of the frames of a run so far, which determine its look.

    Args:
        size: the pixels of a picture's longer side; None if no trials are needed, because the
            number of colours is given.
        robust: whether ``animation.limits`` is ``robust``.
    """

    size: int | None
    robust: bool = False
    statistics: RunStatistics = field(default_factory=RunStatistics)
    _trials: dict[int, _Trial] = field(default_factory=dict)
    _before: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.statistics.quantiles = self.robust

    @property
    def seen(self) -> int:
        """The number of frames that have been added."""
        return len(self.statistics.frames)

    def add(self, values: np.ndarray, roundoff: float | None = None) -> None:
        """Add the next frame. For the arguments see :func:`.limits.frame_statistics`."""
        number, before = self.seen, self._before
        self.statistics.add(values, roundoff)
        if self.size is None or values.ndim < 2:
            return
        self._before = values
        trial = self.statistics.frames[number]
        is_trial = number % TRIAL_EVERY == 0 or number in (1, 2, 4)
        if is_trial and before is not None and trial and trial.inner_high > trial.inner_low:
            low, high = trial.inner_low, trial.inner_high
            now, then = (_quantise(frame, low, high, self.size) for frame in (values, before))
            steps = np.abs(np.diff(now.astype(np.int16), axis=1))
            self._trials[number] = _Trial(
                len(changed_block(now, then, TRIAL_COLORS)), float(steps.mean()), high - low
            )

    def expected(self, planned: int, limits: Limits) -> tuple[float, float]:
        """Estimate the compressed size and the detail of frames with ``TRIAL_COLORS`` colours.

        Args:
            planned: the planned number of frames.
            limits: the limits of the picture.

        Returns:
            The mean size of all frames in bytes, and the mean difference between neighbouring
            pixels, in colours, of all but the early frames. Both are 0 if there are no trials.
        """
        early, full_range = early_frames(planned), limits.high - limits.low
        parts = {n: (trial, min(1.0, trial.size / full_range)) for n, trial in self._trials.items()}
        if not parts:
            return 0.0, 0.0
        sizes = [trial.bytes * part**GROWTH for trial, part in parts.values()]
        # the weight of a trial is the number of frames to which it is the nearest trial
        numbers = np.array(list(parts))
        middles = (numbers[1:] + numbers[:-1]) / 2
        weights = np.diff(np.concatenate([[0.5], middles, [max(self.seen - 0.5, numbers[-1])]]))
        late = [pair for n, pair in parts.items() if n >= early] or list(parts.values())
        steps = [trial.steps * part for trial, part in late]
        return float(np.average(sizes, weights=weights)), sum(steps) / len(steps)


def find_look(
    runs: Sequence[tuple[RunLook, int]],
    animation: Animation,
    curve: bool,
    scales: Sequence[float] = (1.0,),
) -> Look:
    """The look that the pictures of all ``runs`` share. Several runs are the tiles of a montage.

    Args:
        runs: for every run, its frames so far and its planned number of frames.
        animation: the settings of the picture.
        curve: whether the fields are drawn as curves.
        scales: the scales to choose from, in descending order (see :class:`Look`).
    """
    limits = find_limits([(run.statistics, planned) for run, planned in runs], animation, curve)
    if animation.colors is not None:
        return Look(limits, animation.colors)
    expected = [run.expected(planned, limits) for run, planned in runs]
    size, step = (
        sum(trial[0] for trial in expected),
        sum(trial[1] for trial in expected) / len(runs),
    )
    return Look(limits, *_colors_and_scale(size, step, scales))


def _colors_and_scale(size: float, step: float, scales: Sequence[float]) -> tuple[int, float]:
    """Choose the number of colours and the scale.

    The largest picture is chosen that has no visible bands and whose frames take at most
    ``FRAME_BYTES``, with as many colours as this limit allows. If all pictures without visible
    bands take more, the smallest of these is chosen. If a picture is so detailed that even the
    smallest palette does not cause visible bands, it is not made smaller.

    Args:
        size: the mean size of a frame with ``TRIAL_COLORS`` colours in bytes.
        step: the mean difference between neighbouring pixels in a row, in these colours.
        scales: see :func:`find_look`.
    """
    detailed = BAND_PIXELS * step * PALETTES[0] >= TRIAL_COLORS
    enough = ENOUGH_COLORS if len(scales) > 1 else PALETTES[-1]
    for scale in scales[:1] if detailed else scales:
        frame = max(size * scale**SIZE_GROWTH, 1.0)
        fit = TRIAL_COLORS * (FRAME_BYTES / frame) ** (1 / GROWTH)
        needed = _palette(min(enough, TRIAL_COLORS / BAND_PIXELS * scale / max(step, 1e-3)))
        if fit >= needed:
            return _palette(fit), scale
    return needed, scale


def _palette(colors: float) -> int:
    """The largest of ``PALETTES`` that is at most ``colors``; if there is none, the smallest."""
    return max((n for n in PALETTES if n <= colors), default=PALETTES[0])


def _quantise(values: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    """Draw a frame, ``(ny, nx)``, as indices of ``TRIAL_COLORS`` colours between the limits."""
    rows, columns = (max(1, round(size * n / max(values.shape))) for n in values.shape)
    with np.errstate(all="ignore"):
        fractions = ((values - low) / (high - low)).astype(np.float32)
        levels = TRIAL_COLORS * resize(fractions, columns, rows)
    return np.nan_to_num(levels).clip(0, TRIAL_COLORS - 1).astype(np.uint8)
