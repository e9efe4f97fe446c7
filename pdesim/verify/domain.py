"""The grids and domains that an equation is measured on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdesim.operators.problem import Problem
from pdesim.steppers.stability import Linearised, linearise, reaction_rate
from pdesim.verify.jumps import find_jump, window
from pdesim.verify.manufactured import manufacture

#: how small the domain may become for derivatives to matter
HALVINGS = 30


def balanced(problem: Problem) -> Problem:
    """The same equation on a domain so small that its highest derivatives decide what happens.

    On a large domain a smooth solution hardly feels them, and their errors drown in round-off;
    waves that grow by themselves would bury it, and layers at walls thinner than a cell have no
    order yet.
    """
    jump = find_jump(problem)
    if jump is not None:
        problem = window(problem, jump)
    damped = is_damped(fastest_rate(_shrunk(problem, HALVINGS)))
    for halvings in range(HALVINGS):
        smaller = _shrunk(problem, halvings)
        waves = waves_of(resized(smaller, 16))
        growth = np.linalg.eigvals(waves.matrix(problem.equation.formulas)).real.max()
        fastest = fastest_rate(smaller)
        decided = abs(fastest) >= 2 * max(reaction_rate(waves), growth)
        if decided and is_damped(fastest) == damped:
            return smaller
    return problem  # nothing but reactions


def slow_rate(problem: Problem) -> float:
    """The fastest rate among waves as long as the solution's."""
    return abs(fastest_rate(problem))


def fastest_rate(problem: Problem) -> complex:
    """The fastest rate of those waves that 4 cells can hold."""
    waves = waves_of(resized(problem, 4))
    rates = np.linalg.eigvals(waves.matrix(problem.equation.formulas)).ravel()
    return complex(rates[np.abs(rates).argmax()])


def is_damped(rate: complex) -> bool:
    return abs(rate.real) >= abs(rate.imag)


def _shrunk(problem: Problem, halvings: int) -> Problem:
    """The problem on a smaller domain, which has the same lower ends, or the same jump in it."""
    extent = tuple(length / 2**halvings for length in problem.grid.extent)
    smaller = replace(problem, grid=replace(problem.grid, extent=extent))
    jump = find_jump(problem)
    return smaller if jump is None else window(smaller, jump)


def squared(problem: Problem) -> Problem:
    """The problem on a domain with equal sides: diagonals of cells are at 45 degrees then."""
    side = min(problem.grid.extent)
    grid = replace(problem.grid, extent=(side,) * problem.grid.dimensions)
    return replace(problem, grid=grid)


def waves_of(problem: Problem) -> Linearised:
    exact = manufacture(problem, 1.0)
    return linearise(problem, exact.state(0.0), 0.0)


def resized(problem: Problem, points: int) -> Problem:
    grid = replace(problem.grid, points=(points,) * problem.grid.dimensions)
    return replace(problem, grid=grid)
