"""Separation of subexpressions that depend on time only, to evaluate them in double precision.

In float32, a time of 1e7 is rounded to an integer, so that ``cos(2*pi*t)`` would be 1.
This module does not import TensorFlow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sympy
from sympy.logic.boolalg import Boolean

from pdesim.formula import language as lang
from pdesim.operators.problem import Problem


def double_names(problem: Problem, precision: str) -> dict[str, str]:
    """Return a mapping from the names of parameters to the names of their float64 values.

    The float64 values are used where a parameter is combined with the time. The result is empty in
    float64 runs and if nothing depends on time.
    """
    timed = problem.equation.is_time_dependent or lang.TIME in problem.boundary.symbols
    if precision == "float64" or not timed:
        return {}
    return {name: f"{name} in float64" for name in problem.parameters}


@lru_cache(maxsize=1024)
def separate_time(
    formula: sympy.Expr, constants: frozenset[sympy.Symbol]
) -> tuple[sympy.Expr, Mapping[str, sympy.Basic]]:
    """Replace the largest subexpressions that contain only t, parameters and numbers by symbols.

    In sums and products, all such terms and factors are combined into one. Sines, cosines and
    remainders of a sum are rewritten, since the sum would be rounded to float32:
    ``sin(k*x - w*t) = sin(k*x) cos(w*t) - cos(k*x) sin(w*t)`` and
    ``mod(x - t, p) = mod(x + mod(-t, p), p)``.

    Args:
        constants: the symbols of the parameters.

    Returns:
        The formula with symbols, and a mapping from the names of these symbols to the
        subexpressions. A formula without t is returned unchanged.
    """
    parts: dict[str, sympy.Basic] = {}
    allowed = constants | {lang.TIME}

    def is_scalar(node: sympy.Basic) -> bool:
        return node.free_symbols <= allowed and not node.has(lang.AppliedUndef)

    def stand_in(node: sympy.Basic) -> sympy.Symbol:
        name = "time_part_" + hashlib.md5(sympy.srepr(node).encode()).hexdigest()
        parts[name] = node
        # a symbol for a condition (true or false) must not be real
        return sympy.Symbol(name) if isinstance(node, Boolean) else sympy.Symbol(name, real=True)

    def of_terms(node: sympy.Expr) -> tuple[sympy.Expr | None, list[sympy.Expr]]:
        """Split a sum or product into the part that depends on time only, and the other terms.

        The first result is None if no term or factor depends on time only.
        """
        alone = [argument for argument in node.args if is_scalar(argument)]
        if not any(lang.TIME in argument.free_symbols for argument in alone):
            return None, list(node.args)
        return node.func(*alone), [a for a in node.args if not is_scalar(a)]

    def walk(node: sympy.Basic) -> sympy.Basic:
        if lang.TIME not in node.free_symbols:
            return node
        if isinstance(node, (sympy.Expr, Boolean)) and is_scalar(node):
            return stand_in(node)
        if isinstance(node, (sympy.Add, sympy.Mul)):
            alone, others = of_terms(node)
            rest = [walk(argument) for argument in others]
            return node.func(*rest) if alone is None else node.func(stand_in(alone), *rest)
        if isinstance(node, (sympy.sin, sympy.cos)):
            angle = sympy.expand_mul(node.args[0])
            phase, others = of_terms(angle) if isinstance(angle, sympy.Add) else (None, [])
            if phase is not None:
                return shifted(type(node), walk(sympy.Add(*others)), phase)
        if type(node).__name__ == "Mod" and isinstance(node.args[0], sympy.Add):
            part, others = of_terms(node.args[0])
            if part is not None and is_scalar(node.args[1]):
                remainder = walk(node.func(part, node.args[1]))
                return node.func(walk(sympy.Add(*others)) + remainder, walk(node.args[1]))
        return node.func(*map(walk, node.args))

    def shifted(function: Any, angle: sympy.Expr, phase: sympy.Expr) -> sympy.Expr:
        sine, cosine = (walk(wave(phase)) for wave in (sympy.sin, sympy.cos))
        if function is sympy.sin:
            return sympy.sin(angle) * cosine + sympy.cos(angle) * sine
        return sympy.cos(angle) * cosine - sympy.sin(angle) * sine

    return walk(formula), parts
