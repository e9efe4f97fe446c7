"""Walls: what is known at the faces of the domain, and the ghost cells that follow from it.

A wall is the Robin condition ``a*u + b*du/dn = value`` on the face (n points outward):
Dirichlet has (a, b) = (1, 0), Neumann (0, 1). A periodic axis has no wall.

An operator of fourth order needs a second condition on a side: the normal derivative besides the
value (a clamped plate), or a condition for laplacian(u) (``slope``, ``laplacian``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.errors import BoundaryError, nearest
from pdesim.formula import Scope, parse
from pdesim.formula.language import TIME
from pdesim.model.grid import Grid

SIDES = ("lower", "upper")
KINDS = ("periodic", "dirichlet", "neumann", "robin")
#: the key of a second condition that applies to laplacian(u)
LAPLACIAN = "laplacian"
#: names of pairs of conditions, both with the value 0
PAIRS = {
    "clamped": {"dirichlet": 0, "neumann": 0},
    "simply_supported": {"dirichlet": 0, LAPLACIAN: 0},
}


@dataclass(frozen=True)
class BoundaryCondition:
    """``a*u + b*du/dn = value``; ``value`` is a formula of position, time and parameters.

    ``mirror`` says that the solution is even about the wall where the value is 0
    (:mod:`pdesim.operators.mirror`); ``derived``, that the condition is that of a function of the
    fields, which follows from theirs and may be undefined where the function is.

    At most one of the second conditions is set: ``slope`` is du/dn besides the value of u, and
    ``laplacian`` the condition for laplacian(u) on the same side.
    """

    kind: str
    a: float = 0.0
    b: float = 0.0
    value: sympy.Expr = sympy.S.Zero
    mirror: bool = False
    derived: bool = False
    slope: sympy.Expr | None = None
    laplacian: BoundaryCondition | None = None

    @property
    def name(self) -> str:
        """The kinds of all conditions, such as ``dirichlet and neumann``."""
        if self.laplacian is not None:
            return f"{self.kind} and laplacian {self.laplacian.kind}"
        return f"{self.kind} and neumann" if self.is_clamped else self.kind

    @property
    def is_clamped(self) -> bool:
        """Whether both u and du/dn are given."""
        return self.slope is not None

    @property
    def has_second(self) -> bool:
        """Whether a second condition is stated."""
        return self.is_clamped or self.laplacian is not None

    @property
    def repeats(self) -> bool:
        """Whether laplacian(u) has the condition that u has, apart from the value."""
        other = self.laplacian
        return other is not None and (other.kind, other.a, other.b) == (self.kind, self.a, self.b)

    @property
    def values(self) -> tuple[sympy.Expr, ...]:
        """The right-hand sides of all conditions, the first one's first."""
        slope = () if self.slope is None else (self.slope,)
        return (self.value, *slope, *(() if self.laplacian is None else self.laplacian.values))

    @property
    def is_time_dependent(self) -> bool:
        """Whether a value depends on time."""
        return any(TIME in value.free_symbols for value in self.values)

    @property
    def homogeneous(self) -> BoundaryCondition:
        return replace(
            self,
            value=sympy.S.Zero,
            mirror=self.mirror and self.value == 0,
            slope=None if self.slope is None else sympy.S.Zero,
            laplacian=None if self.laplacian is None else self.laplacian.homogeneous,
        )


PERIODIC = BoundaryCondition("periodic")
NO_FLUX = BoundaryCondition("neumann", 0.0, 1.0)
#: no condition is known: ghost cells continue the polynomial through the cells at the face
EXTRAPOLATED = BoundaryCondition("extrapolated")
#: ghost cells have the value on the face: for a diffusivity, whose mean over the half cell beside
#: the face is then that of the face and the cell
HELD = "held"
#: ghost cells are computed elsewhere, from those of what an expression is made of
POINTWISE = BoundaryCondition("pointwise")
#: ghost cells of an operator are the operator on the ghost cells of what it is applied to, which
#: two conditions determine
CONTINUED = BoundaryCondition("continued")


