"""Features of a final state: numbers for tables of sweeps and for phase diagrams.

Computed by NumPy in float64. A frame is an array with x last; cell centres are evenly spaced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: variations below this fraction of a field's magnitude are no pattern; rounding in single
#: precision, accumulated over many steps, reaches about a tenth of it
_UNIFORM = 1e-5
#: half-width of a peak of the spectrum, in rings
_PEAK_HALF_WIDTH = 1.5


@dataclass(frozen=True)
class Features:
    """Features of one field; nan where one is not defined.

    Lengths are in the units of the domain, ``activity`` is per unit of time.

    Attributes:
        wavelength: wavelength of the strongest waves, see :func:`find_peak`; nan for a uniform
            field.
        sharpness: fraction of the variance in waves whose wave number differs from the strongest
            one by at most a quarter: 1 for a plane wave, small for noise.
        correlation_length: distance at which the autocorrelation of the field, averaged over
            directions, first falls to one half.
        activity: see :func:`activity`; 0 for steady patterns.
    """

    mean: float
    variance: float
    min: float
    max: float
    wavelength: float
    sharpness: float
    correlation_length: float
    activity: float


@dataclass(frozen=True)
class Spectrum:
    """The variance of a field by wave number.

    ``numbers`` (waves per length) and ``power`` are one-dimensional, with an entry per mode; the
    sum of ``power`` is the variance. ``width`` is the spacing of modes along the longest axis.
    """

    numbers: np.ndarray
    power: np.ndarray
    width: float


def describe(
    last: np.ndarray,
    spacing: Sequence[float],
    periodic: Sequence[bool],
    *,
    before: np.ndarray | None = None,
    interval: float = math.nan,
    free: np.ndarray | None = None,
    scale: float = 0.0,
) -> Features:
    """Return the features of a field; all are nan if its last frame has infinite or nan values.

    Args:
        last: the last frame, shape ``([nz,] [ny,] nx)``.
        spacing: distance of cell centres, per array axis (x last).
        periodic: whether the field is periodic, per array axis. Along other axes it is mirrored at
            the boundary, so that the jump from one boundary to the other does not contribute to the
            spectrum.
        before: the previous frame, of the same shape; None if there is none.
        interval: time between the two frames.
        free: False inside obstacles, which are left out; None without obstacles.
        scale: largest magnitude of the field during the run; variations below 1e-5 of it count as
            uniform.
    """
    last = np.asarray(last, dtype=np.float64)
    inside = last if free is None else last[free]
    if inside.size == 0 or not np.isfinite(inside).all():
        return Features(*[math.nan] * 8)
    low, high, mean = float(inside.min()), float(inside.max()), float(inside.mean())
    threshold = _UNIFORM * max(scale, -low, high)
    with np.errstate(over="ignore"):  # a run that has nearly diverged
        variance = float(inside.var())
    moving = wavelength = sharpness = correlation = math.nan
    if before is not None:
        past = np.asarray(before, dtype=np.float64)
        moving = activity(inside, past if free is None else past[free], interval, threshold)
    if math.sqrt(variance) > threshold:
        # obstacles are filled with the mean, which adds no waves; lengths do not depend on scale
        pattern = last - mean if free is None else np.where(free, last - mean, 0.0)
        field = _mirrored(pattern / np.abs(pattern).max(), periodic)
        modes = spectrum(field, spacing)
        number = find_peak(modes)
        wavelength, sharpness = 1 / number, _share_near(modes, number)
        correlation = _correlation_length(field, spacing)
    return Features(mean, variance, low, high, wavelength, sharpness, correlation, moving)


def activity(last: np.ndarray, before: np.ndarray, interval: float, threshold: float = 0) -> float:
    """Return ``rms(last - before) / interval / std(last)``, per unit of time.

    For a wave ``cos(q x - w t)`` this is ``2 |sin(w interval / 2)| / interval``, which is ``|w|``
    for short intervals. It is nan if the last frame is uniform and differs from the previous one.

    Args:
        threshold: changes and variations up to this size count as rounding.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        change, size = float(np.sqrt(np.square(last - before).mean())), float(last.std())
    if change <= threshold and size <= threshold:
        return 0.0
    if not (interval > 0 and math.isfinite(change)) or size <= threshold:
        return math.nan
    return change / interval / size


