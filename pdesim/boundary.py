"""Walls: what is known at the faces of the domain, and the ghost cells that follow from it.

A wall is the Robin condition ``a*u + b*du/dn = value`` on the face (n points outward):
Dirichlet has (a, b) = (1, 0), Neumann (0, 1). A periodic axis has no wall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy

from pdesim.errors import BoundaryError, nearest
from pdesim.formula import Scope, parse
from pdesim.formula.language import TIME
from pdesim.grid import Grid

SIDES = ("lower", "upper")
KINDS = ("periodic", "dirichlet", "neumann", "robin")
#: a Robin condition with a*b < 0 is refused where a and b cancel to this fraction: ghost cells
#: would be the cells beside the wall times 20 or more
NEARLY_SINGULAR = 0.1


@dataclass(frozen=True)
class Wall:
    """``a*u + b*du/dn = value``; ``value`` is a formula of position, time and parameters.

    ``mirror`` says that the solution is even about the wall where the value is 0
    (:mod:`pdesim.operators.mirror`).
    """

    kind: str
    a: float = 0.0
    b: float = 0.0
    value: sympy.Expr = sympy.S.Zero
    mirror: bool = False

    @property
    def moves(self) -> bool:
        """Whether the value depends on time."""
        return TIME in self.value.free_symbols

    @property
    def homogeneous(self) -> Wall:
        return Wall(self.kind, self.a, self.b, mirror=self.mirror and self.value == 0)


PERIODIC = Wall("periodic")
NO_FLUX = Wall("neumann", 0.0, 1.0)
#: no condition is known: ghost cells continue the polynomial through the cells at the face
EXTRAPOLATED = Wall("extrapolated")
#: ghost cells have the value on the face: for a diffusivity, whose mean over the half cell beside
#: the face is then that of the face and the cell
HELD = "held"
#: ghost cells are computed elsewhere, from those of what an expression is made of
POINTWISE = Wall("pointwise")


@dataclass(frozen=True)
class Boundary:
    """``walls[field][axis]`` is the pair (lower, upper); axes in x, y, z order."""

    walls: tuple[tuple[tuple[Wall, Wall], ...], ...]
    #: per field, the wall on the faces of obstacles (``domain.mask``)
    inner: tuple[Wall, ...] = ()

    def is_periodic(self, axis: int) -> bool:
        return self.walls[0][axis][0].kind == "periodic"

    @property
    def periodic_axes(self) -> tuple[bool, ...]:
        return tuple(self.is_periodic(axis) for axis in range(len(self.walls[0])))

    @property
    def symbols(self) -> set[sympy.Symbol]:
        return set().union(
            *(w.value.free_symbols for field in self.walls for axis in field for w in axis)
        )

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
        tuple(_axis_walls(spec, field, axis, scope) for axis in grid.axes) for field in fields
    )
    for number, axis in enumerate(grid.axes):
        kinds = {wall.kind == "periodic" for field in walls for wall in field[number]}
        if len(kinds) > 1:
            raise BoundaryError(
                f"boundary.{axis} is periodic on one side or for one field only",
                "both sides of an axis periodic for every field, or none",
            )
    return Boundary(walls, tuple(_inner_wall(spec, field, scope) for field in fields))


def _inner_wall(spec: Mapping, field: str, scope: Scope) -> Wall:
    given = (spec.get(field) or {}).get("mask", spec.get("mask", "neumann"))
    wall = _wall(given, "boundary.mask", scope)
    constant = wall.value.is_number and (wall.kind == "dirichlet" or wall.value == 0)
    if wall.kind not in ("dirichlet", "neumann") or not constant:
        raise BoundaryError(
            f"boundary.mask is {given!r}", "neumann (no flux), or {dirichlet: NUMBER}"
        )
    return wall


def _axis_walls(spec: Mapping, field: str, axis: str, scope: Scope) -> tuple[Wall, Wall]:
    own = spec.get(field) or {}
    layers = [(own.get(axis), f"{field}.{axis}"), (own.get("default"), f"{field}.default")]
    layers += [(spec.get(axis), axis), (spec.get("default", "periodic"), "default")]

    def side(name: str) -> Wall:
        for layer, label in layers:
            if isinstance(layer, Mapping) and set(layer) & set(SIDES):
                _check_keys(layer, SIDES, f"boundary.{label}")
                layer, label = layer.get(name), f"{label}.{name}"
            if layer is not None:
                return _wall(layer, f"boundary.{label}", scope)
        return PERIODIC

    return side("lower"), side("upper")


def _wall(spec: object, where: str, scope: Scope) -> Wall:
    if isinstance(spec, str):
        spec = {spec: 0}
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise BoundaryError(f"{where} is {spec!r}", "one of " + ", ".join(KINDS))
    ((kind, value),) = spec.items()
    if kind != "robin" and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
        raise BoundaryError(f"{where}.{kind} is {value!r}", "a number or a formula")
    if kind not in KINDS:
        raise BoundaryError(f"{where} names {kind!r}", nearest(str(kind), KINDS))
    if kind == "periodic":
        return PERIODIC
    if kind == "robin":
        _check_keys(_mapping(value, where), ("a", "b", "value"), where)
        a, b = (_number(value.get(name), f"{where}.robin.{name}") for name in ("a", "b"))
        if a == b == 0:
            raise BoundaryError(f"{where} has a = b = 0", "a*u + b*du/dn = value with a or b set")
        return Wall(kind, a, b, parse(value.get("value", 0), scope, f"{where}.robin.value"))
    a, b = (1.0, 0.0) if kind == "dirichlet" else (0.0, 1.0)
    return Wall(kind, a, b, parse(value, scope, f"{where}.{kind}"))


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


def cells_known(order: int, points: int) -> int:
    """How many cells beside a wall its ghosts are made of, for a global order of accuracy.

    One less than the order is enough at order 2, where the error that a wall makes is one order
    better in its effect than in itself; higher orders need it in full at Neumann walls.
    """
    return min(1 if order == 2 else order, points)


@lru_cache(maxsize=64)
def extrapolation_weights(halo: int, known: int) -> np.ndarray:
    """Ghost cells as ``ghost[m] = sum_j weights[m, j]*u[j]``, shape ``(halo, known)``.

    The polynomial through the first ``known`` cells is continued outward; for two cells this is
    ``2*u[0] - u[1]``.
    """
    cells = sympy.Matrix([[sympy.Integer(j) ** p for p in range(known)] for j in range(known)])
    ghosts = [[sympy.Integer(-1 - m) ** p for p in range(known)] for m in range(halo)]
    return np.array(sympy.Matrix(ghosts) * cells.inv(), dtype=float)


def ghost_weights(
    wall: Wall, spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ghost cells as ``ghost[m] = sum_j weights[m, j]*u[j] + value_weights[m]*value``.

    The polynomial that meets the wall condition on the face and the first ``known`` cell values is
    continued outward; for one known cell this is ``2*g - u[0]`` (Dirichlet) and
    ``u[0] + spacing*g`` (Neumann). Cell m lies (m + 1/2) spacings beyond the wall. At a wall of
    value 0 with ``mirror`` ghost m is cell m.

    Raises:
        BoundaryError: for a Robin condition that no polynomial meets on this grid, or nearly none.
    """
    if wall.mirror and wall.value == 0 and halo <= known:
        return np.eye(halo, known), np.zeros(halo)
    return _ghost_weights(wall.a, wall.b, spacing, halo, known)


