"""The plan of a run: everything that is determined from the settings before TensorFlow starts.

All settings are validated here, before any file is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pdesim.errors import ConfigError
from pdesim.formula import names_in
from pdesim.model.boundary_conditions import Boundary, build_boundary
from pdesim.model.equation import Equation, build_equation, unused_parameters
from pdesim.model.grid import Grid, build_grid
from pdesim.model.initial_conditions import build_initial
from pdesim.model.obstacles import Mask
from pdesim.model.storage import STATE_COPIES, check_bits, check_memory, check_stored_range
from pdesim.operators import build_discretisation
from pdesim.operators.checks import check_numbers, check_solvable, check_wall_values
from pdesim.operators.mirror import mark_mirrors
from pdesim.operators.problem import Problem, check_problem, with_nested_derivatives
from pdesim.output.checkpoint import Checkpoint
from pdesim.output.selection import Selection, build_selection
from pdesim.render.quantity import check_picture
from pdesim.settings import Settings
from pdesim.steppers import Stepper, build_stepper
from pdesim.steppers.cost import Cost, cost_of
from pdesim.steppers.stability import linearise
from pdesim.steppers.targets import (
    POINTS,
    control_points,
    extend_targets,
    find_events,
    frame_times,
    merge,
    nearness,
)
from pdesim.steppers.time_step import (
    TimeStep,
    instants,
    is_automatic,
    stepper_for,
    time_step,
    tolerance_of,
)

MAX_STEPS = 10**11


@dataclass
class InitialState:
    """Initial state at the run's precision; released after upload to save memory."""

    values: np.ndarray | None

    def release(self) -> None:
        self.values = None


