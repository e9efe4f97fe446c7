"""Newton's method for nonlinear steady problems, with a line search.

A step solves ``J(u) v = -F(u)``, where J is the Gateaux derivative of the formulas F
(:mod:`pdesim.operators.linearisation`), and continues from ``u + s*v``. The linear problem is
solved to a tolerance that decreases with the residual, so that the convergence remains quadratic
(Eisenstat and Walker, SIAM J. Sci. Comput. 17 (1996) 16, doi:10.1137/0917003, choice 2). The length
s is reduced until the norm of F decreases sufficiently (Dennis and Schnabel, Numerical Methods for
Unconstrained Optimization and Nonlinear Equations, SIAM 1996, sec. 6.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.errors import SolverError
from pdesim.plan import Plan
from pdesim.solvers.iterative import bicgstab, conjugate_gradients
from pdesim.solvers.jacobian import Functions, Jacobian
from pdesim.solvers.multigrid_solver import ACCEPTED, TOLERANCE
from pdesim.solvers.solution import Solution

#: largest number of Newton steps
MOST_STEPS = 50
#: the shortest length of a step, relative to that of Newton's method
SHORTEST = 1e-6
#: a step is accepted if the norm of F decreases by this fraction of what the linear model predicts
SUFFICIENT = 1e-4
#: largest relative residual of the linear problems. Errors of their solutions in directions in
#: which the derivative is nearly singular, such as the position of a front, are amplified
LARGEST_FORCING = 1e-4
#: the factor of Eisenstat and Walker
FORCING = 0.9
#: a linear problem is not solved if its relative residual is above this value
UNSOLVED = 0.9
#: residuals below this fraction of the largest term at the initial state count as 0
ROUNDOFF = 1e-14


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve ``F(u) = 0`` by Newton's method, from the initial state of the plan.

    The residual of a field is the root mean square of its formula, divided by that of the largest
    term of the formula at the same state (or by that of the formula, if it is larger). The terms
    are evaluated with the boundary values 0, so that these count as further terms. The iterations
    end when the residuals of all fields are below ``TOLERANCE``. They are computed in double
    precision.

    Args:
        plan: a plan of a steady problem.
        placement: the device.

    Raises:
        SolverError: if F or its derivative is not finite, a linear problem cannot be solved, no
            length of a step decreases the residual, or there are too many steps.
    """
    precision = plan.settings.device.precision
    with tf.device(placement.name):
        functions = Functions(plan.problem, plan.settings.time.start)
        newton = _Newton(functions, TOLERANCE[precision], ACCEPTED[precision])
        state = newton.run(tf.constant(plan.state, tf.float64))
    return Solution(
        state.numpy().astype(precision), "Newton's method", newton.history[-1], 0.0,
        tuple(newton.history), newton.linear_iterations,
    )  # fmt: skip


