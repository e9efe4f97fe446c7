"""Time steppers: a catalogue of methods (``tableaux``), and one module for each family.

``base`` defines the interface. A step is arithmetic on the arrays of a ``System``, so the same code
serves three purposes: it advances tensors; applied to small matrices, it gives the stability limit
(``stability``); applied to placeholders, it gives the cost of a step (``cost``).
"""

from __future__ import annotations

from collections.abc import Callable

from pdesim.errors import StepperError, nearest
from pdesim.formula.language import TIME
from pdesim.operators.modes import NoModes
from pdesim.operators.problem import Problem
from pdesim.steppers.base import Stepper
from pdesim.steppers.exponential import Exponential
from pdesim.steppers.implicit import ImexMultistep, ThetaMethod
from pdesim.steppers.iteration import METHOD, MapIteration
from pdesim.steppers.runge_kutta import EmbeddedRungeKutta, RungeKutta
from pdesim.steppers.runge_kutta_legendre import RungeKuttaLegendre
from pdesim.steppers.stochastic import stochastic, why_not
from pdesim.steppers.symplectic import SymplecticComposition, partition
from pdesim.steppers.tableaux import METHODS, Method

__all__ = [
    "METHODS",
    "Method",
    "Stepper",
    "build_stepper",
    "compatible_steppers",
    "incompatibility",
    "register",
]


def _symplectic(method: Method, problem: Problem, stages: int) -> Stepper:
    parts = partition(problem.equation)
    assert parts is not None  # checked by incompatibility()
    return SymplecticComposition(method, parts)


#: family -> function ``(method, problem, stages)`` that returns a stepper
_BUILDERS: dict[str, Callable[[Method, Problem, int], Stepper]] = {
    "explicit": lambda method, problem, stages: RungeKutta(method),
    "adaptive": lambda method, problem, stages: EmbeddedRungeKutta(method),
    "stabilized": lambda method, problem, stages: RungeKuttaLegendre(method, stages),
    "exponential": lambda method, problem, stages: Exponential(method),
    "imex": lambda method, problem, stages: ImexMultistep(method),
    "implicit": lambda method, problem, stages: ThetaMethod(
        method, direct=not _needs_iterations(problem)
    ),
    "symplectic": _symplectic,
    "stochastic": lambda method, problem, stages: stochastic(method, problem.equation.noise),
}


#: steppers that were added by :func:`register`
_REGISTERED: dict[str, Stepper] = {}


def register(stepper: Stepper) -> None:
    """Add a stepper to the catalogue, under the name of its method.

    Raises:
        ValueError: if the catalogue already contains this name.
    """
    name = stepper.method.name
    if name in METHODS:
        raise ValueError(f"there is already a stepper with the name {name}")
    METHODS[name], _REGISTERED[name] = stepper.method, stepper


def build_stepper(name: str, problem: Problem, stages: int = 9) -> Stepper:
    """Return a stepper by name, for a problem.

    Args:
        stages: the number of stages of a stabilised method.

    Raises:
        StepperError: for an unknown name, or a stepper that does not apply to the problem.
    """
    equation = problem.equation
    if equation.iterated is not None:
        if name not in ("auto", METHOD.name):
            raise StepperError(
                f"stepper={name} does not apply to {equation.name}, which is an iterated map",
                "stepper=auto",
            )
        shown = equation.iterated.shown
        return MapIteration(None if shown == equation.field_symbols else shown)
    if name not in METHODS:
        raise StepperError(f"stepper={name} is unknown", nearest(name, [*METHODS, "auto"]))
    reason = incompatibility(name, problem)
    if reason:
        raise StepperError(
            f"stepper={name} does not apply to {problem.equation.name}: {reason}",
            "one of " + ", ".join(compatible_steppers(problem)),
        )
    if name in _REGISTERED:
        return _REGISTERED[name]
    return _BUILDERS[METHODS[name].family](METHODS[name], problem, stages)


def compatible_steppers(problem: Problem) -> list[str]:
    """Return the names of the steppers that apply to a problem."""
    return [name for name in METHODS if incompatibility(name, problem) is None]


def incompatibility(name: str, problem: Problem) -> str | None:
    """Return the reason why a stepper does not apply to a problem; None if it applies."""
    method, basis = METHODS[name], problem.basis
    if (reason := _noise_reason(method, problem)) is not None:
        return reason
    if problem.equation.constraints and method.family in ("implicit", "symplectic"):
        return "it needs an equation without constraints (equation.solve)"
    in_modes = method.family in ("exponential", "imex") or name == "exponential_euler_maruyama"
    if in_modes and isinstance(basis, NoModes):
        return f"it needs Fourier, sine or cosine modes, but {basis.reason}"
    if problem.equation.scalars and (
        method.family in ("implicit", "symplectic") or name == "exact"
    ):
        return "it needs an equation without scalars (equation.scalars)"
    if method.family == "implicit" and not _is_linear(problem):
        return "it needs an equation that is linear in its fields"
    if method.family == "implicit" and problem.boundary.depends_on_fields:
        return "it needs boundary values that do not depend on the fields"
    if method.family == "symplectic":
        return _why_not_symplectic(problem)
    if name == "exact":
        return _why_not_exact(problem)
    return None


def _noise_reason(method: Method, problem: Problem) -> str | None:
    noise = problem.equation.noise
    if method.family != "stochastic":
        return "it needs an equation without noise (equation.noise)" if noise else None
    if not noise:
        return "it needs an equation with noise (equation.noise)"
    return why_not(method.name, noise)


def _why_not_symplectic(problem: Problem) -> str | None:
    parts = partition(problem.equation)
    if parts is None:
        return "it needs positions and momenta (u' = w, w' = force(u) - damping*w)"
    momenta = {problem.equation.field_symbols[index] for index in parts.momenta}
    if any(value.free_symbols & momenta for value in problem.boundary.values):
        return "it needs boundary values that do not depend on the momenta"
    return None


def _why_not_exact(problem: Problem) -> str | None:
    if problem.equation.constraints:
        return "it needs an equation without constraints (equation.solve)"
    for term in problem.split.rest:
        if term.free_symbols & problem.equation.state_symbols:
            return "it needs a linear equation with constant coefficients"
        if TIME in term.free_symbols:
            return "it needs a source that does not depend on time"
    if problem.boundary.depends_on_fields or any(
        c.is_time_dependent for c in problem.boundary.all_walls
    ):
        return "it needs boundary values that do not change"
    return None


def _needs_iterations(problem: Problem) -> bool:
    fields, rest = problem.equation.state_symbols, problem.split.rest
    return not problem.has_modes or any(term.free_symbols & fields for term in rest)


def _is_linear(problem: Problem) -> bool:
    """Whether the equation is linear in its fields; coefficients may vary in space and time."""
    equation = problem.equation
    linear = all(reduction.word in ("mean", "integral") for reduction in equation.reductions)
    return linear and not equation.jacobian.free_symbols & set(equation.field_symbols)
