"""Choice of the stepper for ``stepper=auto``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdesim.formula.advection import has_advection
from pdesim.operators.problem import Problem
from pdesim.steppers import build_stepper, incompatibility
from pdesim.steppers.stability import Linearised, reaction_rate, stable_step

#: maximum step of a second-order method, as a fraction of the time scale of the fastest reaction
FRACTION = 0.3
#: a stabilised method is chosen if its steps are longer than those of an embedded pair by at least
#: this factor
WORTH = 1.2
#: maximum number of stages of the stabilised method
MOST_STAGES = 15


@dataclass(frozen=True)
class Choice:
    """The name of the chosen stepper, the reason for the choice, and its number of stages.

    ``stages`` is None for methods with a fixed number of stages.
    """

    name: str
    reason: str
    stages: int | None = None


def choose_stepper(problem: Problem, linearised: Linearised, span: float) -> Choice:
    """Return the stepper that is expected to be fastest among those that are accurate enough.

    Args:
        linearised: the problem, linearised at its initial state.
        span: an upper bound of the step: a small fraction of the duration of the run.
    """
    if problem.equation.noise:
        return _stochastic(problem)
    if incompatibility("exact", problem) is None:
        return Choice("exact", "linear with constant coefficients: one exact step per frame")
    if incompatibility("verlet", problem) is None:
        return Choice("verlet", "a system of positions and momenta")
    if problem.discretisation.is_spectral and not problem.split.matrix.is_zero_matrix:
        return Choice("etdrk4", "spectral operators: the stiff linear part is integrated exactly")
    if has_advection(*problem.equation.formulas):
        return Choice("ssprk3", "advect: steps that preserve the stability of the scheme")
    rates = np.linalg.eigvals(linearised.matrix(problem.equation.formulas))
    if np.abs(rates.imag).max() > 0.1 * np.abs(rates.real).max():
        return Choice("dormand_prince", "waves or advection: steps are adapted to the error")
    fastest = max(reaction_rate(linearised), float(rates.real.max(initial=0.0)))
    target = min(span, FRACTION / fastest) if fastest > 0 else span
    pair = stable_step(build_stepper("dormand_prince", problem), linearised, target)
    if WORTH * pair >= target:
        return Choice("dormand_prince", "not stiff: steps are adapted to the error")
    stages = _stages(target * float(np.abs(rates).max()))
    longer = target / pair if pair > 0 else math.inf
    reason = f"stiff diffusion: steps {longer:.3g} times longer than those of dormand_prince"
    return Choice("rkl2", reason, stages)


def _stochastic(problem: Problem) -> Choice:
    stiff = not problem.split.matrix.is_zero_matrix
    if stiff and incompatibility("exponential_euler_maruyama", problem) is None:
        name, reason = "exponential_euler_maruyama", "noise: the linear part is integrated exactly"
    elif incompatibility("milstein", problem) is None and _multiplicative(problem):
        name, reason = "milstein", "noise whose amplitude depends on the fields"
    elif incompatibility("euler_maruyama", problem) is None:
        name, reason = "euler_maruyama", "noise"
    else:
        name, reason = "stochastic_heun", "Stratonovich noise"
    return Choice(name, reason)


def _multiplicative(problem: Problem) -> bool:
    return any(term.slope != 0 for term in problem.equation.noise.terms)


def _stages(product: float) -> int:
    """Return the smallest odd number of stages for which RKL2 is stable, with a safety margin.

    Args:
        product: the product of the time step and the largest eigenvalue.
    """
    for stages in range(3, MOST_STAGES, 2):
        if 0.9 * (stages**2 + stages - 2) / 2 >= product:
            return stages
    return MOST_STAGES
