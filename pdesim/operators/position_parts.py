"""Separation of subexpressions that depend on position only, to evaluate them once per run.

This module does not import TensorFlow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
import sympy
from sympy.logic.boolalg import Boolean

from pdesim.formula import language as lang
from pdesim.formula.evaluate import Evaluator
from pdesim.formula.metric import CELL
from pdesim.operators.problem import Problem


def position_parts(problem: Problem, formulas: Iterable[sympy.Expr]) -> dict[str, sympy.Basic]:
    """Return the subexpressions of formulas that depend on position only, by name."""
    parts: dict[str, sympy.Basic] = {}
    for formula in formulas:
        parts |= separate_position(formula, *_names(problem))[1]
    return dict(sorted(parts.items()))


def without_position(problem: Problem, formula: sympy.Expr) -> sympy.Expr:
    """Return a formula in which symbols replace the subexpressions that depend on position only."""
    return separate_position(formula, *_names(problem))[0]


def evaluate_position(
    formula: sympy.Expr, coordinates: Mapping[str, np.ndarray]
) -> tuple[sympy.Expr, dict[str, np.ndarray]]:
    """Evaluate the subexpressions of coordinates and numbers in NumPy, in double precision.

    XLA evaluates functions of constants sometimes while it compiles a program and sometimes in the
    program, with results that differ in the last bit. Values of different programs, such as those
    for parts of a grid, would then differ.

    Returns:
        The formula in which symbols replace these subexpressions, and their values by name.
    """
    formula, parts = separate_position(formula, frozenset(coordinates), frozenset())
    evaluate = Evaluator({name: np.asarray(values) for name, values in coordinates.items()})
    with np.errstate(all="ignore"):
        return formula, {name: np.asarray(evaluate(part)) for name, part in parts.items()}


def _names(problem: Problem) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that depend on position, and those that are equal in all cells."""
    grid, own = problem.grid, {*problem.equation.fields, *problem.parameters}
    lengths = {*(f"L{axis}" for axis in grid.axes), CELL.name}
    return frozenset({*grid.axes, "r"} - own), frozenset({*problem.parameters, *lengths})


@lru_cache(maxsize=1024)
def separate_position(
    formula: sympy.Expr, position: frozenset[str], uniform: frozenset[str]
) -> tuple[sympy.Expr, Mapping[str, sympy.Basic]]:
    """Replace the largest subexpressions of coordinates, parameters and numbers by symbols.

    In sums and products, all such terms and factors are combined into one.

    Args:
        position: the names that depend on position.
        uniform: the names of parameters and of the lengths of the domain.

    Returns:
        The formula with symbols, and a mapping from the names of these symbols to the
        subexpressions. A formula without coordinates is returned unchanged.
    """
    parts: dict[str, sympy.Basic] = {}

    def varies(node: sympy.Basic) -> bool:
        return any(symbol.name in position for symbol in node.free_symbols)

    def is_part(node: sympy.Basic) -> bool:
        names = {symbol.name for symbol in node.free_symbols}
        return names <= position | uniform and not node.has(lang.AppliedUndef)

    def stand_in(node: sympy.Basic) -> sympy.Symbol:
        name = "position_part_" + hashlib.md5(sympy.srepr(node).encode()).hexdigest()
        parts[name] = node
        return sympy.Symbol(name, real=True)

    def walk(node: sympy.Basic) -> sympy.Basic:
        if not varies(node):
            return node
        if isinstance(node, sympy.Expr) and is_part(node):
            return stand_in(node)
        if isinstance(node, (sympy.Add, sympy.Mul)):
            alone = [argument for argument in node.args if is_part(argument)]
            others = [walk(argument) for argument in node.args if not is_part(argument)]
            if any(map(varies, alone)):
                return node.func(stand_in(node.func(*alone)), *others)
            return node.func(*alone, *others)
        if isinstance(node, Boolean) and not node.args:
            return node
        return node.func(*map(walk, node.args))

    return walk(formula), parts
