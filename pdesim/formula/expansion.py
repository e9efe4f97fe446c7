"""Expansion of products and powers of formulas, up to a largest number of terms."""

from __future__ import annotations

import math

import sympy
from sympy.core.function import AppliedUndef

from pdesim.formula import language as lang

#: products and powers are not expanded if the result would have more terms than this
MOST_TERMS = 300


def expand_products(expression: sympy.Expr) -> sympy.Expr:
    """Expand products and powers, except those inside the arguments of functions.

    Functions are not expanded, either: SymPy's full expansion would split exp(a + b) into
    exp(a)*exp(b), whose factors may overflow. An expression is returned unchanged if its expansion
    would have more than ``MOST_TERMS`` terms; ``(u + v + 1)**60`` would have 1891.
    """
    if terms_expanded(expression) > MOST_TERMS:
        return expression
    hints = {"power_exp": False, "power_base": False, "log": False, "basic": False}
    return sympy.expand(expression, deep=False, **hints)


def terms_expanded(expression: sympy.Expr) -> float:
    """Return an upper bound of the number of terms that an expression has after expansion.

    A sum of m terms, raised to the power n, has ``binomial(n + m - 1, n)`` terms.
    """
    if isinstance(expression, sympy.Add):
        return sum(terms_expanded(term) for term in expression.args)
    if isinstance(expression, sympy.Mul):
        return math.prod(terms_expanded(factor) for factor in expression.args)
    if isinstance(expression, sympy.Pow) and expression.exp.is_Integer and expression.exp > 0:
        terms, power = terms_expanded(expression.base), int(expression.exp)
        if terms == 1:
            return 1
        if terms > MOST_TERMS or power > MOST_TERMS:
            return math.inf
        return math.comb(power + int(terms) - 1, power)
    return 1


def as_fluxes(inner: sympy.Expr) -> sympy.Expr:
    """Expand a flux to a sum of products, each of which contains one gradient.

    If the full expansion would have too many terms, only the factors with a gradient are expanded.
    """
    if terms_expanded(inner) <= MOST_TERMS:
        return expand_products(inner)
    total = sympy.S.Zero
    for term in sympy.Add.make_args(inner):
        factors: dict[bool, list[sympy.Expr]] = {True: [], False: []}
        for factor in sympy.Mul.make_args(term):
            has = any(lang.word_of(node) == lang.GRADIENT for node in factor.atoms(AppliedUndef))
            factors[has].append(factor)
        rest = sympy.Mul(*factors[False])
        sums = sympy.Add.make_args(expand_products(sympy.Mul(*factors[True])))
        total += sympy.Add(*(rest * part for part in sums))
    return total
