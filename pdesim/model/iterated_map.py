"""Iterated maps ``u <- f(u)``: iteration until a condition holds in a cell, and its count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from pdesim.errors import ConfigError, FormulaError
from pdesim.formula import Scope, is_condition, nodes, parse

#: the field of an iterated map that counts the iterations of each cell
COUNT = "count"


@dataclass(frozen=True)
class IteratedMap:
    """Properties of an iterated map ``u <- formula``; its time is the number of iterations.

    Attributes:
        shown: the formulas of the fields that are stored, from the fields that are iterated.
    """

    shown: tuple[sympy.Expr, ...]


def build_map(
    spec: Mapping, fields: tuple[str, ...], formulas: Sequence[sympy.Expr], scope: Scope
) -> tuple[tuple[str, ...], list[sympy.Expr], IteratedMap]:
    """Return the fields and the formulas of an iterated map, with the count of iterations.

    A cell is not iterated further once its values satisfy the condition ``escape``; the field
    ``count`` contains the number of iterations until then. Where a cell has escaped, the stored
    count is increased by ``smooth``, a formula of the values at the escape.
    """
    symbols = tuple(sympy.Symbol(name, real=True) for name in fields)
    if spec.get("escape") is None:
        if spec.get("smooth") is not None:
            raise ConfigError(
                "equation.smooth has no effect without equation.escape", "escape: a**2 + b**2 > 4"
            )
        return fields, list(formulas), IteratedMap(symbols)
    if COUNT in fields:
        raise ConfigError(
            f"a map with an escape condition cannot have a field {COUNT!r}, which counts the "
            "iterations",
            "another name",
        )
    text = str(spec["escape"])
    if not is_condition(text):
        raise FormulaError(text, 0, "this is not a condition", "a**2 + b**2 > 4", "equation.escape")
    chosen = parse(f"where({text}, 1, 0)", scope, "equation.escape")
    if not isinstance(chosen, sympy.Piecewise):
        raise ConfigError(
            f"equation.escape={text!r} is the same in all cells", "a condition that contains fields"
        )
    escaped = chosen.args[0].args[1]
    count = sympy.Symbol(COUNT, real=True)
    pairs = zip(symbols, formulas, strict=True)
    kept = [nodes.where(escaped, symbol, formula) for symbol, formula in pairs]
    smooth = parse(spec.get("smooth") or 0, scope, "equation.smooth")
    shown = count if smooth == 0 else count + nodes.where(escaped, smooth, sympy.S.Zero)
    counted = nodes.where(escaped, count, count + 1)
    return (*fields, COUNT), [*kept, counted], IteratedMap((*symbols, shown))


def check_no_map(spec: Mapping, command: str) -> None:
    """Check that an equation is not an iterated map, to which a command does not apply.

    Raises:
        ConfigError: if it is.
    """
    if spec.get("map"):
        raise ConfigError(
            f"pdesim {command} does not apply to iterated maps, which have no error in space or "
            "time",
            "an equation with rhs or solve",
        )
