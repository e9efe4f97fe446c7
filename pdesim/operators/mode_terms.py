"""Right-hand sides as sums of terms in modes, with as few transforms as possible.

A term whose factor is the same in all cells is multiplied by it after the transform. Fields, whose
modes are known, and constants need no transform. An expression that occurs in several equations is
transformed once.

This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy

from pdesim.formula import language as lang
from pdesim.formula.kernels import is_convolution
from pdesim.formula.linear import linear_form
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class Term:
    """The modes of ``factor * operator(inner)``.

    Args:
        factor: an expression of parameters and time.
        inner: an expression that is evaluated on the grid, and then transformed.
        word: the operator, which multiplies the modes of ``inner``; empty for none.
    """

    factor: sympy.Expr
    inner: sympy.Expr
    word: str = ""


@dataclass(frozen=True)
class ModeSum:
    """The modes of one formula.

    Args:
        linear: the factors of the modes of fields, by the index of the field.
        constant: the part that is the same in all cells.
        terms: the other terms.
    """

    linear: dict[int, sympy.Expr]
    constant: sympy.Expr
    terms: tuple[Term, ...]


def mode_sums(problem: Problem, formulas: Sequence[sympy.Expr]) -> list[ModeSum]:
    """Return formulas as sums of terms in the modes of the problem.

    With the sums, each stage of a method needs one inverse transform for each of ``fields_read``,
    one for each operator inside of a product, and one transform for each of ``transformed``.
    """
    sums = [_mode_sum(problem, formula) for formula in formulas]
    direct = {term.inner for one in sums for term in one.terms if not term.word}
    if len(direct) <= sum(any(not term.word for term in one.terms) for one in sums):
        return sums
    # transforming the complete formulas takes fewer transforms than all different terms
    return [_joined(one) for one in sums]


def transformed(sums: Iterable[ModeSum]) -> list[sympy.Expr]:
    """Return the expressions that are evaluated on the grid and transformed."""
    return list(dict.fromkeys(term.inner for one in sums for term in one.terms))


def fields_read(problem: Problem, inner: Iterable[sympy.Expr]) -> list[int]:
    """Return the indices of the fields whose values on the grid are needed.

    Spectral derivatives of a field follow from its modes.
    """
    fields, read = problem.equation.field_symbols, set[sympy.Basic]()
    for expression in inner:
        if problem.discretisation.is_spectral:
            known = [
                n
                for n in lang.operators_in(expression)
                if n.args[-1] in fields and (len(n.args) == 1 or is_convolution(n))
            ]
            expression = expression.xreplace({node: sympy.Dummy() for node in known})
        read |= expression.free_symbols
    return [index for index, field in enumerate(fields) if field in read]


def _mode_sum(problem: Problem, formula: sympy.Expr) -> ModeSum:
    equation = problem.equation
    fields, own = equation.field_symbols, equation.constants
    linear, remainder = linear_form(formula, fields, own)
    if any(entry.free_symbols - own for entry in linear.values()):
        linear, remainder = {}, formula  # derivatives remain, and are evaluated on the grid
    constant, terms = sympy.S.Zero, []
    for term in sympy.Add.make_args(remainder):
        factor, inner = _factored(problem, term)
        if inner == 1:
            constant += factor
        else:
            terms += [Term(factor * t.factor, t.inner, t.word) for t in _terms(problem, inner)]
    return ModeSum(linear, constant, tuple(terms))


def _joined(one: ModeSum) -> ModeSum:
    """Return a sum in which all terms without an operator are one term."""
    direct = [term.factor * term.inner for term in one.terms if not term.word]
    terms = tuple(term for term in one.terms if term.word)
    joined = (Term(sympy.S.One, sympy.Add(*direct)),) if direct else ()
    return ModeSum(one.linear, one.constant, joined + terms)


def _factored(problem: Problem, term: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return the factor of a term that is the same in all cells, and the other factor."""
    conditions, factors = problem.conditions, sympy.Mul.make_args(term)
    uniform = [
        f for f in factors if conditions.is_coefficient(f) and not conditions.has_position(f)
    ]
    return sympy.Mul(*uniform), sympy.Mul(*(f for f in factors if f not in uniform))


def _terms(problem: Problem, inner: sympy.Expr) -> list[Term]:
    """Return a factor without uniform factors as terms, some with an operator in modes."""
    whole = [Term(sympy.S.One, inner)]
    if not lang.is_operator(inner) or not problem.discretisation.is_spectral:
        return whole
    if is_convolution(inner):
        return whole
    word, grid = lang.word_of(inner), problem.grid
    axes = lang.flux_axes(word, grid.dimensions)
    if axes is not None:
        diffusivity, argument = inner.args
        names = [f"d_d{grid.axes[axis]}" for axis in axes]
        nodes = [(n, lang.operator(n, diffusivity * lang.operator(n, argument))) for n in names]
        if not all(_is_factor(problem, name, node.args[0]) for name, node in nodes):
            return whole
        return [Term(sympy.S.One, node.args[0], name) for name, node in nodes]
    (argument,) = inner.args
    return [Term(sympy.S.One, argument, word)] if _is_factor(problem, word, argument) else whole


def _is_factor(problem: Problem, word: str, argument: sympy.Expr) -> bool:
    """Whether an operator multiplies modes in the basis of the problem, and yields such modes."""
    if not argument.free_symbols or (word != lang.LAPLACIAN and problem.modes.odd_axes(word)):
        return False
    periodic = all(problem.boundary.periodic_axes)
    return periodic or problem.symmetry.modes(argument) == problem.modes
