"""Boundary conditions on the faces of the domain, and their settings.

Every condition has the Robin form ``a*u + b*du/dn = value`` on the face, with n pointing outward:
Dirichlet conditions have (a, b) = (1, 0), Neumann conditions (0, 1). Periodic axes have none.

A condition is *general* if a or b is a formula, or if the value contains fields. Its kind is
``robin``, whatever its settings are: conditions that differ along a side, ``absorbing``, and Robin
and Neumann conditions with such formulas. It applies to the value of the field on the face, which
is computed at every evaluation (:func:`pdesim.operators.ghost_cells.general_layers`).

An operator of fourth order needs a second condition on each side: the normal derivative in addition
to the value (a clamped plate), or a condition for laplacian(u).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import sympy

from pdesim.formula import Reduction
from pdesim.formula.language import TIME

SIDES = ("lower", "upper")
KINDS = ("periodic", "antiperiodic", "dirichlet", "neumann", "outflow", "robin", "absorbing")
#: the kinds that have no value; those of the first two are joined to the opposite side
JOINED, OUTFLOW = ("periodic", "antiperiodic"), "outflow"
#: the keys of a condition that differs along a side
WHERE, OTHERWISE = "where", "otherwise"
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
        kind: ``periodic``, ``antiperiodic``, ``dirichlet``, ``neumann`` or ``robin``, or a kind
            that only operators use (see the constants below).
        a: the coefficient of u: a number, or a formula in general conditions.
        b: the coefficient of du/dn.
        value: a formula of position, time and parameters, and of fields if ``field`` is given.
        mirror: whether the solution is even about the face if the value is 0
            (:mod:`pdesim.operators.mirror`).
        derived: whether this is the condition for a function of the fields, derived from the
            conditions for the fields. It may be undefined where the function is undefined.
        slope: the value of du/dn, a second condition in addition to the value of u; or None.
        laplacian: a second condition, for laplacian(u); or None. ``slope`` and ``laplacian`` are
            never both given.
        field: the field to which the condition applies if the value contains fields; else None.
        rate: the derivative of the value with respect to this field if the value contains no other
            field; else 0. Equal fluxes of several fields, as of the reactants of a reaction on a
            surface, remain equal if they are not linearised about different fields.
        outflow: whether ghost cells of ``advect`` have the value of the cell at the face.
    """

    kind: str
    a: float | sympy.Expr = 0.0
    b: float | sympy.Expr = 0.0
    value: sympy.Expr = sympy.S.Zero
    mirror: bool = False
    derived: bool = False
    slope: sympy.Expr | None = None
    laplacian: BoundaryCondition | None = None
    reductions: tuple[Reduction, ...] = ()
    field: sympy.Symbol | None = None
    rate: sympy.Expr = sympy.S.Zero
    outflow: bool = False

    @property
    def is_general(self) -> bool:
        """Whether a or b is a formula, or the value contains fields."""
        return self.field is not None or isinstance(self.a, sympy.Expr)

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
    def formulas(self) -> tuple[sympy.Expr, ...]:
        """The values, and the coefficients that are formulas."""
        inner = () if self.laplacian is None else self.laplacian.formulas
        own = (c for c in (self.a, self.b) if isinstance(c, sympy.Expr))
        return (*own, *self.values, *inner)

    @property
    def is_time_dependent(self) -> bool:
        """Whether a value or a coefficient depends on time."""
        formulas = (*self.formulas, *(reduction.inner for reduction in self.reductions))
        return any(TIME in formula.free_symbols for formula in formulas)

    @property
    def homogeneous(self) -> BoundaryCondition:
        """The same condition with all values replaced by 0."""
        return replace(
            self,
            value=sympy.S.Zero,
            mirror=self.mirror and self.value == 0,
            reductions=(),
            field=None,
            rate=sympy.S.Zero,
            slope=None if self.slope is None else sympy.S.Zero,
            laplacian=None if self.laplacian is None else self.laplacian.homogeneous,
        )


PERIODIC = BoundaryCondition("periodic")
#: the values beyond a side are those at the opposite end with the other sign
ANTIPERIODIC = BoundaryCondition("antiperiodic")
NO_FLUX = BoundaryCondition("neumann", 0.0, 1.0)
#: no condition: ghost cells are extrapolated by the polynomial through the cells at the face
EXTRAPOLATED = BoundaryCondition("extrapolated")
#: ghost cells have the value on the face. This is used for diffusivities: the mean of a cell and
#: its ghost cell is then the mean of the values in the cell and on the face
HELD = "held"
#: ghost cells have the value of the cell at the face. This is used for ``advect`` at outflow sides
CONSTANT = BoundaryCondition("constant")
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
        """Whether an axis is periodic for all fields."""
        return all(field[axis][0].kind == "periodic" for field in self.walls)

    def is_joined(self, axis: int) -> bool:
        """Whether the ends of an axis are joined: every field is periodic or antiperiodic."""
        return self.walls[0][axis][0].kind in JOINED

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
    def formulas(self) -> list[sympy.Expr]:
        """The right-hand sides of all conditions, and the coefficients that are formulas."""
        return [formula for condition in self.all_walls for formula in condition.formulas]

    @property
    def general(self) -> list[BoundaryCondition]:
        """The general conditions."""
        return [condition for condition in self.all_walls if condition.is_general]

    @property
    def depends_on_fields(self) -> bool:
        """Whether a value contains fields, or reductions of fields."""
        fields = any(condition.field is not None for condition in self.all_walls)
        return fields or bool(self.reductions)

    @property
    def reductions(self) -> tuple[Reduction, ...]:
        """The reductions in the right-hand sides, each after those in its argument."""
        walls = [part for wall in self.all_walls for part in (wall, wall.laplacian) if part]
        return tuple(dict.fromkeys(r for wall in walls for r in wall.reductions))

    @property
    def symbols(self) -> set[sympy.Symbol]:
        """The symbols in the right-hand sides and the coefficients of all conditions."""
        return set().union(*(formula.free_symbols for formula in self.formulas))

    def describe(self, fields: Sequence[str], axes: Sequence[str]) -> dict[str, list[str]]:
        """Return the kinds of all conditions, such as ``{"u.x": ["dirichlet", "neumann"]}``."""
        return {
            f"{field}.{axis}": [OUTFLOW if c.outflow else c.kind for c in pair]
            for field, per_axis in zip(fields, self.walls, strict=False)  # scalars have none
            for axis, pair in zip(axes, per_axis, strict=True)
        }
