"""The choice of ``stepper=auto`` for a problem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdesim.operators.problem import Problem
from pdesim.steppers import build_stepper, incompatibility
from pdesim.steppers.stability import Linearised, reaction_rate, stable_step

#: the maximum step of a second-order method, as a fraction of a reaction's time scale
FRACTION = 0.3
#: a stabilised method is chosen if its steps are longer than an embedded pair's by this factor
WORTH = 1.2
#: maximum number of stages of the stabilised method
MOST_STAGES = 15


@dataclass(frozen=True)
class Choice:
    """The name of a stepper, the reason for its choice, and its number of stages if that varies."""

    name: str
    reason: str
    stages: int | None = None


def choose_stepper(problem: Problem, linearised: Linearised, span: float) -> Choice:
    """Return the cheapest stepper that is accurate by default.

    Args:
        linearised: the linearised problem at its initial state.
        span: an upper bound of the step, a small fraction of the run.
    """
    if incompatibility("exact", problem) is None:
        return Choice("exact", "linear with constant coefficients: every frame in one step")
    if incompatibility("verlet", problem) is None:
        return Choice("verlet", "a second-order system without loss")
    if problem.discretisation.is_spectral and not problem.split.matrix.is_zero_matrix:
        return Choice("etdrk4", "spectral operators: the stiff linear part is exact")
    rates = np.linalg.eigvals(linearised.matrix(problem.equation.formulas))
    if np.abs(rates.imag).max() > 0.1 * np.abs(rates.real).max():
        return Choice("dormand_prince", "waves or advection; the error decides the steps")
    fastest = max(reaction_rate(linearised), float(rates.real.max(initial=0.0)))
    target = min(span, FRACTION / fastest) if fastest > 0 else span
    pair = stable_step(build_stepper("dormand_prince", problem), linearised, target)
    if WORTH * pair >= target:
        return Choice("dormand_prince", "not stiff; the error decides the steps")
    stages = _stages(target * float(np.abs(rates).max()))
    longer = target / pair if pair > 0 else math.inf
    reason = f"stiff diffusion: steps {longer:.3g} times longer than explicit ones"
    return Choice("rkl2", reason, stages)


def _stages(product: float) -> int:
    """Return the smallest odd number of stages for which RKL2 is stable, with a safety margin."""
    for stages in range(3, MOST_STAGES, 2):
        if 0.9 * (stages**2 + stages - 2) / 2 >= product:
            return stages
    return MOST_STAGES
