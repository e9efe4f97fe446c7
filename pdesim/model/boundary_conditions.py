"""Boundary conditions on the faces of the domain, and their settings.

Every condition has the Robin form ``a*u + b*du/dn = value`` on the face, with n pointing outward:
Dirichlet conditions have (a, b) = (1, 0), Neumann conditions (0, 1). Periodic axes have none.

An operator of fourth order needs a second condition on each side: the normal derivative in addition
to the value (a clamped plate), or a condition for laplacian(u).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.errors import BoundaryError, nearest
from pdesim.formula import Reduction, Scope, parse, separate_reductions
from pdesim.formula.language import TIME
from pdesim.model import coordinate_walls
from pdesim.model.grid import Grid

SIDES = ("lower", "upper")
KINDS = ("periodic", "dirichlet", "neumann", "robin")
#: the key for a second condition, which applies to laplacian(u)
LAPLACIAN = "laplacian"
#: names for pairs of conditions with the value 0
PAIRS = {
    "clamped": {"dirichlet": 0, "neumann": 0},
    "simply_supported": {"dirichlet": 0, LAPLACIAN: 0},
}


@dataclass(frozen=True)
class BoundaryCondition:
    """A condition ``a*u + b*du/dn = value`` on one side of the domain.

    Attributes:
        kind: ``periodic``, ``dirichlet``, ``neumann`` or ``robin``, or a kind that only operators
            use (see the constants below).
        a: the coefficient of u.
        b: the coefficient of du/dn.
        value: a formula of position, time and parameters.
        mirror: whether the solution is even about the face if the value is 0
            (:mod:`pdesim.operators.mirror`).
        derived: whether this is the condition for a function of the fields, derived from the
            conditions for the fields. It may be undefined where the function is undefined.
        slope: the value of du/dn, a second condition in addition to the value of u; or None.
        laplacian: a second condition, for laplacian(u); or None. ``slope`` and ``laplacian`` are
            never both given.
    """

    kind: str
    a: float = 0.0
    b: float = 0.0
    value: sympy.Expr = sympy.S.Zero
    mirror: bool = False
    derived: bool = False
    slope: sympy.Expr | None = None
    laplacian: BoundaryCondition | None = None
    reductions: tuple[Reduction, ...] = ()

    @property
    def name(self) -> str:
        """The kind of the condition, or of both conditions, such as ``dirichlet and neumann``."""
        if self.laplacian is not None:
            return f"{self.kind} and laplacian {self.laplacian.kind}"
        return f"{self.kind} and neumann" if self.is_clamped else self.kind

    @property
    def is_clamped(self) -> bool:
        """Whether both u and du/dn are given."""
        return self.slope is not None

    @property
    def has_second(self) -> bool:
        """Whether there is a second condition."""
        return self.is_clamped or self.laplacian is not None

    @property
    def repeats(self) -> bool:
        """Whether the condition for laplacian(u) is that for u, except possibly for its value."""
        other = self.laplacian
        return other is not None and (other.kind, other.a, other.b) == (self.kind, self.a, self.b)

    @property
    def values(self) -> tuple[sympy.Expr, ...]:
        """The right-hand sides of the condition and, if there is one, of the second condition."""
        slope = () if self.slope is None else (self.slope,)
        return (self.value, *slope, *(() if self.laplacian is None else self.laplacian.values))

    @property
    def is_time_dependent(self) -> bool:
        """Whether a value depends on time."""
        formulas = (*self.values, *(reduction.inner for reduction in self.reductions))
        return any(TIME in formula.free_symbols for formula in formulas)

    @property
    def homogeneous(self) -> BoundaryCondition:
        """The same condition with all values replaced by 0."""
        return replace(
            self,
            value=sympy.S.Zero,
            mirror=self.mirror and self.value == 0,
            reductions=(),
            slope=None if self.slope is None else sympy.S.Zero,
            laplacian=None if self.laplacian is None else self.laplacian.homogeneous,
        )


PERIODIC = BoundaryCondition("periodic")
NO_FLUX = BoundaryCondition("neumann", 0.0, 1.0)
#: no condition: ghost cells are extrapolated by the polynomial through the cells at the face
EXTRAPOLATED = BoundaryCondition("extrapolated")
#: ghost cells have the value on the face. This is used for diffusivities: the mean of a cell and
#: its ghost cell is then the mean of the values in the cell and on the face
HELD = "held"
#: ghost cells of an expression are computed from the ghost cells of its arguments
POINTWISE = BoundaryCondition("pointwise")
#: ghost cells of an operator's result are computed by applying the operator to the ghost cells of
#: its argument, which are determined by two conditions
CONTINUED = BoundaryCondition("continued")


@dataclass(frozen=True)
class Boundary:
    """The boundary conditions of all fields.

    Attributes:
        walls: ``walls[field][axis]`` is the pair (lower, upper), with axes in the order x, y, z.
        obstacle_conditions: for each field, the condition on the faces of obstacles
            (``domain.mask``).
    """

    walls: tuple[tuple[tuple[BoundaryCondition, BoundaryCondition], ...], ...]
    obstacle_conditions: tuple[BoundaryCondition, ...] = ()

    def is_periodic(self, axis: int) -> bool:
        """Whether an axis is periodic."""
        return self.walls[0][axis][0].kind == "periodic"

    @property
    def periodic_axes(self) -> tuple[bool, ...]:
        """Whether each axis is periodic."""
        return tuple(self.is_periodic(axis) for axis in range(len(self.walls[0])))

    @property
    def all_walls(self) -> Iterator[BoundaryCondition]:
        """The conditions of all fields, axes and sides."""
        return (condition for field in self.walls for pair in field for condition in pair)

    @property
    def values(self) -> list[sympy.Expr]:
        """The right-hand sides of all conditions."""
        return [value for condition in self.all_walls for value in condition.values]

    @property
    def reductions(self) -> tuple[Reduction, ...]:
        """The reductions in the right-hand sides, each after those in its argument."""
        walls = [part for wall in self.all_walls for part in (wall, wall.laplacian) if part]
        return tuple(dict.fromkeys(r for wall in walls for r in wall.reductions))

    @property
    def symbols(self) -> set[sympy.Symbol]:
        """The symbols in the right-hand sides of all conditions."""
        return set().union(*(value.free_symbols for value in self.values))

    def describe(self, fields: Sequence[str], axes: Sequence[str]) -> dict[str, list[str]]:
        """Return the kinds of all conditions, such as ``{"u.x": ["dirichlet", "neumann"]}``."""
        return {
            f"{field}.{axis}": [condition.kind for condition in pair]
            for field, per_axis in zip(fields, self.walls, strict=True)
            for axis, pair in zip(axes, per_axis, strict=True)
        }


def build_boundary(
    spec: Mapping,
    fields: Sequence[str],
    grid: Grid,
    parameters: Mapping,
    odd: Collection[str] = (),
) -> Boundary:
    """Build the boundary conditions from the ``boundary`` settings.

    The keys of the settings are ``default`` for all sides; ``x``, ``y``, ``z`` for one axis;
    ``mask`` for the faces of obstacles (no flux by default); and the name of a field, with the
    same keys for that field. The value of a key is a condition, or ``{lower: .., upper: ..}``:

    - ``periodic``, or ``dirichlet`` or ``neumann`` with value 0;
    - ``{dirichlet: value}``, ``{neumann: value}``, ``{robin: {a: .., b: .., value: ..}}``;
    - two conditions, ``{dirichlet: value, neumann: value}`` (``clamped``: both 0);
    - a condition with the additional key ``laplacian``, whose value is a condition for
      laplacian(u). A number or formula there means ``{dirichlet: value}``. Examples are
      ``simply_supported``, which is ``{dirichlet: 0, laplacian: 0}``, and no flux,
      ``{neumann: 0, laplacian: neumann}``.

    Args:
        spec: the settings.
        fields: the names of the fields.
        grid: the grid.
        parameters: the names that formulas may use in addition to position and time.
        odd: the radial components of vectors, which are odd about an axis of symmetry.

    Raises:
        BoundaryError: for unknown keys, and for an axis that is periodic on one side only.
        FormulaError: for an invalid formula.
    """
    spec = coordinate_walls.renamed(spec, fields, grid)
    _check_keys(spec, ("default", "mask", *grid.axes, *fields), "boundary")
    for field in fields:
        if field in spec:
            _check_keys(
                _mapping(spec[field], f"boundary.{field}"),
                ("default", "mask", *grid.axes),
                f"boundary.{field}",
            )
    symbols = {name: sympy.Symbol(name, real=True) for name in (*grid.axes, "t")}
    symbols |= grid.metric.places() if grid.metric else {}
    scope = Scope(
        {**symbols, **parameters},
        grid.axes,
        reductions=True,
        metric=grid.metric,
        reduced={name: sympy.Symbol(name, real=True) for name in fields},
        forbidden=dict.fromkeys(fields, "only inside of mean, integral, max and min"),
    )
    conditions = tuple(
        tuple(_axis_conditions(spec, field, axis, scope) for axis in grid.axes) for field in fields
    )
    _check_unused(spec, fields, grid.axes, scope)
    conditions = coordinate_walls.in_coordinates(conditions, spec, fields, grid, odd)
    for number, axis in enumerate(grid.names):
        kinds = {side.kind == "periodic" for field in conditions for side in field[number]}
        if len(kinds) > 1:
            raise BoundaryError(
                f"boundary.{axis} is periodic on one side or for one field only",
                "both sides of an axis periodic for every field, or none",
            )
    obstacles = tuple(_obstacle_condition(spec, field, scope) for field in fields)
    return Boundary(conditions, obstacles)


def _check_unused(spec: Mapping, fields: Sequence[str], axes: Sequence[str], scope: Scope) -> None:
    """Check all conditions, including those that are not used because others take precedence.

    Raises:
        BoundaryError, FormulaError: for an invalid condition.
    """
    for layers, where in ((spec, "boundary"), *((spec.get(f), f"boundary.{f}") for f in fields)):
        for key in ("default", *axes):
            layer = (layers or {}).get(key)
            sides: Mapping = {"": layer}
            if isinstance(layer, Mapping) and set(layer) & set(SIDES):
                sides = layer
            for name, side in sides.items():
                if side is not None:
                    _side(side, f"{where}.{key}" + (f".{name}" if name else ""), scope)


def _obstacle_condition(spec: Mapping, field: str, scope: Scope) -> BoundaryCondition:
    given = (spec.get(field) or {}).get("mask", spec.get("mask", "neumann"))
    condition = _side(given, "boundary.mask", scope)
    constant = condition.value.is_number and (condition.kind == "dirichlet" or condition.value == 0)
    if condition.kind not in ("dirichlet", "neumann") or not constant or condition.has_second:
        raise BoundaryError(
            f"boundary.mask is {given!r}", "neumann (no flux), or {dirichlet: NUMBER}"
        )
    return condition


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
    """Build the condition of one side, with its second condition if there is one."""
    if isinstance(spec, str):
        spec = PAIRS.get(spec, {spec: 0})
    known = (*KINDS, *PAIRS)
    if not isinstance(spec, Mapping) or not spec:
        raise BoundaryError(f"{where} is {spec!r}", "one of " + ", ".join(known))
    for key in spec:
        if key not in (*KINDS, LAPLACIAN):
            raise BoundaryError(
                f"{where} has the unknown key {key!r}", nearest(str(key), (*known, LAPLACIAN))
            )
    first = [kind for kind in KINDS if kind in spec][:1]
    second = [key for key in spec if key not in first]
    if not second:
        return _condition(first[0], spec[first[0]], where, scope)
    pair = (*first, *second)
    if pair != ("dirichlet", "neumann") and (pair[0] == "periodic" or pair[1:] != (LAPLACIAN,)):
        raise BoundaryError(
            f"{where} has {' and '.join(map(str, spec))}",
            "one condition; or two for an equation of fourth order: {dirichlet: .., neumann: ..}, "
            "or laplacian in addition to dirichlet, neumann or robin",
        )
    condition = _condition(first[0], spec[first[0]], where, scope)
    if second == [LAPLACIAN]:
        return replace(condition, laplacian=_of_laplacian(spec[LAPLACIAN], where, scope))
    slope = _condition("neumann", spec["neumann"], where, scope)
    reductions = condition.reductions + slope.reductions
    return replace(condition, slope=slope.value, reductions=reductions)


def _of_laplacian(spec: object, where: str, scope: Scope) -> BoundaryCondition:
    """Build the condition for laplacian(u). A number or a formula means a Dirichlet condition."""
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
    """Build a condition of one kind from its value in the settings."""
    if kind == "robin":
        robin = _mapping(value, where)
        _check_keys(robin, ("a", "b", "value"), where)
        a, b = (_number(robin.get(name), f"{where}.robin.{name}") for name in ("a", "b"))
        if a == b == 0:
            raise BoundaryError(
                f"{where} has a = b = 0", "a*u + b*du/dn = value, with a or b nonzero"
            )
        return _with_value(kind, a, b, parse(robin.get("value", 0), scope, f"{where}.robin.value"))
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BoundaryError(f"{where}.{kind} is {value!r}", "a number or a formula")
    if kind == "periodic":
        if value != 0:
            raise BoundaryError(f"{where} has periodic: {value!r}", "periodic, without a value")
        return PERIODIC
    a, b = (1.0, 0.0) if kind == "dirichlet" else (0.0, 1.0)
    return _with_value(kind, a, b, parse(value, scope, f"{where}.{kind}"))


def _with_value(kind: str, a: float, b: float, value: sympy.Expr) -> BoundaryCondition:
    (value,), reductions = separate_reductions([value])
    return BoundaryCondition(kind, a, b, value, reductions=reductions)


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
