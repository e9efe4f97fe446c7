"""Continuation of expressions beyond the ends of axes at which fields are periodic or antiperiodic.

Beyond such an axis, ``u(x + L) = s*u(x)`` with s = 1 or -1 for each field. A product or an odd or
even function of the fields has a sign, too: the square of an antiperiodic field is periodic.
Coefficients are periodic. This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy

from pdesim.errors import BoundaryError
from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import (
    ANTIPERIODIC,
    PERIODIC,
    POINTWISE,
    Boundary,
    BoundaryCondition,
)
from pdesim.operators.parity import is_even_function, is_odd_function

Signs = Mapping[sympy.Symbol, int]


def continued(
    node: sympy.Expr, fields: Sequence[sympy.Symbol], boundary: Boundary, axis: int
) -> BoundaryCondition:
    """Return the condition of an expression at both ends of an axis whose ends are joined.

    It is ``POINTWISE`` for a function of the fields without a sign, such as ``u + u**2``, which has
    to be evaluated from the ghost cells of the fields.

    Raises:
        BoundaryError: for an operator whose argument has no sign.
    """
    if boundary.is_periodic(axis):
        return PERIODIC
    kinds = (field[axis][0].kind for field in boundary.walls)
    signs = {f: -1 if k == "antiperiodic" else 1 for f, k in zip(fields, kinds, strict=True)}
    found = sign(node, signs)
    if found is not None:
        return PERIODIC if found == 1 else ANTIPERIODIC
    if not lang.is_operator(node):
        return POINTWISE
    raise BoundaryError(
        f"{node} is neither periodic nor antiperiodic with antiperiodic fields, but an operator "
        "acts on it",
        "an operator for each term: laplacian(laplacian(u)) + laplacian(laplacian(u**2)) in place "
        "of laplacian(laplacian(u + u**2))",
    )


def sign(node: sympy.Expr, signs: Signs) -> int | None:
    """Return the sign of an expression if the signs of fields change; None if it has no sign."""
    if not node.free_symbols & set(signs):
        return 1
    if node in signs:
        return signs[node]
    parts = [sign(part, signs) for part in node.args if isinstance(part, sympy.Expr)]
    if None in parts or isinstance(node, sympy.Piecewise):
        return None if set(parts) != {1} else 1
    known = [part for part in parts if part is not None]
    if isinstance(node, sympy.Mul) or lang.is_operator(node):
        return -1 if known.count(-1) % 2 else 1
    if isinstance(node, sympy.Pow) and node.exp.is_Integer:
        return known[0] if node.exp % 2 else 1
    if len({*known}) == 1 and (known[0] == 1 or isinstance(node, sympy.Add)):
        return known[0]
    if is_even_function(node):
        return 1
    return known[0] if is_odd_function(node) else None
