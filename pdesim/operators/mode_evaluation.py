"""Evaluation of formulas in modes, with the transforms of :mod:`pdesim.operators.mode_terms`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy
import tensorflow as tf

from pdesim.formula import Evaluator, needed_reductions
from pdesim.operators import transforms
from pdesim.operators.constraint_solution import needs_constraints, solve_modes
from pdesim.operators.finite_differences import Differences
from pdesim.operators.mode_terms import fields_read, mode_sums, transformed
from pdesim.operators.pseudospectral import Pseudospectral, symbol_of

if TYPE_CHECKING:
    from pdesim.operators.method_of_lines import MethodOfLines


def evaluate_modes(
    method: MethodOfLines,
    formulas: Sequence[sympy.Expr],
    modes: tf.Tensor,
    time: Any,
    consistent: bool = False,
) -> tf.Tensor:
    """Return the modes of formulas of the state with given modes, stacked like fields.

    All boundary values must be 0, so that the modes of a field are those of its derivatives.

    Args:
        consistent: whether the modes contain the solution of constraints.
    """
    problem = method.problem
    if not consistent and needs_constraints(problem, formulas):
        modes = method.stack(solve_modes(method, method.unstack(modes), time))
    if needed_reductions(formulas, problem.equation.reductions):
        method = method.with_reductions(formulas, method.to_state(modes), time)
    sums = mode_sums(problem, [method.prepared(formula) for formula in formulas])
    inner, of_fields = transformed(sums), method.unstack(modes)
    of_inner = dict(zip(inner, _transform(method, inner, modes, of_fields, time), strict=True))
    number = Evaluator(method.values(time), method.library)

    def scaled(factor: sympy.Expr, values: tf.Tensor) -> tf.Tensor:
        return _times(method, number(factor), values)

    results = []
    for one in sums:
        parts = [scaled(factor, of_fields[index]) for index, factor in one.linear.items()]
        for term in one.terms:
            values = of_inner[term.inner]
            parts.append(scaled(term.factor, _applied(method, term.word, values)))
        if one.constant != 0:
            parts.append(scaled(one.constant, transforms.of_one(problem.modes, modes.dtype)))
        zero = tf.zeros_like(of_fields[0])
        results.append(sum(parts[1:], zero + parts[0]) if parts else zero)
    return method.stack(results)


def _transform(
    method: MethodOfLines,
    inner: Sequence[sympy.Expr],
    modes: tf.Tensor,
    of_fields: Sequence[tf.Tensor],
    time: Any,
) -> list[tf.Tensor]:
    """Return the modes of expressions that are evaluated on the grid."""
    if not inner:
        return []
    problem, grid = method.problem, method.problem.grid
    fields = [tf.zeros((), method.dtype)] * len(of_fields)
    read = fields_read(problem, inner)
    if read:
        every = len(read) == len(of_fields)
        chosen = modes if every else method.stack([of_fields[index] for index in read])
        values = method.to_state(chosen)
        for index, field in zip(read, method.unstack(values), strict=True):
            fields[index] = field
    if problem.discretisation.is_spectral:
        known = dict(zip(problem.equation.field_symbols, of_fields, strict=True))
        value = Pseudospectral(method, fields, None, time, inner, known).value
    else:
        value = Differences(method, fields, None, time, inner).value
    full = [method.full(value(expression), grid.shape) for expression in inner]
    return method.unstack(method.to_modes(method.stack(full)))


def _applied(method: MethodOfLines, word: str, values: tf.Tensor) -> tf.Tensor:
    """Return modes multiplied by the factors of an operator; unchanged for an empty word."""
    if not word:
        return values
    problem = method.problem
    factors, _ = symbol_of(word, problem.modes, problem.discretisation)
    result = transforms.multiply(tf.constant(factors, method.dtype_of(factors)), values)
    # an odd derivative of the highest wave number on a grid of even size is not real
    return transforms.enforce_hermitian(result, problem.modes)


def _times(method: MethodOfLines, factor: Any, values: tf.Tensor) -> tf.Tensor:
    if isinstance(factor, int | float) and factor == 1:
        return values
    return transforms.multiply(tf.convert_to_tensor(factor, method.dtype), values)
