"""Candidates for the zeros of polynomial reactions, by elimination of all fields but one.

The resultant of two polynomials p(u, v) and q(u, v) with respect to v is a polynomial in u that is
0 wherever p and q have a common zero (Cox, Little, O'Shea, Ideals, Varieties, and Algorithms,
sec. 3.6). It is computed once, with the parameters as symbols. Its zeros for given parameters are
the eigenvalues of a companion matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from sympy.polys.polyerrors import PolynomialError

from pdesim.analysis.reactions import Reactions
from pdesim.formula import Evaluator, expansion

#: highest total degree of polynomials that are eliminated; SymPy takes long for higher ones
HIGHEST_DEGREE = 8
#: zeros with a smaller imaginary part, relative to their size, are candidates. At double zeros the
#: rounding error is the square root of that of a number
IMAGINARY = 1e-3


@dataclass(frozen=True)
class Elimination:
    """Polynomials whose zeros contain those of the reactions.

    Attributes:
        resultant: the coefficients of a polynomial in the first field, highest power first.
        equations: the polynomials in the second field, whose coefficients contain the first one;
            empty for one field.
        fields: the names of the fields.
    """

    resultant: tuple[sympy.Expr, ...]
    equations: tuple[tuple[sympy.Expr, ...], ...]
    fields: tuple[str, ...]

    def candidates(self, names: Mapping[str, float]) -> np.ndarray | None:
        """Return approximate zeros, shape ``(fields, candidates)``.

        None if every value of the first field is a zero of the resultant.
        """
        first = _zeros(self.resultant, names)
        if first is None:
            return None
        if not self.equations:
            return np.array([first])
        found = [
            (u, v)
            for u in first
            for equation in self.equations
            for v in (_zeros(equation, {**names, self.fields[0]: u}) or [])
        ]
        return np.array(found).reshape(-1, 2).T


def build_elimination(reactions: Reactions) -> Elimination | None:
    """Return the elimination for one or two fields with polynomial or rational reactions.

    None for all other reactions, and if the resultant vanishes identically.
    """
    if reactions.size > 2:
        return None
    fields = reactions.problem.equation.field_symbols
    polynomials = [_polynomial(formula, fields) for formula in reactions.formulas]
    known = [p for p in polynomials if p is not None and p.total_degree() <= HIGHEST_DEGREE]
    if len(known) < len(fields):
        return None
    if len(fields) == 1:
        return Elimination(_coefficients(known[0]), (), reactions.fields)
    first, second = (p.as_expr() for p in known)
    resultant = sympy.resultant(first, second, fields[1])
    one = _polynomial(resultant, fields[:1])
    if one is None or one.is_zero:
        return None
    parts = (_polynomial(e, fields[1:]) for e in (first, second))
    equations = tuple(_coefficients(part) for part in parts if part is not None)
    return Elimination(_coefficients(one), equations, reactions.fields)


def _polynomial(formula: sympy.Expr, fields: tuple[sympy.Symbol, ...]) -> sympy.Poly | None:
    """Return the numerator of a formula as a polynomial in fields; None if it is not one."""
    if expansion.terms_expanded(formula) > expansion.MOST_TERMS:
        return None
    numerator, _ = sympy.fraction(sympy.together(sympy.nsimplify(formula, rational=True)))
    try:
        result = sympy.Poly(numerator, *fields)
    except PolynomialError:
        return None
    varying = set(fields)
    return None if any(c.free_symbols & varying for c in result.coeffs()) else result


def _coefficients(polynomial: sympy.Poly) -> tuple[sympy.Expr, ...]:
    return tuple(polynomial.all_coeffs())


def _zeros(coefficients: tuple[sympy.Expr, ...], names: Mapping[str, float]) -> list[float] | None:
    """Return the real parts of the zeros that are real or nearly real.

    None if all coefficients are 0.
    """
    evaluate = Evaluator(names)
    values = np.array([float(np.real(evaluate(c))) for c in coefficients])
    if not np.isfinite(values).all() or not values.any():
        return None
    zeros = np.roots(values)
    real = np.abs(zeros.imag) <= IMAGINARY * np.abs(zeros)
    return sorted(set(zeros.real[real].tolist()))
