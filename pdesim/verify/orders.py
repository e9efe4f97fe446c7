"""Orders of accuracy, measured by refining the grid and the time step separately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.errors import StepperError
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import Discretisation
from pdesim.steppers import METHODS, Method, build_stepper
from pdesim.steppers.base import AdaptiveStepper
from pdesim.steppers.stability import stable_step
from pdesim.verify.claims import claimed_order, stiff_order
from pdesim.verify.domain import balanced, resized, slow_rate, squared, waves_of
from pdesim.verify.manufactured import (
    BOX_OBSTACLE,
    JUMP,
    TURNED_OBSTACLE,
    VANISHING,
    Manufactured,
    manufacture,
    usual_case,
)

#: cells per axis of the refinement, by dimension
SIZES = {1: (32, 48, 72, 108), 2: (16, 24, 36, 54), 3: (8, 12, 18, 27)}
#: where faces of obstacles or jumps have to lie on faces of cells: multiples of 4
ALIGNED_SIZES = {1: SIZES[1], 2: (16, 24, 36, 52), 3: (8, 12, 16, 24)}
#: along a line between walls with second conditions: there errors at walls settle over a cell in a
#: time like spacing^4, which an explicit integration must be able to reach
FOURTH_ORDER_SIZES = (24, 36, 54, 80)
SPECTRAL_SIZES = {1: (6, 8, 10, 12), 2: (6, 8, 10, 12), 3: (6, 8, 10, 12)}
#: along a line, how often more the grid is refined where a slope is short of the claim and rising
FURTHER = 3
#: along a line, coarser grids for operators whose errors on the others are round-off
COARSER = (20, 12)
#: cells per axis on which time steps are refined; steps at first, their growth, how often at most
TIME_SIZE = {1: 32, 2: 16, 3: 8}
STEPS, REFINE, RUNGS = 16, 1.5, 12
#: slopes between neighbours that differ by less have settled: if what follows the leading term of
#: the error is one order smaller, their fit is then within 0.07 of its limit
SETTLED = 0.05
#: cells of the line on which steps are long beside the fastest rates
STIFF_SIZE = 128
#: of the integration that stands for exact, per step
TOLERANCE = 1e-14
#: times this, for a second such integration: how far both are apart tells what round-off is
ROUGH = 2
#: of direct solutions, errors below this (relative to the solution) are round-off
FLOOR = 2e-12
#: errors this many times above round-off are fitted: it bends a slope by no more than 0.03
TRUSTED = 30.0
#: how many sizes a slope is fitted to, if that many errors can be trusted
FITTED = 4
#: a last error of this size is no convergence, however fast errors became smaller before it
LARGEST = 0.1
#: what a measured order may lack of the claim where slopes have settled, and elsewhere
SLACK, UNSETTLED_SLACK = 0.1, 0.2
#: what a row says of its solution
CASE_NAMES = {
    VANISHING: ", u = 0 at boundaries",
    JUMP: ", jump of a coefficient",
    BOX_OBSTACLE: ", box as obstacle",
    TURNED_OBSTACLE: ", turned box as obstacle",
}
#: a spectral discretisation must win this much over the finest refinement
SPECTRAL_ERROR = 1e-7


@dataclass(frozen=True)
class Measurement:
    """One refinement: ``sizes`` are spacings or time steps, ``errors`` maximum norms.

    ``claimed`` is the order promised (None: spectral, judged by the last error alone); errors as
    small as ``floor`` are round-off.
    """

    what: str
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    claimed: float | None
    floor: float = FLOOR

    @property
    def fitted(self) -> np.ndarray:
        """Logarithms of the finest sizes whose errors are far from round-off, and of the errors."""
        pairs = [p for p in zip(self.sizes, self.errors, strict=True) if p[1] > self.floor]
        far = [(size, error) for size, error in pairs if error > TRUSTED * self.floor]
        return np.log((far if len(far) > 2 else pairs)[-FITTED:]).reshape(-1, 2).T

    @property
    def trusted(self) -> int:
        """How many errors are far from round-off."""
        return sum(error > TRUSTED * self.floor for error in self.errors)

    @property
    def order(self) -> float:
        """The slope of log(error) over log(size), by least squares."""
        sizes, errors = self.fitted
        return float(np.polyfit(sizes, errors, 1)[0]) if len(sizes) > 1 else float("nan")

    @property
    def exhausted(self) -> bool:
        """Whether a finer size would show round-off."""
        return not self.errors[-1] > TRUSTED * self.floor

    @property
    def settled(self) -> bool:
        """Whether the slope is the same all along: the leading term of the error has taken over."""
        sizes, errors = self.fitted
        far = errors.size == FITTED and errors.min() > np.log(TRUSTED * self.floor)
        return bool(far and np.ptp(np.diff(errors) / np.diff(sizes)) < SETTLED)

    @property
    def decided(self) -> bool:
        """Whether finer sizes would tell nothing new; a miss is looked at more finely first."""
        return self.settled and self.passed

    @property
    def slack(self) -> float:
        """How much of the claim the measured order may lack."""
        return SLACK if self.settled else UNSETTLED_SLACK

    @property
    def passed(self) -> bool:
        if self.claimed is None:
            return self.errors[-1] < SPECTRAL_ERROR
        if np.isnan(self.order):
            return max(self.errors) <= self.floor * 10
        return self.order >= self.claimed - self.slack and self.errors[-1] < LARGEST


def measure_space(
    problem: Problem, sizes: Sequence[int] | None = None, case: str | None = None
) -> Measurement:
    """Refine the grid; time is integrated by an adaptive method to near round-off.

    ``case``: which solution (:func:`pdesim.verify.manufactured.manufacture`).
    """
    scheme, case = problem.discretisation, case or usual_case(problem)
    line = sizes is None and problem.grid.dimensions == 1 and bool(scheme.order)
    sizes = sizes or _sizes(problem, case)
    problem = balanced(squared(problem) if case == TURNED_OBSTACLE else problem)
    finest = resized(problem, max(sizes))
    limit = stable_step(build_stepper("rk4", problem), waves_of(finest), 1e9)
    # long enough for what happens at walls to settle over the coarsest cells
    duration = min(1000 * limit, 4.0 / slow_rate(problem))
    what, claimed = describe_scheme(scheme) + CASE_NAMES.get(case, ""), claimed_order(problem, case)

    def solve_on(points: int):
        exact = manufacture(resized(problem, points), duration, case)
        solve = accurate_solver(exact, duration)
        found = solve(TOLERANCE)
        return max(exact.problem.grid.spacing), _error(found, exact.state(duration)), found, solve

    pairs: list[tuple[float, float]] = []
    finer = (4 * round(sizes[-1] * REFINE ** (n + 1) / 4) for n in range(FURTHER if line else 0))
    for points in (*sizes, *finer):
        *pair, found, solve = solve_on(points)
        pairs.append(tuple(pair))
        if len(pairs) < len(sizes):
            continue
        floor = _floor(found, solve(ROUGH * TOLERANCE))
        measured = Measurement(what, *zip(*pairs, strict=True), claimed, floor)
        if measured.decided or measured.exhausted or measured.order >= (claimed or 0):
            break
    for points in COARSER if line else ():
        if measured.trusted >= FITTED - 1:
            break
        pairs.insert(0, solve_on(points)[:2])
        measured = Measurement(what, *zip(*pairs, strict=True), claimed, floor)
    return measured


def _sizes(problem: Problem, case: str) -> Sequence[int]:
    table = SPECTRAL_SIZES if problem.discretisation.is_spectral else SIZES
    if table is SIZES and problem.grid.dimensions == 1 and problem.assumed_conditions:
        return FOURTH_ORDER_SIZES
    if case in (BOX_OBSTACLE, TURNED_OBSTACLE, JUMP):
        table = ALIGNED_SIZES
    return table[problem.grid.dimensions]


def measure_time(
    problem: Problem, stepper_name: str, stages: int = 9, stiff: bool = False
) -> Measurement:
    """Refine the time step on one grid, against an accurate solution of the same grid.

    ``stiff``: on a fine grid and with few steps, which stay long beside the fastest rates; the
    claim is then :func:`pdesim.verify.claims.stiff_order`.
    """
    size = STIFF_SIZE if stiff else TIME_SIZE[problem.grid.dimensions]
    problem = resized(balanced(problem), size)
    duration = _duration(problem, stepper_name, stages)
    exact = manufacture(problem, duration)
    solve = accurate_solver(exact, duration)
    reference, halfway = solve(TOLERANCE), solve(TOLERANCE, duration / 2)
    floor = _floor(reference, solve(ROUGH * TOLERANCE))
    stepper = build_stepper(stepper_name, exact.problem, stages)
    loop = TimeLoop(StepContext(exact.problem, stepper, tf.float64))
    steps, errors = [], []
    order = stiff_order(problem, stepper_name) if stiff else METHODS[stepper_name].order
    name = f"{stepper_name}, stiff" if stiff else stepper_name
    for rung in range(FITTED if stiff else RUNGS):
        half = round(STEPS / 2 * REFINE**rung)
        steps.append(duration / 2 / half)
        # at one instant alone, errors that oscillate may cancel
        middle = march(loop, exact.state(0.0), duration / 2, half)
        last = march(loop, exact.state(0.0), duration, 2 * half)
        errors.append(max(_error(middle, halfway), _error(last, reference)))
        measured = Measurement(name, tuple(steps), tuple(errors), order, floor)
        if measured.decided or (rung >= FITTED - 1 and measured.exhausted):
            break
    return measured


def _floor(accurate: np.ndarray, rough: np.ndarray) -> float:
    """What an integration of near round-off leaves in doubt."""
    return max(TOLERANCE, _error(rough, accurate))


def measure_steady(problem: Problem, solve, sizes: Sequence[int] | None = None) -> Measurement:
    """Refine the grid of a steady problem; ``solve(problem)`` gives its state."""
    scheme, errors, spacings = problem.discretisation, [], []
    table = SPECTRAL_SIZES if scheme.is_spectral else SIZES
    # where no wall holds a value, the mean is free: only the rest of the solution is determined
    free = not any(w.kind == "dirichlet" for f in problem.boundary.walls for p in f for w in p)
    for points in sizes or table[problem.grid.dimensions]:
        exact = manufacture(resized(problem, points), 1.0)
        wanted = exact.state(0.0)
        found = solve(_without_mean(exact.problem, wanted) if free else exact.problem)
        errors.append(_error(found + ((wanted - found).mean() if free else 0.0), wanted))
        spacings.append(max(exact.problem.grid.spacing))
    return Measurement(
        describe_scheme(scheme), tuple(spacings), tuple(errors), scheme.order or None
    )


def describe_scheme(scheme: Discretisation) -> str:
    name = scheme.name if scheme.is_spectral else f"{scheme.name} {scheme.order}"
    return f"{name} isotropic" if scheme.isotropic else name


def _without_mean(problem: Problem, state: np.ndarray) -> Problem:
    """The source less a constant, so that what differences leave over at a solution has no mean.

    Between walls that hold fluxes there is a discrete solution only then; the constant is as small
    as the error of the differences.
    """
    numbers = {k: tf.constant(v, tf.float64) for k, v in problem.parameters.items()}
    system = MethodOfLines(problem, tf.float64, False, numbers)
    left = system.rhs(tf.constant(state), tf.constant(0.0, tf.float64)).numpy()
    means = left.reshape(len(left), -1).mean(axis=1).tolist()
    formulas = (f - mean for f, mean in zip(problem.equation.formulas, means, strict=True))
    return replace(problem, equation=replace(problem.equation, formulas=tuple(formulas)))


def march(loop: TimeLoop, state: np.ndarray, duration: float, count: int) -> np.ndarray:
    """``count`` equal steps from time 0."""
    dt = duration / count
    zero, steps = tf.constant(0.0, tf.float64), tf.constant(dt, tf.float64)
    coefficients = loop.coefficients.tensors(dt)
    carry = loop.init(tf.constant(state), zero, steps, loop.parameters, coefficients)
    first, last = tf.constant(0, tf.int64), tf.constant(count, tf.int64)
    result = loop.advance(carry, zero, steps, first, last, loop.parameters, coefficients)
    return result[1].numpy()


def accurate_solver(exact: Manufactured, duration: float) -> Callable[..., np.ndarray]:
    """The state by the Dormand-Prince pair, as a function of its tolerance and of the time."""
    rolled = _Rolled(METHODS["dormand_prince"])
    loop = TimeLoop(StepContext(exact.problem, rolled, tf.float64))
    state, trials = tf.constant(exact.state(0.0)), tf.constant(10**7, tf.int64)
    # the chosen solution is of order one
    scale = tf.ones(state.shape[0], tf.float64)

    def solve(tolerance: float, end: float = duration) -> np.ndarray:
        values = (0.0, end, end / 100, tolerance)
        time, stop, dt, allowed = (tf.constant(value, tf.float64) for value in values)
        arguments = state, time, stop, dt, trials, allowed, scale, loop.parameters
        return loop.advance_adaptive(*arguments)[1].numpy()

    return solve


@dataclass(frozen=True)
class _Rolled(AdaptiveStepper):
    """An embedded pair whose stages are a loop: a seventh of the program to trace and compile.

    Slower per step than ``EmbeddedRungeKutta``, but here every grid needs a program of its own.
    """

    method: Method

    def step_with_error(self, system, state, stage_time, dt):
        tableau = self.method.tableau
        rows = [[*map(float, row)] + [0.0] * (tableau.stages - len(row)) for row in tableau.a]
        a, c = tf.constant(rows, state.dtype), tf.constant([*map(float, tableau.c)], state.dtype)
        b, embedded = (np.array(w, float) for w in (tableau.b, tableau.embedded))

        def stage(index, slopes):
            slope = system.rhs(state + dt * tf.tensordot(a[index], slopes, 1), stage_time(c[index]))
            return index + 1, tf.tensor_scatter_nd_update(slopes, [[index]], slope[None])

        slopes = tf.zeros((tableau.stages, *state.shape), state.dtype)
        slopes = tf.while_loop(lambda index, _: index < tableau.stages, stage, (0, slopes))[1]
        new, error = (dt * tf.tensordot(w, slopes, 1) for w in (b, b - embedded))
        return state + new, error


def _duration(problem: Problem, stepper_name: str, stages: int) -> float:
    """How long to integrate: the first count of steps is stable, and the solution stays smooth.

    Raises:
        StepperError: if the stepper is unstable at any step.
    """
    stepper = build_stepper(stepper_name, problem, stages)
    limit = stable_step(stepper, waves_of(problem), 1e9)
    if limit == 0.0:
        raise StepperError(f"{stepper_name} is unstable for {problem.equation.name} at any step")
    return min(0.7 * limit * STEPS, 2.0 / slow_rate(problem))


def _error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())