#: every right-hand side of a trace asks for the same few
@lru_cache(maxsize=256)
def _ghost_weights(
    a: float, b: float, spacing: float, halo: int, known: int
) -> tuple[np.ndarray, np.ndarray]:
    h = sympy.Rational(spacing)
    half = sympy.Rational(1, 2)
    inner = [[(j + half) ** power for power in range(known + 1)] for j in range(known)]

    def with_condition(a, b) -> sympy.Matrix:
        return sympy.Matrix([[a, -b / h] + [0] * (known - 1), *inner])

    system = with_condition(sympy.Rational(a), sympy.Rational(b))
    if a * b < 0:
        # the determinant is the sum of one part from a and one from b, which may cancel
        parts = with_condition(sympy.Rational(a), 0), with_condition(0, sympy.Rational(b))
        if abs(system.det()) < NEARLY_SINGULAR * sum(abs(part.det()) for part in parts):
            raise BoundaryError(
                f"the Robin condition a={a:g}, b={b:g} cannot be met with cells of "
                f"{spacing:g}: solutions that grow away from the wall within a cell meet it, too",
                "a and b of the same sign, or cells far smaller than |b/a|",
            )
    outward = sympy.Matrix(
        [[(-(m + half)) ** power for power in range(known + 1)] for m in range(halo)]
    )
    weights = np.array(outward * system.inv(), dtype=float)
    return weights[:, 1:], weights[:, 0]
