"""Conservative transport: ``advect(v, u)``, the divergence of the flux ``v*u``.

A formula contains one node for each axis: ``advect_x(a, u)`` is the derivative of ``a*u`` along x.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sympy

from pdesim.errors import ConfigError
from pdesim.formula import expansion, nodes
from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative
from pdesim.formula.metric import Metric


def advection(velocity: Sequence[sympy.Expr], u: sympy.Expr) -> sympy.Expr:
    """Return ``advect(v, u)`` for the components of v along x, y and z."""
    pairs = zip(lang.ADVECTION, velocity, strict=False)
    return sympy.Add(*(lang.operator(word, a, u) for word, a in pairs if a != 0))


def has_advection(*formulas: sympy.Basic) -> bool:
    """Whether formulas contain ``advect``."""
    return any(
        lang.word_of(node) in lang.ADVECTION
        for formula in formulas
        for node in formula.atoms(lang.AppliedUndef)
    )


def with_signs(
    formula: sympy.Expr,
    fields: Collection[sympy.Symbol],
    uniform: Collection[sympy.Symbol],
    metric: Metric | None = None,
) -> sympy.Expr:
    """Return a right-hand side whose terms with ``advect`` have the form ``-advect(v, u)``.

    The scheme reads the values upstream. In ``du/dt = c*advect(v, u)``, u is transported with the
    velocity ``-c*v``, whose sign depends on c. Factors are therefore included in the velocity.

    Args:
        formula: a right-hand side.
        fields: the symbols of the fields.
        uniform: symbols that are equal in all cells: parameters and time.
        metric: the coordinates, whose elements of volume divide the differences of fluxes.

    Raises:
        ConfigError: if ``advect`` has a factor that is not uniform, or is inside another function,
            or if :func:`speed` does not support its velocity.
    """
    if not has_advection(formula):
        return formula
    terms = []
    for term in sympy.Add.make_args(formula):
        expanded = _expanded(term, metric) if has_advection(term) else term
        if isinstance(expanded, sympy.Add):
            terms.append(with_signs(expanded, fields, uniform, metric))
        elif has_advection(expanded):
            terms.append(_with_sign(expanded, fields, uniform, metric))
        else:
            terms.append(term)
    return sympy.Add(*terms)


def _expanded(term: sympy.Expr, metric: Metric | None) -> sympy.Expr:
    """Expand products, but not the elements of volume that divide differences of fluxes."""
    if metric is None:
        return expansion.expand_products(term)
    divisors = {power: sympy.Dummy(real=True) for power in term.atoms(sympy.Pow)}
    back = {dummy: power for power, dummy in divisors.items()}
    return expansion.expand_products(term.xreplace(divisors)).xreplace(back)


def _with_sign(
    term: sympy.Expr,
    fields: Collection[sympy.Symbol],
    uniform: Collection[sympy.Symbol],
    metric: Metric | None,
) -> sympy.Expr:
    transports = [f for f in sympy.Mul.make_args(term) if _is_advection(f)]
    others = [f for f in sympy.Mul.make_args(term) if not _is_advection(f)]
    inside = [*others, *(argument for node in transports for argument in node.args)]
    factor = sympy.Mul(*others)
    if len(transports) != 1 or has_advection(*inside):
        raise ConfigError(
            "advect(v, u) is inside of another function or a product",
            "advect(v, u) as a term of a right-hand side, such as -advect(v, u) + laplacian(u)",
        )
    volume = sympy.S.One
    if metric is not None and len(transports) == 1:
        volume = metric.volume(lang.ADVECTION[lang.word_of(transports[0])])
        factor = factor * volume
    if factor.free_symbols - set(uniform) or factor.has(lang.AppliedUndef):
        raise ConfigError(
            f"advect(v, u) has the factor {factor}, which is not equal in all cells",
            "a number or a parameter as factor",
            "a factor inside of the velocity: advect(c*v, u) is the divergence of c*v*u",
        )
    velocity, u = transports[0].args
    speed(velocity, u, fields)
    return -lang.operator(lang.word_of(transports[0]), -factor * velocity, u) / volume


def _is_advection(node: sympy.Basic) -> bool:
    return isinstance(node, lang.AppliedUndef) and lang.word_of(node) in lang.ADVECTION


def speed(
    velocity: sympy.Expr, u: sympy.Expr, fields: Collection[sympy.Symbol]
) -> tuple[sympy.Expr, bool]:
    """Return the speed at which small changes of u travel along an axis.

    It is the velocity a, unless a depends on u itself. It is then the derivative of the flux a*u
    with respect to u, or the larger one of this derivative and a, in absolute value, if a depends
    on other fields, too. Derivatives of u in a, such as a gradient, count as given.

    Args:
        velocity: the component a of the velocity.
        u: the transported expression.
        fields: the symbols of the fields.

    Returns:
        The speed, and whether the velocity depends on u.

    Raises:
        ConfigError: if the velocity depends on a field in u and u is not a field.
    """
    replaced = {node: sympy.Dummy(real=True) for node in lang.outermost(velocity)}
    plain = velocity.xreplace(replaced)
    own = plain.free_symbols & set(fields)
    shared = own & u.free_symbols
    if not shared:
        return velocity, False
    if u not in fields:
        raise ConfigError(
            f"in advect(v, {u}), the velocity depends on {min(map(str, shared))}, too",
            "advect(v, u) with a field u, or a velocity without the fields that are transported",
        )
    back = {dummy: node for node, dummy in replaced.items()}
    slope = derivative(plain * u, u).xreplace(back)
    if own == {u}:
        return slope, True
    return nodes.Maximum(nodes.Abs(velocity), nodes.Abs(slope)), True
