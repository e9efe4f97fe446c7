"""The plan of a run: everything that is computed from the settings before TensorFlow starts.

Building the plan validates all settings, before any file is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pdesim.errors import ConfigError
from pdesim.formula import is_condition, names_in
from pdesim.model.boundary_conditions import Boundary, build_boundary
from pdesim.model.equation import Equation, build_equation, unused_parameters
from pdesim.model.grid import Grid, build_grid
from pdesim.model.initial_conditions import InitialConditions, build_initial
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
    """The initial state at the run's precision.

    To save memory, it is released after it has been copied to the device.
    """

    values: np.ndarray | None

    def release(self) -> None:
        self.values = None


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


NO_OBSTACLE = (
    "warning: domain.mask={formula} contains no cell: a cell is part of an obstacle where the "
    "formula is above 0.5, or a true condition"
)


@dataclass(frozen=True)
class Plan:
    """A validated run.

    Args:
        evolution: how the problem is advanced; None for steady problems.
        times: the times of the frames.
        targets: all times at which a step must end: the times of frames and events, and the times
            at which automatic steps are adapted.
        initial: the initial state, or the state of the checkpoint if the run is resumed.
        selection: the fields and cells that are stored.
        resume_from: the checkpoint from which an earlier run is resumed.
        notes: messages that are printed before the run.
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
        """Whether the problem is steady, so that there are no time steps."""
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
        """Return a copy of the plan with changed attributes of ``step``.

        A steady plan is returned unchanged.
        """
        if self.evolution is None:
            return self
        step = replace(self.evolution.step, **changes)
        return replace(self, evolution=replace(self.evolution, step=step))

    @property
    def state(self) -> np.ndarray:
        """The initial state; raises ``RuntimeError`` after it has been released."""
        if self.initial.values is None:
            raise RuntimeError("the initial state was copied to the device and then released")
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
        """Return the number of fixed steps from a target to the next one.

        Args:
            target: the index of the target.
        """
        interval = self.targets[target + 1] - self.targets[target]
        return max(1, math.ceil(interval / self.step.dt * (1 - 1e-12)))

    @property
    def shortest_step(self) -> float:
        """The smallest fixed step: ``step.dt``, or less so that a step ends at each target."""
        return min(
            (self.targets[n + 1] - self.targets[n]) / self.steps_between(n)
            for n in range(len(self.targets) - 1)
        )

    def frame_at(self, target: int) -> int:
        """Return the index of the last frame at or before the target with the index ``target``."""
        time = self.targets[target] + nearness(self.times)
        return int(np.searchsorted(self.times, time, "right")) - 1

    @property
    def end(self) -> float:
        return float(self.times[-1])

    @property
    def state_copies(self) -> int:
        """The approximate number of arrays in memory that are as large as the state."""
        tableau = None if self.evolution is None else self.stepper.method.tableau
        return STATE_COPIES + (len(tableau.b) if tableau else 0)

    @cached_property
    def cost(self) -> Cost:
        """The cost of one step of the stepper."""
        return cost_of(self.stepper, self.problem)

    @property
    def stages(self) -> int:
        """The number of chained right-hand sides per step, each of which uses the previous one.

        It is a measure of the rounding error of a step.
        """
        return max(1, self.cost.depth)

    @property
    def steps_left(self) -> int:
        """The number of fixed steps to the end, from the start or from the checkpoint."""
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
        name: the name of the equation if its configuration contains none.
        resume_from: the checkpoint from which a run is resumed. Its stepper, its time step and its
            state are used.
        drawn_on: the grid on which random initial values are drawn, so that runs on several grids
            start from the same values; None for the grid of the run.

    Raises:
        PdesimError: for invalid settings.
    """
    problem, initial, notes = build_problem(settings, name, resume_from)
    grid, equation = problem.grid, problem.equation
    check_wall_values(problem, (settings.time.start, settings.time.end))
    check_picture(settings.animation, equation.fields, grid.axes, settings.output.fields)
    check_bits(settings)
    output = settings.output
    selection = build_selection(grid, equation.fields, output.fields, output.stride, output.region)
    if resume_from is not None:
        return replace(_continued(settings, problem, selection, resume_from), notes=notes)
    start = settings.time.start
    state = initial_values(settings, problem, initial, drawn_on)
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
            f"this run would take {plan.steps_left:.3g} steps",
            f"at most {MAX_STEPS:.0e} steps: a larger time.dt or an earlier time.end",
        )
    return plan


def build_problem(
    settings: Settings, name: str = "custom", resume_from: Checkpoint | None = None
) -> tuple[Problem, InitialConditions, tuple[str, ...]]:
    """Return the problem, the formulas of its initial state, and notes for the user.

    Args:
        settings, name: see :func:`build_plan`.
        resume_from: the checkpoint from which a run is resumed, whose obstacles are used.

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
    if mask is not None and not mask.solid.any():
        notes = (*notes, NO_OBSTACLE.format(formula=settings.domain.mask))
    equation = with_nested_derivatives(equation, boundary, scheme, mask)
    problem = Problem(equation, grid, boundary, scheme, mask)
    check_problem(problem)
    check_numbers(problem, settings.device.precision)
    return problem, initial, notes


def initial_values(
    settings: Settings, problem: Problem, initial: InitialConditions, drawn_on: Grid | None = None
) -> np.ndarray:
    """Return the initial state, shape ``(fields, *grid.shape)``; see :func:`build_plan`."""
    periodic, start = problem.boundary.periodic_axes, settings.time.start
    names = problem.parameters
    state = initial.evaluate(problem.grid, periodic, names, settings.seed, start, drawn_on)
    return state if problem.mask is None else problem.mask.fill(state)


def _evolution(
    settings: Settings, problem: Problem, state: np.ndarray, times: np.ndarray
) -> tuple[Evolution, np.ndarray]:
    """Return the stepper with its time step, and the times at which a step must end."""
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
    """Return the plan of a resumed run, with the stepper and time step of the earlier run."""
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
    """Return the obstacles: the cells in which ``domain.mask`` is above 0.5, or a true condition.

    The formula may use the functions of initial conditions. None if there is no formula.
    """
    text = settings.domain.mask
    if text is None:
        return None
    # a resumed run uses the stored mask, since an image file in the formula may no longer exist
    if resume_from is not None and resume_from.solid is not None:
        return Mask(resume_from.solid, boundary.obstacle_conditions)
    if "t" in names_in(text):
        raise ConfigError(
            "domain.mask depends on t, but obstacles cannot move",
            "a formula that depends on position only",
        )
    symbols = equation.parameter_symbols
    text = f"where({text}, 1, 0)" if is_condition(text) else text
    formula = build_initial({"mask": text}, ("mask",), grid.axes, symbols, "domain")
    values = formula.evaluate(grid, boundary.periodic_axes, equation.parameters, settings.seed)
    return Mask(values[0] > 0.5, boundary.obstacle_conditions)
