"""Orders of accuracy in space and in time, measured by refining the grid and the time step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.errors import StepperError
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import Discretisation
from pdesim.steppers import METHODS, Method, build_stepper
from pdesim.steppers.base import AdaptiveStepper
from pdesim.steppers.stability import stable_step
from pdesim.steppers.tableaux import Tableau
from pdesim.verify.claims import claimed_order, stiff_order
from pdesim.verify.domain import (
    linearised,
    on_square,
    resized,
    solution_rate,
    with_dominant_derivatives,
)
from pdesim.verify.manufactured import (
    BOX_OBSTACLE,
    JUMP,
    TURNED_OBSTACLE,
    VANISHING,
    Manufactured,
    manufacture,
    usual_case,
)
from pdesim.verify.transport import has_transport, mean_error, tolerance

#: cells per axis of the refined grids, by the number of dimensions
SIZES = {1: (32, 48, 72, 108), 2: (16, 24, 36, 54), 3: (8, 12, 18, 27)}
#: the same in multiples of 4, so that the faces of obstacles and the jumps are at faces of cells
ALIGNED_SIZES = {1: SIZES[1], 2: (16, 24, 36, 52), 3: (8, 12, 16, 24)}
#: the same in 1-D for second conditions. Errors at boundaries become stationary in a time that is
#: proportional to spacing^4, and that the explicit reference integration has to reach on all grids
FOURTH_ORDER_SIZES = (24, 36, 54, 80)
SPECTRAL_SIZES = {1: (6, 8, 10, 12), 2: (6, 8, 10, 12), 3: (6, 8, 10, 12)}
#: largest number of additional finer grids in 1-D, used while the order is below the claim
MAX_FINER_GRIDS = 3
#: additional coarser grids in 1-D for operators whose errors on the other grids are round-off
COARSER_SIZES = (20, 12)
#: cells per axis of the grid on which time steps are refined
TIME_SIZE = {1: 32, 2: 16, 3: 8}
#: the number of steps of the coarsest refinement, its factor per refinement, and the largest number
#: of refinements
FIRST_STEPS, REFINEMENT_RATIO, MAX_REFINEMENTS = 16, 1.5, 12
#: errors count as asymptotic if the slopes between successive sizes differ by less than this. If
#: the second term of the error is one order smaller than the first, the fitted order is then within
#: 0.07 of its limit
ASYMPTOTIC_SPREAD = 0.05
#: cells of the 1-D grid on which stiff steps are measured
STIFF_SIZE = 128
#: tolerance per step of the reference integration
REFERENCE_TOLERANCE = 1e-14
#: a second reference integration uses a tolerance that is larger by this factor; the difference
#: between the two results estimates their round-off
LOOSER = 2
#: relative errors of direct solutions below this value count as round-off
DIRECT_ROUNDOFF = 2e-12
#: errors larger than this multiple of round-off are fitted; round-off then changes slopes by at
#: most 0.03
ROUNDOFF_FACTOR = 30.0
#: number of sizes in a fit, if that many errors are above round-off
FIT_POINTS = 4
#: if the relative error of the finest size exceeds this value, the claim is not met
MAX_ERROR = 0.1
#: a measured order may be below the claim by this much, for asymptotic errors and for other errors
SLACK, PREASYMPTOTIC_SLACK = 0.1, 0.2
#: kind of solution -> its description in the table
CASE_NAMES = {
    VANISHING: ", u = 0 at boundaries",
    JUMP: ", jump of a coefficient",
    BOX_OBSTACLE: ", box as obstacle",
    TURNED_OBSTACLE: ", rotated box as obstacle",
}
#: largest error of a spectral discretisation on the finest grid
SPECTRAL_ERROR = 1e-7


@dataclass(frozen=True)
class Measurement:
    """The errors for successively finer grids or time steps.

    Args:
        scheme: a description of what is measured.
        sizes: cell spacings or time steps, in descending order.
        errors: for each size, the relative error in the maximum norm; of equations with
            ``advect``, that in the mean.
        claimed: the claimed order; None: spectral accuracy, which is judged by the last error.
        floor: the relative size of round-off errors.
    """

    scheme: str
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    claimed: float | None
    floor: float = DIRECT_ROUNDOFF

    @property
    def fit_data(self) -> np.ndarray:
        """The logarithms of the sizes and of the errors that are fitted, ``(2, n)``.

        These are the finest sizes whose errors are well above round-off.
        """
        pairs = [p for p in zip(self.sizes, self.errors, strict=True) if p[1] > self.floor]
        usable = [(size, error) for size, error in pairs if error > ROUNDOFF_FACTOR * self.floor]
        return np.log((usable if len(usable) > 2 else pairs)[-FIT_POINTS:]).reshape(-1, 2).T

    @property
    def usable_errors(self) -> int:
        """The number of errors well above round-off."""
        return sum(error > ROUNDOFF_FACTOR * self.floor for error in self.errors)

    @property
    def order(self) -> float:
        """The slope of log(error) versus log(size) by least squares; NaN if it cannot be fitted."""
        sizes, errors = self.fit_data
        return float(np.polyfit(sizes, errors, 1)[0]) if len(sizes) > 1 else float("nan")

    @property
    def at_roundoff(self) -> bool:
        """Whether the last error is close to round-off."""
        return not self.errors[-1] > ROUNDOFF_FACTOR * self.floor

    @property
    def is_asymptotic(self) -> bool:
        """Whether the leading error term dominates: the slopes between successive sizes agree."""
        sizes, errors = self.fit_data
        usable = errors.size == FIT_POINTS and errors.min() > np.log(ROUNDOFF_FACTOR * self.floor)
        return bool(usable and np.ptp(np.diff(errors) / np.diff(sizes)) < ASYMPTOTIC_SPREAD)

    @property
    def is_final(self) -> bool:
        """Whether no finer sizes are needed: the errors are asymptotic, and the claim is met."""
        return self.is_asymptotic and self.passed

    @property
    def slack(self) -> float:
        """The amount by which the measured order may be below the claim."""
        return SLACK if self.is_asymptotic else PREASYMPTOTIC_SLACK

    @property
    def passed(self) -> bool:
        """Whether the claim is met."""
        if self.claimed is None:
            return self.errors[-1] < SPECTRAL_ERROR
        if np.isnan(self.order):
            return max(self.errors) <= self.floor * 10
        return self.order >= self.claimed - self.slack and self.errors[-1] < MAX_ERROR


def measure_space(
    problem: Problem, sizes: Sequence[int] | None = None, case: str | None = None
) -> Measurement:
    """Measure the order in space by refining the grid.

    The integration in time is adaptive, with errors close to round-off.

    Args:
        problem: the problem.
        sizes: the number of cells per axis of each grid; None: a default for the problem.
        case: the kind of solution, see :func:`pdesim.verify.manufactured.manufacture`.
    """
    discretisation, case = problem.discretisation, case or usual_case(problem)
    is_line = sizes is None and problem.grid.dimensions == 1 and bool(discretisation.order)
    sizes = sizes or default_sizes(problem, case)
    problem = with_dominant_derivatives(on_square(problem) if case == TURNED_OBSTACLE else problem)
    finest = resized(problem, max(sizes))
    limit = stable_step(build_stepper("rk4", problem), linearised(finest), 1e9)
    # long enough for errors at boundaries to become stationary, even on the coarsest grid
    duration = min(1000 * limit, 4.0 / solution_rate(problem))
    scheme = describe_scheme(discretisation) + CASE_NAMES.get(case, "")
    scheme += f", {discretisation.advection}" if has_transport(problem) else ""
    claimed = claimed_order(problem, case)
    norm = mean_error if has_transport(problem) else relative_error
    allowed = reference_tolerance(problem)

    def solve_on(points: int) -> tuple[float, float, np.ndarray, Callable[..., np.ndarray]]:
        exact = manufacture(resized(problem, points), duration, case)
        solve = accurate_solver(exact, duration)
        computed = solve(allowed)
        error = norm(computed, exact.state(duration))
        return max(exact.problem.grid.spacing), error, computed, solve

    spacings: list[float] = []
    errors: list[float] = []
    factors = [REFINEMENT_RATIO ** (n + 1) for n in range(MAX_FINER_GRIDS if is_line else 0)]
    for points in (*sizes, *(4 * round(sizes[-1] * factor / 4) for factor in factors)):
        spacing, error, computed, solve = solve_on(points)
        spacings.append(spacing)
        errors.append(error)
        if len(errors) < len(sizes):
            continue
        floor = _floor(computed, solve(LOOSER * allowed))
        measured = Measurement(scheme, tuple(spacings), tuple(errors), claimed, floor)
        if measured.is_final or measured.at_roundoff or measured.order >= (claimed or 0):
            break
    for points in COARSER_SIZES if is_line else ():
        if measured.usable_errors >= FIT_POINTS - 1:
            break
        spacing, error, *_ = solve_on(points)
        spacings.insert(0, spacing)
        errors.insert(0, error)
        measured = Measurement(scheme, tuple(spacings), tuple(errors), claimed, floor)
    return measured


def default_sizes(problem: Problem, case: str) -> Sequence[int]:
    """The number of cells per axis of each grid, for a problem and a kind of solution."""
    table: Mapping[int, tuple[int, ...]] = (
        SPECTRAL_SIZES if problem.discretisation.is_spectral else SIZES
    )
    if table is SIZES and problem.grid.dimensions == 1 and problem.assumed_conditions:
        return FOURTH_ORDER_SIZES
    if case in (BOX_OBSTACLE, TURNED_OBSTACLE, JUMP):
        table = ALIGNED_SIZES
    return table[problem.grid.dimensions]


def measure_time(
    problem: Problem, stepper_name: str, stages: int = 9, stiff: bool = False
) -> Measurement:
    """Measure the order in time by refining the time step on one grid.

    The reference is an accurate integration on the same grid.

    Args:
        problem: the problem.
        stepper_name: the stepper.
        stages: the number of stages, if the stepper has a variable number.
        stiff: whether to use a fine grid and few steps, so that steps are longer than the fastest
            time scales. The claim is then :func:`pdesim.verify.claims.stiff_order`.
    """
    size = STIFF_SIZE if stiff else TIME_SIZE[problem.grid.dimensions]
    problem = resized(with_dominant_derivatives(problem), size)
    duration = _duration(problem, stepper_name, stages)
    exact = manufacture(problem, duration)
    solve, allowed = accurate_solver(exact, duration), reference_tolerance(problem)
    reference, halfway = solve(allowed), solve(allowed, duration / 2)
    floor = _floor(reference, solve(LOOSER * allowed))
    stepper = build_stepper(stepper_name, exact.problem, stages)
    loop = TimeLoop(StepContext(exact.problem, stepper, tf.float64))
    steps, errors = [], []
    order = stiff_order(problem, stepper_name) if stiff else METHODS[stepper_name].order
    name = f"{stepper_name}, stiff" if stiff else stepper_name
    for level in range(FIT_POINTS if stiff else MAX_REFINEMENTS):
        half = round(FIRST_STEPS / 2 * REFINEMENT_RATIO**level)
        steps.append(duration / 2 / half)
        # the error is measured at two times, since oscillating errors may vanish at one of these
        middle = integrate(loop, exact.state(0.0), duration / 2, half)
        last = integrate(loop, exact.state(0.0), duration, 2 * half)
        errors.append(max(relative_error(middle, halfway), relative_error(last, reference)))
        measured = Measurement(name, tuple(steps), tuple(errors), order, floor)
        if measured.is_final or (level >= FIT_POINTS - 1 and measured.at_roundoff):
            break
    return measured


def reference_tolerance(problem: Problem) -> float:
    """The tolerance per step of the reference integration."""
    return tolerance(problem) if has_transport(problem) else REFERENCE_TOLERANCE


def _floor(accurate: np.ndarray, rough: np.ndarray) -> float:
    """Estimate the relative round-off error from two reference integrations."""
    return max(REFERENCE_TOLERANCE, relative_error(rough, accurate))


def describe_scheme(scheme: Discretisation) -> str:
    name = scheme.name if scheme.is_spectral else f"{scheme.name} {scheme.order}"
    return f"{name} isotropic" if scheme.isotropic else name


def integrate(
    loop: TimeLoop,
    state: np.ndarray,
    duration: float,
    count: int,
    more: Mapping[str, tf.Tensor] | None = None,
) -> np.ndarray:
    """The state after ``count`` equal steps from time 0 to ``duration``.

    Args:
        more: arguments of the program in addition to the parameters.
    """
    dt, parameters = duration / count, loop.parameters | dict(more or {})
    zero, steps = tf.constant(0.0, tf.float64), tf.constant(dt, tf.float64)
    coefficients = loop.coefficients.tensors(dt)
    carry = loop.init(tf.constant(state), zero, steps, parameters, coefficients)
    first, last = tf.constant(0, tf.int64), tf.constant(count, tf.int64)
    result = loop.advance(carry, zero, steps, first, last, parameters, coefficients)
    return result[1].numpy()


def accurate_solver(exact: Manufactured, duration: float) -> Callable[..., np.ndarray]:
    """A function ``solve(tolerance, end=duration)`` that returns the state at the time ``end``.

    It integrates from the exact solution at time 0 with the Dormand-Prince pair.
    """
    looped = _LoopedPair(METHODS["dormand_prince"])
    loop = TimeLoop(StepContext(exact.problem, looped, tf.float64))
    state, trials = tf.constant(exact.state(0.0)), tf.constant(10**7, tf.int64)
    # the solution is of order one
    scale = tf.ones(state.shape[0], tf.float64)

    def solve(tolerance: float, end: float = duration) -> np.ndarray:
        values = (0.0, end, end / 100, tolerance)
        time, stop, dt, allowed = (tf.constant(value, tf.float64) for value in values)
        arguments = state, time, stop, dt, trials, allowed, scale, loop.parameters
        return loop.advance_adaptive(*arguments)[1].numpy()

    return solve


@dataclass(frozen=True)
class _LoopedPair(AdaptiveStepper):
    """An embedded Runge-Kutta pair that loops over its stages.

    Its compiled program is seven times smaller than that of ``EmbeddedRungeKutta``, which saves
    time because the program has to be compiled for every grid. Its steps are slower, however.
    """

    method: Method

    def step_with_error(self, system, state, stage_time, dt):
        tableau = self.method.tableau
        assert isinstance(tableau, Tableau) and tableau.embedded is not None
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
    """A duration for which ``FIRST_STEPS`` steps are stable.

    Raises:
        StepperError: if the stepper is unstable for every time step.
    """
    stepper = build_stepper(stepper_name, problem, stages)
    limit = stable_step(stepper, linearised(problem), 1e9)
    if limit == 0.0:
        raise StepperError(f"{stepper_name} has no stable time step for {problem.equation.name}")
    return min(0.7 * limit * FIRST_STEPS, 2.0 / solution_rate(problem))


def relative_error(computed: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value."""
    return float(np.abs(computed - expected).max() / np.abs(expected).max())
