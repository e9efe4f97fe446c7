"""The plan of a run: everything that is computed from the settings before TensorFlow starts.

Building the plan validates all settings, before any file is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pdesim.errors import ConfigError
from pdesim.formula.networks import Network
from pdesim.model.bands import Band
from pdesim.model.equation import Equation
from pdesim.model.grid import Grid
from pdesim.model.initial_conditions import InitialConditions
from pdesim.model.initial_state import InitialState, KeptRows
from pdesim.model.state_summary import StateSummary, summarise
from pdesim.model.storage import STATE_COPIES, check_bits, check_stored_range
from pdesim.operators.checks import check_general_walls, check_solvable, check_wall_values
from pdesim.operators.observables import Observables, build_observables
from pdesim.operators.problem import Problem
from pdesim.operators.steady import check_solver
from pdesim.operators.stops import Stops, build_stops
from pdesim.output.checkpoint import Checkpoint
from pdesim.output.selection import Selection, build_selection
from pdesim.problem import build_problem, initial_bands, initial_values
from pdesim.render.quantity import check_picture
from pdesim.settings import Settings
from pdesim.steppers import Stepper, build_stepper
from pdesim.steppers.approximate import with_solved_fields
from pdesim.steppers.cells import needs_complete_state
from pdesim.steppers.cost import Cost, cost_of
from pdesim.steppers.evolution import Evolution, build_evolution, serving_times
from pdesim.steppers.targets import (
    POINTS,
    extend_targets,
    find_events,
    frame_times,
    iteration_times,
    nearness,
    regular_times,
)
from pdesim.steppers.time_step import TimeStep, is_automatic, tolerance_of

MAX_STEPS = 10**11


@dataclass(frozen=True)
class Plan:
    """A validated run.

    Args:
        evolution: how the problem is advanced; None for steady problems.
        times: the times of the frames.
        targets: all times at which a step must end: the times of frames and events, and the times
            at which automatic steps are adapted.
        initial: the initial state, or the state of the checkpoint if the run is resumed; only the
            rows of ``rows``, if there are any.
        selection: the fields and cells that are stored.
        resume_from: the checkpoint from which an earlier run is resumed.
        notes: messages that are printed before the run.
        observables: the observables and probes that are recorded; None if there are none.
        stops: the conditions under which the run stops before its end; None if there are none.
        rows: the rows (indices along the first array axis) that the initial state and the
            checkpoint contain; None for all. Everything else is that of the complete grid.
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
    observables: Observables | None = None
    stops: Stops | None = None
    rows: slice | None = None

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

    def with_values(
        self,
        parameters: Mapping[str, float],
        state: np.ndarray,
        networks: Mapping[str, Network] | None = None,
    ) -> Plan:
        """Return a copy with other values of parameters and networks and another initial state.

        The stepper and the time step remain those of this plan.
        """
        equation = self.equation
        values = {**equation.parameters, **parameters}
        known = {**equation.networks, **(networks or {})}
        problem = replace(
            self.problem, equation=replace(equation, parameters=values, networks=known)
        )
        initial = InitialState(state.astype(self.settings.device.precision))
        return replace(self, problem=problem, initial=initial)

    @property
    def state(self) -> np.ndarray:
        """The initial state, shape ``(fields, *grid.shape)``; only ``rows``, if there are any.

        Raises ``RuntimeError`` after it has been released.
        """
        if self.initial.values is None:
            raise RuntimeError("the initial state was copied to the device and then released")
        return self.initial.values

    @property
    def state_summary(self) -> StateSummary:
        """Values of the complete initial state in some cells, its means and extremes.

        Raises ``RuntimeError`` after the state has been released, and for resumed runs with rows.
        """
        if self.initial.summary is not None:
            return self.initial.summary
        if self.rows is not None:
            raise RuntimeError("the rows of a checkpoint do not determine the complete state")
        return summarise(self.state, None if self.problem.mask is None else self.problem.mask.solid)

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

    @cached_property
    def observed_targets(self) -> np.ndarray:
        """Whether observables are recorded at each target, if they are not recorded every step."""
        if self.observables is None or self.observables.every is None:
            return np.zeros(len(self.targets), bool)
        ends = self.times[[0, -1]]
        wanted = regular_times(self.times, self.observables.every, "observe_every")
        wanted = np.concatenate([ends[:1], wanted, ends[1:]])
        return _are_near(self.targets, wanted, 2 * nearness(self.times))

    @cached_property
    def controlled_targets(self) -> np.ndarray:
        """Whether steps are adapted at each target.

        This takes as long as many steps, so it is omitted at targets that serve only records of
        observables or checks of stop conditions, except after ``1/POINTS`` of the run.
        """
        intervals = [part.every for part in (self.observables, self.stops) if part is not None]
        serving = [regular_times(self.times, every, "every") for every in intervals]
        near = 2 * nearness(self.times)
        kept = ~_are_near(self.targets, np.concatenate([*serving, []]), near)
        kept |= _are_near(self.targets, np.concatenate([self.times, self.events]), near)
        longest = float(self.times[-1] - self.times[0]) / POINTS - near
        result, last = kept.tolist(), float(self.targets[0])
        for number, time in enumerate(self.targets.tolist()):
            result[number] = result[number] or time - last >= longest
            last = time if result[number] else last
        return np.array(result)

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


def _are_near(times: np.ndarray, others: np.ndarray, distance: float) -> np.ndarray:
    """Return whether each time is within a distance of one of several others."""
    others = np.concatenate([[-np.inf], np.sort(others), [np.inf]])
    place = np.searchsorted(others, times)
    return np.minimum(times - others[place - 1], others[place] - times) <= distance


