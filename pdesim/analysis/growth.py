"""Growth rates over the wave number: the fastest growing wave and the band of growing waves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from pdesim.analysis.reactions import Linearisation
from pdesim.model.grid import Grid

#: wave numbers per decade, and the longest and shortest wavelength that are examined, relative to
#: the longest side of the domain and to the smallest cell
PER_DECADE, LONGEST, SHORTEST = 60, 1e3, 1 / 32
#: an eigenvalue smaller than this fraction of the largest eigenvalue of its matrix is 0 up to
#: rounding
ROUNDING = 1e-9
#: number of points of a refined search, and of its rounds; each divides the interval by 16
POINTS, ROUNDS = 33, 7

#: a function of wave numbers, vectorised
Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Rate:
    """The fastest growing perturbation of one wave number."""

    wavenumber: float
    growth: float
    frequency: float


@dataclass(frozen=True)
class Survey:
    """Growth rates for waves in one direction.

    Attributes:
        direction: a unit vector, shape ``(dimensions,)``.
        peaks: the waves whose growth rate has a local maximum.
        band: the lowest and highest wave number of the growing waves that contain the fastest
            growing one; None if no wave grows. The lowest one is 0 if waves of any length grow, the
            highest one infinite if waves grow however short they are.
        long_waves: whether the longest waves grow.
        short_waves: whether the shortest waves grow fastest of all.
        neutral: whether some wave that fits into the domain neither grows nor decays.
    """

    direction: np.ndarray
    peaks: tuple[Rate, ...]
    band: tuple[float, float] | None
    long_waves: bool
    short_waves: bool
    neutral: bool

    @property
    def fastest(self) -> Rate | None:
        """The local maximum with the largest growth rate; None if there is none."""
        return max(self.peaks, key=lambda peak: peak.growth, default=None)


def sampled_wavenumbers(grid: Grid) -> np.ndarray:
    """Return the wave numbers that are examined, in geometric progression."""
    low = 2 * np.pi / (LONGEST * max(grid.extent))
    high = 2 * np.pi / (SHORTEST * min(grid.spacing))
    return np.geomspace(low, high, int(PER_DECADE * np.log10(high / low)) + 1)


def directions(linear: Linearisation) -> list[np.ndarray]:
    """Return the directions of waves that are examined, as unit vectors.

    One suffices if all directions are equivalent. Otherwise they are the axes and the diagonals,
    and in two dimensions also those halfway between them.
    """
    dimensions = linear.reactions.problem.grid.dimensions
    if linear.is_isotropic or dimensions == 1:
        return [np.eye(dimensions)[0]]
    if dimensions == 2:
        angles = np.pi * np.arange(8) / 8
        return [np.array([np.cos(a), np.sin(a)]) for a in angles]
    half = [v for v in product((-1, 0, 1), repeat=3) if v > (0, 0, 0)]
    return [np.array(v) / np.linalg.norm(v) for v in half[::-1]]


def growth_along(linear: Linearisation, direction: np.ndarray) -> Function:
    """Return the growth rate as a function of the wave number in one direction.

    Rates that are 0 up to rounding are 0.
    """

    def growth(wavenumbers: np.ndarray) -> np.ndarray:
        rates = linear.eigenvalues(direction[:, np.newaxis] * wavenumbers)
        return without_rounding(rates)

    return growth


def without_rounding(rates: np.ndarray, rounding: float = ROUNDING) -> np.ndarray:
    """Return the growth rates, which are 0 where the eigenvalues show rounding errors only.

    Args:
        rates: eigenvalues, shape ``(waves, fields)``, sorted by decreasing real part.
        rounding: the largest relative rounding error of an eigenvalue.
    """
    growth = rates[:, 0].real
    return np.where(np.abs(growth) <= rounding * np.abs(rates).max(axis=1), 0.0, growth)


def frequencies(rates: np.ndarray) -> np.ndarray:
    """Return the angular frequencies of the leading eigenvalues, without rounding errors."""
    frequency = np.abs(rates[:, 0].imag)
    return np.where(frequency <= ROUNDING * np.abs(rates).max(axis=1), 0.0, frequency)


def survey(linear: Linearisation, direction: np.ndarray) -> Survey:
    """Return the local maxima of the growth rate and the band of growing waves."""
    grid = linear.reactions.problem.grid
    samples = sampled_wavenumbers(grid)
    growth = growth_along(linear, direction)
    values = growth(samples)
    peaks = tuple(
        rate_at(linear, direction, refined_peak(growth, low, high))
        for low, high in peak_intervals(samples, values)
    )
    best = max(peaks, key=lambda peak: peak.growth, default=None)
    largest = max(values[0], values[-1], best.growth if best else -np.inf)
    if best and best.growth == largest:
        inner = best.wavenumber
    else:
        inner = float(samples[0] if values[0] == largest else samples[-1])
    fitting = (samples >= 2 * np.pi / max(grid.extent)) & (samples <= np.pi / min(grid.spacing))
    return Survey(
        direction,
        peaks,
        _band(growth, samples, values, inner) if largest > 0 else None,
        bool(values[0] > 0),
        bool(values[-1] > 0 and values[-1] == largest),
        bool((values[fitting] == 0).any()),
    )


def peak_intervals(samples: np.ndarray, values: np.ndarray) -> list[tuple[float, float]]:
    """Return intervals that contain the local maxima of sampled values, without the ends."""
    middle = values[1:-1]
    inside = np.flatnonzero((middle > values[:-2]) & (middle >= values[2:])) + 1
    return [(float(samples[i - 1]), float(samples[i + 1])) for i in inside]


def refined_peak(function: Function, low: float, high: float) -> float:
    """Return the position of the maximum of a function with one maximum in an interval."""
    for _ in range(ROUNDS):
        points = np.linspace(low, high, POINTS)
        best = int(function(points).argmax())
        low, high = points[max(best - 1, 0)], points[min(best + 1, POINTS - 1)]
    return float(points[best])


def refined_zero(function: Function, low: float, high: float) -> float:
    """Return a zero of a function that is positive at one end of an interval only."""
    for _ in range(ROUNDS):
        points = np.linspace(low, high, POINTS)
        signs = function(points) > 0
        changes = np.flatnonzero(signs[1:] != signs[:-1])
        if not len(changes):  # rounding errors at the ends
            break
        first = int(changes[0])
        low, high = points[first], points[first + 1]
    return float(0.5 * (low + high))


def rate_at(linear: Linearisation, direction: np.ndarray, wavenumber: float) -> Rate:
    """Return the fastest growing perturbation of a wave vector."""
    rates = linear.eigenvalues(direction[:, np.newaxis] * np.array([wavenumber]))
    growth, frequency = float(without_rounding(rates)[0]), float(abs(rates[0, 0].imag))
    small = frequency <= ROUNDING * float(np.abs(rates).max())
    return Rate(wavenumber, growth, 0.0 if small else frequency)


def _band(
    growth: Function, samples: np.ndarray, values: np.ndarray, inner: float
) -> tuple[float, float]:
    """Return the interval of growing waves around a growing wave of wave number ``inner``."""
    below = samples[(samples < inner) & (values <= 0)]
    above = samples[(samples > inner) & (values <= 0)]
    low, high = 0.0, np.inf
    if len(below):
        grows = samples[(samples > below[-1]) & (samples < inner)]
        low = refined_zero(growth, float(below[-1]), float(grows[0] if len(grows) else inner))
    if len(above):
        grows = samples[(samples < above[0]) & (samples > inner)]
        high = refined_zero(growth, float(grows[-1] if len(grows) else inner), float(above[0]))
    return low, high
