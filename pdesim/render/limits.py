"""From all frames of a run to the limits of its colours, or of the axis of a curve.

Only a few numbers of every frame are kept. The limits follow the data of the whole run, with two
exceptions: the first frames (``EARLY`` of them all), and a few isolated cells in a frame, count
only as long as they do not make the range more than twice (``DOMINANT``) as large. Otherwise they
lie beyond the limits, and the colour bar or the axis marks that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pdesim.errors import ConfigError
from pdesim.render.quantity import check_limits, is_diverging
from pdesim.settings import Animation

#: the first frames, as a fraction of all: initial noise and initial peaks die away in them
EARLY = 0.1
#: early frames and isolated cells are ignored if they make the range more than so many times larger
DOMINANT = 2.0
#: at most so many of a frame's cells are isolated cells
ISOLATED = 1 / 2000
#: a frame is rough if neighbouring cells correlate by less; white noise has 0, a wave of n cells
#: has cos(2 pi/n)
CORRELATED = 0.85
#: values that lie beyond the limits by less than this fraction of them are not marked as cut off
UNMARKED = 1e-3
_LARGEST = 1e300


@dataclass(frozen=True)
class Limits:
    """The values at the two ends; ``below``, ``above``: whether values lie beyond them."""

    low: float
    high: float
    below: bool = False
    above: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class FrameStatistics:
    """What is known of a frame.

    Args:
        low, high: the least and the greatest finite value.
        inner_low, inner_high: the same without a few isolated cells that lie far out.
        roundoff: how large rounding errors are.
        rough: whether it is noise, see ``CORRELATED``.
    """

    low: float
    high: float
    inner_low: float
    inner_high: float
    roundoff: float
    rough: bool


def frame_statistics(values: np.ndarray, roundoff: float | None = None) -> FrameStatistics | None:
    """Of a frame, ``(nx,)`` or ``(ny, nx)``; None if nothing in it is finite.

    Args:
        roundoff: absolute; None: that of numbers as large as ``values``, in their precision.
    """
    low, high = float(values.min()), float(values.max())
    whole = math.isfinite(low) and math.isfinite(high)
    finite = values if whole else values[np.isfinite(values)]
    if finite.size == 0:
        return None
    if not whole:
        values = np.where(np.isfinite(values), values, np.nan)
        low, high = float(finite.min()), float(finite.max())
    with np.errstate(all="ignore"):
        inner = _without_isolated(values, finite, low, high)
        steps = np.diff(values, axis=-1)
        steps = np.abs(steps if whole else steps[np.isfinite(steps)])
        spread = float(finite.var(dtype=np.float64))
        squares = float(np.mean(steps**2, dtype=np.float64)) if steps.size else 0.0
    if roundoff is None:
        roundoff = float(np.finfo(values.dtype).eps) * max(map(abs, inner))
    rough = squares > 2 * (1 - CORRELATED) * spread
    return FrameStatistics(low, high, *inner, roundoff, rough)


def _without_isolated(
    values: np.ndarray, finite: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """The range of a plane without isolated cells, where these make it far larger.

    Cells are isolated if they are few, and if no block of 2 x 2 cells lies as far out. A curve
    shows single cells well, so it keeps them.

    Args:
        values: with NaN where they are not finite.
        finite: those of ``values``, from ``low`` to ``high``.
    """
    if values.ndim < 2 or min(values.shape) < 4:
        return low, high
    inner_low = float(np.fmin.reduce(_blocks(values, np.fmax), axis=None))
    inner_high = float(np.fmax.reduce(_blocks(values, np.fmin), axis=None))
    if not inner_high > inner_low or high - low <= DOMINANT * (inner_high - inner_low):
        return low, high
    few = max(1, int(ISOLATED * values.size))
    if finite.size <= 2 * few:
        return low, high
    ordered = np.partition(finite, (few, finite.size - 1 - few), axis=None)
    inner_low = min(inner_low, float(ordered[few]))
    inner_high = max(inner_high, float(ordered[-few - 1]))
    roundoff = float(np.finfo(np.float32).eps) * max(abs(inner_low), abs(inner_high))
    size = inner_high - inner_low
    return (inner_low, inner_high) if high - low > DOMINANT * size > 16 * roundoff else (low, high)


def _blocks(values: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """``combine`` over all blocks of 2 x 2 cells, ``(ny - 1, nx - 1)``."""
    pairs = combine(values[1:], values[:-1])
    return combine(pairs[:, 1:], pairs[:, :-1])


@dataclass
class _Union:
    """The common range of frames."""

    low: float = math.inf
    high: float = -math.inf
    roundoff: float = 0.0

    def add(self, low: float, high: float, roundoff: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.roundoff = max(self.roundoff, roundoff)

    def join(self, other: _Union) -> None:
        self.add(other.low, other.high, other.roundoff)

    @property
    def size(self) -> float:
        """Zero where there is nothing but rounding errors."""
        size = self.high - self.low  # minus infinity where there are no frames
        return size if size > 8 * self.roundoff else 0.0


@dataclass
class RunStatistics:
    """What is known of the frames of a run so far, the first one first."""

    frames: list[FrameStatistics | None] = field(default_factory=list)
    _early: int = 0
    _counted: int = 0
    _later: _Union = field(default_factory=_Union)
    _extremes: _Union = field(default_factory=_Union)

    def add(self, values: np.ndarray, roundoff: float | None = None) -> None:
        """Take the next frame in; arguments as of :func:`frame_statistics`."""
        self.frames.append(frame_statistics(values, roundoff))

    def summary(self, planned: int) -> tuple[list[FrameStatistics], _Union, _Union]:
        """The early frames, the range of the later ones, and the extremes.

        Args:
            planned: how many frames the run is to have.
        """
        early = early_frames(planned)
        if early != self._early:
            self._early, self._counted = early, 0
            self._later, self._extremes = _Union(), _Union()
        for number in range(self._counted, len(self.frames)):
            one = self.frames[number]
            if one is None:
                continue
            self._extremes.add(one.low, one.high, one.roundoff)
            if number >= early:
                self._later.add(one.inner_low, one.inner_high, one.roundoff)
        self._counted = len(self.frames)
        first = [one for one in self.frames[:early] if one is not None]
        return first, self._later, self._extremes


def early_frames(planned: int) -> int:
    """How many of ``planned`` frames are early ones: at least the first, unless it is the only."""
    return 0 if planned < 2 else math.ceil(EARLY * planned)


def find_limits(
    runs: Sequence[tuple[RunStatistics, int]], animation: Animation, curve: bool = False
) -> Limits:
    """The limits that pictures of all ``runs`` share.

    ``animation.limits`` are taken as they are. Else both ends are rounded outwards to a number
    with few digits, and where a diverging colour map meets data around ``animation.center``, that
    value gets the middle colour.

    Args:
        runs: the frames of every run, and how many it is to have.
        curve: for the axis of curves; these may leave it in early noise only.

    Raises:
        ConfigError: for given limits in the wrong order, and if all frames are there and none of
            them has a finite value.
    """
    check_limits(animation.limits)
    first, later, extremes = [], _Union(), _Union()
    for statistics, planned in runs:
        early, others, ends = statistics.summary(planned)
        first += early
        later.join(others)
        extremes.join(ends)
    if extremes.low > extremes.high and all(len(run.frames) >= total > 0 for run, total in runs):
        raise ConfigError(f"animation.field={animation.field} has no finite value in any frame")
    if animation.limits is not None:
        return _marked(*_widened(*animation.limits, 0.0), extremes)
    if extremes.low > extremes.high:
        return Limits(0.0, 1.0)
    center = None if curve or not is_diverging(animation.colormap) else animation.center
    chosen = _with_early(first, later, center, curve)
    low, high = _centered(chosen, center)
    if chosen.size == 0.0:
        return _marked(*_widened(low, high, chosen.roundoff), extremes)
    if center is not None and low < center == (low + high) / 2:
        half = _rounded(0.0, high - center)[1]
        return _marked(center - half, center + half, extremes)
    return _marked(*_rounded(low, high), extremes)


def _with_early(
    first: Sequence[FrameStatistics], later: _Union, center: float | None, curve: bool
) -> _Union:
    """The range of the later frames, and of those early ones that do not dominate it."""
    everything = _Union(later.low, later.high, later.roundoff)
    for one in first:
        everything.add(one.inner_low, one.inner_high, one.roundoff)
    if later.size == 0.0:
        return everything
    sizes = [high - low for low, high in (_centered(one, center) for one in (everything, later))]
    if sizes[0] <= DOMINANT * sizes[1]:
        return everything
    chosen = _Union(later.low, later.high, later.roundoff)
    for one in first:
        if curve and not one.rough:
            chosen.add(one.low, one.high, one.roundoff)
    return chosen


def _centered(union: _Union, center: float | None) -> tuple[float, float]:
    """The ends of a range; with ``center`` in the middle if the range lies around or beside it."""
    low, high = (min(max(end, -_LARGEST), _LARGEST) for end in (union.low, union.high))
    if center is None or union.size == 0.0 or max(low - center, center - high) > (high - low) / 4:
        return low, high
    half = max(high - center, center - low)
    return center - half, center + half


def _marked(low: float, high: float, extremes: _Union) -> Limits:
    room = UNMARKED * (high - low)
    return Limits(low, high, extremes.low < low - room, extremes.high > high + room)


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Outwards to multiples of 1, 2 or 5 times a power of ten, at most a 20th of the range.

    Limits that change only in steps let pictures be drawn while the range still grows a little.
    """
    exponent = math.floor(math.log10((high - low) / 20))
    digit = max(d for d in (1, 2, 5) if d * 10.0**exponent <= (high - low) / 20 or d == 1)
    step = digit * 10.0**exponent
    if step < 1e-290 or max(abs(low), abs(high)) / step > 2**52:
        return low, high
    lower = math.floor(low / step + UNMARKED) * digit
    upper = math.ceil(high / step - UNMARKED) * digit
    return float(f"{lower}e{exponent}"), float(f"{upper}e{exponent}")


def _widened(low: float, high: float, roundoff: float) -> tuple[float, float]:
    """Room around a constant, whose rounding errors must not become a picture of noise."""
    if high - low > 8 * roundoff:
        return low, high
    room = max(0.5 * max(abs(low), abs(high)), 50 * roundoff) or 0.5
    return low - room, high + room
