"""The boundary condition of one field on one side, from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.errors import BoundaryError, nearest
from pdesim.formula import Scope, derivative, names_in, parse, separate_reductions, with_reductions
from pdesim.formula import language as lang
from pdesim.formula.nodes import where as choice
from pdesim.model.boundary_conditions import (
    ANTIPERIODIC,
    JOINED,
    KINDS,
    LAPLACIAN,
    NO_FLUX,
    OTHERWISE,
    OUTFLOW,
    PAIRS,
    PERIODIC,
    WHERE,
    BoundaryCondition,
)
from pdesim.model.side_names import condition_hint, side_hint


@dataclass(frozen=True)
class Context:
    """What the settings of the condition of one field on one side may refer to.

    Attributes:
        scope: the names in values that do not contain fields, and in coefficients.
        fields: the symbols of all fields, which values of Neumann and Robin conditions may contain.
        field: the field of the condition.
        rates: the rate of change of each field; empty if it is not known.
        axis: the axis that the side bounds; None for obstacles.
    """

    scope: Scope
    fields: Mapping[str, sympy.Symbol]
    field: str
    rates: Mapping[str, sympy.Expr]
    axis: str | None

    @property
    def with_fields(self) -> Scope:
        """The names in the values of Neumann and Robin conditions."""
        symbols = {**self.scope.symbols, **self.fields}
        return replace(self.scope, symbols=symbols, forbidden={})


def build_side(spec: object, where: str, context: Context) -> BoundaryCondition:
    """Build the condition of one side, with its second condition if there is one."""
    if isinstance(spec, str):
        spec = PAIRS.get(spec, {spec: 0})
    known = (*KINDS, *PAIRS)
    if not isinstance(spec, Mapping) or not spec:
        hint = condition_hint(where, spec)
        raise BoundaryError(f"{where} is {spec!r}", "one of " + ", ".join(known), hint)
    if WHERE in spec or OTHERWISE in spec:
        return _piecewise(spec, where, context)
    for key in spec:
        if key not in (*KINDS, LAPLACIAN):
            raise BoundaryError(
                f"{where} has the unknown key {key!r}",
                nearest(str(key), (*known, LAPLACIAN, WHERE)),
                _hint(str(key), where, context) or condition_hint(where, key),
            )
    first = [kind for kind in KINDS if kind in spec][:1]
    second = [key for key in spec if key not in first]
    if not second:
        return _condition(first[0], spec[first[0]], where, context)
    pair = (*first, *second)
    values = ("dirichlet", "neumann", "robin")
    if pair != ("dirichlet", "neumann") and (pair[0] not in values or pair[1:] != (LAPLACIAN,)):
        raise BoundaryError(
            f"{where} has {' and '.join(map(str, spec))}",
            "one condition; or two for an equation of fourth order: {dirichlet: .., neumann: ..}, "
            "or laplacian in addition to dirichlet, neumann or robin",
        )
    condition = _condition(first[0], spec[first[0]], where, context)
    if second == [LAPLACIAN]:
        condition = replace(condition, laplacian=_of_laplacian(spec[LAPLACIAN], where, context))
        return _without_general(condition, where)
    slope = _condition("neumann", spec["neumann"], where, context)
    reductions = condition.reductions + slope.reductions
    _without_general(slope, where)
    return replace(condition, slope=slope.value, reductions=reductions)


def _hint(key: str, where: str, context: Context) -> str:
    """Return a hint for an unknown key in the condition of a side, an axis or all axes."""
    axis = where.rpartition(".")[2]
    if axis == context.axis:
        return side_hint(key, where, context.scope.axes, axis)
    if axis == "default":
        return side_hint(key, where.rpartition(".")[0], context.scope.axes)
    return ""


def _without_general(condition: BoundaryCondition, where: str) -> BoundaryCondition:
    if condition.is_general or (condition.laplacian and condition.laplacian.is_general):
        raise BoundaryError(
            f"{where} has two conditions, one of which has formulas for a and b or contains fields",
            "two conditions with values of position, time and parameters, and numbers a and b",
        )
    return condition


def _piecewise(spec: Mapping, where: str, context: Context) -> BoundaryCondition:
    """Build a condition that differs along a side: a, b and value are chosen by position."""
    kinds = [key for key in spec if key in KINDS]
    if {*spec} - {*KINDS, WHERE, OTHERWISE} or len(kinds) != 1 or len(spec) != 3:
        raise BoundaryError(
            f"{where} has the keys {', '.join(map(str, spec))}",
            "{where: CONDITION, KIND: VALUE, otherwise: CONDITION}, in which the last one applies "
            "to the rest of the side and may have a part again",
        )
    text, axes = str(spec[WHERE]), context.scope.axes
    if len(axes) == 1:
        raise BoundaryError(
            f"{where}.where is {text}, but a side of a 1-D domain is a point",
            "one condition, in which values may depend on time: {dirichlet: 'where(t < 1, 1, 0)'}",
        )
    others = [axis for axis in axes if axis != context.axis]
    if fixed := sorted(names_in(text) & {"t", context.axis}):
        raise BoundaryError(
            f"{where}.where contains {fixed[0]}: {text}",
            f"a condition on the position along the side, a formula of {' and '.join(others)}",
        )
    scope = replace(context.scope, reductions=False)
    chosen = parse(f"where({text}, 1, 0)", scope, f"{where}.where")
    inside = _condition(kinds[0], spec[kinds[0]], where, context)
    outside = build_side(spec[OTHERWISE], f"{where}.{OTHERWISE}", context)
    pairs = zip(_parts(inside, where), _parts(outside, where), strict=True)
    if not isinstance(chosen, sympy.Piecewise):  # the condition is true everywhere, or nowhere
        return inside if chosen == 1 else outside
    condition = chosen.args[0].args[1]
    a, b, value = (one if one == other else choice(condition, one, other) for one, other in pairs)
    return _with_value("robin", a, b, value, context)


def _parts(condition: BoundaryCondition, where: str) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """Return the a, b and value of a condition of a part of a side, with reductions in place."""
    if condition.kind in JOINED or condition.has_second:
        raise BoundaryError(
            f"{where} has {condition.name} on a part of the side",
            "dirichlet, neumann, outflow, robin or absorbing",
        )
    a, b = map(_exact, (condition.a, condition.b))
    return a, b, with_reductions(condition.value, condition.reductions)


def _exact(number: float | sympy.Expr) -> sympy.Expr:
    """Return a coefficient as an expression; 0 and 1 as integers, so that it is simplified."""
    return sympy.sympify(int(number) if number in (0, 1) else number)


def _of_laplacian(spec: object, where: str, context: Context) -> BoundaryCondition:
    """Build the condition for laplacian(u). A number or a formula means a Dirichlet condition."""
    where = f"{where}.{LAPLACIAN}"
    if isinstance(spec, str) and spec in KINDS:
        spec = {spec: 0}
    if not isinstance(spec, Mapping):
        spec = {"dirichlet": spec}
    kinds = [kind for kind in spec if kind in ("dirichlet", "neumann", "robin")]
    if len(spec) != 1 or not kinds:
        raise BoundaryError(
            f"{where} is {spec!r}", "a value, dirichlet, neumann or robin, as for a field"
        )
    return _condition(kinds[0], spec[kinds[0]], where, context)


def _condition(kind: str, value: object, where: str, context: Context) -> BoundaryCondition:
    """Build a condition of one kind from its value in the settings."""
    if kind == "robin":
        return _robin(value, where, context)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BoundaryError(f"{where}.{kind} is {value!r}", "a number or a formula")
    if kind in (*JOINED, OUTFLOW):
        if value != 0:
            raise BoundaryError(f"{where} has {kind}: {value!r}", f"{kind}, without a value")
        constant = {"periodic": PERIODIC, "antiperiodic": ANTIPERIODIC}
        return constant.get(kind) or replace(NO_FLUX, outflow=True)
    if kind == "absorbing":
        return _absorbing(parse(value, context.scope, f"{where}.{kind}"), where, context)
    if kind == "dirichlet":
        return _with_value(kind, 1.0, 0.0, parse(value, context.scope, f"{where}.{kind}"), context)
    formula = parse(value, context.with_fields, f"{where}.{kind}")
    return _with_value(kind, 0.0, 1.0, formula, context)


def _robin(value: object, where: str, context: Context) -> BoundaryCondition:
    robin = mapping(value, where)
    check_keys(robin, ("a", "b", "value"), where)
    a, b = (
        parse(given, replace(context.scope, reductions=False), f"{where}.robin.{name}")
        if isinstance(given := robin.get(name), str)
        else _number(given, f"{where}.robin.{name}")
        for name in ("a", "b")
    )
    if all(sympy.sympify(c).is_zero for c in (a, b)):
        raise BoundaryError(f"{where} has a = b = 0", "a*u + b*du/dn = value, with a or b nonzero")
    formula = parse(robin.get("value", 0), context.with_fields, f"{where}.robin.value")
    return _with_value("robin", a, b, formula, context)


def _absorbing(speed: sympy.Expr, where: str, context: Context) -> BoundaryCondition:
    """Build ``du/dt + c*du/dn = 0`` from the rate of change of the field: ``du/dn = -du/dt / c``.

    It lets plane waves pass that arrive at right angles: Engquist and Majda, Math. Comp. 31 (1977)
    629, doi:10.1090/S0025-5718-1977-0436612-4, their first condition. A field whose derivatives do
    not occur in the equation needs no condition.
    """
    if speed == 0:
        raise BoundaryError(f"{where}.absorbing is 0", "the speed of the waves that leave")
    if not context.rates:
        return _with_value("robin", sympy.S.Zero, sympy.S.One, sympy.S.Zero, context)
    rate, field = context.rates[context.field], context.fields[context.field]
    nodes = [node for r in context.rates.values() for node in lang.operators_in(r)]
    if not any(field in node.free_symbols for node in nodes):
        return NO_FLUX
    names = context.scope.symbols.values()
    known = {*context.fields.values(), *(s for s in names if isinstance(s, sympy.Symbol))}
    if lang.operators_in(rate) or rate == 0 or not rate.free_symbols <= known:
        raise BoundaryError(
            f"{where}.absorbing applies to {context.field}, whose rate of change is {rate}",
            "a field of a wave equation whose rate of change is another field: rhs: {u: 'v', v: "
            "'c**2*laplacian(u)'}, with the condition for u",
        )
    return _with_value("robin", sympy.S.Zero, sympy.S.One, -rate / speed, context)


def _with_value(
    kind: str,
    a: float | sympy.Expr,
    b: float | sympy.Expr,
    value: sympy.Expr,
    context: Context,
) -> BoundaryCondition:
    """Return a condition; it is general if a or b is a formula or the value contains fields."""
    (value,), reductions = separate_reductions([value])
    reads = value.free_symbols & set(context.fields.values())
    formulas = any(isinstance(c, sympy.Expr) for c in (a, b))
    if not reads and not formulas:
        return BoundaryCondition(kind, a, b, value, reductions=reductions)
    field = context.fields[context.field]
    general = BoundaryCondition("robin", _exact(a), _exact(b), value, reductions=reductions)
    if not reads:
        return general
    rate = derivative(value, field) if reads == {field} else sympy.S.Zero
    return replace(general, field=field, rate=rate)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise BoundaryError(f"{where} is {value!r}", "a finite number")
    return float(value)


def mapping(value: object, where: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise BoundaryError(f"{where} is {value!r}", "a mapping, such as {lower: .., upper: ..}")
    return value


def check_keys(
    spec: Mapping,
    known: Sequence[str],
    where: str,
    axes: Sequence[str] = (),
    axis: str | None = None,
) -> None:
    """Check the keys of a section of the settings.

    Args:
        axes: the axes of the grid, if keys may be axes or sides.
        axis: the axis of the section, if its keys are sides.

    Raises:
        BoundaryError: for an unknown key.
    """
    for key in spec:
        if key not in known:
            hint = side_hint(str(key), where, axes, axis) if axes else ""
            if key in (*KINDS, *PAIRS) and "default" in known:
                condition = key if key in PAIRS else f"{{{key}: {spec[key]}}}"
                hint = f'"{where}.default={condition}"'
            problem = f"{where} has the unknown key {key!r}"
            raise BoundaryError(problem, nearest(str(key), known), hint)
