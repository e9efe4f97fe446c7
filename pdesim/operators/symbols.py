"""Matrices over the fields, evaluated per wave vector (NumPy, float64)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sympy

from pdesim.formula import Evaluator, Split
from pdesim.formula.language import OPERATORS, REDUCTIONS, UPWIND, operator_symbol
from pdesim.operators.modes import Modes
from pdesim.operators.schemes import Discretisation


def matrix_values(
    matrix: sympy.Matrix, names: Mapping[str, object], shape: tuple[int, ...] = ()
) -> np.ndarray:
    """Evaluate a matrix of expressions.

    Returns:
        An array of shape ``(rows, columns, *broadcast)``, where ``broadcast`` is the common shape
        of all entries and of ``shape``. It is real if all entries are real.
    """
    evaluate = Evaluator(names)
    entries = [np.asarray(evaluate(entry)) for entry in matrix]
    shape = np.broadcast_shapes(shape, *(entry.shape for entry in entries))
    values = np.stack([np.broadcast_to(entry, shape) for entry in entries])
    return values.reshape(*matrix.shape, *shape)


def symbol_names(symbols: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the same Fourier symbols, keyed by the names that they have in expressions."""
    return {f"symbol_{name}": values for name, values in symbols.items()}


def operator_names(matrix: sympy.Matrix) -> list[str]:
    """Return the operators and reductions whose symbols occur in a matrix of expressions."""
    names = {operator_symbol(name): name for name in (*OPERATORS, *REDUCTIONS, *UPWIND)}
    return sorted(names[symbol] for symbol in matrix.free_symbols if symbol in names)


def linear_modes(
    split: Split, modes: Modes, discretisation: Discretisation, parameters: Mapping[str, float]
) -> np.ndarray:
    """Return the matrix of the linear part for every mode: ``(fields, fields, *modes.shape)``."""
    needed = operator_names(split.matrix)
    symbols = discretisation.symbols(modes.grid, modes.wavenumbers(), needed)
    names = {**parameters, **symbol_names(symbols)}
    return matrix_values(split.matrix, names, modes.shape)
