"""Second boundary conditions of fourth-order operators: descriptions and checks.

An operator of fourth order needs two conditions on each side. The second condition is either stated
in the settings (``slope``, ``laplacian``) or assumed by :mod:`pdesim.operators.conditions`. This
module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy

from pdesim.errors import BoundaryError
from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import SIDES, BoundaryCondition
from pdesim.operators.conditions import Conditions, orders

#: pairs (first condition, condition for the Laplacian) that sine or cosine series satisfy
_OF_SERIES = {("dirichlet", "dirichlet"), ("neumann", "neumann")}


def assumed_conditions(conditions: Conditions, formulas: Sequence[sympy.Expr]) -> list[str]:
    """Return descriptions of the conditions of inner operators that no setting states.

    Each description has a form such as ``laplacian(u) = 0 on x lower, x upper``.
    """
    sides_by_text: dict[str, list[str]] = {}
    for node in sorted(_inner_operators(formulas), key=str):
        for axis, side in conditions.sides:
            if conditions.normal_order(node, axis) < 2:
                continue
            condition = conditions.condition(node, axis, side)
            if condition.kind == "continued" or conditions.stated(node, axis, side) is not None:
                continue
            sides_by_text.setdefault(_text(node, condition), []).append(
                _side_name(conditions, axis, side)
            )
    return _lines(sides_by_text)


def stated_conditions(conditions: Conditions, formulas: Sequence[sympy.Expr]) -> list[str]:
    """Return descriptions of the second conditions in the settings that the equation uses.

    Each description has a form such as ``u = 0 and normal derivative of u = 0 on x lower``.
    """
    sides_by_text: dict[str, list[str]] = {}
    for field, axis, side, condition in _stated_sides(conditions):
        if highest_order(formulas, field, axis) < 3:
            continue
        if condition.is_clamped:
            value, slope = condition.value, condition.slope
            text = f"{field} = {value} and normal derivative of {field} = {slope}"
        else:
            assert condition.laplacian is not None  # the only other kind of second condition
            text = _text(lang.operator(lang.LAPLACIAN, field), condition.laplacian)
        sides_by_text.setdefault(text, []).append(_side_name(conditions, axis, side))
    return _lines(sides_by_text)


def check_second(
    conditions: Conditions, formulas: Sequence[sympy.Expr], spectral: bool, obstacles: bool
) -> None:
    """Check that second conditions are stated only where needed, and that they can be satisfied.

    Args:
        spectral: whether the operators are spectral.
        obstacles: whether the problem has obstacles.

    Raises:
        BoundaryError: if a second condition is not needed or cannot be satisfied. The message
            contains the field, the side and the allowed conditions.
    """
    for field, axis, side, condition in _stated_sides(conditions):
        side_name = _side_name(conditions, axis, side)
        order = highest_order(formulas, field, axis)
        if order in (1, 2):
            raise BoundaryError(
                f"{field} has two conditions on {side_name}, but its derivatives are of order "
                f"{order} at most",
                f"one condition, such as boundary.{field}.{conditions.grid.axes[axis]}=dirichlet; "
                "two conditions apply only to derivatives of third and higher order",
            )
        if spectral:
            _check_series(field, side_name, condition)
        if obstacles and condition.is_clamped:
            raise BoundaryError(
                f"both {field} and its normal derivative are given on {side_name}, which is not "
                "supported with obstacles (domain.mask)",
                f"one condition, or a condition for the Laplacian of {field} as the second one",
            )
    if not spectral:
        _check_determined(conditions, formulas)


def check_joined(conditions: Conditions, formulas: Sequence[sympy.Expr]) -> None:
    """Check that inner operators can be continued beyond the ends of axes that are joined.

    Raises:
        BoundaryError: see :func:`pdesim.operators.translation.continued`.
    """
    for axis in filter(conditions.boundary.is_joined, range(conditions.grid.dimensions)):
        for node in _inner_operators(formulas):
            conditions.condition(node, axis, 0)


def highest_order(formulas: Sequence[sympy.Expr], field: sympy.Symbol, axis: int) -> int:
    """Return the highest order of a field's derivatives along an axis.

    The orders of nested derivatives are added.
    """

    def order(node: sympy.Basic) -> int:
        if field not in node.free_symbols or not node.args:
            return 0
        inner = max(map(order, node.args))
        if not lang.is_operator(node):
            return inner
        word = lang.word_of(node)
        if lang.FLUXES.get(word, axis) != axis:
            return inner
        powers = orders(word)
        return inner + (2 if powers is None else powers.get(axis, 0))

    return max(map(order, formulas), default=0)


def _check_series(field: sympy.Symbol, side_name: str, condition: BoundaryCondition) -> None:
    given = condition.laplacian
    of_series = given is not None and (condition.kind, given.kind) in _OF_SERIES
    if of_series and not condition.is_clamped and given is not None and given.value == 0:
        return
    raise BoundaryError(
        f"operators=spectral cannot satisfy the second condition of {field} on {side_name}: with "
        "sine series laplacian(u) is 0, with cosine series its normal derivative is 0",
        "{dirichlet: .., laplacian: 0}, {neumann: .., laplacian: neumann}, or operators=stencil",
    )


def _check_determined(conditions: Conditions, formulas: Sequence[sympy.Expr]) -> None:
    """Check that two conditions of a field determine the conditions of all inner operators."""
    for node in sorted(_inner_operators(formulas), key=str):
        for field, axis, side, of_field in _stated_sides(conditions):
            if field not in node.free_symbols or conditions.normal_order(node, axis) < 2:
                continue
            condition = conditions.condition(node, axis, side)
            inner = node.args[-1]
            if of_field.is_clamped:
                determined = condition.kind == "continued" and not lang.has_flux_form(
                    lang.word_of(node)
                )
            else:  # derivatives of sixth and higher order have an assumed third condition
                determined = conditions.stated(node, axis, side) is not None
                determined |= highest_order([inner], field, axis) >= 2
            if not determined:
                raise BoundaryError(
                    f"the two conditions of {field} on {_side_name(conditions, axis, side)} do not "
                    f"determine {node} there",
                    "operators of fourth order, such as laplacian(laplacian(u)), whose inner "
                    "derivative acts on the field itself",
                )


def _inner_operators(formulas: Sequence[sympy.Expr]) -> set[sympy.Expr]:
    """Return the operators that occur in the arguments of other operators."""
    return {
        inner
        for formula in formulas
        for node in lang.operators_in(formula)
        for argument in node.args
        for inner in lang.operators_in(argument)
    }


def _stated_sides(
    conditions: Conditions,
) -> Iterator[tuple[sympy.Symbol, int, int, BoundaryCondition]]:
    for number, field in enumerate(conditions.fields):
        for axis, side in conditions.sides:
            condition = conditions.boundary.walls[number][axis][side]
            if condition.has_second:
                yield field, axis, side, condition


def _side_name(conditions: Conditions, axis: int, side: int) -> str:
    return f"{conditions.grid.axes[axis]} {SIDES[side]}"


def _lines(sides_by_text: dict[str, list[str]]) -> list[str]:
    return [f"{text} on {', '.join(sides)}" for text, sides in sides_by_text.items()]


def _text(node: sympy.Expr, condition: BoundaryCondition) -> str:
    if condition.kind == "dirichlet":
        return f"{node} = {condition.value}"
    if condition.kind == "neumann":
        return f"normal derivative of {node} = {condition.value}"
    if condition.kind == "robin":
        a, b = (
            f"({c})" if isinstance(c, sympy.Expr) else f"{c:g}" for c in (condition.a, condition.b)
        )
        return f"{a}*f + {b}*df/dn = {condition.value} for f = {node}"
    return f"{node} extrapolated from the interior"
