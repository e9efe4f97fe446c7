"""Linear equations against their exact modes, discretised in space by the operators chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import matrix_values, symbol_names
from pdesim.steppers import build_stepper, incompatibility
from pdesim.steppers.exponential import phi_of_matrices
from pdesim.verify.domain import slow_rate
from pdesim.verify.orders import march

#: the claim: one jump of `exact` equals the mode's own exponential to this
TOLERANCE = 1e-12


@dataclass(frozen=True)
class ExactMode:
    """The error of one jump of ``stepper=exact``, relative to the mode's size."""

    error: float

    @property
    def passed(self) -> bool:
        return self.error <= TOLERANCE


def compare_exact_mode(problem: Problem) -> ExactMode | None:
    """Advance one wave by ``exact`` and by the exponential of its own small matrix.

    ``u(x, t) = Re[exp(M t) a exp(i k x)]`` on periodic axes, sines and cosines between walls. None
    where ``exact`` cannot serve.
    """
    if incompatibility("exact", problem) is not None or problem.has_wall_values:
        return None
    if any(term != 0 for term in problem.split.rest):
        return None
    modes, grid = problem.modes, problem.grid
    numbers = tuple(min(2, size - 1) for size in modes.shape)
    duration = 1.0 / slow_rate(problem)
    amplitudes = 1.0 + np.arange(len(problem.equation.fields))
    wavenumbers = [k.reshape(-1)[numbers[::-1][axis]] for axis, k in enumerate(modes.wavenumbers())]
    symbols = problem.discretisation.symbols(grid, [np.array(k) for k in wavenumbers])
    names = {**problem.parameters, **symbol_names(symbols)}
    matrix = matrix_values(problem.split.matrix, names)
    advanced = phi_of_matrices(matrix * duration, 0)[0] @ amplitudes
    loop = TimeLoop(StepContext(problem, build_stepper("exact", problem), tf.float64))
    found = march(loop, _wave(problem, wavenumbers, amplitudes), duration, 1)
    wanted = _wave(problem, wavenumbers, advanced)
    return ExactMode(float(np.abs(found - wanted).max() / np.abs(wanted).max()))


def _wave(problem: Problem, wavenumbers, amplitudes: np.ndarray) -> np.ndarray:
    """``Re[a exp(i k x)]``, with sines or cosines along axes between walls."""
    grid = problem.grid
    wave = np.ones(grid.shape, complex)
    for axis, (basis, k) in enumerate(zip(problem.modes.bases, wavenumbers, strict=True)):
        x = grid.centres(axis) - grid.origin[axis]
        if basis == "fourier":
            factor = np.exp(1j * k * x)
        else:
            factor = np.sin(k * x) if basis.startswith("sine") else np.cos(k * x)
        wave = wave * grid.broadcast(axis, factor)
    return (amplitudes.reshape(-1, *[1] * grid.dimensions) * wave).real