def build_plan(
    settings: Settings,
    name: str = "custom",
    resume_from: Checkpoint | None = None,
    drawn_on: Grid | None = None,
    rows: slice | None = None,
) -> Plan:
    """Validate the settings and determine the stepper and the time step.

    With ``rows``, the complete initial state is never in memory. It is evaluated in bands of rows,
    from which everything is computed that depends on the complete state: the checks of its values,
    the stability limit, and a summary for the notes before a run. The plan has bit for bit the
    step, the targets and the values that it has without ``rows``. The complete state is evaluated
    nevertheless, and then only the rows are kept, if
    :func:`pdesim.steppers.cells.needs_complete_state`: for solved fields, and for coefficients that
    contain means, integrals or convolutions of the fields. :mod:`pdesim.model.generators` describes
    which functions of initial states need more memory than that of a band. Parameters with one
    number for each cell (``equation.NAME`` with random numbers or from a file) and obstacles remain
    arrays of the complete grid.

    Args:
        settings: the resolved configuration.
        name: the name of the equation if its configuration contains none.
        resume_from: the checkpoint from which a run is resumed. Its stepper, its time step and its
            state are used.
        drawn_on: the grid on which random initial values are drawn, so that runs on several grids
            start from the same values; None for the grid of the run.
        rows: the rows of the initial state that are kept, for runs on several hosts: a slice of
            indices along the first array axis; None for all. If ``resume_from`` contains all rows,
            these are taken from it.

    Raises:
        PdesimError: for invalid settings.
        ValueError: for rows outside the grid or other rows than those of ``resume_from``, and for
            ``rows`` with ``drawn_on``.
    """
    problem, initial, notes = build_problem(settings, name, resume_from, rows)
    grid, equation = problem.grid, problem.equation
    check_wall_values(problem, (settings.time.start, settings.time.end))
    check_general_walls(problem, (settings.time.start, settings.time.end))
    output, stored = settings.output, equation.parts_of(settings.output.fields)
    check_picture(settings.animation, equation.distributed, grid.names, stored)
    check_bits(settings)
    observables = build_observables(
        settings.observe, settings.probes, settings.observe_every, problem
    )
    selection = build_selection(grid, equation.distributed, stored, output.stride, output.region)
    if resume_from is not None:
        stops = build_stops(settings.stop, problem, observables, resume_from.times)
        since = resume_from if rows is None else resume_from.part(rows)
        continued = _continued(settings, problem, selection, since)
        return replace(continued, notes=notes, observables=observables, stops=stops, rows=rows)
    frames = None if equation.steady else frame_times(settings)
    if equation.iterated is not None and frames is not None:
        frames = iteration_times(settings, frames)
    stops = build_stops(settings.stop, problem, observables, frames)
    kept = None if rows is None else _kept_rows(settings, problem, rows)
    state = _initial(settings, problem, initial, drawn_on, kept)
    if frames is None:
        check_solvable(problem)
        evolution, times = None, np.array([settings.time.start])
        targets = times
    else:
        evolution, targets = build_evolution(settings, problem, state, frames)
        times = frames
    check_solver(problem, settings.solver)
    if isinstance(state, np.ndarray):
        first = InitialState(state.astype(settings.device.precision, copy=False))
        largest = {number: np.abs(state[number]).max() for number in selection.fields}
    elif kept is not None:
        first = kept.result()
        largest = {number: kept.largest[number] for number in selection.fields}
    check_stored_range(settings, equation, largest)
    plan = Plan(
        settings, problem, evolution, times, targets, first, selection, notes=notes,
        observables=observables, stops=stops, rows=rows,
    )  # fmt: skip
    if not plan.is_steady and not plan.step.adaptive and plan.steps_left > MAX_STEPS:
        raise ConfigError(
            f"this run would take {plan.steps_left:.3g} steps",
            f"at most {MAX_STEPS:.0e} steps: a larger time.dt or an earlier time.end",
        )
    return plan


def _kept_rows(settings: Settings, problem: Problem, rows: slice) -> KeptRows:
    mask, precision = problem.mask, np.dtype(settings.device.precision)
    solid = None if mask is None else mask.solid
    return KeptRows(problem.grid, len(problem.equation.fields), rows, precision, solid)


def _initial(
    settings: Settings,
    problem: Problem,
    initial: InitialConditions,
    drawn_on: Grid | None,
    kept: KeptRows | None,
) -> np.ndarray | Iterable[Band]:
    """Return the initial state in float64, or its bands, from which rows are kept."""
    if kept is not None and drawn_on is not None:
        raise ValueError("rows and drawn_on were given; expected: one of them")
    if kept is not None and not needs_complete_state(problem):
        return kept.collect(initial_bands(settings, problem, initial))
    state = initial_values(settings, problem, initial, drawn_on)
    state = with_solved_fields(problem, state, settings.time.start)
    return state if kept is None else kept.collect([(0, state)])


def _continued(
    settings: Settings, problem: Problem, selection: Selection, since: Checkpoint
) -> Plan:
    """Return the plan of a resumed run, with the stepper and time step of the earlier run."""
    stages = since.stages or settings.stepper.stages
    stepper = build_stepper(since.stepper, problem, stages)
    step = TimeStep(
        since.max_dt,
        since.limit,
        tolerance_of(settings, stepper),
        is_automatic(settings, stepper),
    )
    events = find_events(problem, since.times, settings.time.events)
    regular = serving_times(settings, since.times)
    targets = extend_targets(since.times, since.targets, events, step.automatic, regular)
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