@dataclass(frozen=True)
class Boundary:
    """``walls[field][axis]`` is the pair (lower, upper); axes in x, y, z order."""

    walls: tuple[tuple[tuple[BoundaryCondition, BoundaryCondition], ...], ...]
    #: per field, the wall on the faces of obstacles (``domain.mask``)
    obstacle_conditions: tuple[BoundaryCondition, ...] = ()

    def is_periodic(self, axis: int) -> bool:
        return self.walls[0][axis][0].kind == "periodic"

    @property
    def periodic_axes(self) -> tuple[bool, ...]:
        return tuple(self.is_periodic(axis) for axis in range(len(self.walls[0])))

    @property
    def all_walls(self) -> Iterator[BoundaryCondition]:
        """Every side of every axis and field."""
        return (wall for field in self.walls for pair in field for wall in pair)

    @property
    def values(self) -> list[sympy.Expr]:
        """The right-hand sides of all conditions."""
        return [value for wall in self.all_walls for value in wall.values]

    @property
    def symbols(self) -> set[sympy.Symbol]:
        return set().union(*(value.free_symbols for value in self.values))

    def describe(self, fields: Sequence[str], axes: Sequence[str]) -> dict[str, list[str]]:
        """``{"u.x": ["dirichlet", "neumann"]}`` for files and people."""
        return {
            f"{field}.{axis}": [wall.kind for wall in pair]
            for field, per_axis in zip(fields, self.walls, strict=True)
            for axis, pair in zip(axes, per_axis, strict=True)
        }


def build_boundary(
    spec: Mapping, fields: Sequence[str], grid: Grid, parameters: Mapping
) -> Boundary:
    """Read the ``boundary`` settings.

    Args:
        spec: ``default`` for every side; ``x``, ``y``, ``z`` for one axis; ``mask`` for the faces
            of obstacles (no flux unless given); a field's name for the same keys of that field.
            A side is ``periodic``, ``dirichlet`` or ``neumann`` (value 0), or
            ``{dirichlet: value}``, ``{neumann: value}``,
            ``{robin: {a: .., b: .., value: ..}}``; an axis may be ``{lower: .., upper: ..}``.
            A second condition stands beside the first: ``{dirichlet: .., neumann: ..}``
            (``clamped``: both 0), or ``laplacian: CONDITION`` for the Laplacian of the field, where
            a value alone is ``{dirichlet: value}`` (``simply_supported``:
            ``{dirichlet: 0, laplacian: 0}``; without flux ``{neumann: 0, laplacian: neumann}``).
        fields: the names of the fields.
        grid: the grid, for its axes.
        parameters: names that wall formulas may use besides position and time.

    Raises:
        BoundaryError: for unknown keys, and for an axis that is periodic on one side only.
    """
    _check_keys(spec, ("default", "mask", *grid.axes, *fields), "boundary")
    for field in fields:
        if field in spec:
            _check_keys(
                _mapping(spec[field], f"boundary.{field}"),
                ("default", "mask", *grid.axes),
                f"boundary.{field}",
            )
    symbols = {name: sympy.Symbol(name, real=True) for name in (*grid.axes, "t")}
    scope = Scope(
        {**symbols, **parameters},
        grid.axes,
        forbidden=dict.fromkeys(fields, "it is a field; a wall's value is known beforehand"),
    )
    walls = tuple(
        tuple(_axis_conditions(spec, field, axis, scope) for axis in grid.axes) for field in fields
    )
    _check_unused(spec, fields, grid.axes, scope)
    for number, axis in enumerate(grid.axes):
        kinds = {wall.kind == "periodic" for field in walls for wall in field[number]}
        if len(kinds) > 1:
            raise BoundaryError(
                f"boundary.{axis} is periodic on one side or for one field only",
                "both sides of an axis periodic for every field, or none",
            )
    return Boundary(walls, tuple(_obstacle_condition(spec, field, scope) for field in fields))


def _check_unused(spec: Mapping, fields: Sequence[str], axes: Sequence[str], scope: Scope) -> None:
    """Read the conditions that others take precedence over: a mistake there is one all the same.

    Raises:
        BoundaryError, FormulaError: as for those that are used.
    """
    for layers, place in ((spec, "boundary"), *((spec.get(f), f"boundary.{f}") for f in fields)):
        for key in ("default", *axes):
            layer = (layers or {}).get(key)
            sided = isinstance(layer, Mapping) and set(layer) & set(SIDES)
            for name, side in layer.items() if sided else [("", layer)]:
                if side is not None:
                    _side(side, f"{place}.{key}" + (f".{name}" if name else ""), scope)


def _obstacle_condition(spec: Mapping, field: str, scope: Scope) -> BoundaryCondition:
    given = (spec.get(field) or {}).get("mask", spec.get("mask", "neumann"))
    wall = _side(given, "boundary.mask", scope)
    constant = wall.value.is_number and (wall.kind == "dirichlet" or wall.value == 0)
    if wall.kind not in ("dirichlet", "neumann") or not constant or wall.has_second:
        raise BoundaryError(
            f"boundary.mask is {given!r}", "neumann (no flux), or {dirichlet: NUMBER}"
        )
    return wall


