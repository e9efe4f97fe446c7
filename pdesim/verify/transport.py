"""How orders of equations with ``advect`` are measured.

A limiter sets the slope to 0 at extrema, where the largest error therefore has an order of 4/3 to
3/2; its order of 2 is that of the mean of the absolute error (Harten, J. Comput. Phys. 49 (1983)
357, doi:10.1016/0021-9991(83)90136-5). Its right-hand side has kinks, which prevent errors in time
near round-off, and lower the order of steppers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdesim.formula.advection import has_advection
from pdesim.formula.language import ADVECTION, operators_in, word_of
from pdesim.operators.problem import Problem
from pdesim.operators.transport import TRANSPORT

#: tolerances per step of the reference integration, with weno5 and with the other schemes, whose
#: errors in space are far larger
SMOOTH_TOLERANCE, TOLERANCE = 1e-12, 1e-8
#: the scheme whose right-hand side is smooth
SMOOTH = "weno5"


def has_transport(problem: Problem) -> bool:
    """Whether the equation contains ``advect``."""
    return has_advection(*problem.equation.all_formulas)


def tolerance(problem: Problem) -> float:
    """The tolerance per step of the reference integration."""
    return SMOOTH_TOLERANCE if problem.discretisation.advection == SMOOTH else TOLERANCE


def mean_error(computed: np.ndarray, expected: np.ndarray) -> float:
    """The mean of the absolute difference, relative to that of the expected values."""
    return float(np.abs(computed - expected).mean() / np.abs(expected).mean())


def transport_order(problem: Problem) -> int:
    """The order in space: that of ``operators.advection``, or of other operators if it is lower.

    At boundaries that are not periodic, it is at most the order of the ghost cells.
    """
    order = TRANSPORT[problem.discretisation.advection].order
    words = {word_of(n) for f in problem.equation.formulas for n in operators_in(f)}
    alone = words <= set(ADVECTION) and all(problem.boundary.periodic_axes)
    return order if alone else min(order, problem.discretisation.order)


def with_smooth_scheme(problem: Problem) -> Problem:
    """The problem with a smooth right-hand side, on which steppers have their order."""
    if not has_transport(problem):
        return problem
    return replace(problem, discretisation=replace(problem.discretisation, advection=SMOOTH))
