"""Orders of accuracy of steady problems, measured by refining the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from pdesim.errors import StepperError
from pdesim.formula import language as lang
from pdesim.operators.linearisation import Linearisation
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.problem import Problem
from pdesim.verify.domain import resized, with_dominant_derivatives
from pdesim.verify.manufactured import manufacture, usual_case
from pdesim.verify.orders import Measurement, default_sizes, describe_scheme, relative_error

#: the state from which a nonlinear problem is solved, relative to the exact solution
PERTURBED = 1.05


def measure_steady(
    problem: Problem,
    solve: Callable[[Problem, np.ndarray], np.ndarray],
    sizes: Sequence[int] | None = None,
) -> Measurement:
    """Measure the order of a steady problem by refining the grid.

    A nonlinear problem may have several solutions. The iterations for it start near the exact one.

    Args:
        problem: the problem.
        solve: a function that solves a problem from an initial state, and returns its state. The
            states have the shape ``(fields, *grid.shape)``.
        sizes: the number of cells per axis of each grid; None: a default for the problem.
    """
    scheme, errors, spacings = problem.discretisation, [], []
    # without a condition on the value, the solution is determined only up to a constant, unless
    # terms contain the field itself; they may be those of waves shorter than the cells
    sides = [s.kind for f in problem.boundary.walls for p in f for s in p]
    sides += [] if problem.mask is None else [face.kind for face in problem.mask.walls]
    linear = Linearisation(problem).is_constant
    reactions = _has_reactions(problem)
    problem = with_dominant_derivatives(problem) if reactions or not linear else problem
    free = not {"dirichlet", "robin"} & set(sides) and not reactions
    start = 0.0 if linear else 1.0 if free else PERTURBED
    for points in sizes or default_sizes(problem, usual_case(problem)):
        exact = manufacture(resized(problem, points), 1.0)
        expected = exact.state(0.0)
        solved = _without_mean(exact.problem, expected) if free else exact.problem
        computed = solve(solved, start * expected)
        inside = _inside(exact.problem)
        shift = (expected - computed)[:, inside].mean() if free else 0.0
        errors.append(relative_error(np.where(inside, computed + shift, expected), expected))
        spacings.append(max(exact.problem.grid.spacing))
    return Measurement(
        describe_scheme(scheme), tuple(spacings), tuple(errors), scheme.order or None
    )


def check_other_grids(problem: Problem) -> None:
    """Check that the parameters of a problem are known on other grids.

    Raises:
        StepperError: if one has a number for each cell.
    """
    if arrays := problem.equation.arrays:
        name = next(iter(arrays))
        raise StepperError(
            f"the order of accuracy is measured on several grids, and equation.{name} has one "
            "number for each cell of one grid",
            f"a formula of position, such as equation.{name}='sin(2*pi*x)'",
        )


def _has_reactions(problem: Problem) -> bool:
    """Whether a formula depends on the value of a field outside of derivatives."""
    symbols = {lang.operator_symbol(word): 0 for word in (*lang.OPERATORS, *lang.REDUCTIONS)}
    return any(entry.subs(symbols) != 0 for entry in problem.equation.jacobian)


def _inside(problem: Problem) -> np.ndarray:
    """The cells that are not inside obstacles."""
    return np.ones(problem.grid.shape, bool) if problem.mask is None else ~problem.mask.solid


def _without_mean(problem: Problem, state: np.ndarray) -> Problem:
    """The problem with a constant subtracted from its source, so that its residual has a zero mean.

    With Neumann and periodic conditions, a discrete solution exists only in this case. The constant
    is of the size of the discretisation error.
    """
    numbers = {k: tf.constant(v, tf.float64) for k, v in problem.parameters.items()}
    system = MethodOfLines(problem, tf.float64, False, numbers)
    residual = system.rhs(tf.constant(state), tf.constant(0.0, tf.float64)).numpy()
    means = residual[:, _inside(problem)].mean(axis=1).tolist()
    formulas = (f - mean for f, mean in zip(problem.equation.formulas, means, strict=True))
    return replace(problem, equation=replace(problem.equation, formulas=tuple(formulas)))
