"""The choice of a solver for a linear steady problem.

This module does not import TensorFlow.
"""

from __future__ import annotations

import sympy

from pdesim.errors import ConfigError, StepperError
from pdesim.formula.language import DERIVATIVES, TIME, operators_in, word_of
from pdesim.operators.linearisation import Linearisation
from pdesim.operators.modes import NoModes
from pdesim.operators.problem import Problem
from pdesim.settings import Solver

AUTO, TRANSFORM, MULTIGRID, CG, DENSE = "auto", "transform", "multigrid", "cg", "dense"
#: the method for nonlinear problems, whose linear problems are solved by conjugate gradients
NEWTON = "newton"
#: solvers without iterations
DIRECT = (TRANSFORM, DENSE)
#: operators and transforms are compiled by XLA on grids with at least this number of cells; on
#: smaller ones, compilation takes longer than it saves
COMPILED = 1 << 18
#: residual relative to the source at which iterations end, if the settings contain none
TOLERANCE = {"float32": 1e-7, "float64": 1e-10}


def why_no_transform(problem: Problem) -> str:
    """Return the reason why transforms do not solve a linear problem; empty if they do.

    They do if there is a basis of modes (``Problem.basis``), and if all terms with a field have
    constant coefficients and are diagonal in this basis.
    """
    if isinstance(problem.basis, NoModes):
        return problem.basis.reason
    state = problem.equation.state_symbols
    parts = [part for rest in problem.split.rest for part in sympy.Add.make_args(rest)]
    terms = [part for part in parts if part.free_symbols & state]
    return _why_not_diagonal(terms, problem) if terms else ""


def _why_not_diagonal(terms: list[sympy.Expr], problem: Problem) -> str:
    """Return the reason why linear terms are not diagonal in the basis of a problem."""
    own = {*problem.equation.state_symbols, *problem.equation.constants, TIME}
    if any(term.free_symbols - own for term in terms):
        return "a coefficient depends on position"
    words = {word_of(node) for term in terms for node in operators_in(term)}
    for axis, name in enumerate(problem.grid.axes):
        if any(axis in problem.modes.odd_axes(word) for word in words & set(DERIVATIVES)):
            return f"a derivative of odd order along {name}, which is not periodic"
    return "a term is not a linear operator with constant coefficients"


def chosen_solver(problem: Problem, solver: Solver) -> str:
    """Return the name of the solver; for ``auto``, ``transform`` if it applies, else ``cg``.

    The solver of nonlinear problems, and of those with means or integrals of fields, is ``newton``.
    """
    if problem.equation.reductions or not Linearisation(problem).is_constant:
        return NEWTON
    if solver.name != AUTO:
        return solver.name
    return CG if why_no_transform(problem) else TRANSFORM


def tolerance_of(solver: Solver, precision: str) -> float:
    """Return the residual, relative to the source, at which iterations end."""
    return solver.tolerance or TOLERANCE[precision]


def check_solver(problem: Problem, solver: Solver) -> None:
    """Check that the selected solver applies to a steady problem.

    Raises:
        StepperError: if it does not.
        ConfigError: if a setting has no effect, for example because the equation is not steady.
    """
    if not problem.equation.steady:
        _check_unused(solver, problem.equation.name)
        return
    if chosen_solver(problem, solver) == NEWTON:
        if solver.name not in (AUTO, CG):
            raise StepperError(
                f"solver={solver.name} does not apply to {problem.equation.name}, which is not "
                "linear in its fields or contains means or integrals of them",
                "solver=auto or cg, for Newton's method with conjugate gradients",
            )
        return
    if solver.name == TRANSFORM and (reason := why_no_transform(problem)):
        raise StepperError(
            f"solver=transform does not apply to {problem.equation.name}: {reason}",
            "solver=cg, multigrid or dense; or solver=auto",
        )
    if solver.name in DIRECT and solver.iterations is not None:
        raise ConfigError(
            f"solver.iterations={solver.iterations} has no effect with solver={solver.name}, which "
            "does not iterate",
            "solver.iterations=null; or solver=cg or multigrid",
        )


def _check_unused(solver: Solver, equation: str) -> None:
    changed = solver.model_dump(exclude_defaults=True)
    if changed:
        (name, value), *_ = changed.items()
        text = f"solver={value}" if name == "name" else f"solver.{name}={value}"
        raise ConfigError(
            f"{text} has no effect on {equation}, which is not a steady problem",
            "an equation with solve; the method in time is selected by stepper=NAME",
        )
