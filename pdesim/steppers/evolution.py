"""The stepper and the time step of a run, and the times at which its steps end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from pdesim.model.bands import Band
from pdesim.operators.problem import Problem
from pdesim.settings import Settings
from pdesim.steppers import Stepper, build_stepper
from pdesim.steppers.stability import linearise
from pdesim.steppers.targets import POINTS, control_points, find_events, merge, regular_times
from pdesim.steppers.time_step import TimeStep, instants, stepper_for, time_step

#: the step of an iterated map
ITERATION = TimeStep(1.0, np.inf)


@dataclass(frozen=True)
class Evolution:
    """How a time-dependent problem is advanced.

    Args:
        stepper: the time stepper.
        stepper_reason: the reason why the stepper was chosen; empty if the settings name it.
        step: the time step.
        events: the times at which formulas switch or begin to change, ascending.
    """

    stepper: Stepper
    stepper_reason: str
    step: TimeStep
    events: np.ndarray


def build_evolution(
    settings: Settings, problem: Problem, state: np.ndarray | Iterable[Band], times: np.ndarray
) -> tuple[Evolution, np.ndarray]:
    """Return the stepper with its time step, and the times at which a step must end.

    Args:
        settings: the settings.
        problem: a time-dependent problem.
        state: the initial state, or its bands; see :func:`pdesim.steppers.stability.linearise`.
        times: the times of all frames.
    """
    if problem.equation.iterated is not None:
        regular = np.round(serving_times(settings, times))
        stepper = build_stepper(settings.stepper.name, problem)
        return Evolution(stepper, "", ITERATION, np.empty(0)), merge(times, np.empty(0), regular)
    events = find_events(problem, times, settings.time.events)
    regular = serving_times(settings, times)
    targets = merge(times, events, regular)
    linearised = linearise(problem, state, instants(problem, targets))
    span = (times[-1] - times[0]) / POINTS
    stepper, reason = stepper_for(settings, problem, linearised, span)
    step = time_step(settings, linearised, stepper, targets)
    if step.automatic:
        early = not stepper.is_multistep
        targets = merge(times, events, np.append(regular, control_points(times, early)))
        step = replace(step, dt=min(step.dt, float(np.diff(targets).max())))
    return Evolution(stepper, reason, step, events), targets


def serving_times(settings: Settings, times: np.ndarray) -> np.ndarray:
    """Return the times at which observables are recorded and stop conditions are checked."""
    observed = regular_times(times, settings.observe_every, "observe_every")
    return np.append(observed, regular_times(times, settings.stop.every, "stop.every"))
