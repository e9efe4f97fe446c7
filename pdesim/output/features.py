"""What a final state looks like, in a few numbers: for tables of sweeps and phase diagrams.

Pure NumPy, in float64. A frame is an array with x last; cell centres are evenly spaced per axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: variations below this, relative to a field's size, are no pattern: single precision's rounding,
#: collected over many steps, reaches about a tenth of it
_UNIFORM = 1e-5
#: rings of the spectrum to either side that belong to a peak
_BESIDE = 1.5


@dataclass(frozen=True)
class Features:
    """Numbers of one field; nan where a question has no answer.

    Lengths are in the units of the domain, ``activity`` is per unit of time.

    Attributes:
        wavelength: of the strongest waves, see :func:`find_peak`; nan for a uniform field.
        sharpness: the share of the variance in waves whose number is within a quarter of the
            strongest's: 1 for a plane wave, small for noise.
        correlation_length: where the correlation of the field with itself, averaged over
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

    ``numbers`` (waves per length) and ``power`` have one entry per mode, flat; the sum of
    ``power`` is the variance. ``width`` is the distance of neighbouring modes of the longest axis.
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
    """The features of a field; all nan where the last frame has values that are not finite.

    Args:
        last: the last frame, shape ``([nz,] [ny,] nx)``.
        spacing: between cell centres, per array axis (x last).
        periodic: per array axis; where it is not, the field is mirrored at the walls, so that the
            jump from one wall to the other is no part of the spectrum.
        before: the frame before, the same shape; None if there is none.
        interval: the time between the two.
        free: False inside obstacles, which do not count; None where there are none.
        scale: the largest magnitude that the field ever had; what is left of a pattern that
            has died out to a hundred-thousandth of it counts as uniform.
    """
    last = np.asarray(last, dtype=np.float64)
    inside = last if free is None else last[free]
    if inside.size == 0 or not np.isfinite(inside).all():
        return Features(*[math.nan] * 8)
    low, high, mean = float(inside.min()), float(inside.max()), float(inside.mean())
    threshold = _UNIFORM * max(scale, -low, high)
    with np.errstate(over="ignore"):  # a run that blew up, short of infinity
        variance = float(inside.var())
    moving = wavelength = sharpness = correlation = math.nan
    if before is not None:
        past = np.asarray(before, dtype=np.float64)
        moving = activity(inside, past if free is None else past[free], interval, threshold)
    if math.sqrt(variance) > threshold:
        # inside obstacles the mean stands, which has no waves; lengths do not depend on the height
        pattern = last - mean if free is None else np.where(free, last - mean, 0.0)
        field = _mirrored(pattern / np.abs(pattern).max(), periodic)
        found = spectrum(field, spacing)
        number = find_peak(found)
        wavelength, sharpness = 1 / number, _share_near(found, number)
        correlation = _correlation_length(field, spacing)
    return Features(mean, variance, low, high, wavelength, sharpness, correlation, moving)


def activity(last: np.ndarray, before: np.ndarray, interval: float, threshold: float = 0) -> float:
    """``rms(last - before) / interval / std(last)``, per unit of time.

    A wave ``cos(q x - w t)`` has ``2 |sin(w interval / 2)| / interval``, which is ``|w|`` for short
    intervals. nan where the last frame is uniform and the one before was not the same, since
    there is nothing to measure the change by.

    Args:
        threshold: changes and variations up to this size are rounding.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        change, size = float(np.sqrt(np.square(last - before).mean())), float(last.std())
    if change <= threshold and size <= threshold:
        return 0.0
    if not (interval > 0 and math.isfinite(change)) or size <= threshold:
        return math.nan
    return change / interval / size


def spectrum(field: np.ndarray, spacing: Sequence[float]) -> Spectrum:
    """The variance of a periodic field by wave number |q| / (2 pi).

    Args:
        field: shape ``([nz,] [ny,] nx)``.
        spacing: between cell centres, per array axis.
    """
    power = np.square(np.abs(np.fft.rfftn(field))) / field.size**2
    half = field.shape[-1]
    # every mode of the last axis stands for its conjugate, too, except the first and the middle one
    power[..., 1 : (half + 1) // 2] *= 2
    axes = [np.fft.fftfreq(n, h) for n, h in zip(field.shape, spacing, strict=True)]
    axes[-1] = np.fft.rfftfreq(half, spacing[-1])
    numbers = np.sqrt(_sum_of_squares(axes)).ravel()
    power = power.ravel()
    power[0] = 0.0  # the mean is no wave
    width = 1 / max(n * h for n, h in zip(field.shape, spacing, strict=True))
    return Spectrum(numbers, power, width)


def find_peak(found: Spectrum) -> float:
    """The strongest wave number: the peak of the radially averaged spectrum, refined.

    Modes are gathered in rings as wide as neighbouring modes of the longest axis lie apart. Of the
    ring with the most power per mode and those beside it, the mean of the modes' own wave numbers,
    weighted by power, is taken: exact for a plane wave in any direction, where a parabola
    through the rings' means is not, since a ring's modes do not lie in its middle.
    """
    ring = np.rint(found.numbers / found.width).astype(np.intp)
    modes = np.maximum(np.bincount(ring), 1)
    strongest = int(np.argmax((np.bincount(ring, found.power) / modes)[1:])) + 1
    near = np.abs(found.numbers / found.width - strongest) <= _BESIDE
    return float(np.average(found.numbers[near], weights=found.power[near]))


def _share_near(found: Spectrum, number: float) -> float:
    near = np.abs(found.numbers - number) <= max(number / 4, _BESIDE * found.width)
    return float(found.power[near].sum() / found.power.sum())


def _mirrored(pattern: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """The field and its image behind the upper wall of each axis that is not periodic."""
    for axis, wraps in enumerate(periodic):
        if not wraps:
            pattern = np.concatenate([pattern, np.flip(pattern, axis)], axis)
    return pattern


def _correlation_length(field: np.ndarray, spacing: Sequence[float]) -> float:
    """Where the autocorrelation, averaged over directions, first is one half; else nan."""
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
    """``x**2 + y**2 + ...`` on the grid that the axes span, shape ``(len(axes[0]), ...)``."""
    return sum(np.square(grid) for grid in np.meshgrid(*axes, indexing="ij", sparse=True))
