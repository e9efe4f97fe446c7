"""The limits of colour bars and of the axes of curves, determined from the frames of a run.

The limits are the range of all frames, with two exceptions. The first frames (a fraction
``EARLY_FRACTION`` of all) and a few isolated cells of a frame are included only if this enlarges
the range by a factor of at most ``DOMINANT_RATIO``. If they are not included, marks at the colour
bar or the axis show that values exceed the limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pdesim.errors import ConfigError
from pdesim.render.quantity import check_limits, is_diverging
from pdesim.render.ticks import number
from pdesim.settings import Animation

#: this fraction of the frames counts as early: initial noise and peaks decay in these frames
EARLY_FRACTION = 0.1
#: early frames and isolated cells are ignored if they enlarge the range by more than this factor
DOMINANT_RATIO = 2.0
#: largest fraction of the cells of a frame that can be isolated cells
ISOLATED_FRACTION = 1 / 2000
#: a frame is rough if the correlation of neighbouring cells is below this value; the correlation is
#: 0 for white noise, and cos(2 pi/n) for a wave with a length of n cells
ROUGH_CORRELATION = 0.85
#: this number of rows decides whether a frame is rough
SAMPLED_ROWS = 64
#: values that exceed the limits by less than this fraction of the range are not marked
UNMARKED_FRACTION = 1e-3
#: the percentiles that are the ends of ``animation.limits=robust``
ROBUST_PERCENTILES = (1, 99)
#: the number of quantiles of a frame from which the percentiles of a run are estimated
QUANTILES = 500
_MAX_LIMIT = 1e300


@dataclass(frozen=True)
class Limits:
    """The limits; ``below`` and ``above`` state whether values exceed the lower and upper limit."""

    low: float
    high: float
    below: bool = False
    above: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class FrameStatistics:
    """Statistics of a frame.

    Args:
        low, high: the smallest and the largest finite value.
        inner_low, inner_high: the same without a few isolated cells with extreme values.
        roundoff: the absolute size of rounding errors.
        rough: whether the frame is mostly noise, see ``ROUGH_CORRELATION``.
        quantiles: equally spaced quantiles of the finite values; empty unless they are needed.
    """

    low: float
    high: float
    inner_low: float
    inner_high: float
    roundoff: float
    rough: bool
    quantiles: tuple[float, ...] = ()


def frame_statistics(
    values: np.ndarray, roundoff: float | None = None, quantiles: bool = False
) -> FrameStatistics | None:
    """Statistics of a frame, or None if it has no finite values.

    Args:
        values: the frame, ``(nx,)`` or ``(ny, nx)``.
        roundoff: the absolute rounding error; None: the machine epsilon times the largest value.
        quantiles: whether to compute quantiles.
    """
    low, high = float(values.min()), float(values.max())
    all_finite = math.isfinite(low) and math.isfinite(high)
    finite = values if all_finite else values[np.isfinite(values)]
    if finite.size == 0:
        return None
    if not all_finite:
        values = np.where(np.isfinite(values), values, np.nan)
        low, high = float(finite.min()), float(finite.max())
    with np.errstate(all="ignore"):
        inner = _without_isolated(values, finite, low, high)
        rough = _is_rough(values)
    if roundoff is None:
        roundoff = float(np.finfo(values.dtype).eps) * max(map(abs, inner))
    parts: tuple[float, ...] = ()
    if quantiles:
        parts = tuple(np.quantile(finite, (np.arange(QUANTILES) + 0.5) / QUANTILES).tolist())
    return FrameStatistics(low, high, *inner, roundoff, rough, parts)


def _is_rough(values: np.ndarray) -> bool:
    """Whether a frame is mostly noise, according to at most about ``SAMPLED_ROWS`` of its rows."""
    sample = values if values.ndim < 2 else values[:: max(1, len(values) // SAMPLED_ROWS)]
    steps = np.diff(sample, axis=-1)
    finite = np.isfinite(sample)
    if not finite.all():
        sample, steps = sample[finite], steps[np.isfinite(steps)]
    if not steps.size:
        return False
    squares = float(np.mean(steps**2, dtype=np.float64))
    return squares > 2 * (1 - ROUGH_CORRELATION) * float(sample.var(dtype=np.float64))


def _without_isolated(
    values: np.ndarray, finite: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """The range of the values without isolated cells, if these would enlarge the range too much.

    Isolated cells are few, and their values are so extreme that no block of 2 x 2 cells has such
    values in all four cells. For curves, which show single cells well, isolated cells are included.

    Args:
        values: the frame, with NaN instead of infinite values.
        finite: the finite values.
        low, high: the range of the finite values.
    """
    if values.ndim < 2 or min(values.shape) < 4:
        return low, high
    for every in (4, 1):  # the range of some blocks is part of that of all, and mostly suffices
        inner_low = float(np.fmin.reduce(_blocks(values, np.fmax, every), axis=None))
        inner_high = float(np.fmax.reduce(_blocks(values, np.fmin, every), axis=None))
        if high - low <= DOMINANT_RATIO * (inner_high - inner_low):
            return low, high
    if not inner_high > inner_low:
        return low, high
    few = max(1, int(ISOLATED_FRACTION * values.size))
    if finite.size <= 2 * few:
        return low, high
    ordered = np.partition(finite, (few, finite.size - 1 - few), axis=None)
    inner_low = min(inner_low, float(ordered[few]))
    inner_high = max(inner_high, float(ordered[-few - 1]))
    roundoff = float(np.finfo(np.float32).eps) * max(abs(inner_low), abs(inner_high))
    size = inner_high - inner_low
    return (
        (inner_low, inner_high)
        if high - low > DOMINANT_RATIO * size > 16 * roundoff
        else (low, high)
    )


def _blocks(values: np.ndarray, combine: np.ufunc, every: int = 1) -> np.ndarray:
    """Combine the values of each block of 2 x 2 cells that begins in every n-th row."""
    pairs = combine(values[1::every], values[:-1:every])
    return combine(pairs[:, 1:], pairs[:, :-1])


@dataclass
class _Range:
    """The common range of frames."""

    low: float = math.inf
    high: float = -math.inf
    roundoff: float = 0.0

    def add(self, low: float, high: float, roundoff: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.roundoff = max(self.roundoff, roundoff)

    def join(self, other: _Range) -> None:
        self.add(other.low, other.high, other.roundoff)

    @property
    def size(self) -> float:
        """The length of the range; 0 if it contains only rounding errors."""
        size = self.high - self.low  # minus infinity without frames
        return size if size > 8 * self.roundoff else 0.0


@dataclass
class RunStatistics:
    """Statistics of the frames of a run that have been read so far, in order."""

    frames: list[FrameStatistics | None] = field(default_factory=list)
    #: whether the quantiles of the frames are needed
    quantiles: bool = False
    _early: int = 0
    _counted: int = 0
    _later: _Range = field(default_factory=_Range)
    _extremes: _Range = field(default_factory=_Range)

    def add(self, values: np.ndarray, roundoff: float | None = None) -> None:
        """Add the next frame. For the arguments see :func:`frame_statistics`."""
        self.frames.append(frame_statistics(values, roundoff, self.quantiles))

    def summary(self, planned: int) -> tuple[list[FrameStatistics], _Range, _Range]:
        """Summarise the frames.

        Args:
            planned: the planned number of frames of the run.

        Returns:
            The statistics of the early frames, the range of the later frames without isolated
            cells, and the range of all values.
        """
        early = early_frames(planned)
        if early != self._early:
            self._early, self._counted = early, 0
            self._later, self._extremes = _Range(), _Range()
        for frame in range(self._counted, len(self.frames)):
            stats = self.frames[frame]
            if stats is None:
                continue
            self._extremes.add(stats.low, stats.high, stats.roundoff)
            if frame >= early:
                self._later.add(stats.inner_low, stats.inner_high, stats.roundoff)
        self._counted = len(self.frames)
        first = [stats for stats in self.frames[:early] if stats is not None]
        return first, self._later, self._extremes


def early_frames(planned: int) -> int:
    """The number of early frames: at least one if there are several frames, else 0."""
    return 0 if planned < 2 else math.ceil(EARLY_FRACTION * planned)


def find_limits(
    runs: Sequence[tuple[RunStatistics, int]], animation: Animation, curve: bool = False
) -> Limits:
    """The limits that the pictures of all ``runs`` share.

    If ``animation.limits`` are given, they are used unchanged. Otherwise both ends are rounded
    outwards to numbers with few digits. If the colour map is diverging and the data lie around
    ``animation.center``, the limits are symmetric about this value, which gets the middle colour.

    Args:
        runs: for every run, its statistics and its planned number of frames.
        animation: the settings of the picture.
        curve: whether the limits are those of the axis of a curve. Early frames are then excluded
            only if they are noise.

    Raises:
        ConfigError: if the given limits are in the wrong order, or if all frames are present and
            none of them has a finite value.
    """
    check_limits(animation.limits, animation.scale)
    first: list[FrameStatistics] = []
    later, extremes = _Range(), _Range()
    for statistics, planned in runs:
        early, others, ends = statistics.summary(planned)
        first += early
        later.join(others)
        extremes.join(ends)
    if extremes.low > extremes.high and all(len(run.frames) >= total > 0 for run, total in runs):
        name = "the field" if animation.field is None else f"animation.field={animation.field}"
        if animation.scale == "log":
            raise ConfigError(
                f"{name} has no positive value in any frame, and animation.scale is log",
                "positive values, or animation.scale=linear",
            )
        raise ConfigError(f"{name} has no finite value in any frame")
    given = given_limits(animation)
    if given is not None:
        return _with_marks(*_widen(given, 0.0), extremes)
    if extremes.low > extremes.high:
        return Limits(0.0, 1.0)
    symmetric = animation.limits == "symmetric"
    center = _center(animation, curve)
    selected = _with_early(first, later, center, curve)
    if animation.limits == "robust":
        selected = _robust([run for run, _ in runs], selected.roundoff)
    low, high = _centered(selected, center, symmetric)
    if selected.size == 0.0:
        return _with_marks(*_widen((low, high), selected.roundoff), extremes)
    if center is not None and low < center == (low + high) / 2:
        half = _round_outwards(0.0, high - center)[1]
        return _with_marks(center - half, center + half, extremes)
    return _with_marks(*_round_outwards(low, high), extremes)


def _with_early(
    first: Sequence[FrameStatistics], later: _Range, center: float | None, curve: bool
) -> _Range:
    """The range of the later frames, and of the early frames unless these dominate the range."""
    everything = _Range(later.low, later.high, later.roundoff)
    for stats in first:
        everything.add(stats.inner_low, stats.inner_high, stats.roundoff)
    if later.size == 0.0:
        return everything
    sizes = [high - low for low, high in (_centered(r, center) for r in (everything, later))]
    if sizes[0] <= DOMINANT_RATIO * sizes[1]:
        return everything
    selected = _Range(later.low, later.high, later.roundoff)
    for stats in first:
        if curve and not stats.rough:
            selected.add(stats.low, stats.high, stats.roundoff)
    return selected


def given_limits(animation: Animation) -> tuple[float, float] | None:
    """The limits given in the settings, on the scale of the picture; None if there are none."""
    if not isinstance(animation.limits, list):
        return None
    low, high = animation.limits
    return (math.log10(low), math.log10(high)) if animation.scale == "log" else (low, high)


def frame_limits(statistics: RunStatistics, frame: int, animation: Animation, curve: bool):
    """The limits of a single frame, for ``animation.limits=per_frame``."""
    one = RunStatistics([statistics.frames[frame]])
    # a frame without finite values has no limits of its own
    return find_limits([(one, 2)], animation, curve)


def range_text(limits: Limits, log: bool) -> str:
    """The range of curves without an axis, such as ``from 0 to 1``."""
    low, high = (10.0**end if log else end for end in limits.ends)
    digits = max(0, 2 - math.floor(math.log10(high - low)))
    clipped = " (clipped)" if limits.below or limits.above else ""
    return f"from {number(low, digits)} to {number(high, digits)}{clipped}"


def _center(animation: Animation, curve: bool) -> float | None:
    """The value of the middle colour on the scale of the picture; None: no special value."""
    if animation.limits == "symmetric":
        return animation.center or 0.0
    if curve or animation.center is None or not is_diverging(animation.colormap):
        return None
    if animation.scale == "log":
        return math.log10(animation.center) if animation.center > 0 else None
    return animation.center


def _robust(runs: Sequence[RunStatistics], roundoff: float) -> _Range:
    """The range from the 1st to the 99th percentile of all values of the runs."""
    parts = [s.quantiles for run in runs for s in run.frames if s is not None]
    low, high = np.percentile(np.concatenate(parts), ROBUST_PERCENTILES)
    return _Range(float(low), float(high), roundoff)


def _centered(span: _Range, center: float | None, always: bool = False) -> tuple[float, float]:
    """The ends of a range, made symmetric about ``center`` if it is inside the range or close.

    If ``always`` is True, the ends are made symmetric wherever the centre is.
    """
    low, high = (min(max(end, -_MAX_LIMIT), _MAX_LIMIT) for end in (span.low, span.high))
    if center is None or (span.size == 0.0 and not always):
        return low, high
    if max(low - center, center - high) > (high - low) / 4 and not always:
        return low, high
    half = max(high - center, center - low)
    return center - half, center + half


def _with_marks(low: float, high: float, extremes: _Range) -> Limits:
    margin = UNMARKED_FRACTION * (high - low)
    return Limits(low, high, extremes.low < low - margin, extremes.high > high + margin)


def _round_outwards(low: float, high: float) -> tuple[float, float]:
    """Round both ends outwards to multiples of 1, 2 or 5 times a power of ten.

    These multiples are at most a 20th of the range apart. Since rounded limits do not change when
    the range grows a little, frames can be drawn before all frames are known.
    """
    exponent = math.floor(math.log10((high - low) / 20))
    digit = max(d for d in (1, 2, 5) if d * 10.0**exponent <= (high - low) / 20 or d == 1)
    step = digit * 10.0**exponent
    if step < 1e-290 or max(abs(low), abs(high)) / step > 2**52:
        return low, high
    lower = math.floor(low / step + UNMARKED_FRACTION) * digit
    upper = math.ceil(high / step - UNMARKED_FRACTION) * digit
    return float(f"{lower}e{exponent}"), float(f"{upper}e{exponent}")


def _widen(ends: tuple[float, float], roundoff: float) -> tuple[float, float]:
    """Widen a range that contains only rounding errors, which would be drawn as noise."""
    low, high = ends
    if high - low > 8 * roundoff:
        return low, high
    margin = max(0.5 * max(abs(low), abs(high)), 50 * roundoff) or 0.5
    return low - margin, high + margin
