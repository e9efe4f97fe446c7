"""What a right-hand side is made of: its linear constant-coefficient part, and its Jacobian.

Both are matrices over the fields whose entries are polynomials in operator symbols
(``language.operator_symbol``): on a given grid each symbol has a number per wave vector, so one
evaluation turns the matrix into numbers for any discretisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy

from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative


@dataclass(frozen=True)
class Split:
    """``rhs = matrix(symbols) applied to the fields + rest``.

    ``matrix`` has an entry per (equation, field) and holds parameters and operator symbols only;
    ``rest`` is a formula per equation: everything nonlinear or with variable coefficients, and the
    linear terms of reactions beside diffusion; ``linear`` are the formulas without it.
    """

    matrix: sympy.ImmutableMatrix
    rest: tuple[sympy.Expr, ...]
    linear: tuple[sympy.Expr, ...]

    @property
    def is_linear(self) -> bool:
        return all(term == 0 for term in self.rest)


#: members of a sweep ask for the same again and again
@lru_cache(maxsize=256)
def split(
    rhs: tuple[sympy.Expr, ...],
    fields: tuple[sympy.Symbol, ...],
    constants: frozenset[sympy.Symbol],
    excluded: frozenset[str] = frozenset(),
) -> Split:
    """Separate each formula into a linear constant-coefficient part and the rest.

    Args:
        rhs: one formula per field.
        fields: the field symbols, in the same order.
        constants: the symbols that count as constant (parameters).
        excluded: operators that shall not count as linear (not diagonal in the basis in use).
    """
    matrix = sympy.zeros(len(rhs), len(fields))
    rest = []
    for row, formula in enumerate(rhs):
        linear, left = linear_form(formula, fields, constants, excluded)
        rest.append(left)
        for column, entry in linear.items():
            matrix[row, column] += entry
    if any(left.free_symbols & set(fields) for left in rest):
        matrix, rest = _with_whole_reactions(matrix, rest, fields)
    linear = tuple(formula - left for formula, left in zip(rhs, rest, strict=True))
    return Split(matrix.as_immutable(), tuple(rest), linear)


def _with_whole_reactions(matrix: sympy.Matrix, rest: list, fields) -> tuple[sympy.Matrix, list]:
    """Leave the linear terms of a reaction with its nonlinear ones where all else is diffusion.

    The terms of a reaction nearly cancel where a pattern has formed. Advanced apart, some exactly
    and some by stages, they do so only up to the stages' error; and only diffusion is stiff (Ruuth,
    J. Math. Biol. 34 (1995) 148, doi:10.1007/BF00178771). Operators of operators stay whole
    (Swift-Hohenberg's (1 + laplacian)^2 without its 1 would grow), and so do fields that drive each
    other through derivatives (waves).
    """
    if any(lang.terms_expanded(entry) > lang.MOST_TERMS for entry in matrix):
        return matrix, rest
    symbols = {lang.operator_symbol(word) for word in lang.OPERATORS} & matrix.free_symbols
    reaction = matrix.subs(dict.fromkeys(symbols, 0))
    spread = (matrix - reaction).expand()
    if not symbols or not spread.is_diagonal():
        return matrix, rest
    if any(sympy.Poly(entry, *symbols).total_degree() > 1 for entry in spread.diagonal()):
        return matrix, rest
    terms = reaction * sympy.Matrix(fields)
    return spread, [left + term for left, term in zip(rest, terms, strict=True)]


def linear_form(
    formula, fields, constants, excluded=frozenset()
) -> tuple[dict[int, sympy.Expr], sympy.Expr]:
    """Coefficients of the fields, and what is left; terms without a linear part stay whole."""
    entries: dict[int, list[sympy.Expr]] = {}
    rest = []  # summed once: adding one by one takes the square of their number
    for term in sympy.Add.make_args(formula):
        expanded = lang.expand_products(term)
        if isinstance(expanded, sympy.Add):
            inner, left = linear_form(expanded, fields, constants, excluded)
        else:
            inner, left = _linear_term(expanded, fields, constants, excluded)
        for column, entry in inner.items():
            entries.setdefault(column, []).append(entry)
        rest.append(left if inner else term)
    linear = {column: sympy.Add(*parts) for column, parts in entries.items()}
    return linear, sympy.Add(*rest)


def _linear_term(term, fields, constants, excluded):
    varying = [f for f in sympy.Mul.make_args(term) if not _constant(f, constants)]
    coefficient = sympy.Mul(*(f for f in sympy.Mul.make_args(term) if _constant(f, constants)))
    if len(varying) != 1:
        return {}, term
    factor = varying[0]
    if factor in fields:
        return {fields.index(factor): coefficient}, sympy.Integer(0)
    if not lang.is_operator(factor) or lang.word_of(factor) in excluded:
        return {}, term
    word = lang.word_of(factor)
    if lang.has_flux_form(word):
        diffusivity, inner = factor.args
        if not _constant(diffusivity, constants):
            return {}, term
        word, coefficient = lang.second_order_word(word), coefficient * diffusivity
    else:
        (inner,) = factor.args
    linear, left = linear_form(inner, fields, constants, excluded)
    symbol = lang.operator_symbol(word)
    scaled = {column: coefficient * symbol * entry for column, entry in linear.items()}
    return scaled, coefficient * lang.operator(word, left) if left != 0 else sympy.Integer(0)


def _constant(expression: sympy.Expr, constants) -> bool:
    return expression.free_symbols <= constants and not expression.has(lang.AppliedUndef)


@lru_cache(maxsize=256)
def jacobian(
    rhs: tuple[sympy.Expr, ...], fields: tuple[sympy.Symbol, ...]
) -> sympy.ImmutableMatrix:
    """The frozen-coefficient Jacobian: how the right-hand side answers a small plane wave.

    Entry (i, j) is d rhs_i / d field_j with each operator replaced by its symbol and each
    coefficient by its local value; derivatives of a variable diffusivity are left out, as they
    do not change the leading order in the wave number, unless it depends on derivatives itself.
    """
    cache: dict[sympy.Basic, tuple[sympy.Expr, ...]] = {}
    return sympy.ImmutableMatrix([_gradient(formula, fields, cache) for formula in rhs])


def _gradient(formula, fields, cache) -> tuple[sympy.Expr, ...]:
    if formula in cache:
        return cache[formula]
    nodes = sorted(_outermost(formula), key=str)
    stand_in = {node: sympy.Dummy(real=True) for node in nodes}
    plain = formula.xreplace(stand_in)
    back = {dummy: node for node, dummy in stand_in.items()}
    entries = [derivative(plain, field).xreplace(back) for field in fields]
    for node, dummy in stand_in.items():
        outer = derivative(plain, dummy).xreplace(back)
        if lang.has_flux_form(lang.word_of(node)):
            diffusivity, inner = node.args
            symbol = lang.operator_symbol(lang.second_order_word(lang.word_of(node)))
            for column, entry in enumerate(_changed_flux(node, fields, cache)):
                entries[column] += outer * entry
            outer = outer * diffusivity
        else:
            (inner,) = node.args
            symbol = lang.operator_symbol(lang.word_of(node))
        for column, entry in enumerate(_gradient(inner, fields, cache)):
            entries[column] += outer * symbol * entry
    cache[formula] = tuple(entries)
    return cache[formula]


def _changed_flux(node, fields, cache) -> tuple[sympy.Expr, ...]:
    """The part of a flux-form operator's answer in which a wave changes the diffusivity.

    ``dD d_dx(f)`` on every axis, for a D that has derivatives in it; else it is of lower order.
    """
    diffusivity, inner = node.args
    if not lang.operators_in(diffusivity):
        return ()
    word = lang.word_of(node)
    names = [lang.AXES[lang.FLUXES[word]]] if word in lang.FLUXES else _axes_in(diffusivity)
    words = [f"d_d{name}" for name in names]
    slopes = sum(lang.operator_symbol(word) * lang.operator(word, inner) for word in words)
    return tuple(slopes * entry for entry in _gradient(diffusivity, fields, cache))


def _axes_in(expression) -> list[str]:
    """The axes of the first derivatives in an expression."""
    words = {lang.word_of(node) for node in lang.operators_in(expression)}
    return [name for name in lang.AXES if f"d_d{name}" in words]


def _outermost(formula) -> set[sympy.Basic]:
    if lang.is_operator(formula):
        return {formula}
    return set().union(*(_outermost(argument) for argument in formula.args))
