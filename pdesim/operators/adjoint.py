"""Detection of linear equations with a self-adjoint right-hand side.

This module does not import TensorFlow.
"""

from __future__ import annotations

import sympy

from pdesim.formula import expansion
from pdesim.formula import language as lang
from pdesim.operators.problem import Problem

#: derivatives whose matrices at order 2 are symmetric for periodic, Dirichlet, Neumann and Robin
#: conditions
_SECOND = (word for word, powers in lang.DERIVATIVES.items() if sorted(powers) == [0, 0, 2])
_EVEN = (lang.LAPLACIAN, *_SECOND)


def is_self_adjoint(problem: Problem) -> bool:
    """Whether the matrix of the right-hand side is symmetric, as conjugate gradients require.

    In addition to the equations that ``Problem.self_adjoint`` recognises, the formula of each field
    u may be a sum of sources, ``c(x, t)*u``, ``k*laplacian(u)``, ``k*d2_dx2(u)`` and
    ``divergence(D(x, t)*gradient(u))``, where the factors k do not depend on position. The flux
    form of a divergence has a symmetric matrix. With boundary conditions that are not periodic, all
    of these matrices are symmetric at order 2 only.
    """
    if problem.self_adjoint:
        return True
    scheme, equation = problem.discretisation, problem.equation
    walled = not all(problem.boundary.periodic_axes)
    reductions = equation.reductions or problem.boundary.reductions
    if reductions or scheme.is_spectral or (scheme.order > 2 and walled):
        return False
    pairs = zip(equation.field_symbols, equation.formulas, strict=True)
    return all(_is_symmetric(formula, field, problem) for field, formula in pairs)


def _is_symmetric(formula: sympy.Expr, field: sympy.Symbol, problem: Problem) -> bool:
    terms = sympy.Add.make_args(expansion.expand_products(formula))
    return all(_is_symmetric_term(term, field, problem) for term in terms)


def _is_symmetric_term(term: sympy.Expr, field: sympy.Symbol, problem: Problem) -> bool:
    fields = set(problem.equation.field_symbols)
    if not term.free_symbols & fields:
        return True  # a source
    uniform = {*problem.equation.constants, lang.TIME}
    factors = sympy.Mul.make_args(term)
    varying = [factor for factor in factors if factor.free_symbols & fields]
    others = [factor for factor in factors if not factor.free_symbols & fields]
    if len(varying) != 1 or any(factor.has(lang.AppliedUndef) for factor in others):
        return False
    (factor,) = varying
    if factor == field:
        return True
    if not lang.is_operator(factor) or factor.args[-1] != field:
        return False
    if not all(other.free_symbols <= uniform for other in others):
        return False
    word = lang.word_of(factor)
    return word in _EVEN or (word == lang.DIVERGENCE and not factor.args[0].free_symbols & fields)
