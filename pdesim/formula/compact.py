"""Compact forms of nested first derivatives.

A central first derivative of a central first derivative uses only every second cell. It is zero for
a checkerboard (+1, -1, +1, ...), so diffusion written in this form never damps a checkerboard. The
compact form evaluates the inner difference on the cell faces, and damps the shortest waves, too.
"""

from __future__ import annotations

import sympy

from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative


def compact(expression: sympy.Expr, varying: frozenset[sympy.Symbol]) -> sympy.Expr:
    """Rewrite nested first derivatives along one axis as operators that use adjacent cells.

    ``d_dx(D*d_dx(f))`` becomes ``divergence_x(D, f)`` or, if D is constant, ``D*d2_dx2(f)``. A sum
    is rewritten term by term. For ``d_dx(F(d_dx(f)))``, D is the slope of a secant of F,
    ``(F(p) - F(0))/p`` with p = ``d_dx(f)``. Since derivatives commute,
    ``d_dx(D*laplacian(d_dx(f)))`` becomes ``divergence_x(D, laplacian(f))``.

    Args:
        expression: a formula.
        varying: the symbols that vary in space: fields and coordinates.

    Returns:
        A formula with the same value for smooth fields.
    """
    if not expression.args:
        return expression
    arguments = [compact(argument, varying) for argument in expression.args]
    if lang.is_operator(expression) and lang.word_of(expression) in _SECOND:
        return _derivative(lang.word_of(expression), arguments[0], varying)
    return expression.func(*arguments)


#: word of a first derivative -> the words of the flux form and of the second derivative on its axis
_SECOND = {f"d_d{axis}": (f"divergence_{axis}", f"d2_d{axis}2") for axis in lang.AXES}
_INFINITE = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)


def _derivative(word: str, inner: sympy.Expr, varying: frozenset[sympy.Symbol]) -> sympy.Expr:
    """Return ``word(inner)`` with every term ``D*word(f)`` of ``inner`` in its compact form."""
    fluxes: dict[sympy.Expr, sympy.Expr] = {}
    rest = sympy.Integer(0)
    for term in sympy.Add.make_args(inner):
        factors = _factor(term, word)
        for diffusivity, f in [factors] if factors else []:
            fluxes[f] = fluxes.get(f, sympy.Integer(0)) + diffusivity
        if factors is None:
            rest += _without_slopes(term, word, fluxes)
    divergence, second = _SECOND[word]
    total = lang.operator(word, rest) if rest != 0 else sympy.Integer(0)
    for f, diffusivity in fluxes.items():
        if diffusivity.free_symbols & varying or diffusivity.has(lang.AppliedUndef):
            total += lang.operator(divergence, diffusivity, f)
        else:
            total += diffusivity * lang.operator(second, f)
    return total


def _factor(term: sympy.Expr, word: str) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Return (D, f) if the term has the form ``D*word(f)``, otherwise None."""
    for factor in sorted(sympy.Mul.make_args(term), key=str):
        base, exponent = factor.as_base_exp()
        f = _without(base, word)
        if f is not None and exponent.is_Integer and exponent > 0:
            return term / base, f
    return None


def _without_slopes(term: sympy.Expr, word: str, fluxes: dict) -> sympy.Expr:
    """Return a term F(p) with every ``p = word(f)`` set to 0, and add the difference to ``fluxes``.

    In ``F(p) = F(0) + D*p``, the diffusivity is ``D = (F(p) - F(0))/p``, and F'(0) at p = 0.
    """
    for node in sorted(lang.outermost(term), key=str):
        f = _without(node, word)
        if f is None:
            continue
        p = sympy.Dummy("p", real=True)
        function = term.xreplace({node: p})
        at_zero, slope = function.subs(p, 0), derivative(function, p)
        if slope.has(p):
            is_zero = sympy.Eq(p, 0)
            divisor = sympy.Piecewise((1, is_zero), (p, True))
            quotient = (function - at_zero) / divisor
            slope = sympy.Piecewise((slope.subs(p, 0), is_zero), (quotient, True), evaluate=False)
        if at_zero.has(*_INFINITE) or slope.has(*_INFINITE, sympy.Derivative, sympy.Subs):
            continue
        fluxes[f] = fluxes.get(f, sympy.Integer(0)) + slope.xreplace({p: node})
        term = at_zero
    return term


def _without(node: sympy.Expr, word: str) -> sympy.Expr | None:
    """Return f if ``node`` is ``word(f)``, also inside other linear operators; otherwise None."""
    if not lang.is_operator(node) or len(node.args) != 1:
        return None
    if lang.word_of(node) == word:
        return node.args[0]
    inner = _without(node.args[0], word)
    return None if inner is None else lang.operator(lang.word_of(node), inner)
