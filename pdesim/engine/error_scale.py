"""The scale of a field, to which every error in time is relative.

The tolerance of adaptive steps, the target error of equal steps and the reported error refer to
:func:`error_scale`. They differ only in the measure of the variation: the control uses the standard
deviation, which is at most half the range, and reports use the range.
"""

from __future__ import annotations

import numpy as np

#: the scale is at least this fraction of the largest values of a field
FLOOR = 0.02
#: an error of this many rounding errors of a step is always allowed
ROUNDING = 2.0
#: a field is not distinguished from rounding errors if it is smaller than this many rounding errors
#: of a step times the square root of the number of steps
INDISTINCT = 10.0


def error_scale(
    variation: np.ndarray,
    largest: np.ndarray,
    rounding: np.ndarray | float = 0.0,
    tolerance: float = 1.0,
) -> np.ndarray:
    """Return ``max(variation, FLOOR * largest, ROUNDING * rounding / tolerance)``.

    This is the scale ``atol + rtol * max(abs(y0), abs(y1))`` of Hairer, Norsett, Wanner, Solving
    ODEs I (1993), sec. II.4, for fields. The first term is that of fields that vary, to which a
    constant may be added. The second term is that of nearly uniform fields. By the third term, the
    allowed error is never smaller than the rounding errors of a step.

    Args:
        variation: the standard deviation or the range of each field.
        largest: the largest root mean square of each field so far. It includes the end of the
            current interval if a field grows fast.
        rounding: the rounding error of a step.
        tolerance: the largest relative error that is aimed at.
    """
    floor = ROUNDING * np.asarray(rounding) / tolerance
    return np.maximum(np.maximum(variation, FLOOR * np.asarray(largest)), floor)


def field_ranges(state: np.ndarray) -> np.ndarray:
    """Return the maximum of each field minus its minimum."""
    axes = tuple(range(1, state.ndim))
    with np.errstate(invalid="ignore"):  # infinite states end the run with an error
        return np.asarray(state.max(axis=axes) - state.min(axis=axes), dtype=float)


def smallest_scale(precision: str) -> float:
    """Return the scale of a field that is zero everywhere.

    Its product with every valid tolerance, which is at least the rounding unit, is a normal number.
    """
    info = np.finfo(precision)
    return float(info.tiny) / float(info.eps)
