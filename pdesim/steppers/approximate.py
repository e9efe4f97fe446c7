"""Approximate values of operators and solved fields in NumPy, for the analysis of stability.

Steps are computed with the operators of :mod:`pdesim.operators`; these values only determine which
steps are stable.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import sympy

from pdesim.formula import Evaluator, with_reductions
from pdesim.formula import language as lang
from pdesim.operators.constraints import responses
from pdesim.operators.kernels import convolved
from pdesim.operators.problem import Problem
from pdesim.operators.reductions import reduced
from pdesim.operators.symbols import matrix_values, operator_names, symbol_names


def with_solved_fields(problem: Problem, state: np.ndarray, time: float) -> np.ndarray:
    """Return a state with approximate solutions of the constraints.

    Coefficients are evaluated at the means of the fields, obstacles and boundary values are
    ignored, and a Robin condition is treated like a Dirichlet condition.

    Args:
        state: shape ``(fields, *grid.shape)``; the values of solved fields are not used.
    """
    if not problem.equation.constraints:
        return state
    state, equation, grid = state.copy(), problem.equation, problem.grid
    for group in problem.constraints:
        own = [equation.fields.index(name) for name in group.equation.fields]
        state[own] = 0.0
        names = {
            **grid.namespace(grid.coordinates(), problem.named),
            **problem.values,
            "t": time,
            **dict(zip(equation.fields, state, strict=True)),
        }
        evaluate = Evaluator(names, applied=partial(applied, problem))
        with np.errstate(all="ignore"):
            formulas = (with_reductions(f, equation.reductions) for f in group.equation.formulas)
            source = np.stack([np.broadcast_to(evaluate(f), grid.shape) for f in formulas])
            solution = _solved(group, source, _at_means(group.equation.jacobian, evaluate))
        state[own] = np.nan_to_num(solution)
    return state


def _at_means(matrix: sympy.Matrix, evaluate: Evaluator) -> sympy.Matrix:
    """Replace everything but the symbols of operators by its mean over the domain."""
    nodes = set().union(*map(lang.outermost, matrix))
    means = {node: sympy.Float(float(np.mean(evaluate(node)))) for node in nodes}
    matrix = matrix.xreplace(means)
    operators = {lang.operator_symbol(word) for word in (*lang.OPERATORS, *lang.REDUCTIONS)}
    plain = matrix.free_symbols - operators
    return matrix.xreplace({s: sympy.Float(float(np.mean(evaluate(s)))) for s in plain})


def _solved(group: Problem, source: np.ndarray, matrix: sympy.Matrix) -> np.ndarray:
    """Return the solution of ``matrix v + source = 0``, by the FFT of the continued source."""
    grid, shape = group.grid, source.shape[1:]
    signs = {"dirichlet": -1, "robin": -1}
    for axis in range(grid.dimensions):
        if not group.boundary.is_periodic(axis):
            pair = group.boundary.walls[0][axis]
            lower, upper = (signs.get(condition.kind, 1) for condition in pair)
            along = grid.array_axis(axis)
            source = np.concatenate([source, upper * np.flip(source, along)], along)
            if lower != upper:
                source = np.concatenate([source, -source], along)
    count = grid.dimensions
    wavenumbers = [
        grid.broadcast(axis, 2 * np.pi * np.fft.fftfreq(source.shape[grid.array_axis(axis)], h))
        for axis, h in enumerate(grid.spacing)
    ]
    words = operator_names(matrix)
    symbols = group.discretisation.symbols(grid, wavenumbers, words)
    values = matrix_values(matrix, symbol_names(symbols), source.shape[1:])
    modes = np.fft.fftn(source, axes=range(1, 1 + count))
    solution = responses(values, modes[:, None])[:, 0]
    result = np.fft.ifftn(solution, axes=range(1, 1 + count)).real
    return result[(slice(None), *(slice(n) for n in shape))]


def applied(problem: Problem, word: str, arguments: tuple, evaluate: Evaluator) -> np.ndarray:
    """Return the value of an operator, a convolution or a reduction at the current state.

    Derivatives are approximated by NumPy's gradients.
    """
    grid = problem.grid
    if word in lang.REDUCTIONS:
        solid = None if problem.mask is None else problem.mask.solid
        return reduced(word, np.broadcast_to(evaluate(arguments[0]), grid.shape), grid, solid)

    def gradient(values: np.ndarray, axis: int) -> np.ndarray:
        if grid.points[axis] < 2:
            return np.zeros(grid.shape)
        return np.gradient(values, grid.spacing[axis], axis=grid.array_axis(axis))

    values = np.broadcast_to(evaluate(arguments[-1]), grid.shape)
    if word == lang.CONVOLVE:
        return convolved(arguments[0], values, grid, problem.parameters)
    if word in lang.DERIVATIVES:
        for axis, power in enumerate(lang.powers_of(word, grid.dimensions)):
            for _ in range(power):
                values = gradient(values, axis)
        return values
    flux_axes = lang.flux_axes(word, grid.dimensions)
    factor = 1.0 if flux_axes is None else evaluate(arguments[0])
    total = np.zeros(grid.shape)
    for axis in range(grid.dimensions) if flux_axes is None else flux_axes:
        total = total + gradient(factor * gradient(values, axis), axis)
    return total
