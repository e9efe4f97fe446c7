"""The strong order of stochastic steppers, measured by halving the steps on paths of the noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import tensorflow as tf

from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.model.noise import NO_NOISE
from pdesim.operators.noise import path_arguments
from pdesim.operators.problem import Problem
from pdesim.plan import Plan
from pdesim.steppers.stability import linearise
from pdesim.verify.orders import Measurement, integrate

#: number of steps of the coarsest refinement, and number of refinements
STEPS, HALVINGS = 8, 6
#: the coarsest step, as a fraction of the fastest time scale
FRACTION = 0.125
#: mean values are over about this number of cells of all paths, and at most this number of paths
SAMPLES, MOST_PATHS = 8192, 64


def without_noise(plan: Plan) -> Plan:
    """Return a plan whose equation has no noise."""
    equation = replace(plan.equation, noise=NO_NOISE)
    return replace(plan, problem=replace(plan.problem, equation=equation))


def strong_order(problem: Problem, stepper: str) -> float:
    """Return the claimed strong order of a stochastic stepper; see ``steppers.stochastic``."""
    noise = problem.equation.noise
    if noise.is_additive(problem.equation.field_symbols) or stepper == "milstein":
        return 1.0
    return 1.0 if stepper == "stochastic_heun" and noise.mixed() is None else 0.5


def measure_paths(plan: Plan) -> Measurement:
    """Measure the strong order of a plan's stepper.

    The error of a step is estimated by the difference between the results of this step and of half
    of it, with the same noise: its root mean square over cells and paths, relative to that of the
    change since the start, for the field in which it is largest.
    """
    problem, stepper = plan.problem, plan.stepper
    start = plan.state.astype(np.float64)
    matrices = linearise(problem, start, plan.times[0]).matrix(problem.equation.formulas)
    fastest = float(np.abs(np.linalg.eigvals(matrices)).max(initial=0.0)) or 1.0
    longest = FRACTION / fastest
    paths = int(min(MOST_PATHS, max(1, SAMPLES // problem.grid.cells)))
    loop = TimeLoop(StepContext(problem, stepper, tf.float64))

    def end(seed: int, steps: int) -> np.ndarray:
        arguments = path_arguments(seed, longest, HALVINGS)
        tensors = {name: tf.constant(value, tf.float64) for name, value in arguments.items()}
        return integrate(loop, start, STEPS * longest, steps, tensors)

    ends = [
        np.stack([end(seed, STEPS * 2**n) for seed in range(paths)]) for n in range(HALVINGS + 1)
    ]
    change = _size(ends[-1] - start)
    change = np.where(change > 0, change, np.inf)
    errors = [float((_size(a - b) / change).max()) for a, b in pairwise(ends)]
    sizes = tuple(longest / 2**n for n in range(HALVINGS))
    name = stepper.method.name
    return Measurement(f"{name}, paths", sizes, tuple(errors), strong_order(problem, name))


def _size(values: np.ndarray) -> np.ndarray:
    """Return the root mean square of each field over paths and cells."""
    return np.sqrt(np.square(values).mean(axis=(0, *range(2, values.ndim))))
