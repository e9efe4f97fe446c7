"""Gateaux derivatives of formulas with differential operators.

The derivative of F at u in the direction v is ``d/de F(u + e*v)`` at e = 0. It is linear in v, and
contains the same operators as F, so that every discretisation can evaluate it.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from pdesim.formula import expansion
from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative

Directions = Mapping[sympy.Symbol, sympy.Expr]


def gateaux(formula: sympy.Expr, directions: Directions) -> sympy.Expr:
    """Return the Gateaux derivative of a formula.

    The derivative of ``f(u, N(u))``, where N is an operator, is ``df/du*v + df/dN*N'(u)v``. For
    linear operators, ``N'(u)v = N(v)``; for ``divergence(D, g)`` it is
    ``divergence(D, g'v) + divergence(D'v, g)``.

    Args:
        formula: a formula in which symbols replace reductions.
        directions: the direction v of each symbol u that varies.
    """
    nodes = sorted(lang.outermost(formula), key=str)
    dummies = {node: sympy.Dummy(real=True) for node in nodes}
    back = {dummy: node for node, dummy in dummies.items()}
    plain = formula.xreplace(dummies)
    changes = dict(directions) | {dummies[node]: _of_operator(node, directions) for node in nodes}
    return sympy.Add(*(
        derivative(plain, symbol).xreplace(back) * change
        for symbol, change in changes.items()
        if change != 0
    ))  # fmt: skip


def _of_operator(node: sympy.Expr, directions: Directions) -> sympy.Expr:
    """Return the Gateaux derivative of an operator with its arguments."""
    word, (*coefficients, inner) = lang.word_of(node), node.args
    if word == lang.GRADIENT_SQUARED:
        raise TypeError("gradient_squared is a sum of squares in parsed formulas")
    total, change = sympy.S.Zero, gateaux(inner, directions)
    if change != 0:
        total += lang.operator(word, *coefficients, change)
    for coefficient in coefficients:  # the diffusivity of a flux
        change = gateaux(coefficient, directions)
        if change != 0:
            total += lang.operator(word, change, inner)
    return total


def additive_terms(formula: sympy.Expr) -> list[sympy.Expr]:
    """Return terms whose sum is the formula, also of sums inside linear operators.

    ``laplacian(u**3 - u) + f`` has the terms ``laplacian(u**3)``, ``-laplacian(u)`` and ``f``.
    """
    terms = []
    for term in sympy.Add.make_args(expansion.expand_products(formula)):
        factors = sympy.Mul.make_args(term)
        nodes = [factor for factor in factors if lang.is_operator(factor)]
        if len(nodes) != 1:
            terms.append(term)
            continue
        (node,) = nodes
        *coefficients, inner = node.args
        rest = sympy.Mul(*(factor for factor in factors if factor != node))
        word = lang.word_of(node)
        terms += [rest * lang.operator(word, *coefficients, part) for part in additive_terms(inner)]
    return terms
