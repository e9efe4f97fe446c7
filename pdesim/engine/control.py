"""Control of the time step by the measured error and the stability limit."""

from __future__ import annotations

import time as clock_module
from collections.abc import Callable

import numpy as np

from pdesim.engine.monitor import LONGER
from pdesim.errors import DivergedError, PdesimError, SolverError
from pdesim.operators.krylov import UNSOLVED
from pdesim.plan import Plan
from pdesim.steppers.samples import reactions_are_slow
from pdesim.steppers.stability import linearise
from pdesim.steppers.time_step import TimeStep, time_step

#: a field whose range is less than this fraction of its largest value is considered uniform
UNIFORM = 1e-3
#: smallest step as a fraction of the run; below it the run is aborted
SMALLEST = 1e-11
#: growth is attributed to the time step if dt exceeds the approximate limit by this factor
ABOVE = 1.05

#: minimum and maximum number of steps, and target duration, of a timing trial
TRIAL_STEPS, MOST_TRIAL_STEPS = 4, 1024
TRIAL_SECONDS = 0.05


def seconds_per_step(
    trial: Callable[[int], None], steps_at_once: int, max_steps: int | None
) -> float:
    """Return the seconds per step, measured with enough steps to make call overhead negligible.

    Args:
        trial: a function that takes a given number of steps.
        steps_at_once: the number of steps that are always taken together.
        max_steps: the maximum number of steps per call in the run; None if unknown.
    """
    steps = max(TRIAL_STEPS, steps_at_once)
    max_steps = max(
        steps, MOST_TRIAL_STEPS if max_steps is None else min(MOST_TRIAL_STEPS, max_steps)
    )
    trial(steps)  # page faults at the first use of memory take longer than the steps
    while True:
        began = clock_module.perf_counter()
        trial(steps)
        seconds = clock_module.perf_counter() - began
        if seconds >= TRIAL_SECONDS or steps >= max_steps:
            return seconds / steps
        steps = min(4 * steps, max_steps)


def limit_varies(plan: Plan) -> bool:
    """Whether the stability limit depends on the state or on time."""
    fields = set(plan.equation.field_symbols)
    return bool(plan.equation.jacobian.free_symbols & fields) or plan.problem.is_time_dependent


def present_step(plan: Plan, state: np.ndarray, target: int) -> TimeStep | None:
    """Return the step and its limit at a state, for the interval that begins at a target.

    The result is None if the step and the limit at the start of the run still apply, within the
    safety margin of automatic steps.
    """
    explicit = plan.step.automatic and plan.stepper.limited_by_derivatives
    if explicit and reactions_are_slow(plan.problem, state, plan.step.dt):
        return None
    interval = plan.targets[target : target + 2]
    instants = (
        np.append(interval, interval.mean()) if plan.problem.is_time_dependent else interval[:1]
    )
    linearised = linearise(plan.problem, state, instants, thorough=False)
    # dt=auto and unsafe, so that the limit is computed and no error is raised
    time = plan.settings.time.model_copy(update={"dt": "auto", "unsafe": True})
    settings = plan.settings.model_copy(update={"time": time})
    return time_step(settings, linearised, plan.stepper, plan.targets)


def changed_dt(plan: Plan, factor: float, present: TimeStep | None) -> float:
    """Return the next automatic step.

    Args:
        factor: the change that follows from the measured error; 1 for none.
        present: the step at the current state, if it differs from that of the start.
    """
    step = plan.step
    if present is not None:
        longest = present.dt
    else:
        finite = np.isfinite(step.limit)
        longest = plan.stepper.method.safety * step.limit if finite else np.inf
    dt = min(step.dt * factor, longest, float(np.diff(plan.targets).max()))
    # a step that is stable, accurate and close to the optimum is not changed
    return dt if dt < step.dt or dt >= LONGER * step.dt else step.dt


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
    names = [f for f, good in zip(plan.equation.fields, finite, strict=True) if not good]
    limit = plan.step.limit
    known = f" (its stability limit at the start was {limit:.4g})" if np.isfinite(limit) else ""
    return DivergedError(
        f"{' and '.join(names)} became NaN or infinite {when}",
        hint=f"a smaller time.dt than {dt:.4g}{known}, device.precision=float64, or other "
        "parameters",
    )


def relative_error(
    errors: np.ndarray, peaks: np.ndarray, state: np.ndarray, plan: Plan
) -> dict[str, float]:
    """Return the errors of all fields relative to their ranges, rounded to three digits.

    The error of a uniform field is relative to its largest value so far.

    Args:
        errors, peaks: root mean squares of the errors and largest values, one for each field.
        state: shape ``(fields, *grid.shape)``.
    """
    axes = tuple(range(1, state.ndim))
    ranges = np.asarray(state.max(axis=axes) - state.min(axis=axes), dtype=float)
    scales = np.where(ranges > UNIFORM * peaks, ranges, peaks)
    relative = errors / np.maximum(scales, np.finfo(float).tiny)
    values = zip(plan.equation.fields, relative, strict=True)
    return {name: float(f"{value:.3g}") for name, value in values if np.isfinite(value)}
