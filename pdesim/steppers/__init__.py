"""Time steppers: data and citations in ``catalogue``, one module per family.

No module here imports TensorFlow: a step is arithmetic on whatever arrays ``lines`` works with,
so the same code advances tensors and, on small matrices, tells its own stability limit.
"""

from __future__ import annotations

from pdesim.errors import StepperError, nearest
from pdesim.operators.problem import Problem
from pdesim.steppers.catalogue import METHODS, Method
from pdesim.steppers.explicit import Explicit
from pdesim.steppers.exponential import Exponential
from pdesim.steppers.symplectic import Symplectic, partition

__all__ = ["METHODS", "Method", "build_stepper", "choose_method"]


def choose_method(problem: Problem) -> str:
    """The stepper that ``stepper=auto`` stands for."""
    if partition(problem.equation) is not None:
        return "verlet"
    return "etdrk2" if problem.discretisation.is_spectral else "euler"


def build_stepper(name: str, problem: Problem):
    """Look a stepper up by name and fit it to the problem.

    Raises:
        StepperError: for an unknown name, or a stepper that cannot serve here.
    """
    if name == "auto":
        name = choose_method(problem)
    if name not in METHODS:
        raise StepperError(f"stepper={name} is unknown", nearest(name, [*METHODS, "auto"]))
    method = METHODS[name]
    if method.family == "explicit":
        return Explicit(method)
    if method.family == "exponential":
        if isinstance(problem.modes, str):
            raise StepperError(
                f"{name} advances Fourier, sine or cosine modes, and there are none: "
                f"{problem.modes}",
                "other walls, or one of euler, heun, rk4",
            )
        return Exponential(method)
    parts = partition(problem.equation)
    if parts is None:
        raise StepperError(
            f"{name} needs positions and momenta (u' = w, w' = force(u)); "
            f"{problem.equation.name} does not separate so",
            "one of " + ", ".join(m for m in METHODS if METHODS[m].family != "symplectic"),
        )
    return Symplectic(method, parts)
