"""Time steppers: data and citations in ``catalogue``, one module per family.

No module here imports TensorFlow: a step is arithmetic on whatever arrays ``lines`` works with,
so the same code advances tensors and, on small matrices, tells its own stability limit.
"""

from __future__ import annotations

from pdesim.boundary import Boundary
from pdesim.equation import Equation
from pdesim.errors import StepperError, nearest
from pdesim.operators.catalogue import Discretisation
from pdesim.steppers.catalogue import METHODS, Method
from pdesim.steppers.explicit import Explicit
from pdesim.steppers.exponential import Exponential
from pdesim.steppers.symplectic import Symplectic, partition

__all__ = ["METHODS", "Method", "build_stepper", "choose_method"]


def choose_method(equation: Equation, discretisation: Discretisation) -> str:
    """The stepper that ``stepper=auto`` stands for."""
    if partition(equation) is not None:
        return "verlet"
    return "etdrk2" if discretisation.is_spectral else "euler"


def build_stepper(
    name: str, equation: Equation, discretisation: Discretisation, boundary: Boundary
):
    """Look a stepper up by name and fit it to the equation.

    Raises:
        StepperError: for an unknown name, or a stepper that cannot serve here.
    """
    if name == "auto":
        name = choose_method(equation, discretisation)
    if name not in METHODS:
        raise StepperError(f"stepper={name} is unknown", nearest(name, [*METHODS, "auto"]))
    method = METHODS[name]
    if method.family == "explicit":
        return Explicit(method)
    if method.family == "exponential":
        if not all(boundary.periodic_axes):
            raise StepperError(
                f"{name} works on Fourier modes and needs periodic axes",
                "boundary=periodic, or one of euler, heun, rk4",
            )
        return Exponential(method)
    parts = partition(equation)
    if parts is None:
        raise StepperError(
            f"{name} needs positions and momenta (u' = w, w' = force(u)); "
            f"{equation.name} does not separate so",
            "one of " + ", ".join(m for m in METHODS if METHODS[m].family != "symplectic"),
        )
    return Symplectic(method, parts)
