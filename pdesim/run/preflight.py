"""Description of a run that is printed before it starts: problem, time step and cost."""

from __future__ import annotations

import math

import numpy as np
from rich.filesize import decimal

from pdesim.errors import ConfigError
from pdesim.operators.mirror import slow_fields
from pdesim.plan import Plan


def describe(plan: Plan, device: str, seconds_per_step: float) -> list[str]:
    """Return lines on the problem and device, the stepper and time step, the memory and file size.

    Args:
        plan: plan of a time-dependent problem.
        device: description of the device.
        seconds_per_step: measured computing time of one step.
    """
    settings, step = plan.settings, plan.step
    points = " x ".join(str(n) for n in plan.grid.points)
    operators = plan.problem.discretisation.name
    if plan.problem.discretisation.order:
        operators += f" of order {plan.problem.discretisation.order}"
    limit = "no stability limit" if np.isinf(step.limit) else f"stability limit {step.limit:.4g}"
    if step.adaptive:
        steps = f"dt is adapted to a local error of {step.tolerance:g}, initially {step.dt:.3g}"
    elif step.automatic:
        steps = f"dt is adapted to the measured error, initially {step.dt:.3g} ({limit})"
    else:
        left = plan.steps_left * seconds_per_step
        steps = f"dt = {plan.shortest_step:.4g} ({limit}), {plan.steps_left:,} steps"
        steps += f", about {left:.0f} s" if left >= 1 else ", under a second"
    if plan.equation.iterated is not None:
        steps = f"{plan.steps_left:,} iterations"
    stepper = plan.stepper.method.name + (
        f" ({plan.stepper_reason})" if plan.stepper_reason else ""
    )
    state = plan.state_bytes
    frames = f"{len(plan.times)} frames, {decimal(stored_bytes(plan) * len(plan.times))}"
    return [
        f"{plan.equation.name} on {points} cells, {operators}, {settings.device.precision}, "
        f"{device}",
        f"{stepper}: {steps}",
        f"memory about {decimal(plan.state_copies * state)}; {frames} before compression",
        *second_conditions(plan),
    ]


def second_conditions(plan: Plan) -> list[str]:
    """Return lines on the second boundary conditions of fourth-order operators.

    These conditions are either stated in the settings or assumed.
    """
    problem = plan.problem
    stated = [f"stated boundary condition: {text}" for text in problem.stated_conditions]
    return stated + [f"assumed boundary condition: {text}" for text in problem.assumed_conditions]


def order_notes(plan: Plan) -> list[str]:
    """Return notes on properties of the problem that reduce the order of accuracy."""
    notes = []
    if slow := slow_fields(plan.problem):
        notes.append(
            f"note: operators=spectral has only about order 2 for {' and '.join(slow)}, because "
            "the right-hand side is not odd about Dirichlet walls or not even about Neumann walls "
            "(for example, a source does not vanish at a Dirichlet wall); operators=stencil "
            "operators.order=4 may be more accurate"
        )
    conditions = plan.problem.boundary.all_walls
    method = None if plan.is_steady else plan.stepper.method
    if (
        method
        and method.reduced_order is not None
        and any(condition.is_time_dependent for condition in conditions)
    ):
        notes.append(
            f"note: time-dependent boundary values reduce the order of {method.name} from "
            f"{method.order} to between {method.reduced_order} and 3, unless dt is far below the "
            "stability limit of explicit steppers"
        )
    return notes


def stored_bytes(plan: Plan) -> int:
    """Return the size of a stored frame in bytes, before compression."""
    output = plan.settings.output
    itemsize = np.dtype(output.dtype or plan.settings.device.precision).itemsize
    selection = plan.selection
    return len(selection.fields) * math.prod(selection.shape(plan.grid)) * itemsize


def check_alone(plan: Plan) -> None:
    """Check that a plan does not ask for moments over several members.

    Raises:
        ConfigError: if it does.
    """
    if plan.settings.output.ensemble is not None:
        raise ConfigError(
            f"output.ensemble={plan.settings.output.ensemble} needs several members, but this is a "
            "single run",
            "a sweep",
            "pdesim -m seed=0,1,2,3 ...",
        )
