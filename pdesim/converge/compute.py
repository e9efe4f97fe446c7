"""Run the levels, bring their solutions onto the coarse grid, and estimate the errors."""

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
from pdesim.engine.device import Placement, enough_memory
from pdesim.engine.simulation import Simulation
from pdesim.errors import DivergedError, PdesimError
from pdesim.model.resampling import halve, uses_any
from pdesim.plan import Plan
from pdesim.solvers.transform import solve
from pdesim.steppers import METHODS

#: the tolerance of adaptive steps to begin with, and the smallest that float64 can keep
FIRST_TOLERANCE, LEAST_TOLERANCE = 1e-6, 1e-11
#: a tolerance is to stay below this fraction of the difference between the finer two grids: the
#: error over many steps may be ten times the tolerance
TOLERANCE_SHARE = 0.01
#: a time step is divided by this at most
MOST_REFINED = 64
#: what a difference shrinks by, at most, when a grid with spectral operators is refined
SPECTRAL_ORDER = 8

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Solution:
    """One level on the coarse grid: ``states`` is (times, fields, cells compared)."""

    times: np.ndarray
    states: np.ndarray
    steps: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """Estimates per time and field; ``errors`` maps fields to the error on the coarse grid at the
    last time, nan near obstacles."""

    levels: Levels
    solutions: tuple[Solution, ...]
    estimates: tuple[Mapping[str, FieldEstimate], ...]
    errors: Mapping[str, np.ndarray]

    @property
    def times(self) -> np.ndarray:
        return self.solutions[0].times


