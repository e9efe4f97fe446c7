"""Runs the three levels, interpolates the solutions to the coarse grid, and estimates errors."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdesim.converge.estimate import (
    ROUNDING,
    FieldEstimate,
    error_map,
    estimate,
    relative,
    relative_differences,
    verdict,
)
from pdesim.converge.levels import Levels, at_grid
from pdesim.engine.device import Placement
from pdesim.engine.memory import check_device_memory, enough_memory
from pdesim.engine.simulation import Simulation
from pdesim.errors import DivergedError, PdesimError
from pdesim.model.resampling import halve, uses_any
from pdesim.plan import Plan
from pdesim.solvers import solve
from pdesim.steppers import METHODS

#: the tolerance of adaptive steps in the first attempt, and the smallest that float64 allows
INITIAL_TOLERANCE, MIN_TOLERANCE = 1e-6, 1e-11
#: largest tolerance, as a fraction of the difference between the solutions on the two finer grids;
#: over many steps, the error in time may become ten times the tolerance
TOLERANCE_SHARE = 0.01
#: the time step is reduced at most by this factor
MAX_STEP_DIVISION = 64
#: assumed order of accuracy of spectral operators
SPECTRAL_ORDER = 8

Report = Callable[[str], None]


@dataclass(frozen=True)
class Solution:
    """The solution of one level in the coarse-grid cells in which the levels are compared.

    ``states`` has the shape (times, fields, cells).
    """

    times: np.ndarray
    states: np.ndarray
    steps: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """The solutions of the levels and the estimated errors.

    ``estimates`` has an entry per time, which maps fields to estimates. ``errors`` maps each field
    to its error at the last time in the cells of the coarse grid, NaN near obstacles.
    """

    levels: Levels
    solutions: tuple[Solution, ...]
    estimates: tuple[Mapping[str, FieldEstimate], ...]
    errors: Mapping[str, np.ndarray]

    @property
    def times(self) -> np.ndarray:
        return self.solutions[0].times


def compute(levels: Levels, placement: Placement, report: Report) -> Result:
    """Run the three levels and compare their solutions.

    Args:
        levels: the levels.
        placement: the device.
        report: a function that is called with a line of text at the start of each computation.

    Raises:
        PdesimError: if a run fails; the message names its grid.
    """
    if levels.steps == "adaptive":
        levels, first = _with_refined_tolerance(levels, placement, report)
    elif levels.steps == "equal":
        levels, first = _with_refined_step(levels, placement, report)
    else:
        first = [_solution(levels, number, placement, report) for number in (0, 1)]
    solutions = (*first, _solution(levels, 2, placement, report))
    fields = levels.plans[1].equation.fields
    rounding = ROUNDING[levels.plans[1].settings.device.precision]
    estimates = tuple(
        {
            field: estimate(
                solutions[0].states[t, f],
                solutions[1].states[t, f],
                solutions[2].states[t, f],
                levels.order,
                rounding,
            )
            for f, field in enumerate(fields)
        }
        for t in range(len(solutions[0].times))
    )
    free = compared_cells(levels)
    errors = {}
    for f, field in enumerate(fields):
        errors[field] = np.full(free.shape, np.nan)
        order = estimates[-1][field].rms.order
        middle, fine = (s.states[-1, f] for s in solutions[1:])
        errors[field][free] = error_map(middle, fine, order, levels.order)
    return Result(levels, solutions, estimates, errors)


def _with_refined_tolerance(
    levels: Levels, placement: Placement, report: Report
) -> tuple[Levels, list[Solution]]:
    """Reduce the tolerance until the error in time is far below the spatial error.

    Returns:
        The levels with this tolerance, and the solutions on the coarse and the middle grid.
    """
    given = levels.plans[1].settings.time.tolerance
    tolerance = min(INITIAL_TOLERANCE, given or INITIAL_TOLERANCE)
    while True:
        levels = levels.with_tolerance(tolerance)
        first = [_solution(levels, number, placement, report) for number in (0, 1)]
        target = TOLERANCE_SHARE * _expected_difference(levels, *first)
        if target >= tolerance or tolerance <= MIN_TOLERANCE or target == 0.0:
            return levels, first
        tolerance = max(MIN_TOLERANCE, 0.5 * target)
        report(f"repeating with time.tolerance = {tolerance:.1e}, to isolate the error in space")


def _with_refined_step(
    levels: Levels, placement: Placement, report: Report
) -> tuple[Levels, list[Solution]]:
    """Reduce the time step until the error in time is below the spatial error.

    The error in time is measured on the coarse grid by halving the step. It need not be far below
    the spatial error, since it is nearly the same on all levels.

    Returns:
        The levels with this time step, and the solutions on the coarse and the middle grid.
    """
    step, stepper = levels.plans[1].step, levels.plans[1].stepper
    dt = step.dt
    least = dt / MAX_STEP_DIVISION
    order = max(1, METHODS[stepper.method.name].order)
    while True:
        levels = levels.with_dt(dt)
        first = [_solution(levels, number, placement, report) for number in (0, 1)]
        half = _solution(levels.with_dt(0.5 * dt), 0, placement, report, " with half the time step")
        error = max(relative_differences(first[0].states[-1], half.states[-1]), default=0.0)
        error *= 2**order / (2**order - 1)
        allowed = _expected_difference(levels, *first)
        if error <= max(allowed, ROUNDING["float32"] * 1e-3) or dt <= least:
            return levels, first
        dt = max(least, dt * min(0.5, 0.8 * (allowed / error) ** (1 / order)))
        report(f"repeating with dt = {dt:.2e}, to isolate the error in space")


def _expected_difference(levels: Levels, coarse: Solution, middle: Solution) -> float:
    """Predict the relative difference between the solutions on the middle and the fine grid.

    It follows from the difference between the coarse and the middle grid, and the expected order.
    If there are several fields, the smallest difference is returned.
    """
    differences = relative_differences(coarse.states[-1], middle.states[-1])
    order = SPECTRAL_ORDER if levels.order is None else levels.order
    return min((size for size in differences if size > 0), default=0.0) / 2**order


def compared_cells(levels: Levels) -> np.ndarray:
    """A boolean array over the coarse grid: True in the cells in which the levels are compared.

    These are the cells whose values, on every level, are interpolated without using any cell inside
    an obstacle.
    """
    coarse = levels.plans[0]
    if coarse.problem.mask is None:
        return np.ones(coarse.grid.shape, bool)
    used = coarse.problem.mask.solid.copy()
    for number in (1, 2):
        plan = levels.plans[number]
        assert plan.problem.mask is not None
        solid = plan.problem.mask.solid
        for _ in range(number):
            solid = uses_any(solid, _periodic(plan), plan.problem.discretisation.is_spectral)
        used |= solid
    return ~used


def _periodic(plan: Plan) -> tuple[bool, ...]:
    return tuple(plan.problem.boundary.periodic_axes)


def _solution(
    levels: Levels, number: int, placement: Placement, report: Report, suffix: str = ""
) -> Solution:
    plan, free = levels.plans[number], compared_cells(levels)
    cells = " x ".join(map(str, plan.grid.points))
    report(f"computing on {cells} cells{suffix}")
    periodic, spectral = _periodic(plan), plan.problem.discretisation.is_spectral

    def on_coarse(state: np.ndarray) -> np.ndarray:
        state = np.asarray(state, np.float64)
        for _ in range(number):
            state = halve(state, periodic, spectral)
        return state[:, free]

    began = clock.perf_counter()
    try:
        check_device_memory([plan], placement)
        with enough_memory(plan.grid.cells):
            if plan.equation.steady:
                states, times, steps = [on_coarse(solve(plan, placement).state)], plan.times, 0
            else:
                simulation = Simulation(plan, placement)
                states = [on_coarse(f.state) for f in simulation.frames() if f.index > 0]
                times, steps = plan.times[1:], simulation.steps
    except PdesimError as error:
        raise at_grid(error, plan.grid.points) from None
    except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError) as error:
        # raised if the step-size control encounters values that are not finite
        raise DivergedError(
            f"on {cells} cells: the run failed ({error})", hint="a smaller time.dt, or a finer grid"
        ) from error
    return Solution(times, np.stack(states), steps, clock.perf_counter() - began)


def as_json(result: Result, settings_digest: str, about: str) -> dict[str, Any]:
    """The result as values for JSON; numbers that are not finite become None."""
    levels, middle = result.levels, result.levels.plans[1]
    scheme, step = middle.problem.discretisation, None if middle.is_steady else middle.step
    last = result.estimates[-1]
    values = {
        "equation": middle.equation.name,
        "refined": levels.refined,
        "expected_order": levels.order,
        "time": float(result.times[-1]),
        "operators": f"{scheme.name} {scheme.order or ''}".strip(),
        "stepper": None if middle.is_steady else middle.stepper.method.name,
        "tolerance": step.tolerance if step and step.adaptive else None,
        "precision": middle.settings.device.precision,
        "device": about,
        "settings": settings_digest,
        "notes": list(levels.notes),
        "levels": [_level(*pair) for pair in zip(levels.plans, result.solutions, strict=True)],
        "fields": {name: _field(numbers, levels.order) for name, numbers in last.items()},
        "times": result.times.tolist(),
        "over_time": {name: [_numbers(each[name]) for each in result.estimates] for name in last},
    }
    return _finite(values)


def _level(plan: Plan, solution: Solution) -> dict[str, Any]:
    adaptive = plan.is_steady or plan.step.adaptive
    return {
        "grid": list(plan.grid.points),
        "spacing": list(plan.grid.spacing),
        "dt": None if adaptive else plan.shortest_step,
        "steps": solution.steps,
        "seconds": round(solution.seconds, 3),
    }


def _field(field: FieldEstimate, expected: float | None) -> dict[str, Any]:
    return {
        **_numbers(field),
        "range": field.scale,
        "verdict": verdict(field, expected),
    }


def _numbers(field: FieldEstimate) -> dict[str, Any]:
    return {
        "order_rms": field.rms.order,
        "order_max": field.maximum.order,
        "error_rms": field.rms.error,
        "error_max": field.maximum.error,
        "relative_rms": relative(field.rms.error, field.scale),
        "relative_max": relative(field.maximum.error, field.scale),
        "reliable": field.rms.reliable and field.maximum.reliable,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
