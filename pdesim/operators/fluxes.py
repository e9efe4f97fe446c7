"""Sums of fluxes with the same gradient. Does not import TensorFlow."""

from __future__ import annotations

import sympy

from pdesim.formula import language as lang
from pdesim.operators.problem import Problem


def merge_fluxes(problem: Problem, formula: sympy.Expr) -> sympy.Expr:
    """Return a formula with one flux for each f in ``a*divergence(D, f) + b*divergence(E, f)``.

    A right-hand side is faster with ``divergence(a*D + b*E, f)``. The two forms are equal up to
    round-off if a and b are uniform and the diffusivities on faces are arithmetic means.
    """
    if not isinstance(formula, sympy.Add):
        return formula
    sums: dict[tuple[str, sympy.Expr], list[tuple[sympy.Expr, sympy.Expr]]] = {}
    for term in formula.args:
        flux = _flux(problem, term)
        if flux is not None:
            word, diffusivity, f = flux
            sums.setdefault((word, f), []).append((term, diffusivity))
    several = {key: terms for key, terms in sums.items() if len(terms) > 1}
    replaced = {term for terms in several.values() for term, _ in terms}
    merged = [
        lang.operator(word, sympy.Add(*(diffusivity for _, diffusivity in terms)), f)
        for (word, f), terms in several.items()
    ]
    return sympy.Add(*(term for term in formula.args if term not in replaced), *merged)


def _flux(problem: Problem, term: sympy.Expr) -> tuple[str, sympy.Expr, sympy.Expr] | None:
    """Return (word, c*D, f) if a term is ``c*divergence(D, f)`` with a uniform c; else None."""
    factors = sympy.Mul.make_args(term)
    nodes = [factor for factor in factors if lang.is_operator(factor)]
    if len(nodes) != 1 or not lang.has_flux_form(lang.word_of(nodes[0])):
        return None
    node, conditions = nodes[0], problem.conditions
    factor = term / node
    if not conditions.is_coefficient(factor) or conditions.has_position(factor):
        return None
    diffusivity, f = node.args
    if problem.has_harmonic_mean(diffusivity):
        return None
    return lang.word_of(node), factor * diffusivity, f
