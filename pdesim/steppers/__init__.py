"""Time steppers: data and citations in ``catalogue``, one module per family.

A step is arithmetic on whatever arrays ``system`` works with, so the same code advances tensors
and, on small matrices, tells its own stability limit.
"""

from __future__ import annotations

from pdesim.errors import StepperError, nearest
from pdesim.formula.language import TIME
from pdesim.operators.problem import Problem
from pdesim.steppers.exponential import Exponential
from pdesim.steppers.implicit import Implicit, ImplicitExplicit
from pdesim.steppers.methods import METHODS, Method
from pdesim.steppers.runge_kutta import Adaptive, Explicit
from pdesim.steppers.runge_kutta_legendre import Stabilized
from pdesim.steppers.symplectic import Symplectic, partition

__all__ = ["METHODS", "Method", "build_stepper", "compatible_steppers", "incompatibility"]


def build_stepper(name: str, problem: Problem, stages: int = 9):
    """Look a stepper up by name and fit it to the problem.

    Raises:
        StepperError: for an unknown name, or a stepper that cannot serve here.
    """
    if name not in METHODS:
        raise StepperError(f"stepper={name} is unknown", nearest(name, [*METHODS, "auto"]))
    reason = incompatibility(name, problem)
    if reason:
        raise StepperError(
            f"stepper={name} does not apply to {problem.equation.name}: {reason}",
            "one of " + ", ".join(compatible_steppers(problem)),
        )
    method = METHODS[name]
    if method.family == "explicit":
        return Explicit(method)
    if method.family == "adaptive":
        return Adaptive(method)
    if method.family == "stabilized":
        return Stabilized(method, stages)
    if method.family == "exponential":
        return Exponential(method)
    if method.family == "imex":
        return ImplicitExplicit(method)
    if method.family == "implicit":
        return Implicit(method, direct=not _needs_iterations(problem))
    return Symplectic(method, partition(problem.equation))


def compatible_steppers(problem: Problem) -> list[str]:
    """The steppers that can serve a problem."""
    return [name for name in METHODS if incompatibility(name, problem) is None]


def incompatibility(name: str, problem: Problem) -> str | None:
    """Why a stepper cannot serve a problem; None if it can."""
    method, modes = METHODS[name], problem.modes
    if method.family in ("exponential", "imex") and isinstance(modes, str):
        return f"it advances Fourier, sine or cosine modes, and there are none: {modes}"
    if method.family == "implicit" and not _is_linear(problem):
        return "it solves linear equations, and this one is not linear in its fields"
    if method.family == "symplectic" and partition(problem.equation) is None:
        return "it needs positions and momenta (u' = w, w' = force(u) - damping*w)"
    if name == "exact":
        return _why_not_exact(problem)
    return None


def _why_not_exact(problem: Problem) -> str | None:
    fields = set(problem.equation.field_symbols)
    for term in problem.split.rest:
        if term.free_symbols & fields:
            return "it needs a linear equation with constant coefficients"
        if TIME in term.free_symbols:
            return "it needs a source that does not change in time"
    if any(wall.is_time_dependent for wall in problem.boundary.all_walls):
        return "it needs walls that do not change in time"
    return None


def _needs_iterations(problem: Problem) -> bool:
    fields = set(problem.equation.field_symbols)
    rest = problem.split.rest
    return isinstance(problem.modes, str) or any(term.free_symbols & fields for term in rest)


def _is_linear(problem: Problem) -> bool:
    """Whether the Jacobian names no field: coefficients may vary in space and time."""
    fields = set(problem.equation.field_symbols)
    return not problem.equation.jacobian.free_symbols & fields
