"""From three solutions to orders and errors: Richardson's extrapolation. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: differences below this fraction of a field's size are rounding (float64, thousands of steps)
ROUNDING = {"float64": 1e-11, "float32": 1e-5}
#: an observed order below this says nothing about the limit
LOWEST_ORDER = 0.5
#: an observed order this much below, or above, the promised one is worth a word
SHORTFALL, EXCESS = 0.5, 1.0
#: an RMS error beyond this fraction of a field's range means that the solutions differ altogether
LARGE = 0.3


@dataclass(frozen=True)
class Estimate:
    """Error of the solution on N cells, in one norm, and the order that it was observed to have.

    ``order`` is nan where the differences are rounding. ``reliable``: the differences shrink from
    grid to grid; otherwise ``error`` is a lower bound at best.
    """

    order: float
    error: float
    reliable: bool


@dataclass(frozen=True)
class FieldEstimate:
    """Errors of one field at one time: ``scale`` is its range (the size of a uniform field)."""

    maximum: Estimate
    rms: Estimate
    scale: float


def estimate(
    coarse: np.ndarray,
    middle: np.ndarray,
    fine: np.ndarray,
    expected: float | None,
    rounding: float,
) -> FieldEstimate:
    """Compare three solutions at the same places, from grids with ratios of 2.

    With differences d1 = |middle - coarse| and d2 = |fine - middle| the observed order is
    p = log2(d1/d2), and the error of the middle solution is d2 * 2^p / (2^p - 1). p is not taken
    larger than ``expected`` there, which would make the error smaller than the scheme allows.

    Args:
        coarse, middle, fine: one field's values, one-dimensional.
        expected: the order that the scheme promises; None: take the observed one.
        rounding: what differences are rounding below, relative to the field's scale.

    Roache, J. Fluids Eng. 116 (1994) 405, doi:10.1115/1.2910291.
    """
    spread = float(np.ptp(fine))
    size = float(np.abs(fine).max())
    scale = spread if spread > 1e-9 * size else size
    first, second = np.abs(middle - coarse), np.abs(fine - middle)
    floor = rounding * max(size, spread)
    norms = {"max": np.max, "rms": _rms}
    found = {
        name: _norm(float(norm(first)), float(norm(second)), expected, floor)
        for name, norm in norms.items()
    }
    return FieldEstimate(found["max"], found["rms"], scale)


def _norm(first: float, second: float, expected: float | None, floor: float) -> Estimate:
    if max(first, second) <= floor:
        return Estimate(np.nan, max(first, second), True)
    order = float(np.log2(first / second)) if min(first, second) > 0 else np.inf
    if second <= floor:  # the finest difference is rounding: the order is at least this
        return Estimate(order, second, True)
    if order < LOWEST_ORDER:
        return Estimate(order, max(first, second), False)
    factor = 2 ** (order if expected is None else min(order, expected))
    return Estimate(order, second * factor / (factor - 1), True)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def error_map(middle: np.ndarray, fine: np.ndarray, order: float, expected: float | None):
    """The estimated error of the middle solution at every place, with its sign."""
    order = order if np.isfinite(order) else (expected or 1.0)
    order = max(LOWEST_ORDER, order if expected is None else min(order, expected))
    return (middle - fine) * 2**order / (2**order - 1)


def verdict(found: FieldEstimate, expected: float | None) -> str:
    """A few words on what the observed order says."""
    orders = found.rms.order, found.maximum.order
    if all(np.isnan(order) for order in orders):
        return "equal to rounding"
    if not found.rms.reliable or found.rms.error > LARGE * found.scale:
        return "not converging: the grid is too coarse, or the solution is chaotic"
    if not found.maximum.reliable:
        return "converging except in places"
    if expected is not None and min(o for o in orders if not np.isnan(o)) < expected - SHORTFALL:
        return f"lower than the order {expected:g} of the scheme"
    if expected is not None and found.rms.order > expected + EXCESS:
        return "the coarsest grid is too coarse to tell the order"
    return "converging"


def relative(value: float, scale: float) -> float:
    """A value over a field's scale; nan where the field vanishes."""
    return value / scale if scale > 0 else float("nan")


def relative_differences(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Per field, the largest difference of two states over the field's range (or size).

    Fields that vanish are left out.
    """
    sizes = []
    for first, second in zip(one, other, strict=True):
        scale = float(np.ptp(second)) or float(np.abs(second).max())
        if scale > 0:
            sizes.append(float(np.abs(first - second).max()) / scale)
    return sizes
