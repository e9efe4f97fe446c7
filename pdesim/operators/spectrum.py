"""Matrices over the fields, evaluated per wave vector (NumPy, float64)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sympy

from pdesim.equation import Equation
from pdesim.formula import Evaluator
from pdesim.grid import Grid
from pdesim.operators.catalogue import Discretisation, fourier_wavenumbers


def matrix_values(
    matrix: sympy.Matrix, names: Mapping[str, object], shape: tuple[int, ...] = ()
) -> np.ndarray:
    """Evaluate a matrix of expressions; shape ``(rows, columns, *broadcast)``, real if it is.

    Entries are broadcast against each other and against ``shape``.
    """
    evaluate = Evaluator(names)
    entries = [np.asarray(evaluate(entry)) for entry in matrix]
    shape = np.broadcast_shapes(shape, *(entry.shape for entry in entries))
    values = np.stack([np.broadcast_to(entry, shape) for entry in entries])
    return values.reshape(*matrix.shape, *shape)


def symbol_names(symbols: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Operator symbols under the names that they have in expressions."""
    return {f"symbol_{word}": values for word, values in symbols.items()}


def linear_modes(
    equation: Equation,
    grid: Grid,
    discretisation: Discretisation,
    parameters: Mapping[str, float],
) -> np.ndarray:
    """The linear part on every mode of the real FFT: ``(fields, fields, *modes)``."""
    symbols = discretisation.symbols(grid, fourier_wavenumbers(grid))
    modes = (*grid.shape[:-1], grid.shape[-1] // 2 + 1)
    return matrix_values(equation.split.matrix, {**parameters, **symbol_names(symbols)}, modes)
