"""Solution of constraints at a state, inside a TensorFlow trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from pdesim.formula import Evaluator, needed_reductions
from pdesim.operators import krylov, transforms
from pdesim.operators.adjoint import is_self_adjoint
from pdesim.operators.constraints import (
    SINGULAR,
    has_constant_coefficients,
    inverses,
    is_algebraic,
    needs_iterations,
)
from pdesim.operators.differentiable import barrier
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import matrix_values, operator_names, symbol_names

if TYPE_CHECKING:
    import sympy

    from pdesim.operators.method_of_lines import MethodOfLines

#: an operator maps constants to 0 if the result is below this, relative to its diagonal
NULL = {"float32": 1e-5, "float64": 1e-11}


def needs_constraints(problem: Problem, formulas: Sequence[sympy.Expr]) -> bool:
    """Whether formulas or boundary values depend on solved fields."""
    equation, boundary = problem.equation, problem.boundary
    if not equation.constraints:
        return False
    needed = needed_reductions(formulas, equation.reductions)
    parts = [*formulas, *(r.inner for r in (*needed, *boundary.reductions))]
    names = {symbol.name for part in parts for symbol in part.free_symbols}
    return bool(names & set(equation.constraints))


def solve_constraints(
    method: MethodOfLines, fields: Sequence[tf.Tensor], time: Any
) -> list[tf.Tensor]:
    """Return all fields, with the solved fields at the solution of their constraints.

    The given values of solved fields are not used. Groups of constraints with constant coefficients
    are solved by transforms, or in each cell if they contain no derivatives; others by Krylov
    iterations from 0. The solution therefore depends on the other fields only. If the operator
    maps constants to 0, the mean of the source is ignored, and that of the solution is 0.

    Args:
        fields: one tensor for each field.
    """
    fields = list(fields)
    for group in method.problem.constraints:
        numbers = [method.problem.equation.fields.index(name) for name in group.equation.fields]
        for number in numbers:
            fields[number] = tf.zeros_like(fields[number])
        if needs_iterations(group):
            solution = _by_iterations(method, group, numbers, fields, time)
        else:
            solution = _by_modes(method, group, _source(method, group, fields, time))
        # stored, so that XLA does not evaluate it again for every neighbour that is read
        solution = barrier(solution) if method.fused else solution
        for number, values in zip(numbers, method.unstack(solution), strict=True):
            fields[number] = values
    return fields


def solve_modes(method: MethodOfLines, modes: Sequence[tf.Tensor], time: Any) -> list[tf.Tensor]:
    """Return the modes of all fields, with those of solved fields; see :func:`solve_constraints`.

    All boundary values must be 0.

    Args:
        modes: the modes of each field.
    """
    from pdesim.operators.mode_evaluation import evaluate_modes

    modes = list(modes)
    for group in method.problem.constraints:
        numbers = [method.problem.equation.fields.index(name) for name in group.equation.fields]
        if has_constant_coefficients(group):
            source = evaluate_modes(method, group.split.rest, method.stack(modes), time, True)
            solution = method.apply_matrix(_negative_inverse(method, group), source)
        else:
            fields = method.unstack(method.to_state(method.stack(modes)))
            values = _by_iterations(method, group, numbers, fields, time)
            solution = method.to_modes(values)
        for number, values in zip(numbers, method.unstack(solution), strict=True):
            modes[number] = values
    return modes


def unsolvable_parts(method: MethodOfLines, state: tf.Tensor, time: Any) -> tf.Tensor:
    """Return, for each group, the part of the source that no solution balances, relative to it.

    Both are root mean squares. The part is that in the null space of the operator, such as the
    mean. The shape is ``(groups,)``, or ``(members, groups)``.
    """
    fields, problem = method.unstack(method.consistent(state, time)), method.problem
    axes = list(range(-1 - problem.grid.dimensions, 0))
    ratios = []
    for group in problem.constraints:
        numbers = [problem.equation.fields.index(name) for name in group.equation.fields]
        known = [tf.zeros_like(f) if n in numbers else f for n, f in enumerate(fields)]
        source = _source(method, group, known, time)
        left = method.stack(_evaluated(method, group.equation.formulas, fields, time))
        if problem.mask is not None:
            left = tf.where(tf.constant(problem.mask.solid), tf.zeros_like(left), left)
        # the residual of a solution is that part, and a rounding error with other wave numbers
        means = [
            tf.reduce_mean(tf.cast(values, tf.float64), axes[1:], keepdims=True)
            for values in (left, tf.square(tf.cast(source, tf.float64)))
        ]
        part, size = tf.reduce_max(tf.abs(means[0]), axes), tf.sqrt(tf.reduce_max(means[1], axes))
        ratios.append(tf.math.divide_no_nan(part, size))
    return tf.stack(ratios, axis=-1)


def _evaluated(
    method: MethodOfLines, formulas: Sequence[sympy.Expr], fields: Sequence[tf.Tensor], time: Any
) -> list[tf.Tensor]:
    """Return the values of formulas for given values of all fields, solved fields included."""
    return method.with_reductions(formulas, fields, time).values_of(formulas, fields, time)


def _source(
    method: MethodOfLines, group: Problem, fields: Sequence[tf.Tensor], time: Any
) -> tf.Tensor:
    """Return the source of a group of constraints; its own fields must be 0 in ``fields``."""
    # nonzero boundary values contribute to the source through the operator
    whole = group.has_wall_values or not has_constant_coefficients(group)
    formulas = group.equation.formulas if whole else group.split.rest
    return method.stack(_evaluated(method, formulas, fields, time))


def _by_modes(method: MethodOfLines, group: Problem, source: tf.Tensor) -> tf.Tensor:
    """Return the solution for constant coefficients, mode by mode or cell by cell."""
    inverse = _negative_inverse(method, group)
    if is_algebraic(group):
        return method.apply_matrix(inverse, source)
    modes = method.apply_matrix(inverse, transforms.forward(source, group.modes))
    return transforms.backward(modes, group.modes)


def _negative_inverse(method: MethodOfLines, group: Problem) -> tf.Tensor:
    """Return ``-L^-1`` for all modes, 0 where L is singular: ``(fields, fields, *modes)``.

    For one field the shape is ``(1, *modes)``; an axis of members, if any, precedes these axes.
    """
    matrix, words = group.split.matrix, operator_names(group.split.matrix)
    symbols, shape = {}, (1,) * group.grid.dimensions
    if words:
        modes, scheme = group.modes, group.discretisation
        symbols = symbol_names(scheme.symbols(group.grid, modes.wavenumbers(), words))
        shape = modes.shape
    used = {symbol.name for symbol in matrix.free_symbols} & set(method.parameters)
    if not used:
        known = {**group.parameters, **symbols}
        values = np.moveaxis(matrix_values(matrix, known, shape), (0, 1), (-2, -1))
        inverse = np.moveaxis(-inverses(values)[0], (-2, -1), (0, 1))
        inverse = inverse[0] if len(inverse) == 1 else inverse
        inverse = inverse[None] if method.members else inverse
        return tf.constant(inverse, method.dtype_of(inverse))
    is_complex = any(np.iscomplexobj(values) for values in symbols.values())
    wide = tf.complex128 if is_complex else tf.float64
    names = {name: tf.cast(method.parameters[name], wide) for name in used}
    names |= {name: tf.constant(values, wide) for name, values in symbols.items()}
    dtype = method.dtype_of(np.zeros(0, complex if is_complex else float))
    result = tf.cast(-_inverses(matrix, names, shape, wide, method.members), dtype)
    count = group.grid.dimensions
    lead = 1 if method.members else 0
    order = [*range(lead), lead + count, lead + count + 1, *range(lead, lead + count)]
    result = tf.transpose(result, order)
    return tf.squeeze(result, lead) if matrix.rows == 1 else result


def _inverses(
    matrix: sympy.Matrix, names: dict, shape: tuple[int, ...], dtype: tf.DType, members: int
) -> tf.Tensor:
    """Return the inverses for all modes, ``(..., *modes, n, n)``; 0 for singular matrices."""
    evaluate, full = Evaluator(names), (*((members,) if members else ()), *shape)
    entries = [tf.broadcast_to(tf.cast(evaluate(e), dtype), full) for e in matrix]
    values = tf.reshape(tf.stack(entries, axis=-1), (*full, matrix.rows, matrix.cols))
    one = tf.ones((), dtype)
    determinant = values if matrix.rows == 1 else tf.linalg.det(values)[..., None, None]
    size = tf.abs(determinant)
    scale = tf.reduce_max(tf.abs(values), axis=list(range(-len(shape) - 2, 0)), keepdims=True)
    singular = size <= (SINGULAR * scale) ** matrix.rows
    if matrix.rows == 1:
        inverse = one / tf.where(singular, one, values)
    else:
        eye = tf.eye(matrix.rows, batch_shape=full, dtype=dtype)
        inverse = tf.linalg.inv(tf.where(singular, eye, values))
    return tf.where(singular, tf.zeros((), dtype), inverse)


def _by_iterations(
    method: MethodOfLines,
    group: Problem,
    numbers: Sequence[int],
    fields: Sequence[tf.Tensor],
    time: Any,
) -> tf.Tensor:
    """Return the solution by Krylov iterations, preconditioned by the diagonal of the operator."""
    problem, axes = method.problem, method.problem.grid.dimensions
    start = method.stack([tf.zeros_like(fields[number]) for number in numbers])
    self_adjoint = is_self_adjoint(group)

    def applied(u: tf.Tensor) -> tf.Tensor:
        known = list(fields)
        for number, values in zip(numbers, method.unstack(u), strict=True):
            known[number] = values
        result = method.stack(_evaluated(method, group.equation.formulas, known, time))
        if problem.mask is None:
            return result
        return tf.where(tf.constant(problem.mask.solid), u, result)

    source = applied(start)

    def linear(u: tf.Tensor) -> tf.Tensor:
        return applied(u) - source

    period = 2 if problem.discretisation.order == 2 else 3
    diagonal = krylov.diagonal(linear, start, axes, period)
    solid = np.zeros(problem.grid.shape, bool) if problem.mask is None else problem.mask.solid
    outside = tf.constant(~solid)
    over = list(range(-axes, 0))
    count = float(np.count_nonzero(~solid))
    signs = tf.where(outside, diagonal, tf.zeros_like(diagonal))
    sign = tf.sign(tf.reduce_sum(signs, axis=[-1 - axes, *over], keepdims=True))
    sign = tf.where(sign == 0, tf.ones_like(sign), sign)
    scale = tf.where((diagonal * sign > 0) & outside, diagonal * sign, tf.ones_like(diagonal))
    constant = tf.abs(linear(tf.cast(outside, method.dtype) + tf.zeros_like(start)))
    largest = tf.reduce_max(tf.abs(diagonal), axis=over, keepdims=True)
    inside = tf.where(outside, constant, tf.zeros_like(constant))
    null = tf.reduce_max(inside, axis=over, keepdims=True) <= NULL[method.dtype.name] * largest

    def without_mean(values: tf.Tensor) -> tf.Tensor:
        kept = tf.where(outside, values, tf.zeros_like(values))
        mean = tf.reduce_sum(kept, axis=over, keepdims=True) / count
        return tf.where(outside & null, values - mean, values)

    def operator(u: tf.Tensor) -> tf.Tensor:
        image = sign * linear(u)
        return tf.where(outside, image, u)

    b = -sign * without_mean(tf.where(outside, source, tf.zeros_like(source)))
    limit = krylov.most_iterations(problem.grid.points)
    system = krylov.System(operator, b, axes + 1, limit, lambda r: r / scale)
    return without_mean(krylov.solve(system, start, self_adjoint))
