"""Standard errors, correlations, and which parameters the data determine.

For residuals r divided by their standard deviations, the covariance of least-squares estimates is
``s^2 (J^T J)^-1``, to first order in the noise; s^2 is 1 if the noise is known, otherwise
``|r|^2 / (n - p)`` (Seber, Wild: Nonlinear Regression, 1989, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.fitting.parameters import Parameter

#: a singular value below this fraction of the largest one is zero: derivatives by forward
#: differences have relative errors of about 1e-6
ZERO = 1e-5
#: parameters that take part in a direction which the data do not determine have a component above
#: this value
SHARE = 0.2
#: correlations above this value are mentioned
STRONG = 0.99
#: an estimate is at a bound if its position is closer than this
AT_BOUND = 1e-4
#: changes below this fraction of the range are not mentioned
SMALL = 1e-6
#: a derivative below this fraction of that of the other parameters, for the same part of the range,
#: is no effect
NO_EFFECT = 1e-9


@dataclass(frozen=True)
class Statistics:
    """The accuracy of estimates.

    Args:
        errors: the standard error of each parameter; infinite if it is not determined.
        correlations: ``(parameters, parameters)``; NaN for parameters that are not determined.
        singular_values: those of the derivatives of the weighted residuals with respect to the
            positions, each parameter's derivatives divided by their norm, descending.
        variance: s^2.
        warnings: sentences about parameters that the data do not determine.
    """

    errors: np.ndarray
    correlations: np.ndarray
    singular_values: np.ndarray
    variance: float
    warnings: tuple[str, ...]


def assess(
    parameters: Sequence[Parameter],
    places: Sequence[float],
    factor: np.ndarray,
    count: int,
    noise_known: bool,
) -> Statistics:
    """Return the accuracy of estimates.

    Args:
        parameters: the parameters.
        places: the positions of the estimates.
        factor: the triangular factor of the weighted ``[J r]`` at the estimates.
        count: the number of observed values.
        noise_known: whether the residuals are divided by the standard deviation of the noise.
    """
    slopes, residuals = factor[:, :-1], factor[:, -1]
    freedom = max(count - len(parameters), 1)
    variance = 1.0 if noise_known else float(residuals @ residuals) / freedom
    lengths = np.linalg.norm(slopes, axis=0)
    largest = lengths.max(initial=0.0)
    idle = lengths <= NO_EFFECT * largest if largest > 0 else np.ones(len(parameters), bool)
    scaled = slopes / np.where(idle, 1.0, lengths)
    scaled[:, idle] = 0.0
    _, values, directions = np.linalg.svd(scaled)
    values, directions = values[: len(parameters)], directions[: len(parameters)]
    open_ones = values <= ZERO * values.max(initial=0.0)
    free = np.abs(directions[open_ones]) > SHARE
    lost = idle | free.any(axis=0)
    inverse = np.where(open_ones, 0.0, 1 / np.where(open_ones, 1.0, values))
    covariance = (directions.T * inverse**2) @ directions
    spread = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = covariance / np.outer(spread, spread)
        errors = np.sqrt(variance) * spread / lengths
    widths = [one.slope(place) for one, place in zip(parameters, places, strict=True)]
    errors = np.where(lost, np.inf, errors * np.abs(widths))
    correlations[lost] = correlations[:, lost] = np.nan
    sentences = [
        *_without_effect(parameters, idle),
        *_combinations(parameters, free[:, ~idle].any(axis=1, keepdims=True) & free, idle),
        *_uncertain(parameters, errors),
        *_correlated(parameters, correlations),
        *_at_bounds(parameters, places),
    ]
    return Statistics(errors, correlations, values, variance, tuple(sentences))


def shift(
    parameters: Sequence[Parameter], places: Sequence[float], factor: np.ndarray
) -> np.ndarray:
    """Return by how much estimates would change with other residuals, to first order.

    Args:
        factor: the triangular factor of the other weighted ``[J r]`` at the estimates.
    """
    if not np.isfinite(factor).all():
        return np.full(len(parameters), np.nan)
    slopes, residuals = factor[:, :-1], factor[:, -1]
    lengths = np.linalg.norm(slopes, axis=0)
    lengths = np.where(lengths > 0, lengths, 1.0)
    moved = -np.linalg.lstsq(slopes / lengths, residuals, rcond=ZERO)[0] / lengths
    widths = [one.slope(place) for one, place in zip(parameters, places, strict=True)]
    return moved * np.array(widths)


def time_errors(
    parameters: Sequence[Parameter],
    places: Sequence[float],
    shifts: np.ndarray,
    errors: np.ndarray,
) -> list[str]:
    """Return a sentence for each parameter whose error in time exceeds its standard error."""
    return [
        f"the error in time of the runs changes {one.key} by about {abs(moved):.1g}, more than its "
        "standard error; a smaller time.dt makes it smaller"
        for one, place, moved, error in zip(parameters, places, shifts, errors, strict=True)
        if AT_BOUND < place < 1 - AT_BOUND and abs(moved) > max(error, SMALL * one.slope(place))
    ]


def without_effect(parameters: Sequence[Parameter], factor: np.ndarray) -> list[str]:
    """Return the parameters with respect to which all derivatives are zero."""
    lengths = np.linalg.norm(factor[:, :-1], axis=0)
    return [one.key for one, size in zip(parameters, lengths, strict=True) if size == 0]


def _without_effect(parameters: Sequence[Parameter], idle: np.ndarray) -> list[str]:
    return [
        f"{one.key} is not determined: it has no effect on the data"
        for one, without in zip(parameters, idle, strict=True)
        if without
    ]


def _combinations(parameters: Sequence[Parameter], free: np.ndarray, idle: np.ndarray) -> list[str]:
    """Return a sentence for each direction that leaves the residuals unchanged."""
    found = []
    for row in free:
        names = [one.key for one, part in zip(parameters, row & ~idle, strict=True) if part]
        if len(names) > 1:
            found.append(
                f"{' and '.join(names)} are not determined separately: changing them together "
                "leaves the residuals the same, so that only a combination is determined"
            )
    return list(dict.fromkeys(found))


def _uncertain(parameters: Sequence[Parameter], errors: np.ndarray) -> list[str]:
    return [
        f"{one.key} is hardly determined: its standard error {error:.2g} is larger than the range "
        "of its bounds"
        for one, error in zip(parameters, errors, strict=True)
        if np.isfinite(error) and error > one.high - one.low
    ]


def _correlated(parameters: Sequence[Parameter], correlations: np.ndarray) -> list[str]:
    names = [one.key for one in parameters]
    return [
        f"{names[a]} and {names[b]} are strongly correlated ({correlations[a, b]:+.4f}): their "
        "combination is more accurate than each of them"
        for a in range(len(names))
        for b in range(a)
        if abs(correlations[a, b]) > STRONG
    ]


def _at_bounds(parameters: Sequence[Parameter], places: Sequence[float]) -> list[str]:
    found = []
    for one, place in zip(parameters, places, strict=True):
        if not AT_BOUND < place < 1 - AT_BOUND:
            side, bound = ("lower", one.low) if place < 0.5 else ("upper", one.high)
            found.append(
                f"{one.key} is at its {side} bound {bound:g}: its standard error does not hold, "
                "and a better value may be beyond"
            )
    return found