def _axis_conditions(
    spec: Mapping, field: str, axis: str, scope: Scope
) -> tuple[BoundaryCondition, BoundaryCondition]:
    own = spec.get(field) or {}
    layers = [(own.get(axis), f"{field}.{axis}"), (own.get("default"), f"{field}.default")]
    layers += [(spec.get(axis), axis), (spec.get("default", "periodic"), "default")]

    def side(name: str) -> BoundaryCondition:
        for layer, label in layers:
            if isinstance(layer, Mapping) and set(layer) & set(SIDES):
                _check_keys(layer, SIDES, f"boundary.{label}")
                layer, label = layer.get(name), f"{label}.{name}"
            if layer is not None:
                return _side(layer, f"boundary.{label}", scope)
        return PERIODIC

    return side("lower"), side("upper")


def _side(spec: object, where: str, scope: Scope) -> BoundaryCondition:
    """One side, with a second condition if it has two."""
    if isinstance(spec, str):
        spec = PAIRS.get(spec, {spec: 0})
    known = (*KINDS, *PAIRS)
    if not isinstance(spec, Mapping) or not spec:
        raise BoundaryError(f"{where} is {spec!r}", "one of " + ", ".join(known))
    for key in spec:
        if key not in (*KINDS, LAPLACIAN):
            raise BoundaryError(f"{where} names {key!r}", nearest(str(key), (*known, LAPLACIAN)))
    first = [kind for kind in KINDS if kind in spec][:1]
    second = [key for key in spec if key not in first]
    if not second:
        return _condition(first[0], spec[first[0]], where, scope)
    pair = (*first, *second)
    if pair != ("dirichlet", "neumann") and (pair[0] == "periodic" or pair[1:] != (LAPLACIAN,)):
        raise BoundaryError(
            f"{where} has {' and '.join(map(str, spec))}",
            "one condition; or two for an equation of fourth order: {dirichlet: .., neumann: ..}, "
            "or laplacian besides dirichlet, neumann or robin",
        )
    wall = _condition(first[0], spec[first[0]], where, scope)
    if second == [LAPLACIAN]:
        return replace(wall, laplacian=_of_laplacian(spec[LAPLACIAN], where, scope))
    return replace(wall, slope=_condition("neumann", spec["neumann"], where, scope).value)


def _of_laplacian(spec: object, where: str, scope: Scope) -> BoundaryCondition:
    """The condition for laplacian(u); a number or a formula is its value."""
    where = f"{where}.{LAPLACIAN}"
    if isinstance(spec, str) and spec in KINDS:
        spec = {spec: 0}
    if not isinstance(spec, Mapping):
        spec = {"dirichlet": spec}
    kinds = [kind for kind in spec if kind in KINDS[1:]]
    if len(spec) != 1 or not kinds:
        raise BoundaryError(
            f"{where} is {spec!r}", "a value, dirichlet, neumann or robin, as for a field"
        )
    return _condition(kinds[0], spec[kinds[0]], where, scope)


def _condition(kind: str, value: object, where: str, scope: Scope) -> BoundaryCondition:
    scalar = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if kind != "robin" and not scalar:
        raise BoundaryError(f"{where}.{kind} is {value!r}", "a number or a formula")
    if kind == "periodic":
        if value != 0:
            raise BoundaryError(f"{where} has periodic: {value!r}", "periodic, without a value")
        return PERIODIC
    if kind == "robin":
        _check_keys(_mapping(value, where), ("a", "b", "value"), where)
        a, b = (_number(value.get(name), f"{where}.robin.{name}") for name in ("a", "b"))
        if a == b == 0:
            raise BoundaryError(f"{where} has a = b = 0", "a*u + b*du/dn = value with a or b set")
        return BoundaryCondition(
            kind, a, b, parse(value.get("value", 0), scope, f"{where}.robin.value")
        )
    a, b = (1.0, 0.0) if kind == "dirichlet" else (0.0, 1.0)
    return BoundaryCondition(kind, a, b, parse(value, scope, f"{where}.{kind}"))


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise BoundaryError(f"{where} is {value!r}", "a finite number")
    return float(value)


def _mapping(value: object, where: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise BoundaryError(f"{where} is {value!r}", "a mapping, such as {lower: .., upper: ..}")
    return value


def _check_keys(spec: Mapping, known: Sequence[str], where: str) -> None:
    for key in spec:
        if key not in known:
            raise BoundaryError(f"{where} has the unknown key {key!r}", nearest(str(key), known))