def compute(levels: Levels, placement: Placement, tell: Tell) -> Result:
    """Run the three levels and compare them.

    Args:
        tell: called with a line on what is being computed.

    Raises:
        PdesimError: if a run fails; the message names its grid.
    """
    if levels.steps == "adaptive":
        levels, first = _with_small_tolerance(levels, placement, tell)
    elif levels.steps == "equal":
        levels, first = _with_small_steps(levels, placement, tell)
    else:
        first = [_solution(levels, number, placement, tell) for number in (0, 1)]
    solutions = (*first, _solution(levels, 2, placement, tell))
    fields = levels.plans[1].equation.fields
    rounding = ROUNDING[levels.plans[1].settings.device.precision]
    estimates = tuple(
        {
            field: estimate(*(s.states[t, f] for s in solutions), levels.order, rounding)
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


def _with_small_tolerance(levels: Levels, placement: Placement, tell: Tell):
    """Coarse and middle solutions, with a tolerance well below their error in space."""
    given = levels.plans[1].settings.time.tolerance
    tolerance = min(FIRST_TOLERANCE, given or FIRST_TOLERANCE)
    while True:
        levels = levels.with_tolerance(tolerance)
        first = [_solution(levels, number, placement, tell) for number in (0, 1)]
        wanted = TOLERANCE_SHARE * _expected_difference(levels, *first)
        if wanted >= tolerance or tolerance <= LEAST_TOLERANCE or wanted == 0.0:
            return levels, first
        tolerance = max(LEAST_TOLERANCE, 0.5 * wanted)
        tell(f"repeated with time.tolerance = {tolerance:.1e}, to see the error in space alone")


def _with_small_steps(levels: Levels, placement: Placement, tell: Tell):
    """Coarse and middle solutions, with equal steps whose error in time is below that in space.

    The error in time is measured on the coarse grid, with half the step. It need not be much
    smaller, as it is nearly the same on all levels.
    """
    dt = levels.plans[1].step.dt
    least = dt / MOST_REFINED
    order = max(1, METHODS[levels.plans[1].stepper.method.name].order)
    while True:
        levels = levels.with_dt(dt)
        first = [_solution(levels, number, placement, tell) for number in (0, 1)]
        half = _solution(levels.with_dt(0.5 * dt), 0, placement, tell, " with half the time step")
        error = max(relative_differences(first[0].states[-1], half.states[-1]), default=0.0)
        error *= 2**order / (2**order - 1)
        allowed = _expected_difference(levels, *first)
        if error <= max(allowed, ROUNDING["float32"] * 1e-3) or dt <= least:
            return levels, first
        dt = max(least, dt * min(0.5, 0.8 * (allowed / error) ** (1 / order)))
        tell(f"repeated with dt = {dt:.2e}, to see the error in space alone")


def _expected_difference(levels: Levels, coarse: Solution, middle: Solution) -> float:
    """The difference of the finer two grids, predicted from that of the coarser two.

    Relative to the field's range, of the field where it is smallest.
    """
    found = relative_differences(coarse.states[-1], middle.states[-1])
    order = SPECTRAL_ORDER if levels.order is None else levels.order
    return min((size for size in found if size > 0), default=0.0) / 2**order


def compared_cells(levels: Levels) -> np.ndarray:
    """Which coarse cells are compared: those that read no cell inside an obstacle on any level."""
    coarse = levels.plans[0]
    if coarse.problem.mask is None:
        return np.ones(coarse.grid.shape, bool)
    used = coarse.problem.mask.solid.copy()
    for number in (1, 2):
        plan = levels.plans[number]
        solid = plan.problem.mask.solid
        for _ in range(number):
            solid = uses_any(solid, _periodic(plan), plan.problem.discretisation.is_spectral)
        used |= solid
    return ~used


def _periodic(plan: Plan) -> tuple[bool, ...]:
    return tuple(plan.problem.boundary.periodic_axes)


def _solution(
    levels: Levels, number: int, placement: Placement, tell: Tell, words: str = ""
) -> Solution:
    plan, free = levels.plans[number], compared_cells(levels)
    cells = " x ".join(map(str, plan.grid.points))
    tell(f"computing on {cells} cells{words}")
    periodic, spectral = _periodic(plan), plan.problem.discretisation.is_spectral

    def on_coarse(state: np.ndarray) -> np.ndarray:
        state = np.asarray(state, np.float64)
        for _ in range(number):
            state = halve(state, periodic, spectral)
        return state[:, free]

    began = clock.perf_counter()
    try:
        with enough_memory(plan.grid.cells):
            if plan.equation.steady:
                found, times, steps = [on_coarse(solve(plan, placement).state)], plan.times, 0
            else:
                simulation = Simulation(plan, placement)
                found = [on_coarse(f.state) for f in simulation.frames() if f.index > 0]
                times, steps = plan.times[1:], simulation.steps
    except PdesimError as error:
        raise at_grid(error, plan.grid.points) from None
    except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError) as error:
        # numbers that became infinite, in the control of steps rather than in a field
        raise DivergedError(
            f"on {cells} cells: the run failed ({error})", hint="a smaller time.dt, or a finer grid"
        ) from error
    return Solution(times, np.stack(found), steps, clock.perf_counter() - began)


def as_json(result: Result, settings_digest: str, about: str) -> dict[str, Any]:
    """Plain values for strict JSON: numbers that are not finite become None."""
    levels, middle = result.levels, result.levels.plans[1]
    scheme, step = middle.problem.discretisation, middle.step
    last = result.estimates[-1]
    values = {
        "equation": middle.equation.name,
        "refined": levels.refined,
        "expected_order": levels.order,
        "time": float(result.times[-1]),
        "operators": f"{scheme.name} {scheme.order or ''}".strip(),
        "stepper": middle.stepper.method.name if middle.stepper else None,
        "tolerance": step.tolerance if step and step.adaptive else None,
        "precision": middle.settings.device.precision,
        "device": about,
        "settings": settings_digest,
        "notes": list(levels.notes),
        "levels": [_level(*pair) for pair in zip(levels.plans, result.solutions, strict=True)],
        "fields": {name: _field(found, levels.order) for name, found in last.items()},
        "times": result.times.tolist(),
        "over_time": {name: [_numbers(found[name]) for found in result.estimates] for name in last},
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


def _field(found: FieldEstimate, expected: float | None) -> dict[str, Any]:
    return {
        **_numbers(found),
        "range": found.scale,
        "verdict": verdict(found, expected),
    }


def _numbers(found: FieldEstimate) -> dict[str, Any]:
    return {
        "order_rms": found.rms.order,
        "order_max": found.maximum.order,
        "error_rms": found.rms.error,
        "error_max": found.maximum.error,
        "relative_rms": relative(found.rms.error, found.scale),
        "relative_max": relative(found.maximum.error, found.scale),
        "reliable": found.rms.reliable and found.maximum.reliable,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
