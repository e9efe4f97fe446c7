"""Features of a final state: numbers for the tables of sweeps and for phase diagrams.

They are computed by NumPy in float64. The last axis of a frame is x, and cell centres are evenly
spaced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: variations below this fraction of a field's magnitude do not count as a pattern. Rounding errors
#: in single precision, accumulated over many steps, reach about a tenth of this fraction
_UNIFORM = 1e-5
#: half-width of a peak in the radially averaged spectrum, in units of the width of a ring
_PEAK_HALF_WIDTH = 1.5


@dataclass(frozen=True)
class Features:
    """Features of one field; a feature that is not defined is nan.

    Lengths are in the units of the domain. ``activity`` is a rate per unit of time.

    Attributes:
        mean, variance, min, max: statistics of the field over all cells outside obstacles.
        wavelength: wavelength of the strongest waves (see :func:`find_peak`); nan for a uniform
            field.
        sharpness: fraction of the variance that belongs to waves whose wave number differs from the
            strongest one by at most a quarter: 1 for a plane wave, small for noise.
        correlation_length: distance at which the autocorrelation of the field, averaged over
            directions, first falls to one half.
        activity: rate of change of the field relative to its variation (see :func:`activity`); 0
            for a steady pattern.
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
    """The variance of a field, decomposed by wave number.

    Attributes:
        numbers: wave number of each Fourier mode, in waves per unit of length.
        power: variance of each mode; the sum is the variance of the field.
        width: spacing of the wave numbers along the longest axis of the domain.
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
    """Return the features of a field.

    If the last frame has infinite or nan values, all features are nan.

    Args:
        last: the last frame, shape ``([nz,] [ny,] nx)``.
        spacing: distance of cell centres along each array axis (x last).
        periodic: whether the field is periodic along each array axis. Along other axes the field is
            mirrored at the boundary, so that the jump from one boundary to the other does not
            contribute to the spectrum.
        before: the previous frame, of the same shape; None if there is none.
        interval: time between the two frames.
        free: boolean array, False inside obstacles, which are excluded; None if there are no
            obstacles.
        scale: largest magnitude of the field during the run. A field that varies by less than 1e-5
            of this magnitude counts as uniform.
    """
    last = np.asarray(last, dtype=np.float64)
    inside = last if free is None else last[free]
    if inside.size == 0 or not np.isfinite(inside).all():
        return Features(*[math.nan] * 8)
    low, high, mean = float(inside.min()), float(inside.max()), float(inside.mean())
    threshold = _UNIFORM * max(scale, -low, high)
    with np.errstate(over="ignore"):  # the squares overflow if a run has nearly diverged
        variance = float(inside.var())
    moving = wavelength = sharpness = correlation = math.nan
    if before is not None:
        past = np.asarray(before, dtype=np.float64)
        moving = activity(inside, past if free is None else past[free], interval, threshold)
    if math.sqrt(variance) > threshold:
        # filling obstacles with the mean adds no waves; the division prevents an overflow and does
        # not change wavelengths
        pattern = last - mean if free is None else np.where(free, last - mean, 0.0)
        field = _mirrored(pattern / np.abs(pattern).max(), periodic)
        modes = spectrum(field, spacing)
        number = find_peak(modes)
        wavelength, sharpness = 1 / number, _share_near(modes, number)
        correlation = _correlation_length(field, spacing)
    return Features(mean, variance, low, high, wavelength, sharpness, correlation, moving)


def activity(last: np.ndarray, before: np.ndarray, interval: float, threshold: float = 0) -> float:
    """Return ``rms(last - before) / interval / std(last)``, per unit of time.

    For a wave ``cos(q x - w t)`` the result is ``2 |sin(w interval / 2)| / interval``, which is
    ``|w|`` for short intervals. The result is nan if the last frame is uniform but differs from the
    previous one.

    Args:
        last, before: the last two frames.
        interval: time between the two frames.
        threshold: changes and variations up to this size are considered rounding errors.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        change, size = float(np.sqrt(np.square(last - before).mean())), float(last.std())
    if change <= threshold and size <= threshold:
        return 0.0
    if not (interval > 0 and math.isfinite(change)) or size <= threshold:
        return math.nan
    return change / interval / size


def spectrum(field: np.ndarray, spacing: Sequence[float]) -> Spectrum:
    """Return the variance of a periodic field, decomposed by wave number |q| / (2 pi).

    Args:
        field: shape ``([nz,] [ny,] nx)``.
        spacing: distance of cell centres along each array axis.
    """
    power = np.square(np.abs(np.fft.rfftn(field))) / field.size**2
    half = field.shape[-1]
    # along the last axis, every mode except the first and the middle one also stands for its
    # complex conjugate
    power[..., 1 : (half + 1) // 2] *= 2
    axes = [np.fft.fftfreq(n, h) for n, h in zip(field.shape, spacing, strict=True)]
    axes[-1] = np.fft.rfftfreq(half, spacing[-1])
    numbers = np.sqrt(_sum_of_squares(axes)).ravel()
    power = power.ravel()
    power[0] = 0.0  # the mean
    width = 1 / max(n * h for n, h in zip(field.shape, spacing, strict=True))
    return Spectrum(numbers, power, width)


def find_peak(waves: Spectrum) -> float:
    """Return the strongest wave number, which is the peak of the radially averaged spectrum.

    Modes are collected in rings of width ``waves.width``. The result is the mean of the wave
    numbers, weighted by their power, in and near the ring with the most power per mode. The result
    is exact for a plane wave in any direction. The maximum of a parabola through the means of the
    rings would not be exact, because the wave numbers in a ring are not centred in the ring.
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
    """Return the distance at which the autocorrelation first falls to one half.

    The autocorrelation is averaged over directions. The result is nan if there is no such distance.
    """
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
    """Return ``x**2 + y**2 + ...`` at all points of the grid that the coordinates ``axes`` span."""
    return sum(np.square(grid) for grid in np.meshgrid(*axes, indexing="ij", sparse=True))
