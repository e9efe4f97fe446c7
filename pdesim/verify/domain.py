"""The grids and domains on which orders are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdesim.operators.problem import Problem
from pdesim.steppers.stability import Linearised, linearise, reaction_rate
from pdesim.verify.jumps import find_jump, window
from pdesim.verify.manufactured import manufacture

#: the domain is halved at most this many times
MAX_HALVINGS = 30


def with_dominant_derivatives(problem: Problem) -> Problem:
    """The same problem on a domain so small that the highest derivatives dominate.

    On a large domain, orders could not be measured for several reasons. The highest derivatives of
    a smooth solution are small, so that their errors would be hidden by round-off. Unstable modes
    would exceed the solution. Boundary layers could be thinner than a cell, where errors do not yet
    decrease with the order of the method.
    """
    jump = find_jump(problem)
    if jump is not None:
        problem = window(problem, jump)
    damped = is_damped(limiting_rate(problem))
    for halvings in range(MAX_HALVINGS):
        smaller = _shrunk(problem, halvings)
        linear = linearised(resized(smaller, 16))
        growth = np.linalg.eigvals(linear.matrix(problem.equation.formulas)).real.max()
        fastest = fastest_rate(smaller)
        is_dominant = abs(fastest) >= 2 * max(reaction_rate(linear), growth)
        if is_dominant and is_damped(fastest) == damped:
            return smaller
    return problem  # the equation has only reactions


def solution_rate(problem: Problem) -> float:
    """The fastest rate of change of modes with wavelengths similar to those of the solution."""
    return abs(fastest_rate(problem))


def fastest_rate(problem: Problem) -> complex:
    """The eigenvalue of the linearised problem with the largest magnitude, on 4 cells per axis."""
    linear = linearised(resized(problem, 4))
    rates = np.linalg.eigvals(linear.matrix(problem.equation.formulas)).ravel()
    return complex(rates[np.abs(rates).argmax()])


def limiting_rate(problem: Problem) -> complex:
    """``fastest_rate`` on a domain so small that nothing but the highest derivatives remains."""
    return fastest_rate(_shrunk(problem, MAX_HALVINGS))


def is_damped(rate: complex) -> bool:
    return abs(rate.real) >= abs(rate.imag)


def _shrunk(problem: Problem, halvings: int) -> Problem:
    """The problem on a domain whose sides are halved ``halvings`` times.

    The lower corner is kept or, if a coefficient jumps, the domain is centred at the jump.
    """
    extent = tuple(length / 2**halvings for length in problem.grid.extent)
    smaller = replace(problem, grid=replace(problem.grid, extent=extent))
    jump = find_jump(problem)
    return smaller if jump is None else window(smaller, jump)


def on_square(problem: Problem) -> Problem:
    """The problem on a domain with equal sides, whose cells have diagonals at 45 degrees."""
    side = min(problem.grid.extent)
    grid = replace(problem.grid, extent=(side,) * problem.grid.dimensions)
    return replace(problem, grid=grid)


def linearised(problem: Problem) -> Linearised:
    exact = manufacture(problem, 1.0)
    return linearise(problem, exact.state(0.0), 0.0)


def resized(problem: Problem, points: int) -> Problem:
    grid = replace(problem.grid, points=(points,) * problem.grid.dimensions)
    return replace(problem, grid=grid)
