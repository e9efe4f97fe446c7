"""Plans for the same problem on N/2, N and 2N cells per axis. Does not import TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pdesim.config.compose import Composed
from pdesim.errors import BoundaryError, ConfigError, DivergedError, PdesimError, StepperError
from pdesim.model.equation_settings import build_equation
from pdesim.model.grid import Grid, build_grid
from pdesim.model.initial_conditions import build_initial
from pdesim.model.iterated_map import check_no_map
from pdesim.plan import Plan, build_plan
from pdesim.settings import Settings
from pdesim.steppers import METHODS
from pdesim.steppers.targets import frame_times

#: numbers of cells per axis relative to those of the settings
FACTORS = (0.5, 1.0, 2.0)
#: smallest number of cells per axis; a grid with half as many must still be valid
MIN_CELLS = 8
#: number of equidistant times at which the solutions are compared
COMPARISONS = 10


@dataclass(frozen=True)
class Levels:
    """Three plans, from coarse to fine.

    Args:
        plans: the plans.
        refined: "space", or "space and time" if the user's ``time.dt`` is refined with the grid.
        order: the expected order of accuracy; None if no single order is expected (with spectral
            operators or obstacles).
        notes: descriptions of how the settings were changed, for the user.
        costs: for each level, the number of cells times the number of steps, relative to the user's
            run; None if the numbers of steps are unknown.
    """

    plans: tuple[Plan, ...]
    refined: str
    order: float | None
    notes: tuple[str, ...]
    costs: tuple[float, ...] | None

    @property
    def steps(self) -> str:
        """How time steps are chosen.

        "none" (a steady problem), "adaptive", "given" (by ``time.dt``), or "equal" on all levels.
        """
        plan = self.plans[1]
        if plan.is_steady:
            return "none"
        if plan.step.adaptive:
            return "adaptive"
        return "given" if self.refined == "space and time" else "equal"

    def with_tolerance(self, tolerance: float) -> Levels:
        """The levels with a different tolerance for adaptive steps."""
        return self._with_steps(tolerance=tolerance)

    def with_dt(self, dt: float) -> Levels:
        """The levels with the time step ``dt`` on all of them, without error control."""
        plan = self.plans[1]
        follows = not plan.is_steady and plan.step.automatic
        return self._with_steps(dt=dt, **({"automatic": False} if follows else {}))

    def _with_steps(self, **changes: float | bool) -> Levels:
        plans = tuple(plan.with_step(**changes) for plan in self.plans)
        return replace(self, plans=plans)


def build_levels(composed: Composed) -> Levels:
    """Plan the three runs.

    Args:
        composed: the settings of the user's run.

    Raises:
        PdesimError: if a setting is invalid, or if the grid has too few cells to be halved.
    """
    settings, name = composed.settings, composed.equation
    if settings.sweep.parameters:
        raise ConfigError("pdesim converge needs a single run, not a sweep")
    check_no_map(settings.equation, "converge")
    if settings.equation.get("noise"):
        raise ConfigError(
            "pdesim converge compares solutions on several grids, whose noise differs",
            "equation.noise=null, the equation without noise",
            "pdesim verify measures the order of the steps with noise",
        )
    grid, notes = _even_grid(build_grid(settings))
    notes = [*notes, *_notes_on_initial_state(settings, name, grid)]
    user = _Builder(settings, name, grid).plan(1.0)
    notes += _notes_on_obstacles(user)
    builder = _Builder(_with_comparison_times(settings), name, grid)
    if user.is_steady:
        return Levels(builder.plans(), "space", _order(user), tuple(notes), None)
    builder = replace(
        builder, settings=_update(builder.settings, "stepper", name=user.stepper.method.name)
    )
    if user.step.adaptive:
        return Levels(builder.plans(), "space", _order(user), tuple(notes), None)
    if settings.time.dt == "auto":
        # with equal steps, the leading errors in time are equal on all levels, so that the
        # differences between levels are spatial errors
        levels = Levels(builder.plans(), "space", _order(user), tuple(notes), None)
        steps = [plan.step for plan in (*levels.plans, user) if not plan.is_steady]
        levels = levels.with_dt(min(step.dt for step in steps))
    else:
        plans, exponent = _refined_steps(builder, settings.time.dt)
        if exponent > 1:
            notes.append(
                f"time.dt is divided by {2**exponent} when the grid is refined by 2, since half of "
                f"it would exceed the stability limit on {_cells(plans[2].grid.points)} cells"
            )
        order = _joint_order(user, exponent)
        levels = Levels(plans, "space and time", order, tuple(notes), None)
    user_cost = user.steps_left * user.grid.cells
    costs = tuple(plan.steps_left * plan.grid.cells / user_cost for plan in levels.plans)
    return replace(levels, costs=costs)


@dataclass(frozen=True)
class _Builder:
    settings: Settings
    name: str
    grid: Grid

    def plan(self, factor: float, **time) -> Plan:
        """The plan with ``factor`` times as many cells per axis. Error messages name this grid."""
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
    """The same error with the grid of the failed run in the first line of its message."""
    if type(error) not in (ConfigError, StepperError, BoundaryError, DivergedError):
        return error
    line = f"on {_cells(points)} cells: {error.problem}"
    return type(error)(line, error.expected, error.hint)


def _cells(points: Sequence[int]) -> str:
    return " x ".join(map(str, points))


def _update(settings: Settings, section: str, **values) -> Settings:
    changed = getattr(settings, section).model_copy(update=values)
    return settings.model_copy(update={section: changed})


def _with_comparison_times(settings: Settings) -> Settings:
    """The settings with frames at equidistant times, in which all fields are stored exactly."""
    frames = min(COMPARISONS, settings.output.frames or COMPARISONS)
    return _update(settings, "output", frames=frames, every=None, times=None, fields=None, stride=1,
                   region=None, keep_bits=None, dtype=None)  # fmt: skip


def _even_grid(grid: Grid) -> tuple[Grid, list[str]]:
    points = tuple(n + n % 2 for n in grid.points)
    if min(points) < MIN_CELLS:
        raise ConfigError(
            f"the grid has only {min(points)} cells along an axis, too few to be halved",
            f"at least {MIN_CELLS} cells per axis",
        )
    if points == grid.points:
        return grid, []
    note = f"the numbers of cells must be even: {_cells(points)} cells are used"
    return replace(grid, points=points), [note]


def _notes_on_initial_state(settings: Settings, name: str, grid: Grid) -> list[str]:
    """A note for the user if initial values depend on the grid; otherwise an empty list."""
    equation = build_equation(settings.equation, grid.axes, name, grid.metric)
    initial = build_initial(
        settings.initial,
        equation.fields,
        grid.axes,
        equation.initial_names,
        declared=equation.declared,
        metric=grid.metric,
    )
    words = sorted(initial.grid_dependent)
    if not words:
        return []
    return [
        f"the initial state contains {', '.join(words)}: these values are evaluated on the middle "
        "grid, smoothed and interpolated, so that all three runs start from the same function, "
        "which has fewer short waves than the initial state of the original run"
    ]


def _notes_on_obstacles(plan: Plan) -> list[str]:
    if plan.problem.mask is None:
        return []
    return ["obstacles consist of cells of each grid; cells near obstacles are not compared"]


def _order(plan: Plan) -> float | None:
    scheme = plan.problem.discretisation
    return None if scheme.is_spectral or plan.problem.mask is not None else scheme.order


def _joint_order(plan: Plan, exponent: int) -> float | None:
    """The order of the total error in the spacing h if dt is proportional to ``h**exponent``."""
    space, time = _order(plan), exponent * METHODS[plan.stepper.method.name].order
    if plan.problem.mask is not None or plan.stepper.method.name == "exact":
        return space
    return time if space is None else min(space, time)


def _refined_steps(builder: _Builder, given: float) -> tuple[tuple[Plan, ...], int]:
    """Plans in which dt is divided by 2 from level to level, or by 4 if stability requires this.

    On the middle grid, dt is the given value, slightly reduced so that on every level a whole
    number of steps fits between two comparisons.

    Returns:
        The plans, and the exponent: 1 if dt is divided by 2 from level to level, 2 if by 4.
    """
    interval = float(np.diff(frame_times(builder.settings)).max())

    def plans(exponent: int) -> tuple[Plan, ...]:
        coarsest = 2**exponent
        steps = coarsest * math.ceil(interval / given / coarsest * (1 - 1e-12))
        return tuple(builder.plan(f, dt=interval / steps / f**exponent) for f in FACTORS)

    try:
        return plans(1), 1
    except StepperError as original:
        try:
            return plans(2), 2
        except StepperError:
            raise original from None


def describe_levels(levels: Levels) -> list[str]:
    """Lines of text to print before the runs: the grids, the costs, and the notes."""
    grids = [_cells(plan.grid.points) for plan in levels.plans]
    middle, fine = levels.plans[1], levels.plans[2]
    lines = [f"{middle.equation.name} on {grids[1]} cells, compared with {grids[0]} and {grids[2]}"]
    ratio = fine.grid.cells // middle.grid.cells
    if levels.costs is not None:
        lines.append(
            f"the run on {grids[2]} cells costs about {levels.costs[2]:.3g} times a run on "
            f"{grids[1]}, all three {sum(levels.costs):.3g} times"
        )
    elif not middle.is_steady:
        lines.append(
            f"the run on {grids[2]} cells costs {ratio} to {4 * ratio} times a run on {grids[1]}: "
            f"{ratio} times the cells, and up to 4 times the steps"
        )
    else:
        lines.append(
            f"the solution on {grids[2]} cells costs about {ratio} times that on {grids[1]}"
        )
    return [*lines, *(f"note: {note}" for note in levels.notes)]
