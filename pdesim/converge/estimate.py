"""Orders and errors of three solutions by Richardson extrapolation. Needs only NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: relative differences below this are rounding errors (after thousands of steps)
ROUNDING = {"float64": 1e-11, "float32": 1e-5}
#: smallest observed order that counts as convergence
MIN_ORDER = 0.5
#: differences of the observed order below and above the expected one that are reported
SHORTFALL, EXCESS = 0.5, 1.0
#: RMS error relative to the range of a field above which the solutions are unrelated
MAX_RELATIVE_ERROR = 0.3


@dataclass(frozen=True)
class Estimate:
    """The observed order and the error of the solution on N cells in one norm.

    ``order`` is nan if the differences are rounding errors. ``reliable`` is true if the differences
    decrease with refinement; otherwise ``error`` is only a lower bound.
    """

    order: float
    error: float
    reliable: bool


@dataclass(frozen=True)
class FieldEstimate:
    """The errors of one field at one time; ``scale`` is its range, or its size if uniform."""

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
    """Compare three solutions at the same positions, from grids with ratios of 2.

    With the differences d1 = |middle - coarse| and d2 = |fine - middle|, the observed order is
    p = log2(d1/d2), and the error of the middle solution is d2 * 2^p / (2^p - 1). In the latter,
    p is limited to ``expected``, since a larger p would underestimate the error.

    Args:
        coarse, middle, fine: the values of one field, ``(n,)``.
        expected: the order of the scheme; None: use the observed order.
        rounding: relative differences below this are rounding errors.

    Roache, J. Fluids Eng. 116 (1994) 405, doi:10.1115/1.2910291.
    """
    spread = float(np.ptp(fine))
    size = float(np.abs(fine).max())
    scale = spread if spread > 1e-9 * size else size
    first, second = np.abs(middle - coarse), np.abs(fine - middle)
    floor = rounding * max(size, spread)
    maximum = _norm(float(np.max(first)), float(np.max(second)), expected, floor)
    rms = _norm(_rms(first), _rms(second), expected, floor)
    return FieldEstimate(maximum, rms, scale)


def _norm(first: float, second: float, expected: float | None, floor: float) -> Estimate:
    if max(first, second) <= floor:
        return Estimate(np.nan, max(first, second), True)
    order = float(np.log2(first / second)) if min(first, second) > 0 else np.inf
    if second <= floor:  # the finer difference is a rounding error: the order is a lower bound
        return Estimate(order, second, True)
    if order < MIN_ORDER:
        return Estimate(order, max(first, second), False)
    factor = 2 ** (order if expected is None else min(order, expected))
    return Estimate(order, second * factor / (factor - 1), True)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def error_map(
    middle: np.ndarray, fine: np.ndarray, order: float, expected: float | None
) -> np.ndarray:
    """The estimated error of the middle solution at every position, with its sign."""
    order = order if np.isfinite(order) else (expected or 1.0)
    order = max(MIN_ORDER, order if expected is None else min(order, expected))
    return (middle - fine) * 2**order / (2**order - 1)


def verdict(result: FieldEstimate, expected: float | None) -> str:
    """A short interpretation of the observed order."""
    orders = result.rms.order, result.maximum.order
    if all(np.isnan(order) for order in orders):
        return "differences are rounding errors"
    if not result.rms.reliable or result.rms.error > MAX_RELATIVE_ERROR * result.scale:
        return "not converging: the grid is too coarse, or the solution is chaotic"
    if not result.maximum.reliable:
        return "converging on average, but not everywhere"
    if expected is not None and min(o for o in orders if not np.isnan(o)) < expected - SHORTFALL:
        return f"lower than the order {expected:g} of the scheme"
    if expected is not None and result.rms.order > expected + EXCESS:
        return "the coarsest grid is too coarse to determine the order"
    return "converging"


def relative(value: float, scale: float) -> float:
    """A value divided by the scale of a field; nan if the field vanishes."""
    return value / scale if scale > 0 else float("nan")


def relative_differences(first_state: np.ndarray, second_state: np.ndarray) -> list[float]:
    """Per field, the largest difference of two states divided by the field's range (or size).

    Fields that vanish are omitted.
    """
    sizes = []
    for first, second in zip(first_state, second_state, strict=True):
        scale = float(np.ptp(second)) or float(np.abs(second).max())
        if scale > 0:
            sizes.append(float(np.abs(first - second).max()) / scale)
    return sizes
