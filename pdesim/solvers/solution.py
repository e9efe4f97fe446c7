"""The solution of a steady problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.errors import StepperError
from pdesim.operators.constraints import COMPATIBLE


@dataclass(frozen=True)
class Solution:
    """The solution of a steady problem.

    Attributes:
        state: shape ``(fields, *grid.shape)``.
        method: the solver.
        residual: the root mean square of the right-hand side at the solution, evaluated with the
            selected operators, divided by the root mean square of the source.
        removed_mean: the root mean square of the component of the source in the null space of the
            operator.
        history: the same ratio as ``residual`` at the start and after each iteration.
        linear_iterations: the iterations for all linear problems of Newton's method, whose steps
            are the iterations then, and whose residual is relative to the largest term; else None.
    """

    state: np.ndarray
    method: str
    residual: float
    removed_mean: float
    history: Sequence[float] = ()
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
        return f"solved by {self.method}{steps}; relative residual {self.residual:.2e}"


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
