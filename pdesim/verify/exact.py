"""Verification of ``stepper=exact`` with the exact modes of the spatially discretised equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.operators.modes import Modes
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import matrix_values, symbol_names
from pdesim.steppers import build_stepper, incompatibility
from pdesim.steppers.exponential import phi_of_matrices
from pdesim.verify.domain import solution_rate
from pdesim.verify.orders import integrate

#: claimed upper limit of the relative error of one step of ``stepper=exact``
TOLERANCE = 1e-12


@dataclass(frozen=True)
class ExactMode:
    """The relative error of one step of ``stepper=exact`` for one mode."""

    error: float

    @property
    def passed(self) -> bool:
        return self.error <= TOLERANCE


def compare_exact_mode(problem: Problem) -> ExactMode | None:
    """Advance one mode by ``stepper=exact``, and compare the result with the matrix exponential.

    The mode is ``u(x, t) = Re[exp(M t) a exp(i k x)]`` on periodic axes, with a sine or a cosine
    instead of ``exp(i k x)`` on other axes.

    Returns:
        The error; None if ``exact`` cannot be used for the problem.
    """
    if incompatibility("exact", problem) is not None or problem.has_wall_values:
        return None
    modes, grid = problem.modes, problem.grid
    if isinstance(modes, str) or any(term != 0 for term in problem.split.rest):
        return None
    numbers = tuple(min(2, size - 1) for size in modes.shape)
    duration = 1.0 / solution_rate(problem)
    amplitudes = 1.0 + np.arange(len(problem.equation.fields))
    wavenumbers = [k.reshape(-1)[numbers[::-1][axis]] for axis, k in enumerate(modes.wavenumbers())]
    symbols = problem.discretisation.symbols(grid, [np.array(k) for k in wavenumbers])
    names = {**problem.parameters, **symbol_names(symbols)}
    matrix = matrix_values(problem.split.matrix, names)
    advanced = phi_of_matrices(matrix * duration, 0)[0] @ amplitudes
    loop = TimeLoop(StepContext(problem, build_stepper("exact", problem), tf.float64))
    computed = integrate(loop, _mode(modes, wavenumbers, amplitudes), duration, 1)
    expected = _mode(modes, wavenumbers, advanced)
    return ExactMode(float(np.abs(computed - expected).max() / np.abs(expected).max()))


def _mode(modes: Modes, wavenumbers: Sequence[float], amplitudes: np.ndarray) -> np.ndarray:
    """``Re[a exp(i k x)]`` for every field, with sines or cosines on axes that are not periodic."""
    grid = modes.grid
    wave = np.ones(grid.shape, complex)
    for axis, (basis, k) in enumerate(zip(modes.bases, wavenumbers, strict=True)):
        x = grid.centres(axis) - grid.origin[axis]
        if basis == "fourier":
            factor = np.exp(1j * k * x)
        else:
            factor = np.sin(k * x) if basis.startswith("sine") else np.cos(k * x)
        wave = wave * grid.broadcast(axis, factor)
    return (amplitudes.reshape(-1, *[1] * grid.dimensions) * wave).real
