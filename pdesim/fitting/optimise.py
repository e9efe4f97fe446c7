"""Optimisers that run on logged evaluations.

An optimiser is run from its start until it asks for a point that is not known. When this point has
been evaluated, the optimiser is run again from its start. Its own work is negligible beside that of
the runs, and in this way several optimisers ask for their points together, which are then computed
as one batch, and a killed fit continues with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.fitting.residuals import Evaluation

Point = tuple[float, ...]


class PointNeeded(Exception):
    """Raised by :data:`Known` for a point that has not been evaluated."""

    def __init__(self, point: Point) -> None:
        super().__init__(point)
        self.point = point


#: returns the evaluation at a point, or raises :class:`PointNeeded`
Known = Callable[[Point], Evaluation]


@dataclass(frozen=True)
class Solution:
    """The end of an optimiser.

    Args:
        start: the positions of its start.
        places: the positions of its end.
        cost: half the sum of the squared weighted residuals; infinite if no run was possible.
        evaluations: the number of evaluations.
        message: why it ended.
        converged: whether a tolerance was reached.
    """

    start: Point
    places: Point
    cost: float
    evaluations: int
    message: str
    converged: bool


def solve(
    method: str,
    start: Point,
    known: Known,
    sigma: Mapping[str, float],
    tolerance: float,
    evaluations: int,
) -> Solution:
    """Run an optimiser from its start to its end.

    Args:
        method: ``least_squares`` or ``L-BFGS-B``.
        start: the positions of the parameters, from 0 to 1.
        known: see :data:`Known`.
        sigma: field -> the number by which its residuals are divided.
        tolerance: see :class:`pdesim.fitting.settings.FitSettings`.
        evaluations: the largest number of evaluations.

    Raises:
        PointNeeded: for a point that has not been evaluated.
    """
    asked: dict[Point, np.ndarray] = {}

    def factor(places: np.ndarray) -> np.ndarray:
        point = tuple(np.clip(places, 0.0, 1.0).tolist())
        if point not in asked:
            asked[point] = known(point).weighted(sigma)
        return asked[point]

    start = inside(start)
    if not np.isfinite(factor(np.array(start))).all():
        message = "the run at the start is not finite"
        return Solution(start, start, np.inf, 1, message, False)
    run = _least_squares if method == "least_squares" else _quasi_newton
    places, message, converged = run(np.array(start), factor, tolerance, evaluations)
    end = tuple(np.clip(places, 0.0, 1.0).tolist())
    cost = 0.5 * float(np.sum(factor(places)[:, -1] ** 2))
    return Solution(start, end, cost, len(asked), message, converged)


#: starts are at least this far from the bounds: the trust region method needs interior points
MARGIN = 1e-6


def inside(start: Sequence[float]) -> Point:
    """Return a start that is not at a bound."""
    return tuple(np.clip(start, MARGIN, 1 - MARGIN).tolist())


Factor = Callable[[np.ndarray], np.ndarray]


def _least_squares(
    start: np.ndarray, factor: Factor, tolerance: float, evaluations: int
) -> tuple[np.ndarray, str, bool]:
    """Use a trust region method for least squares: Branch, Coleman, Li (1999), in SciPy ``trf``."""
    from scipy.optimize import least_squares

    found = least_squares(
        lambda places: factor(places)[:, -1],
        start,
        lambda places: factor(places)[:, :-1],
        bounds=(0.0, 1.0),
        method="trf",
        ftol=tolerance,
        xtol=tolerance,
        gtol=tolerance,
        max_nfev=evaluations,
    )
    return found.x, _LEAST_SQUARES.get(found.status, found.message), found.status > 0


#: the status of SciPy's least_squares -> why it ended
_LEAST_SQUARES = {
    0: "the largest number of evaluations was reached (fit.evaluations)",
    1: "the gradient is zero to the tolerance",
    2: "the residual no longer decreases",
    3: "the parameters no longer change",
    4: "neither the residual nor the parameters change",
}


def _quasi_newton(
    start: np.ndarray, factor: Factor, tolerance: float, evaluations: int
) -> tuple[np.ndarray, str, bool]:
    """Use the quasi-Newton method L-BFGS-B: Byrd, Lu, Nocedal, Zhu (1995), in SciPy.

    The objective is divided by its value at the start, since the tolerances are absolute.
    """
    from scipy.optimize import minimize

    scale = 0.5 * float(np.sum(factor(start)[:, -1] ** 2)) or 1.0

    def objective(places: np.ndarray) -> tuple[float, np.ndarray]:
        values = factor(places)
        if not np.isfinite(values).all():  # the line search then tries a shorter step
            return FAILED, np.zeros(len(places))
        slopes, residuals = values[:, :-1], values[:, -1]
        return 0.5 * float(residuals @ residuals) / scale, slopes.T @ residuals / scale

    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(start),
        options={"ftol": tolerance**1.5, "gtol": tolerance, "maxfun": evaluations,
                 "maxiter": evaluations},
    )  # fmt: skip
    return found.x, str(found.message).lower(), found.status == 0


#: the objective, relative to that at the start, where a run has failed
FAILED = 1e6