def spectrum(field: np.ndarray, spacing: Sequence[float]) -> Spectrum:
    """Return the variance of a periodic field by wave number |q| / (2 pi).

    Args:
        field: shape ``([nz,] [ny,] nx)``.
        spacing: distance of cell centres, per array axis.
    """
    power = np.square(np.abs(np.fft.rfftn(field))) / field.size**2
    half = field.shape[-1]
    # every mode of the last axis represents its conjugate, too, except the first and the middle one
    power[..., 1 : (half + 1) // 2] *= 2
    axes = [np.fft.fftfreq(n, h) for n, h in zip(field.shape, spacing, strict=True)]
    axes[-1] = np.fft.rfftfreq(half, spacing[-1])
    numbers = np.sqrt(_sum_of_squares(axes)).ravel()
    power = power.ravel()
    power[0] = 0.0  # the mean
    width = 1 / max(n * h for n, h in zip(field.shape, spacing, strict=True))
    return Spectrum(numbers, power, width)


def find_peak(waves: Spectrum) -> float:
    """Return the strongest wave number: the refined peak of the radially averaged spectrum.

    Modes are collected in rings, whose width is the spacing of modes along the longest axis. The
    result is the mean of the wave numbers, weighted by power, in the ring with the most power per
    mode and its neighbours. It is exact for a plane wave in any direction; a parabola through the
    means of the rings is not, because the modes of a ring are not centred in it.
    """
    ring = np.rint(waves.numbers / waves.width).astype(np.intp)
    modes = np.maximum(np.bincount(ring), 1)
    strongest = int(np.argmax((np.bincount(ring, waves.power) / modes)[1:])) + 1
    near = np.abs(waves.numbers / waves.width - strongest) <= _PEAK_HALF_WIDTH
    return float(np.average(waves.numbers[near], weights=waves.power[near]))


def _share_near(waves: Spectrum, number: float) -> float:
    near = np.abs(waves.numbers - number) <= max(number / 4, _PEAK_HALF_WIDTH * waves.width)
    return float(waves.power[near].sum() / waves.power.sum())


def _mirrored(pattern: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """Append the mirror image of a field along each axis that is not periodic."""
    for axis, wraps in enumerate(periodic):
        if not wraps:
            pattern = np.concatenate([pattern, np.flip(pattern, axis)], axis)
    return pattern


def _correlation_length(field: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the distance at which the averaged autocorrelation first is one half; else nan."""
    power = np.square(np.abs(np.fft.rfftn(field)))
    correlation = np.fft.irfftn(power, field.shape, axes=range(field.ndim)).ravel()
    axes = [
        np.minimum(np.arange(n), n - np.arange(n)) * h
        for n, h in zip(field.shape, spacing, strict=True)
    ]
    distance = np.sqrt(_sum_of_squares(axes)).ravel()
    width = max(spacing)
    ring = np.rint(distance / width).astype(np.intp)
    cells = np.bincount(ring)
    means = np.bincount(ring, correlation) / cells / correlation[0]
    places = np.bincount(ring, distance) / cells
    below = np.flatnonzero(means < 0.5)
    if len(below) == 0 or below[0] == 0:
        return math.nan
    outer, inner = below[0], below[0] - 1
    fraction = (means[inner] - 0.5) / (means[inner] - means[outer])
    return float(places[inner] + fraction * (places[outer] - places[inner]))


def _sum_of_squares(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Return ``x**2 + y**2 + ...`` on the grid of the axes, shape ``(len(axes[0]), ...)``."""
    return sum(np.square(grid) for grid in np.meshgrid(*axes, indexing="ij", sparse=True))
