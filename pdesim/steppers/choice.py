"""What ``stepper=auto`` stands for, and why."""

from __future__ import annotations

import numpy as np

from pdesim.operators.problem import Problem
from pdesim.steppers import build_stepper, refusal
from pdesim.steppers.stability import Linearised, is_stable, reaction_rate, stable_step

#: a problem is stiff where explicit Euler needs this many steps within one reaction time
STIFF = 50.0


def choose_stepper(problem: Problem, waves: Linearised, interval: float) -> tuple[str, str]:
    """The name of a stepper for a problem, and the reason in a few words.

    Args:
        waves: the linearised problem at its first state.
        interval: the time between frames.
    """
    if refusal("verlet", problem) is None:
        return "verlet", "a second-order system without loss"
    if problem.discretisation.is_spectral:
        if refusal("exact", problem) is None:
            return "exact", "linear with constant coefficients: every frame in one jump"
        if not problem.split.matrix.is_zero_matrix:
            return "etdrk4", "spectral operators: the stiff linear part is exact"
    rates = np.linalg.eigvals(waves.matrix(problem.equation.formulas))
    if np.abs(rates.imag).max() > 0.1 * np.abs(rates.real).max():
        return "rk4", "waves or advection: stable on oscillations"
    euler, reaction = build_stepper("euler", problem), reaction_rate(waves)
    wanted = min(interval, 1 / reaction if reaction > 0 else interval)
    if not is_stable(euler, waves, wanted / STIFF):
        limit = stable_step(euler, waves, interval)
        return "rkl2", f"stiff diffusion: Euler would take {wanted / limit:.0f} steps a time scale"
    return "euler", "diffusion that is not stiff: the cheapest steps"
