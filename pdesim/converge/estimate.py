"""Orders of accuracy and errors by Richardson extrapolation of three solutions. Uses only NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: relative differences below these values count as rounding errors (after thousands of steps)
ROUNDING = {"float64": 1e-11, "float32": 1e-5}
#: smallest observed order that counts as convergence
MIN_ORDER = 0.5
#: an observed order is reported if it is further than this below or above the expected order
SHORTFALL, EXCESS = 0.5, 1.0
#: if the RMS error, or a maximum error that does not decrease, exceeds this fraction of a field's
#: range, the solutions are considered unrelated
MAX_RELATIVE_ERROR = 0.3


@dataclass(frozen=True)
class Estimate:
    """In one norm, the observed order and the estimated error of the solution on the middle grid.

    ``order`` is NaN if the differences between the solutions are rounding errors. If the
    differences do not decrease with refinement, ``reliable`` is False, and ``error`` is only a
    lower bound.
    """

    order: float
    error: float
    reliable: bool


@dataclass(frozen=True)
class FieldEstimate:
    """The errors of one field at one time.

    ``scale`` is the range of the field's values or, if the field is uniform, their magnitude.
    """

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
    """Estimate the order and the error from the solutions on three grids.

    Each grid has twice as many cells per axis as the one before. With the differences
    d1 = |middle - coarse| and d2 = |fine - middle|, the observed order is p = log2(d1/d2), and the
    error of the middle solution is d2 * 2^p / (2^p - 1). In the formula for the error, p is limited
    to ``expected``, since a larger p would underestimate the error.

    Args:
        coarse, middle, fine: the values of one field at the same positions, ``(n,)``.
        expected: the order of the scheme; None: p is not limited.
        rounding: relative differences below this value count as rounding errors.

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
    """The estimated error of the middle solution, with its sign, at every position."""
    order = order if np.isfinite(order) else (expected or 1.0)
    order = max(MIN_ORDER, order if expected is None else min(order, expected))
    return (middle - fine) * 2**order / (2**order - 1)


def verdict(result: FieldEstimate, expected: float | None) -> str:
    """Return a short interpretation of the observed orders and errors.

    From the best to the worst: converging at the expected order, converging more slowly, converging
    on average only, not converging.
    """
    orders = result.rms.order, result.maximum.order
    if all(np.isnan(order) for order in orders):
        return "differences are rounding errors"
    most = MAX_RELATIVE_ERROR * result.scale
    unrelated = result.rms.error > most
    unrelated |= not result.maximum.reliable and result.maximum.error > most
    if not result.rms.reliable or unrelated:
        return "not converging: the grid is too coarse, or the solution is chaotic"
    lowest = min(order for order in orders if not np.isnan(order))
    slow = expected is not None and lowest < expected - SHORTFALL
    if not result.maximum.reliable:
        return "converging on average only, not everywhere" + (
            f", and slower than the order {expected:g} of the scheme" if slow else ""
        )
    if slow:
        return f"converging, but slower than the order {expected:g} of the scheme"
    if expected is not None and result.rms.order > expected + EXCESS:
        return "the coarsest grid is too coarse to determine the order"
    return "converging"


def relative(value: float, scale: float) -> float:
    """A value divided by the scale of a field; NaN if the scale is 0."""
    return value / scale if scale > 0 else float("nan")


def relative_differences(first_state: np.ndarray, second_state: np.ndarray) -> list[float]:
    """For each field, the largest difference between two states, divided by the field's range.

    If a field is uniform, the difference is divided by its magnitude. A field that is 0 everywhere
    is omitted.
    """
    sizes = []
    for first, second in zip(first_state, second_state, strict=True):
        scale = float(np.ptp(second)) or float(np.abs(second).max())
        if scale > 0:
            sizes.append(float(np.abs(first - second).max()) / scale)
    return sizes
