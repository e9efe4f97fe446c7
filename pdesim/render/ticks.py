"""Positions of ticks, and short and exact texts for numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Ticks:
    """Positions of ticks, their texts, and the common factor of all numbers ("" for 1)."""

    places: tuple[float, ...]
    texts: tuple[str, ...]
    factor: str


def place_ticks(lower: float, upper: float, most: int) -> Ticks:
    """About ``most`` ticks at round numbers from ``lower`` to ``upper``, inclusive."""
    locator = MaxNLocator(nbins=max(1, most), steps=[1, 2, 2.5, 5, 10], min_n_ticks=2)
    margin = 1e-6 * (upper - lower)
    places = [
        float(p) for p in locator.tick_values(lower, upper) if lower - margin <= p <= upper + margin
    ]
    exponent = _exponent(max(abs(lower), abs(upper)), (-3, 5))
    scaled = [p / 10.0**exponent for p in places]
    decimals = _decimals(scaled, min(np.diff(scaled), default=1.0))
    return Ticks(tuple(places), tuple(number(p, decimals) for p in scaled), _factor(exponent))


def place_log_ticks(lower: float, upper: float, most: int) -> Ticks:
    """About ``most`` ticks at round numbers on a logarithmic scale.

    Args:
        lower, upper: the decadic logarithms of the ends; so are the places of the ticks.
        most: the number of ticks that have room.
    """
    first, last = math.ceil(lower - 1e-6), math.floor(upper + 1e-6)
    decades = last - first + 1
    if decades >= 3:
        step = math.ceil(decades / max(most, 2))
        exponents = range(first + (-first % step), last + 1, step)
        return Ticks(tuple(map(float, exponents)), tuple(map(_power, exponents)), "")
    factors = (1, 2, 5) if upper - lower > 0.7 else ()
    values = [f * 10.0**e for e in range(first - 1, last + 1) for f in factors]
    places = [v for v in values if lower - 1e-6 <= math.log10(v) <= upper + 1e-6]
    if len(places) < 2:
        places = [v for v in place_ticks(10.0**lower, 10.0**upper, most).places if v > 0]
    return Ticks(tuple(map(math.log10, places)), tuple(map(_short, places)), "")


def _power(exponent: int) -> str:
    return (
        f"10{str(exponent).translate(_SUPERSCRIPT)}"
        if not -1 <= exponent <= 2
        else (f"{10.0**exponent:g}")
    )


def _short(value: float) -> str:
    exponent = _exponent(value, (-4, 5))
    return f"{value / 10.0**exponent:.6g}{_factor(exponent)}"


def clock_texts(times: np.ndarray) -> list[str]:
    """Texts for ``times``, ``(T,)``, with as many decimals as their spacing requires."""
    exponent = _exponent(float(np.max(np.abs(times))), (-4, 7))
    scaled = np.asarray(times, dtype=np.float64) / 10.0**exponent
    steps = np.abs(np.diff(scaled))
    steps = steps[steps > 0]
    step = float(np.median(steps)) if len(steps) else abs(float(scaled[0])) or 1.0
    decimals = _decimals(scaled, step)
    return [number(t, decimals) + _factor(exponent) for t in scaled]


def number(value: float, decimals: int) -> str:
    """The text of a number with a true minus sign; negative zero is written without a sign."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def _exponent(largest: float, plain: tuple[int, int]) -> int:
    """The power of ten to factor out of numbers; 0 if it is between the two values of ``plain``."""
    exponent = math.floor(math.log10(largest) + 1e-9) if largest > 0 else 0
    return 0 if plain[0] < exponent < plain[1] else exponent


def _factor(exponent: int) -> str:
    return f"×10{str(exponent).translate(_SUPERSCRIPT)}" if exponent else ""


def _decimals(values: ArrayLike, step: float) -> int:
    """The smallest number of decimals for values at intervals of ``step`` to be nearly exact."""
    fewest = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = np.asarray(values, dtype=np.float64)
    for decimals in range(fewest, fewest + 3):
        shifted = numbers * 10.0**decimals
        if np.all(np.abs(shifted - np.round(shifted)) < 0.01):
            return decimals
    return max(0, 1 - math.floor(math.log10(step)))
