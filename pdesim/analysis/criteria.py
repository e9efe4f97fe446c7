"""Functions of the linearised equation whose sign changes at a threshold of stability.

For the Jacobian J(k) with the eigenvalues s_1 ... s_n:

- *Hopf*: two complex eigenvalues of J(0) cross the imaginary axis. The product of s_i + s_j over
  all pairs changes its sign there (the determinant of the bialternate product; Guckenheimer, Myers,
  Sturmfels, SIAM J. Numer. Anal. 34 (1997) 1, doi:10.1137/S0036142993253461).
- *zero eigenvalue*: a real eigenvalue of J(0) crosses 0, and (-1)^n det J(0) changes its sign.
- *Turing*: a real eigenvalue of J(k) crosses 0 at a wave number k > 0 at which (-1)^n det J(k) has
  a minimum (Murray, Mathematical Biology II, sec. 2.3). This may also happen after a Hopf
  bifurcation.
- *wave*: the largest growth rate over k > 0 crosses 0 and the wave oscillates, while uniform
  perturbations decay.
- *long-wave*: the growth rate of a conserved quantity, which is 0 at k = 0, changes its sign near
  k = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pdesim.analysis.growth import (
    Function,
    directions,
    peak_intervals,
    refined_peak,
    sampled_wavenumbers,
    without_rounding,
)
from pdesim.analysis.reactions import Linearisation

#: at a threshold, the real part of an eigenvalue is at most this fraction of the largest one
ZERO = 1e-5
#: growth rates below this fraction of the largest eigenvalue are rounding errors
ROUNDING = 1e-13
#: an eigenvalue oscillates if its imaginary part exceeds this fraction of the largest eigenvalue
OSCILLATES = 1e-6
#: maxima over the wave number at waves longer than this multiple of the domain belong to k = 0
INFINITE = 10.0
#: the waves that stand for the limit k -> 0 are this many times as long as the domain
VERY_LONG = 1e5


@dataclass(frozen=True)
class Criterion:
    """A function whose sign changes at a threshold.

    Attributes:
        name: the kind of the threshold.
        positive: whether the function is positive, for a linearisation and the number of
            eigenvalues of J(0) that are always 0.
        describe: the kind, wave number and frequency at a threshold; None if the sign changes for
            another reason.
    """

    name: str
    positive: Callable[[Linearisation, int], bool]
    describe: Callable[[Linearisation, int], tuple[str, float, float] | None]


def _uniform(linear: Linearisation) -> np.ndarray:
    """Return the eigenvalues of J(0), shape ``(fields,)``."""
    return linear.eigenvalues(np.zeros((linear.reactions.problem.grid.dimensions, 1)))[0]


def _pair_sums(linear: Linearisation, neutral: int) -> bool:
    """Whether the product of the sums of all pairs of eigenvalues of J(0) is positive."""
    rates = _uniform(linear)
    rates = rates / (np.abs(rates).max() or 1.0)
    return bool(np.prod([a + b for n, a in enumerate(rates) for b in rates[:n]]).real > 0)


def _describe_hopf(linear: Linearisation, neutral: int) -> tuple[str, float, float] | None:
    rates = _uniform(linear)
    size = float(np.abs(rates).max())
    pairs = [(a, b) for n, a in enumerate(rates) for b in rates[:n]]
    first, _ = min(pairs, key=lambda pair: abs(pair[0] + pair[1]))
    if abs(first.imag) <= OSCILLATES * size or abs(first.real) > ZERO * size:
        return None  # two real eigenvalues of opposite sign
    return "Hopf", 0.0, float(abs(first.imag))


def _determinant(linear: Linearisation, neutral: int) -> bool:
    """Whether (-1)^n det J(0), without the eigenvalues that are always 0, is positive."""
    rates = _uniform(linear)
    rates = rates[np.argsort(np.abs(rates))][neutral:]
    return bool(np.prod(-rates / (np.abs(rates).max(initial=0.0) or 1.0)).real > 0)


def _describe_zero(linear: Linearisation, neutral: int) -> tuple[str, float, float] | None:
    rates = np.sort(np.abs(_uniform(linear)))[neutral:]
    crosses = len(rates) == 1 or (len(rates) > 1 and rates[0] <= ZERO * rates[-1])
    return ("zero eigenvalue", 0.0, 0.0) if crosses else None


def _along(linear: Linearisation, wavenumbers: np.ndarray) -> np.ndarray:
    """Return the eigenvalues for waves in the first of the examined directions."""
    return linear.eigenvalues(directions(linear)[0][:, np.newaxis] * wavenumbers)


def _steady_measure(linear: Linearisation) -> Function:
    """Return a function of the wave number that is positive where (-1)^n det J is negative.

    It is ``-sign((-1)^n det J) / sum(1/|s_i|)``, which is nearly an eigenvalue close to its zero.
    """

    def measure(wavenumbers: np.ndarray) -> np.ndarray:
        rates = _along(linear, wavenumbers)
        with np.errstate(divide="ignore", invalid="ignore"):
            size = 1 / (1 / np.abs(rates)).sum(axis=1)
            scaled = np.prod(-rates / np.abs(rates).max(axis=1, keepdims=True), axis=1).real
        return np.nan_to_num(-np.sign(scaled) * size)

    return measure


def _growth_measure(linear: Linearisation) -> Function:
    """Return the growth rate as a function of the wave number."""
    return lambda wavenumbers: without_rounding(_along(linear, wavenumbers), ROUNDING)


def _has_positive_peak(linear: Linearisation, function: Function) -> bool:
    """Whether a local maximum over the wave number is positive.

    Maxima are refined only if the sampled values do not decide.
    """
    samples = sampled_wavenumbers(linear.reactions.problem.grid)
    values = function(samples)
    middle = values[1:-1]
    peaks = np.flatnonzero((middle > values[:-2]) & (middle >= values[2:])) + 1
    if (values[peaks] > 0).any():
        return True
    drop = np.maximum(values[peaks] - values[peaks - 1], values[peaks] - values[peaks + 1])
    undecided = peaks[values[peaks] + drop > 0]
    return any(
        function(np.array([refined_peak(function, samples[i - 1], samples[i + 1])]))[0] > 0
        for i in undecided
    )


def _highest_peak(linear: Linearisation, function: Function) -> float:
    """Return the wave number of the largest local maximum; 0 if there is none."""
    samples = sampled_wavenumbers(linear.reactions.problem.grid)
    intervals = peak_intervals(samples, function(samples))
    found = [refined_peak(function, low, high) for low, high in intervals]
    return max(found, key=lambda k: float(function(np.array([k]))[0]), default=0.0)


def _is_real(linear: Linearisation) -> bool:
    ones = np.ones((linear.reactions.problem.grid.dimensions, 1))
    return not np.iscomplexobj(linear.matrices(ones))


def _steady_wave(linear: Linearisation, neutral: int) -> bool:
    """Whether a real eigenvalue of J(k) is positive at a minimum of (-1)^n det J(k)."""
    return _is_real(linear) and _has_positive_peak(linear, _steady_measure(linear))


def _growing_wave(linear: Linearisation, neutral: int) -> bool:
    """Whether the growth rate has a positive local maximum over k > 0."""
    return _has_positive_peak(linear, _growth_measure(linear))


def _describe_wave(
    linear: Linearisation, function: Function, oscillates: bool
) -> tuple[str, float, float] | None:
    """Return the kind, wave number and frequency if an eigenvalue of a wave crosses 0."""
    wavenumber = _highest_peak(linear, function)
    rates, uniform = _along(linear, np.array([wavenumber]))[0], _uniform(linear)
    size = float(max(np.abs(rates).max(), np.abs(uniform).max()))
    crossing = rates[np.abs(rates.real).argmin()]
    longest = INFINITE * max(linear.reactions.problem.grid.extent)
    if wavenumber < 2 * np.pi / longest or abs(crossing.real) > ZERO * size:
        return None
    if (abs(crossing.imag) > OSCILLATES * size) != oscillates:
        return None
    if oscillates and uniform[0].real > ZERO * size:
        return None
    frequency = float(abs(crossing.imag)) if oscillates else 0.0
    return ("wave" if oscillates else "Turing"), wavenumber, frequency


def _describe_steady_wave(linear: Linearisation, neutral: int) -> tuple[str, float, float] | None:
    return _describe_wave(linear, _steady_measure(linear), False)


def _describe_growing_wave(linear: Linearisation, neutral: int) -> tuple[str, float, float] | None:
    return _describe_wave(linear, _growth_measure(linear), True)


def _long_waves(linear: Linearisation, neutral: int) -> bool:
    """Whether waves of a conserved quantity grow in the limit k -> 0."""
    if not neutral:
        return False
    extent = max(linear.reactions.problem.grid.extent)
    rates = _along(linear, np.array([2 * np.pi / (VERY_LONG * extent)]))[0]
    return bool(rates[np.argsort(np.abs(rates))][:neutral].real.max() > 0)


def _describe_long_waves(linear: Linearisation, neutral: int) -> tuple[str, float, float] | None:
    return ("long-wave", 0.0, 0.0) if neutral else None


def sampled_growth(linear: Linearisation) -> tuple[float, float]:
    """Return the growth rate at k = 0, and the largest local maximum of that for k > 0.

    The maximum is NaN if there is none.
    """
    values = _growth_measure(linear)(sampled_wavenumbers(linear.reactions.problem.grid))
    middle = values[1:-1]
    peaks = middle[(middle > values[:-2]) & (middle >= values[2:])]
    return float(_uniform(linear)[0].real), float(peaks.max()) if len(peaks) else np.nan


CRITERIA = (
    Criterion("Hopf", _pair_sums, _describe_hopf),
    Criterion("zero eigenvalue", _determinant, _describe_zero),
    Criterion("Turing", _steady_wave, _describe_steady_wave),
    Criterion("wave", _growing_wave, _describe_growing_wave),
    Criterion("long-wave", _long_waves, _describe_long_waves),
)
