"""Separation of reductions over the domain, such as ``mean(f)``, from formulas.

A reduction is one number for the whole domain. Symbols replace reductions in formulas, so that all
analyses of formulas treat them as numbers that are equal in all cells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy

from pdesim.formula import language as lang


@dataclass(frozen=True)
class Reduction:
    """A reduction over the domain.

    Attributes:
        symbol: the symbol that replaces it in formulas.
        word: ``mean``, ``integral``, ``max`` or ``min``.
        inner: the formula that is reduced; symbols replace the reductions in it.
    """

    symbol: sympy.Symbol
    word: str
    inner: sympy.Expr

    @property
    def node(self) -> sympy.Expr:
        """The reduction as a node of a formula."""
        return lang.operator(self.word, self.inner)


def separate_reductions(
    formulas: Sequence[sympy.Expr],
) -> tuple[tuple[sympy.Expr, ...], tuple[Reduction, ...]]:
    """Replace all reductions in formulas by symbols.

    Returns:
        The formulas, and the reductions, each after those that its argument contains.
    """
    found: dict[sympy.Expr, Reduction] = {}

    def walk(node: sympy.Basic) -> sympy.Basic:
        if not node.has(lang.AppliedUndef):
            return node
        node = node.func(*map(walk, node.args))
        if not lang.is_reduction(node):
            return node
        if node not in found:
            name = "reduction_" + hashlib.md5(sympy.srepr(node).encode()).hexdigest()
            symbol = sympy.Symbol(name, real=True)
            found[node] = Reduction(symbol, lang.word_of(node), node.args[0])
        return found[node].symbol

    separated = tuple(walk(formula) for formula in formulas)
    return separated, tuple(found.values())


def with_reductions(expression: sympy.Expr, reductions: Iterable[Reduction]) -> sympy.Expr:
    """Return an expression with reductions in place of their symbols."""
    nodes: dict[sympy.Basic, sympy.Basic] = {}
    for reduction in reductions:
        nodes[reduction.symbol] = reduction.node.xreplace(nodes)
    return expression.xreplace(nodes)


def needed_reductions(
    formulas: Iterable[sympy.Expr], reductions: Sequence[Reduction]
) -> tuple[Reduction, ...]:
    """Return the reductions whose values formulas need, in the order of ``reductions``."""
    names = set().union(*(formula.free_symbols for formula in formulas))
    needed = []
    for reduction in reversed(reductions):
        if reduction.symbol in names:
            names |= reduction.inner.free_symbols
            needed.append(reduction)
    return tuple(reversed(needed))