@dataclass(frozen=True)
class Evolution:
    """How a time-dependent problem is advanced.

    Args:
        stepper_reason: the reason for an automatic choice of the stepper.
        step: the time step and its control.
        events: times at which formulas switch, ascending.
    """

    stepper: Stepper
    stepper_reason: str
    step: TimeStep
    events: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A validated run.

    Args:
        evolution: None for steady problems.
        times: the times of the frames.
        targets: all times at which steps end: frames, events, and the points where automatic steps
            are adapted.
        resume_from: the checkpoint of an earlier run with these settings, whose state is then the
            initial state.
        notes: messages printed before the run.
    """

    settings: Settings
    problem: Problem
    evolution: Evolution | None
    times: np.ndarray
    targets: np.ndarray
    initial: InitialState
    selection: Selection
    resume_from: Checkpoint | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_steady(self) -> bool:
        """Whether the problem does not depend on time."""
        return self.evolution is None

    @property
    def _evolution(self) -> Evolution:
        if self.evolution is None:
            raise ValueError("a steady problem has no time step")
        return self.evolution

    @property
    def stepper(self) -> Stepper:
        return self._evolution.stepper

    @property
    def stepper_reason(self) -> str:
        return self._evolution.stepper_reason

    @property
    def step(self) -> TimeStep:
        return self._evolution.step

    @property
    def events(self) -> np.ndarray:
        return self._evolution.events

    def with_step(self, **changes: Any) -> Plan:
        """Return the plan with changed attributes of its time step; a steady plan is unchanged."""
        if self.evolution is None:
            return self
        step = replace(self.evolution.step, **changes)
        return replace(self, evolution=replace(self.evolution, step=step))

    @property
    def state(self) -> np.ndarray:
        """The initial state, until it is released."""
        if self.initial.values is None:
            raise RuntimeError("the initial state is on the device, and was released here")
        return self.initial.values

    @property
    def state_bytes(self) -> int:
        precision = np.dtype(self.settings.device.precision)
        return self.grid.cells * len(self.equation.fields) * precision.itemsize

    @property
    def equation(self) -> Equation:
        return self.problem.equation

    @property
    def grid(self) -> Grid:
        return self.problem.grid

    def steps_between(self, target: int) -> int:
        """Return the number of fixed steps from each target to the next."""
        interval = self.targets[target + 1] - self.targets[target]
        return max(1, math.ceil(interval / self.step.dt * (1 - 1e-12)))

    @property
    def shortest_step(self) -> float:
        """The smallest fixed step: ``step.dt``, shortened so that steps end at targets."""
        return min(
            (self.targets[n + 1] - self.targets[n]) / self.steps_between(n)
            for n in range(len(self.targets) - 1)
        )

    def frame_at(self, target: int) -> int:
        """Return the last frame at or before a target."""
        time = self.targets[target] + nearness(self.times)
        return int(np.searchsorted(self.times, time, "right")) - 1

    @property
    def end(self) -> float:
        return float(self.times[-1])

    @property
    def state_copies(self) -> int:
        """The approximate number of arrays of the size of the state in memory."""
        tableau = None if self.evolution is None else self.stepper.method.tableau
        return STATE_COPIES + (len(tableau.b) if tableau else 0)

    @cached_property
    def cost(self) -> Cost:
        """The cost of one step of the stepper."""
        return cost_of(self.stepper, self.problem)

    @property
    def stages(self) -> int:
        """Chained right-hand-side evaluations per step, a measure of its rounding error."""
        return max(1, self.cost.depth)

    @property
    def steps_left(self) -> int:
        """The number of steps to the end, from the start or the resumed checkpoint."""
        since = self.resume_from
        first, done = (since.target, since.steps_since_target) if since else (0, 0)
        return sum(map(self.steps_between, range(first, len(self.targets) - 1))) - done


def build_plan(
    settings: Settings,
    name: str = "custom",
    resume_from: Checkpoint | None = None,
    drawn_on: Grid | None = None,
) -> Plan:
    """Validate the settings and determine the stepper and the time step.

    Args:
        settings: the resolved configuration.
        name: the name of an equation whose configuration has none.
        resume_from: the checkpoint to resume from, with its time step and stepper.
        drawn_on: the grid for random initial values, to use equal values on several grids.

    Raises:
        PdesimError: for invalid settings.
    """
    grid = build_grid(settings)
    equation = build_equation(settings.equation, grid.axes, name)
    check_memory(grid, equation, settings)
    symbols = equation.parameter_symbols
    boundary = build_boundary(settings.boundary, equation.fields, grid, symbols)
    boundary = mark_mirrors(boundary, equation, grid)
    initial = build_initial(settings.initial, equation.fields, grid.axes, symbols)
    elsewhere = {symbol.name for symbol in boundary.symbols | initial.symbols}
    elsewhere |= names_in(settings.domain.mask or "")
    notes = unused_parameters(settings.equation, elsewhere)
    if settings.domain.mask is None and "mask" in settings.boundary:
        notes = (*notes, "note: boundary.mask has no effect without domain.mask")
    operators = settings.operators
    scheme = build_discretisation(
        operators.name,
        operators.order,
        operators.isotropic,
        operators.dealias,
        operators.face_mean,
    )
    mask = _mask(settings, grid, boundary, equation, resume_from)
    equation = with_nested_derivatives(equation, boundary, scheme, mask)
    problem = Problem(equation, grid, boundary, scheme, mask)
    check_problem(problem)
    check_numbers(problem, settings.device.precision)
    check_wall_values(problem, (settings.time.start, settings.time.end))
    check_picture(settings.animation, equation.fields, grid.axes, settings.output.fields)
    check_bits(settings)
    output = settings.output
    selection = build_selection(grid, equation.fields, output.fields, output.stride, output.region)
    if resume_from is not None:
        return replace(_continued(settings, problem, selection, resume_from), notes=notes)
    start, parameters = settings.time.start, equation.parameters
    periodic, seed = boundary.periodic_axes, settings.seed
    state = initial.evaluate(grid, periodic, parameters, seed, start, drawn_on)
    state = state if mask is None else mask.fill(state)
    if equation.steady:
        check_solvable(problem)
        evolution, times = None, np.array([start])
        targets = times
    else:
        times = frame_times(settings)
        evolution, targets = _evolution(settings, problem, state, times)
    check_stored_range(settings, equation, state, selection.fields)
    first = InitialState(state.astype(settings.device.precision, copy=False))
    plan = Plan(settings, problem, evolution, times, targets, first, selection, notes=notes)
    if not plan.is_steady and not plan.step.adaptive and plan.steps_left > MAX_STEPS:
        raise ConfigError(
            f"this run would take {plan.steps_left:.3g} steps", "a larger time.dt or a nearer end"
        )
    return plan


def _evolution(
    settings: Settings, problem: Problem, state: np.ndarray, times: np.ndarray
) -> tuple[Evolution, np.ndarray]:
    """Return the stepper, the time step, and the times at which steps end."""
    events = find_events(problem, times, settings.time.events)
    targets = merge(times, events)
    linearised = linearise(problem, state, instants(problem, targets))
    span = (times[-1] - times[0]) / POINTS
    stepper, reason = stepper_for(settings, problem, linearised, span)
    step = time_step(settings, linearised, stepper, targets)
    if step.automatic:
        early = not stepper.is_multistep
        targets = merge(times, events, control_points(times, early))
        step = replace(step, dt=min(step.dt, float(np.diff(targets).max())))
    return Evolution(stepper, reason, step, events), targets


def _continued(
    settings: Settings, problem: Problem, selection: Selection, since: Checkpoint
) -> Plan:
    """Return the plan of a resumed run, with the stepper and steps of the earlier run."""
    stepper = build_stepper(since.stepper, problem, settings.stepper.stages)
    step = TimeStep(
        since.max_dt,
        since.limit,
        tolerance_of(settings, stepper),
        is_automatic(settings, stepper),
    )
    events = find_events(problem, since.times, settings.time.events)
    targets = extend_targets(since.times, since.targets, events, step.automatic)
    return Plan(
        settings,
        problem,
        Evolution(stepper, "as before", step, events),
        since.times,
        targets,
        InitialState(since.state),
        selection,
        since,
    )


def _mask(
    settings: Settings,
    grid: Grid,
    boundary: Boundary,
    equation: Equation,
    resume_from: Checkpoint | None,
) -> Mask | None:
    """Return obstacles from a formula in the language of initial conditions."""
    text = settings.domain.mask
    if text is None:
        return None
    # the image file in the formula may no longer exist
    if resume_from is not None and resume_from.solid is not None:
        return Mask(resume_from.solid, boundary.obstacle_conditions)
    if "t" in names_in(text):
        raise ConfigError("domain.mask depends on t", "a formula of the position: obstacles stay")
    symbols = equation.parameter_symbols
    formula = build_initial({"mask": text}, ("mask",), grid.axes, symbols, "domain")
    values = formula.evaluate(grid, boundary.periodic_axes, equation.parameters, settings.seed)
    return Mask(values[0] > 0.5, boundary.obstacle_conditions)
