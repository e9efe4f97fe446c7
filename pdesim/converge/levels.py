"""The same problem on three grids: plans for N/2, N and 2N cells per axis. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pdesim.config.compose import Composed
from pdesim.errors import BoundaryError, ConfigError, DivergedError, PdesimError, StepperError
from pdesim.model.equation import build_equation
from pdesim.model.grid import Grid
from pdesim.model.initial_conditions import build_initial
from pdesim.plan import Plan, build_grid, build_plan, frame_times
from pdesim.settings import Settings
from pdesim.steppers import METHODS

#: cells per axis, relative to those of the settings
FACTORS = (0.5, 1.0, 2.0)
#: the fewest cells per axis: half of them must be a grid still
FEWEST = 8
#: how many times, evenly spread, the solutions are compared at
COMPARISONS = 10


@dataclass(frozen=True)
class Levels:
    """Three plans, coarse to fine, and how their steps in time relate.

    ``refined`` is "space", or "space and time" where a given ``time.dt`` is refined with the grid.
    ``order`` is the order of accuracy that the schemes promise; None where no single one exists
    (spectral operators, obstacles).
    """

    plans: tuple[Plan, ...]
    refined: str
    order: float | None
    notes: tuple[str, ...]
    #: cost of each level relative to the run at N, from cells and steps; None: steps are not known
    costs: tuple[float, ...] | None

    @property
    def steps(self) -> str:
        """How time is advanced: "none", "adaptive", "given" by ``time.dt``, or "equal" steps."""
        step = self.plans[1].step
        if step is None:
            return "none"
        if step.adaptive:
            return "adaptive"
        return "given" if self.refined == "space and time" else "equal"

    def with_tolerance(self, tolerance: float) -> Levels:
        """The same levels with another tolerance of adaptive steps."""
        return self._with_steps(tolerance=tolerance)

    def with_dt(self, dt: float) -> Levels:
        """The same levels with one step for all of them, which no measured error changes."""
        follows = getattr(self.plans[1].step, "automatic", False)
        return self._with_steps(dt=dt, **({"automatic": False} if follows else {}))

    def _with_steps(self, **changes) -> Levels:
        plans = tuple(replace(p, step=replace(p.step, **changes)) for p in self.plans)
        return replace(self, plans=plans)


def build_levels(composed: Composed) -> Levels:
    """Plan the three runs.

    Raises:
        PdesimError: for mistakes in the settings, and for grids that cannot be halved.
    """
    settings, name = composed.settings, composed.equation
    if settings.sweep.parameters:
        raise ConfigError("pdesim converge takes a single run, and this is a sweep")
    grid, notes = _even_grid(build_grid(settings))
    notes = [*notes, *_notes_on_the_start(settings, name, grid)]
    user = _Builder(settings, name, grid).plan(1.0)
    notes += _notes_on_obstacles(user)
    levels = _Builder(_comparable(settings), name, grid)
    if user.equation.steady:
        return Levels(levels.plans(), "space", _order(user), tuple(notes), None)
    levels = replace(
        levels, settings=_update(levels.settings, "stepper", name=user.stepper.method.name)
    )
    if user.step.adaptive:
        return Levels(levels.plans(), "space", _order(user), tuple(notes), None)
    if settings.time.dt == "auto":
        # equal steps make equal errors in time, up to terms of higher order, so that differences
        # between the levels are errors in space
        found = Levels(levels.plans(), "space", _order(user), tuple(notes), None)
        found = found.with_dt(min(plan.step.dt for plan in (*found.plans, user)))
    else:
        plans, power = _refined_steps(levels, user)
        if power > 1:
            notes.append(
                f"time.dt is divided by {2**power} when the grid is refined by 2: half of it would "
                f"be above the stability limit on {_cells(plans[2].grid.points)} cells"
            )
        order = _joint_order(user, power)
        found = Levels(plans, "space and time", order, tuple(notes), None)
    whole = user.steps_left * user.grid.cells
    costs = tuple(plan.steps_left * plan.grid.cells / whole for plan in found.plans)
    return replace(found, costs=costs)


@dataclass(frozen=True)
class _Builder:
    settings: Settings
    name: str
    grid: Grid

    def plan(self, factor: float, **time) -> Plan:
        """The plan with ``factor`` times as many cells per axis; errors name the grid."""
        points = [round(n * factor) for n in self.grid.points]
        settings = self.settings.model_copy(update={"grid": points})
        settings = _update(settings, "domain", extent=list(self.grid.extent),
                           origin=list(self.grid.origin))  # fmt: skip
        if time:
            settings = _update(settings, "time", **time)
        try:
            return build_plan(settings, self.name, drawn_on=self.grid)
        except PdesimError as error:
            raise at_grid(error, points) from None

    def plans(self) -> tuple[Plan, Plan, Plan]:
        coarse, middle, fine = (self.plan(factor) for factor in FACTORS)
        return coarse, middle, fine


def at_grid(error: PdesimError, points: Sequence[int]) -> PdesimError:
    """The same error, its first line naming the grid of the run that it ended."""
    if type(error) not in (ConfigError, StepperError, BoundaryError, DivergedError):
        return error
    line = f"on {_cells(points)} cells: {error.problem}"
    return type(error)(line, error.expected, error.hint)


def _cells(points: Sequence[int]) -> str:
    return " x ".join(map(str, points))


def _update(settings: Settings, section: str, **values) -> Settings:
    changed = getattr(settings, section).model_copy(update=values)
    return settings.model_copy(update={section: changed})


def _comparable(settings: Settings) -> Settings:
    """Evenly spread times of comparison, and everything stored as it is computed."""
    frames = min(COMPARISONS, settings.output.frames or COMPARISONS)
    return _update(settings, "output", frames=frames, every=None, fields=None, stride=1,
                   region=None, keep_bits=None, dtype=None)  # fmt: skip


def _even_grid(grid: Grid) -> tuple[Grid, list[str]]:
    points = tuple(n + n % 2 for n in grid.points)
    if min(points) < FEWEST:
        raise ConfigError(
            f"this grid has {min(points)} cells along an axis, and half of them are too few",
            f"at least {FEWEST} cells per axis",
        )
    if points == grid.points:
        return grid, []
    note = f"the number of cells must be even to be halved: {_cells(points)} cells are used"
    return replace(grid, points=points), [note]


def _notes_on_the_start(settings: Settings, name: str, grid: Grid) -> list[str]:
    """What is done with initial values that depend on the grid."""
    equation = build_equation(settings.equation, grid.axes, name)
    initial = build_initial(
        settings.initial, equation.fields, grid.axes, equation.parameter_symbols
    )
    words = sorted(initial.grid_dependent)
    if not words:
        return []
    return [
        f"the initial state contains {', '.join(words)}: taken on the grid N, smoothed and "
        "interpolated, so that all three runs start from the same function; it has fewer short "
        "waves than the initial state of the run itself"
    ]


def _notes_on_obstacles(plan: Plan) -> list[str]:
    if plan.problem.mask is None:
        return []
    return [
        "obstacles follow the cells of each grid; cells near them are left out of the comparison"
    ]


def _order(plan: Plan) -> float | None:
    scheme = plan.problem.discretisation
    return None if scheme.is_spectral or plan.problem.mask is not None else scheme.order


def _joint_order(plan: Plan, power: int) -> float | None:
    """The order in the spacing when dt shrinks as its ``power``."""
    space, time = _order(plan), power * METHODS[plan.stepper.method.name].order
    if plan.problem.mask is not None or plan.stepper.method.name == "exact":
        return space
    return time if space is None else min(space, time)


def _refined_steps(levels: _Builder, user: Plan) -> tuple[tuple[Plan, ...], int]:
    """A given dt, refined with the grid: by 2 per level, or by 4 where stability needs it.

    At N it is shortened as little as makes the steps between two comparisons divisible, so that
    the steps of the levels have exactly this ratio.
    """
    interval = float(np.diff(frame_times(levels.settings)).max())
    given = user.settings.time.dt

    def plans(power: int) -> tuple[Plan, ...]:
        coarsest = 2**power
        steps = coarsest * math.ceil(interval / given / coarsest * (1 - 1e-12))
        return tuple(levels.plan(f, dt=interval / steps / f**power) for f in FACTORS)

    try:
        return plans(1), 1
    except StepperError as refused:
        try:
            return plans(2), 2
        except StepperError:
            raise refused from None


def describe_levels(levels: Levels) -> list[str]:
    """Lines before the runs: the grids, the cost, and what was changed."""
    grids = [_cells(plan.grid.points) for plan in levels.plans]
    middle, fine = levels.plans[1], levels.plans[2]
    lines = [f"{middle.equation.name} on {grids[1]} cells, compared with {grids[0]} and {grids[2]}"]
    ratio = fine.grid.cells // middle.grid.cells
    if levels.costs is not None:
        lines.append(
            f"the run on {grids[2]} cells costs about {levels.costs[2]:.3g} times a run on "
            f"{grids[1]}, all three {sum(levels.costs):.3g} times"
        )
    elif middle.step is not None:
        lines.append(
            f"the run on {grids[2]} cells costs {ratio} to {4 * ratio} times a run on {grids[1]}: "
            f"{ratio} times the cells, and up to 4 times the steps"
        )
    else:
        lines.append(
            f"the solution on {grids[2]} cells costs about {ratio} times that on {grids[1]}"
        )
    return [*lines, *(f"note: {note}" for note in levels.notes)]