@dataclass
class _Newton:
    """The iterations of Newton's method.

    Args:
        functions: F, its derivative, and its terms.
        tolerance: the relative residual at which the iterations end.
        accepted: the relative residual of a solution if rounding errors prevent a smaller one.
        history: the relative residual at the start and after each step.
        linear_iterations: the iterations for all linear problems.
    """

    functions: Functions
    tolerance: float
    accepted: float
    history: list[float] = field(default_factory=list)
    linear_iterations: int = 0

    @property
    def name(self) -> str:
        return self.functions.problem.equation.name

    def run(self, state: tf.Tensor) -> tf.Tensor:
        """Return the solution.

        Args:
            state: the initial state.
        """
        residual, forcing = self.functions.residual(state), LARGEST_FORCING
        if not _is_finite(residual):
            raise self._undefined("has infinite or undefined terms at the initial state")
        floor = ROUNDOFF * self.functions.scales(state)
        while True:
            scales = self.functions.scales(state)
            if not _is_finite(scales):
                raise self._undefined("has terms that are infinite or undefined")
            weights = 1 / tf.where(scales > 0, scales, tf.ones_like(scales))
            sizes = self.functions.sizes(residual)
            relative = float(tf.reduce_max(tf.where(sizes <= floor, 0.0, sizes * weights)))
            self.history.append(relative)
            if relative <= self.tolerance:
                return state
            if len(self.history) > MOST_STEPS:
                raise self._failure(f"after {MOST_STEPS} Newton steps")
            forcing = min(max(forcing, 0.5 * self.tolerance / relative), LARGEST_FORCING)
            direction = self._direction(state, weights, residual, forcing)
            step = direction if direction is None else self._search(
                state, direction, residual, weights, forcing
            )  # fmt: skip
            if step is None:
                return state  # rounding errors prevent a smaller residual
            before, (state, residual) = _norm(weights * residual), step
            forcing = FORCING * (_norm(weights * residual) / before) ** 2

    def _direction(
        self, state: tf.Tensor, weights: tf.Tensor, residual: tf.Tensor, forcing: float
    ) -> tf.Tensor | None:
        """Return an approximate solution v of ``J(u) v = -F(u)``.

        The result is None if it cannot be found, but the residual is that of a solution.
        """
        problem, time = self.functions.problem, self.functions.time
        jacobian = Jacobian(problem, time, self.functions, state, weights)
        if not jacobian.is_finite:
            raise self._undefined("has a derivative that is infinite or undefined")
        right = jacobian.sign * weights * residual
        target, solved = forcing * _norm(right), None
        for method in (conjugate_gradients, bicgstab)[0 if jacobian.symmetric else 1 :]:
            found = method(jacobian.operator, jacobian.inverse, right, target)
            self.linear_iterations += len(found.history) - 1
            solved = found.solution
            if found.history[-1] <= target:
                break
        left = _norm(right - jacobian.operator(solved))
        if left <= UNSOLVED * _norm(right):
            return solved
        if self.history[-1] <= self.accepted:
            return None
        raise SolverError(
            f"{self.name} was not solved: the linearised problem of step {len(self.history)} "
            f"is singular or nearly so; the residual is {self.history[-1]:.2g} of the largest term",
            "an initial state near a solution; if all sides are periodic or without flux, sources "
            "with zero mean, or a term that determines the mean of the solution",
            "another initial state (initial=...), or other boundary conditions",
        )

    def _search(
        self,
        state: tf.Tensor,
        direction: tf.Tensor,
        residual: tf.Tensor,
        weights: tf.Tensor,
        forcing: float,
    ) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Return the next state and its residual.

        The length is reduced to the minimum of a parabola, by a factor from 0.1 to 0.5. The result
        is None if no length is accepted, but the residual is that of a solution.
        """
        size, length = _norm(weights * residual), 1.0
        while length >= SHORTEST:
            trial = state + length * direction
            fresh = self.functions.residual(trial)
            after = _norm(weights * fresh) / size
            if after <= 1 - SUFFICIENT * (1 - forcing) * length:
                return trial, fresh
            if np.isfinite(after):
                best = length**2 / (after**2 - 1 + 2 * length)
                length = min(max(best, 0.1 * length), 0.5 * length)
            else:
                length *= 0.5
        if self.history[-1] <= self.accepted:
            return None
        raise self._failure(
            f"no step from the state after {len(self.history) - 1} Newton steps decreases the "
            "residual"
        )

    def _failure(self, reason: str) -> SolverError:
        return SolverError(
            f"{self.name} was not solved: {reason}; the residual is {self.history[-1]:.2g} of the "
            "largest term",
            f"a residual of at most {self.tolerance:.0e}, if there is a solution near the initial "
            "state",
            "another initial state (initial=...), or a parameter at which the problem is easier, "
            "whose solution is then the initial state for the next value",
        )

    def _undefined(self, reason: str) -> SolverError:
        return SolverError(
            f"{self.name} {reason}",
            "formulas and derivatives that are finite in all cells",
            "another initial state (initial=...), or where(...) around a division by zero, the "
            "logarithm or the root of a negative number",
        )


def _is_finite(values: tf.Tensor) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(values)))


def _norm(values: tf.Tensor) -> float:
    return float(tf.norm(values))
