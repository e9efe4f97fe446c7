"""The errors that end a run: steps that vanish, growth above the stability limit, divergence."""

from __future__ import annotations

import numpy as np

from pdesim.errors import DivergedError, PdesimError, SolverError, StepperError
from pdesim.operators.constraints import COMPATIBLE, needs_iterations
from pdesim.operators.krylov import UNSOLVED
from pdesim.plan import Plan

#: smallest step as a fraction of the run; below it the run is aborted
SMALLEST = 1e-11
#: growth is attributed to the time step if dt exceeds the approximate limit by this factor
ABOVE = 1.05


def vanishing_error(plan: Plan, dt: float, time: float) -> DivergedError | None:
    """Return the error for an automatic step that has become too small."""
    if dt > SMALLEST * (plan.end - float(plan.times[0])):
        return None
    return DivergedError(
        f"the time step became too small (dt = {dt:.4g}) at t = {time:.6g}; earlier frames are "
        "kept",
        hint="an earlier time.end, another stepper, or other parameters",
    )


def growth_error(plan: Plan, limit: float, time: float) -> DivergedError | None:
    """Return the error for a rapidly growing solution whose step is above the limit, else None."""
    if plan.settings.time.unsafe or not plan.step.dt > ABOVE * limit:
        return None
    return DivergedError(
        f"the solution grows without bound at t = {time:.6g}: dt = {plan.step.dt:.4g} is above "
        f"the stability limit {limit:.4g} at this time; earlier frames are kept",
        hint="time.dt=auto, or a smaller time.dt",
    )


def constraint_error(
    plan: Plan, state: np.ndarray, unsolvable: np.ndarray, time: float
) -> PdesimError | None:
    """Return the error for a state in which a constraint is not satisfied, else None.

    Args:
        state: the state ``(fields, *grid.shape)``.
        unsolvable: see :func:`pdesim.operators.constraint_solution.unsolvable_parts`.
    """
    equation, precision = plan.equation, plan.settings.device.precision
    for group, part in zip(equation.constraint_groups, unsolvable, strict=True):
        names = ", ".join(group)
        if any(np.all(state[equation.fields.index(name)] == UNSOLVED) for name in group):
            return _unsolved(names, f"at t = {time:.6g}; earlier frames are kept")
        if part > COMPATIBLE[precision]:
            return StepperError(
                f"the constraint of {names} has no solution at t = {time:.6g}: the mean of "
                f"its source is {part:.3g} of the source's root mean square",
                "a source with zero mean, if all sides are periodic or without flux and only "
                f"derivatives of {names} occur",
                "equation.solve with f - mean(f) in place of a source f",
            )
    return None


def divergence_error(
    plan: Plan, state: np.ndarray, finite: np.ndarray, since: float, now: float
) -> PdesimError:
    """Return the error for a run with fields that are not finite.

    Args:
        state: the state ``(fields, *grid.shape)``, which contains a marker if an implicit step did
            not converge.
        finite: one flag for each field.
        since, now: the times between which the failure occurred.
    """
    when = f"between t = {since:.6g} and {now:.6g}; earlier frames are kept"
    dt = plan.step.dt
    if np.all(state == UNSOLVED):
        return SolverError(
            f"the iterations for an implicit step did not converge {when}",
            hint=f"a smaller time.dt than {dt:.4g}, device.precision=float64, or an explicit "
            "stepper such as rkl2",
        )
    equation = plan.equation
    iterated = [
        n for p in plan.problem.constraints if needs_iterations(p) for n in p.equation.fields
    ]
    lost = [n for n in iterated if np.all(state[equation.fields.index(n)] == UNSOLVED)]
    if lost:
        return _unsolved(" and ".join(lost), when)
    names = [f for f, good in zip(equation.fields, finite, strict=True) if not good]
    limit = plan.step.limit
    known = f" (its stability limit at the start was {limit:.4g})" if np.isfinite(limit) else ""
    return DivergedError(
        f"{' and '.join(names)} became NaN or infinite {when}",
        hint=f"a smaller time.dt than {dt:.4g}{known}, device.precision=float64, or other "
        "parameters",
    )


def _unsolved(names: str, when: str) -> SolverError:
    """Return the error for iterations for solved fields that did not converge."""
    return SolverError(
        f"the iterations for the constraint of {names} did not converge {when}",
        hint="a constraint with a unique solution at all times, or device.precision=float64",
    )
