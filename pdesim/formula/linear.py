"""The linear constant-coefficient part of a right-hand side, and its Jacobian.

Both are matrices with a row per equation and a column per field. Their entries are polynomials in
operator symbols (``language.operator_symbol``). A discretisation provides the values of each symbol
for all wave vectors. Evaluated with these values, the entries are numbers for every wave vector.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sympy

from pdesim.formula import expansion
from pdesim.formula import language as lang
from pdesim.formula import nodes as functions
from pdesim.formula.advection import speed
from pdesim.formula.calculus import derivative
from pdesim.formula.kernels import is_convolution, kernels_in, symbol_of


@dataclass(frozen=True)
class Split:
    """A right-hand side as ``matrix(symbols) @ fields + rest``.

    Attributes:
        matrix: an entry per equation and field, which contains parameters and operator symbols.
        rest: for each equation, the terms that are nonlinear or have variable coefficients. If all
            linear terms with derivatives are diffusion, also the linear terms of reactions.
        linear: for each equation, its formula without ``rest``.
    """

    matrix: sympy.ImmutableMatrix
    rest: tuple[sympy.Expr, ...]
    linear: tuple[sympy.Expr, ...]

    @property
    def is_linear(self) -> bool:
        """Whether the right-hand side is linear with constant coefficients."""
        return all(term == 0 for term in self.rest)


# cached, since the members of a sweep often have the same equation
@lru_cache(maxsize=256)
def split(
    rhs: tuple[sympy.Expr, ...],
    fields: tuple[sympy.Symbol, ...],
    constants: frozenset[sympy.Symbol],
    excluded: frozenset[str] = frozenset(),
) -> Split:
    """Separate formulas into a linear constant-coefficient part and the rest.

    Args:
        rhs: one formula per field.
        fields: the field symbols, in the same order.
        constants: the symbols that are constant in space and time (parameters).
        excluded: the operators whose terms remain in the rest, because they are not diagonal in the
            basis of the transforms.
    """
    matrix = sympy.zeros(len(rhs), len(fields))
    rest = []
    for row, formula in enumerate(rhs):
        entries, remainder = linear_form(formula, fields, constants, excluded)
        rest.append(remainder)
        for column, entry in entries.items():
            matrix[row, column] += entry
    if any(remainder.free_symbols & set(fields) for remainder in rest):
        matrix, rest = _with_whole_reactions(matrix, rest, fields)
    linear = tuple(formula - remainder for formula, remainder in zip(rhs, rest, strict=True))
    return Split(matrix.as_immutable(), tuple(rest), linear)


def _with_whole_reactions(
    matrix: sympy.Matrix, rest: list[sympy.Expr], fields: Sequence[sympy.Symbol]
) -> tuple[sympy.Matrix, list[sympy.Expr]]:
    """Move the linear terms of reactions to the rest if all other linear terms are diffusion.

    In a developed pattern, the linear and the nonlinear terms of a reaction nearly cancel. If the
    linear terms were integrated exactly and the nonlinear terms approximately, in stages, they
    would no longer cancel. Besides, only diffusion is stiff (Ruuth, J. Math. Biol. 34 (1995) 148,
    doi:10.1007/BF00178771). Nothing is moved if operators are nested, since the remaining linear
    part could grow (Swift-Hohenberg's (1 + laplacian)^2 without its 1), or if fields are coupled
    through derivatives (waves).
    """
    if any(expansion.terms_expanded(entry) > expansion.MOST_TERMS for entry in matrix):
        return matrix, rest
    symbols = {lang.operator_symbol(word) for word in lang.OPERATORS} & matrix.free_symbols
    reaction = matrix.subs(dict.fromkeys(symbols, 0))
    spread = (matrix - reaction).expand()
    if not symbols or not spread.is_diagonal():
        return matrix, rest
    if any(sympy.Poly(entry, *symbols).total_degree() > 1 for entry in spread.diagonal()):
        return matrix, rest
    terms = reaction * sympy.Matrix(fields)
    return spread, [remainder + term for remainder, term in zip(rest, terms, strict=True)]


def linear_form(
    formula: sympy.Expr,
    fields: Sequence[sympy.Symbol],
    constants: frozenset[sympy.Symbol],
    excluded: Collection[str] = frozenset(),
) -> tuple[dict[int, sympy.Expr], sympy.Expr]:
    """Separate one formula into its linear part and the rest; see :func:`split`.

    Returns:
        A mapping from the index of a field to its coefficient, and the rest. Terms of the rest that
        contain no linear part are not expanded.
    """
    entries: dict[int, list[sympy.Expr]] = {}
    rest = []  # added at the end, since SymPy would copy the growing sum for each term
    for term in sympy.Add.make_args(formula):
        expanded = expansion.expand_products(term)
        if isinstance(expanded, sympy.Add):
            inner, remainder = linear_form(expanded, fields, constants, excluded)
        else:
            inner, remainder = _linear_term(expanded, fields, constants, excluded)
        for column, entry in inner.items():
            entries.setdefault(column, []).append(entry)
        rest.append(remainder if inner else term)
    linear = {column: sympy.Add(*parts) for column, parts in entries.items()}
    return linear, sympy.Add(*rest)


def _linear_term(
    term: sympy.Expr,
    fields: Sequence[sympy.Symbol],
    constants: frozenset[sympy.Symbol],
    excluded: Collection[str],
) -> tuple[dict[int, sympy.Expr], sympy.Expr]:
    """Separate one product into its linear part and the rest; see :func:`linear_form`."""
    varying = [f for f in sympy.Mul.make_args(term) if not _constant(f, constants)]
    coefficient = sympy.Mul(*(f for f in sympy.Mul.make_args(term) if _constant(f, constants)))
    if len(varying) != 1:
        return {}, term
    factor = varying[0]
    if factor in fields:
        return {fields.index(factor): coefficient}, sympy.Integer(0)
    explicit = is_convolution(factor) or not lang.is_operator(factor)
    if explicit or lang.word_of(factor) in {*excluded, *lang.ADVECTION}:
        # convolutions are treated explicitly; upwind differences are not linear: they depend on
        # signs and limiters
        return {}, term
    word = lang.word_of(factor)
    if lang.has_flux_form(word):
        diffusivity, inner = factor.args
        if not _constant(diffusivity, constants):
            return {}, term
        word, coefficient = lang.second_order_word(word), coefficient * diffusivity
    else:
        (inner,) = factor.args
    linear, remainder = linear_form(inner, fields, constants, excluded)
    symbol = lang.operator_symbol(word)
    scaled = {column: coefficient * symbol * entry for column, entry in linear.items()}
    if remainder == 0:
        return scaled, sympy.Integer(0)
    return scaled, coefficient * lang.operator(word, remainder)


def _constant(expression: sympy.Expr, constants: frozenset[sympy.Symbol]) -> bool:
    return expression.free_symbols <= constants and not expression.has(lang.AppliedUndef)


@lru_cache(maxsize=256)
def jacobian(
    rhs: tuple[sympy.Expr, ...], fields: tuple[sympy.Symbol, ...]
) -> sympy.ImmutableMatrix:
    """Return the Jacobian with frozen coefficients, which acts on amplitudes of small plane waves.

    Entry (i, j) is d rhs_i / d field_j, with each operator replaced by its symbol and each
    coefficient by its local value. Derivatives of a variable diffusivity are omitted, because they
    do not affect the leading order in the wave number. If the diffusivity itself contains
    derivatives of the fields, its derivatives affect the leading order and are included. The symbol
    of a reduction over the domain is not 0 for uniform perturbations only.
    """
    cache: _Cache = {}
    return sympy.ImmutableMatrix([_gradient(formula, fields, cache) for formula in rhs])


#: formula -> its derivatives with respect to the fields
_Cache = dict[sympy.Basic, tuple[sympy.Expr, ...]]


def _gradient(
    formula: sympy.Expr, fields: Sequence[sympy.Symbol], cache: _Cache
) -> tuple[sympy.Expr, ...]:
    if formula in cache:
        return cache[formula]
    nodes = sorted(lang.outermost(formula), key=str)
    dummies = {node: sympy.Dummy(real=True) for node in nodes}
    plain = formula.xreplace(dummies)
    back = {dummy: node for node, dummy in dummies.items()}
    entries = [derivative(plain, field).xreplace(back) for field in fields]
    for node, dummy in dummies.items():
        outer = derivative(plain, dummy).xreplace(back)
        if lang.word_of(node) in lang.ADVECTION:
            for column, entry in enumerate(_transported(node, fields, cache)):
                entries[column] += outer * entry
            continue
        if lang.has_flux_form(lang.word_of(node)):
            diffusivity, inner = node.args
            symbol = lang.operator_symbol(lang.second_order_word(lang.word_of(node)))
            for column, entry in enumerate(_changed_flux(node, fields, cache)):
                entries[column] += outer * entry
            outer = outer * diffusivity
        else:
            inner, symbol = node.args[-1], symbol_of(node)
        for column, entry in enumerate(_gradient(inner, fields, cache)):
            entries[column] += outer * symbol * entry
    cache[formula] = tuple(entries)
    return cache[formula]


def _transported(
    node: sympy.Expr, fields: Sequence[sympy.Symbol], cache: _Cache
) -> tuple[sympy.Expr, ...]:
    """Return the derivatives of ``advect_x(a, u)``.

    A change du of u contributes ``a*d_dx(du) - |s|*h/2*d2_dx2(du)`` with the speed s and the cell
    width h: the first-order upwind difference. A change da of the velocity contributes
    ``u*d_dx(da)``.
    """
    velocity, u = node.args
    name = lang.AXES[lang.ADVECTION[lang.word_of(node)]]
    slope, damping = (lang.operator_symbol(word) for word in (f"d_d{name}", f"upwind_{name}"))
    change = velocity * slope - functions.Abs(speed(velocity, u, fields)[0]) * damping
    pairs = zip(_gradient(u, fields, cache), _gradient(velocity, fields, cache), strict=True)
    return tuple(change * of_u + u * slope * of_velocity for of_u, of_velocity in pairs)


def _changed_flux(
    node: sympy.Expr, fields: Sequence[sympy.Symbol], cache: _Cache
) -> tuple[sympy.Expr, ...]:
    """Return the contribution of a changed diffusivity dD to the Jacobian of ``divergence(D, f)``.

    It is the divergence of ``dD*gradient(f)``. Unless D contains derivatives, it is of lower order
    in the wave number and is omitted: the result is empty. If f contains a convolution, whose
    symbol decays with the wave number, the omitted term may be the largest one and is included.
    """
    diffusivity, inner = node.args
    kernels = kernels_in([inner])
    if not lang.operators_in(diffusivity) and not kernels:
        return ()
    word = lang.word_of(node)
    names = [lang.AXES[lang.FLUXES[word]]] if word in lang.FLUXES else _axes_in(diffusivity)
    if kernels and word not in lang.FLUXES:
        names = list(lang.AXES[: len(kernels[0].displacement)])
    words = [f"d_d{name}" for name in names]
    slopes = sum(lang.operator_symbol(word) * lang.operator(word, inner) for word in words)
    return tuple(slopes * entry for entry in _gradient(diffusivity, fields, cache))


def _axes_in(expression: sympy.Expr) -> list[str]:
    """Return the axes of the first derivatives in an expression."""
    words = {lang.word_of(node) for node in lang.operators_in(expression)}
    return [name for name in lang.AXES if f"d_d{name}" in words]
