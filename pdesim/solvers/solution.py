"""The solution of a steady problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.errors import SolverError, StepperError
from pdesim.operators.constraints import COMPATIBLE
from pdesim.operators.steady import MULTIGRID
from pdesim.plan import Plan
from pdesim.solvers.iterative import MOST

#: residuals below this may be limited by rounding errors
ROUNDED = 1e-6


@dataclass(frozen=True)
class Solution:
    """The solution of a steady problem.

    Attributes:
        state: shape ``(fields, *grid.shape)``.
        solver: the name of the solver in the settings.
        residual: the root mean square of the right-hand side at the solution, evaluated with the
            selected operators, divided by the root mean square of the source.
        removed_mean: the root mean square of the component of the source in the null space of the
            operator.
        history: the same ratio as ``residual`` at the start and after each iteration; empty for
            solvers without iterations.
        method: the name of the iteration or factorisation; empty: ``solver``.
        linear_iterations: the iterations for all linear problems of Newton's method, whose steps
            are the iterations then, and whose residual is relative to the largest term; else None.
    """

    state: np.ndarray
    solver: str
    residual: float
    removed_mean: float
    history: Sequence[float] = ()
    method: str = ""
    linear_iterations: int | None = None

    def __str__(self) -> str:
        count = len(self.history) - 1
        if self.linear_iterations is not None:
            steps = f"{count} step{'s' * (count != 1)}"
            linear = self.linear_iterations
            return (
                f"solved by {self.method} in {steps}, {linear} linear "
                f"iteration{'s' * (linear != 1)}; relative residual {self.residual:.2e}"
            )
        steps = f" in {count} iteration{'s' * (count != 1)}" if self.history else ""
        return (
            f"solved by {self.method or self.solver}{steps}; relative residual {self.residual:.2e}"
        )


class NotConverged(SolverError):
    """A steady problem whose solution was not found.

    Attributes:
        history: the residuals of the iterations, relative to the source.
    """

    def __init__(self, problem: str, expected: str, hint: str, history: Sequence[float]) -> None:
        super().__init__(problem, expected, hint)
        self.history = tuple(history)


def check_compatible(component: float, source: float, precision: str) -> None:
    """Check that a source has no component in the null space of the operator.

    Args:
        component, source: their root mean squares.
        precision: of the device.

    Raises:
        StepperError: if it has one.
    """
    if component > COMPATIBLE[precision] * source:
        raise StepperError(
            "this problem has no solution: the component of the source in the null space of the "
            f"operator (such as its mean) has the size {component:.3g}",
            "a source with zero mean, if all boundaries are periodic or no-flux",
        )


def check_finite(name: str, *values: float) -> None:
    """Check numbers that are not finite if a source or a coefficient is not.

    Args:
        name: the name of the equation.
        values: sums over all cells.

    Raises:
        SolverError: if one is infinite or undefined.
    """
    if not np.isfinite(values).all():
        raise SolverError(
            f"the source or a coefficient of {name} is infinite or undefined in some cell",
            "finite numbers in all cells",
            "where(...) avoids a division by zero or the root of a negative number",
        )


def check_residual(
    plan: Plan, residual: float, accepted: float, history: Sequence[float] = ()
) -> None:
    """Check that the residual is that of a solution.

    Args:
        plan: the plan of the problem.
        residual: the residual, relative to the source.
        accepted: the largest residual of a solution.
        history: the residuals of the iterations.

    Raises:
        NotConverged: if the residual is larger, or not a number.
    """
    if residual <= accepted:
        return
    count, most = len(history) - 1, plan.settings.solver.iterations or MOST
    improves = count >= 2 and min(history) < 0.5 * history[count // 2]
    after = f"after {count} iteration{'s' * (count != 1)} " if history else ""
    hint = (
        "a problem that has a solution, and no other one but for constants; large first "
        "derivatives need more cells"
    )
    if count >= most and improves:
        hint = f"solver.iterations={4 * most}, or another solver"
    elif history and plan.settings.solver.tolerance and residual <= ROUNDED:
        hint = "a larger solver.tolerance, since rounding errors limit the residual"
    elif plan.settings.solver.name == MULTIGRID:
        hint = "solver=cg, which converges for more problems"
    elif plan.settings.device.precision == "float32" and not history:
        hint = "device.precision=float64"
    raise NotConverged(
        f"{plan.equation.name} was not solved: {after}the residual is {residual:.2g} of the source",
        f"at most {accepted:.1e}",
        hint,
        history,
    )
