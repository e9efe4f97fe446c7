"""The Jacobian of a problem as JavaScript, from which a page computes its stability limit.

The page repeats the analysis of :mod:`pdesim.steppers.stability` whenever a parameter changes and,
while it runs, for the current state: the eigenvalues of the frozen-coefficient Jacobian for sampled
wave vectors and cells, and the longest step for which no mode grows faster than its exact solution.
A limit that is only scaled by the largest rate would be wrong for methods such as explicit Euler,
whose limit also depends on the ratio of damping to frequency.

The Jacobian is a polynomial in the Fourier symbols of the operators. The page evaluates the real
coefficients of its monomials; the monomials are tables of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from pdesim.formula import Evaluator
from pdesim.operators.problem import Problem
from pdesim.play.dialects import JAVASCRIPT, Code, Writer, library
from pdesim.steppers.stability import Linearised

#: the largest number of cells and of wave vectors that the page samples
CELLS, WAVES = 24, 40
#: Fourier symbols of a monomial -> its coefficient
Terms = dict[tuple[sympy.Symbol, ...], sympy.Expr]


@dataclass(frozen=True)
class Jacobian:
    """The Jacobian as a function in JavaScript, and the tables that belong to it.

    Attributes:
        code: a function of the parameters and of the values of ``names`` in a cell. It returns the
            coefficients of the monomials.
        names: the names that vary from cell to cell.
        tables: data for the page.
    """

    code: str
    names: tuple[str, ...]
    tables: Mapping[str, Any]


def build_jacobian(problem: Problem, linearised: Linearised) -> Jacobian:
    """Return the Jacobian of a problem for the page."""
    matrix = problem.equation.complete_jacobian.xreplace(dict(linearised.nodes))
    symbols = {s for s in matrix.free_symbols if s.name.startswith("symbol_")}
    rows = matrix.rows
    places = [
        (n // rows, n % rows, monomial, coefficient)
        for n, entry in enumerate(matrix)
        for monomial, coefficient in _terms(entry, symbols).items()
    ]
    parameters = list(problem.parameters)
    found = set().union(*(c.free_symbols for *_, c in places)) if places else set()
    names = tuple(sorted({symbol.name for symbol in found} - set(parameters)))
    writer = Writer(JAVASCRIPT)
    known = {name: Code(f"p[{n}]", writer) for n, name in enumerate(parameters)}
    known |= {name: Code(f"c[{n}]", writer) for n, name in enumerate(names)}
    evaluate = Evaluator(known, library(writer))
    results = [writer.text(evaluate(coefficient)) for *_, coefficient in places]
    lines = [*writer.lines, f"return [{', '.join(results)}];"]
    code = "(p, c) => {\n  " + "\n  ".join(lines) + "\n}"
    monomials = sorted({monomial for _, _, monomial, _ in places}, key=str)
    waves, cells = _samples(problem, linearised)
    tables = {
        "size": rows,
        "terms": [[i, j, monomials.index(monomial)] for i, j, monomial, _ in places],
        "monomials": [_values(m, linearised, waves) for m in monomials],
        "constant": [monomial == () for monomial in monomials],
        "waves": len(waves),
        "names": list(names),
        "cells": [[_at(linearised.names[name], cell) for name in names] for cell in cells],
    }
    return Jacobian(code, names, tables)


def _terms(node: sympy.Expr, symbols: set[sympy.Symbol]) -> Terms:
    """Return a polynomial in Fourier symbols as a sum of monomials."""
    if not node.free_symbols & symbols:
        return {(): node} if node != 0 else {}
    if node in symbols:
        return {(node,): sympy.S.One}
    if isinstance(node, sympy.Add):
        total: Terms = {}
        for part in node.args:
            for monomial, coefficient in _terms(part, symbols).items():
                total[monomial] = total.get(monomial, sympy.S.Zero) + coefficient
        return total
    is_power = isinstance(node, sympy.Pow)
    factors = [node.base] * int(node.exp) if is_power else list(node.args)
    product: Terms = {(): sympy.S.One}
    for factor in factors:
        product = _times(product, _terms(factor, symbols))
    return product


def _times(first: Terms, second: Terms) -> Terms:
    total: Terms = {}
    for a, ca in first.items():
        for b, cb in second.items():
            monomial = tuple(sorted((*a, *b), key=str))
            total[monomial] = total.get(monomial, sympy.S.Zero) + ca * cb
    return total


def _samples(problem: Problem, linearised: Linearised) -> tuple[list[int], list[int]]:
    """Return the indices of sampled wave vectors and cells.

    They are those that decide about the limit at the configured parameters, those at which the
    symbol of an operator is extreme, and evenly spaced ones.
    """
    arrays = linearised.names.items()
    waves = max([np.size(v) for name, v in arrays if name.startswith("symbol_")], default=1)
    sizes = [np.size(v) for name, v in arrays if not name.startswith("symbol_")]
    cells = max(sizes, default=1)
    selected = np.arange(waves * cells)[linearised.selected]
    if selected.size and selected.max() >= waves * cells:
        selected = np.zeros(1, int)
    return (
        sorted({*_thinned(np.unique(selected // cells), waves, WAVES), *_extremes(linearised)}),
        _thinned(np.unique(selected % cells), cells, CELLS),
    )


def _extremes(linearised: Linearised) -> set[int]:
    """Return the wave vectors at which a part of the symbol of an operator is extreme."""
    found = set()
    for name, symbol in linearised.names.items():
        if name.startswith("symbol_"):
            for part in (np.ravel(np.real(symbol)), np.ravel(np.imag(symbol))):
                found |= {int(part.argmin()), int(part.argmax())}
    return found


def _thinned(deciding: np.ndarray, count: int, most: int) -> list[int]:
    """Return at most ``most`` indices below ``count``, half of them the deciding ones."""
    half = most // 2
    kept = deciding[np.unique(np.linspace(0, len(deciding) - 1, half).astype(int))]
    spread = np.linspace(0, count - 1, most - len(kept)).astype(int)
    return np.union1d(kept, spread).tolist()


def _values(
    monomial: tuple[sympy.Symbol, ...], linearised: Linearised, waves: list[int]
) -> list[list[float]]:
    """Return the real and the imaginary parts of a monomial for the sampled wave vectors."""
    value = np.ones(len(waves), complex)
    for symbol in monomial:
        array = np.ravel(linearised.names[symbol.name])
        value = value * (array[waves] if array.size > 1 else array)
    return [value.real.tolist(), value.imag.tolist()]


def _at(values: Any, cell: int) -> float:
    array = np.ravel(values)
    value = float(array[cell] if array.size > 1 else array[0])
    return value if np.isfinite(value) else 0.0
