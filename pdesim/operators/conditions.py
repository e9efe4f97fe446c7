"""Boundary conditions of expressions, derived from those of the fields.

The argument of an operator needs ghost cells even if it is not a field but a nested operator, a
function of the fields, or a coefficient. Such an expression is decomposed into *atoms*: fields,
operators, and coefficients that depend on position. Each atom has a condition on every side, and
the condition of the expression follows from those of its atoms:

- A function of known face values has a known face value: ``u**2`` is ``g**2`` where u is g.
- Derivatives along a face follow from the face values. The first derivative across a face follows
  from a Neumann condition.
- Even derivatives across a face, such as ``laplacian(u)``, are given by the second condition of a
  fourth-order operator (the setting ``laplacian``). Where both u and du/dn are given, the ghost
  cells of u follow from both, and the ghost cells of its derivatives follow from the ghost cells of
  u (``CONTINUED``). Where no second condition is given, even derivatives are assumed to be 0 at a
  Dirichlet condition and to have a zero normal derivative at a Neumann condition
  (:mod:`pdesim.operators.second`).
- Along axes whose ends are joined, an expression is continued with the sign that it has if the
  antiperiodic fields change theirs (:mod:`pdesim.operators.translation`).
- All other expressions are extrapolated from the interior.

This module does not import TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sympy

from pdesim.formula import derivative
from pdesim.formula import language as lang
from pdesim.formula.metric import CELL
from pdesim.formula.nodes import jumps
from pdesim.model.boundary_conditions import (
    CONSTANT,
    CONTINUED,
    EXTRAPOLATED,
    Boundary,
    BoundaryCondition,
)
from pdesim.model.grid import Grid
from pdesim.operators.coordinates import flux_in_coordinates
from pdesim.operators.translation import continued

#: discontinuous formulas are evaluated at this distance from the face, as a fraction of the extent
#: of the domain, so that a jump on the face itself has no effect
INSIDE = 1e-12


def orders(word: str) -> dict[int, int] | None:
    """Return the order of a partial derivative along each axis: ``{0: 1, 1: 1}`` for d2_dxdy.

    The result is None if ``word`` is not the name of a partial derivative.
    """
    if not re.fullmatch(r"d\d*_(d[xyz]\d*)+", word):
        return None
    result = re.findall(r"d([xyz])(\d*)", word.partition("_")[2])
    return {lang.AXES.index(axis): int(power or 1) for axis, power in result}


@dataclass(frozen=True)
class Conditions:
    """Boundary conditions of expressions on the faces of a domain.

    Args:
        own: names of parameters and fields, which take precedence over coordinates of the same
            name.
        arrays: the symbols of parameters with one number for each cell. Beyond boundaries, a
            coefficient that contains one has the value of the cell at the face.
    """

    grid: Grid
    boundary: Boundary
    fields: Sequence[sympy.Symbol]
    own: frozenset[str]
    arrays: frozenset[sympy.Symbol] = frozenset()
    _memo: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def coordinates(self) -> list[sympy.Symbol]:
        return [sympy.Symbol(name, real=True) for name in self.grid.axes]

    @property
    def sides(self) -> Iterator[tuple[int, int]]:
        """All (axis, side) pairs that have a boundary condition."""
        for axis in range(self.grid.dimensions):
            yield from () if self.boundary.is_joined(axis) else ((axis, 0), (axis, 1))

    def with_coordinates(self, expression: sympy.Expr) -> sympy.Expr:
        """Substitute ``r`` and the domain lengths, so that derivatives act on coordinates."""
        grid, x = self.grid, self.coordinates
        lengths = zip(grid.axes, grid.extent, strict=True)
        substitutions = {sympy.Symbol(f"L{axis}", real=True): length for axis, length in lengths}
        centre = [o + length / 2 for o, length in zip(grid.origin, grid.extent, strict=True)]
        squares = ((s - c) ** 2 for s, c in zip(x, centre, strict=True))
        substitutions[sympy.Symbol("r", real=True)] = sympy.sqrt(sum(squares))
        substitutions[CELL] = sympy.S.Zero  # areas on the faces themselves
        return expression.xreplace(
            {s: v for s, v in substitutions.items() if s.name not in self.own}
        )

    def has_position(self, expression: sympy.Basic) -> bool:
        names = {*self.grid.axes, "r"} - self.own
        symbols = expression.free_symbols
        return bool(symbols & self.arrays) or any(symbol.name in names for symbol in symbols)

    def is_coefficient(self, expression: sympy.Basic) -> bool:
        """Whether an expression depends only on position, time and parameters."""
        fields = expression.free_symbols & set(self.fields)
        return not fields and not lang.operators_in(expression)

    def is_linear(self, expression: sympy.Expr) -> bool:
        """Whether an expression is a field times a constant."""
        factors = sympy.Mul.make_args(expression)
        varying = [f for f in factors if not self.is_coefficient(f) or self.has_position(f)]
        return len(varying) == 1 and varying[0] in self.fields

    def atoms(self, expression: sympy.Expr) -> tuple[sympy.Expr, dict[sympy.Symbol, sympy.Expr]]:
        """Return an expression whose atoms are replaced by symbols, and the atom of each symbol."""
        symbols: dict[sympy.Expr, sympy.Symbol] = {}

        def atom(node: sympy.Expr) -> sympy.Symbol:
            return symbols.setdefault(node, sympy.Symbol(f"atom_{len(symbols)}", real=True))

        def replace(node: sympy.Basic) -> sympy.Basic:
            if node in self.fields or lang.is_operator(node):
                return atom(node)
            if self.is_coefficient(node) and not self.has_position(node):
                return node
            if self.is_coefficient(node) and isinstance(node, sympy.Expr):
                return atom(node)
            if isinstance(node, (sympy.Add, sympy.Mul)):
                fixed = [a for a in node.args if self.is_coefficient(a) and self.has_position(a)]
                if fixed and isinstance(node, sympy.Mul) and self.grid.metric is not None:
                    fixed += [a for a in node.args if lang.word_of_flux(a)]
                rest = [replace(a) for a in node.args if a not in fixed]
                return node.func(*rest, atom(node.func(*fixed))) if fixed else node.func(*rest)
            return node.func(*map(replace, node.args))

        return replace(expression), {symbol: node for node, symbol in symbols.items()}

    def condition(self, node: sympy.Expr, axis: int, side: int) -> BoundaryCondition:
        """Return the condition of an expression on a side, or ``EXTRAPOLATED`` if it is unknown."""
        if self.boundary.is_joined(axis):
            return continued(node, self.fields, self.boundary, axis)
        if node in self.fields:
            return self.boundary.walls[self.fields.index(node)][axis][side]
        if self.is_coefficient(node) and node.free_symbols & self.arrays:
            return CONSTANT
        clamped = self.is_clamped(node, axis, side)
        if clamped and self.normal_order(node, axis) >= 2:
            inner = node.args[-1]
            known = self.value(inner, axis, side), self.slope(inner, axis, side)
            return EXTRAPOLATED if None in known else CONTINUED
        value = self.value(node, axis, side)
        slope = None if self.is_coefficient(node) else self.slope(node, axis, side)
        if value is not None:
            held = BoundaryCondition("dirichlet", 1.0, 0.0, value, derived=True)
            return replace(held, slope=slope) if clamped else held
        if self.is_coefficient(node):
            return EXTRAPOLATED
        if slope is not None:
            mirrored = self._is_mirrored(node, axis, side)
            return BoundaryCondition("neumann", 0.0, 1.0, slope, mirrored, derived=True)
        return self._robin(node, axis, side)

    def is_clamped(self, expression: sympy.Expr, axis: int, side: int) -> bool:
        """Whether the values and the normal derivatives of all fields in an expression are given.

        The result is False for an expression without fields.
        """
        fields = [n for n, symbol in enumerate(self.fields) if symbol in expression.free_symbols]
        walls = [self.boundary.walls[n][axis][side] for n in fields]
        return bool(walls) and all(wall.is_clamped for wall in walls)

    def normal_order(self, node: sympy.Expr, axis: int) -> int:
        """Return the order of the highest derivative of an operator along an axis.

        The result is 0 if ``node`` is not an operator or has no derivative along this axis.
        """
        if not lang.is_operator(node) or lang.FLUXES.get(lang.word_of(node), axis) != axis:
            return 0
        powers = orders(lang.word_of(node))
        return 2 if powers is None else powers.get(axis, 0)

    def stated(self, node: sympy.Expr, axis: int, side: int) -> BoundaryCondition | None:
        """Return the condition of ``laplacian(f)`` or ``d2_dx2(f)`` that follows from the settings.

        The settings state conditions for the Laplacians of fields (``laplacian``), so f must be a
        sum of fields multiplied by constants. The condition of a second derivative across the face
        is that of the Laplacian minus the derivatives along the face,
        ``d2f/dn2 = laplacian(f) - d2f/dt2``, which requires that f (or df/dn) is known on the face.
        The result is None if the settings do not determine the condition.
        """
        word, inner = lang.word_of(node), node.args[-1]
        if word != lang.LAPLACIAN and orders(word) != {axis: 2}:
            return None
        known = self._of_laplacian(inner, axis, side)
        if known is None or word == lang.LAPLACIAN or self.grid.dimensions == 1:
            return known
        held = {"dirichlet": self.value, "neumann": self.slope}.get(known.kind)
        on_face = held and held(inner, axis, side)
        if on_face is None:
            return None
        others = [x for number, x in enumerate(self.coordinates) if number != axis]
        along = sympy.Add(*(derivative(on_face, x, 2) for x in others))
        return replace(known, value=known.value - along)

    def _of_laplacian(self, f: sympy.Expr, axis: int, side: int) -> BoundaryCondition | None:
        """Return the condition of ``laplacian(f)`` that follows from the settings, or None."""
        result: list[tuple[BoundaryCondition, sympy.Expr]] = []
        for term in sympy.Add.make_args(f):
            if not term.free_symbols & set(self.fields) and not self.has_position(term):
                continue
            if not self.is_linear(term):
                return None
            (field,) = term.free_symbols & set(self.fields)
            wall = self.boundary.walls[self.fields.index(field)][axis][side].laplacian
            if wall is None:
                return None
            result.append((wall, term / field))
        if len({(wall.kind, wall.a, wall.b) for wall, _ in result}) != 1:
            return None
        value = sympy.Add(*(factor * wall.value for wall, factor in result))
        return replace(result[0][0], value=self.on_face(self.with_coordinates(value), axis, side))

    def _is_mirrored(self, expression: sympy.Expr, axis: int, side: int) -> bool:
        """Whether every field in an expression is even about a face."""
        fields = [n for n, symbol in enumerate(self.fields) if symbol in expression.free_symbols]
        return all(self.boundary.walls[n][axis][side].mirror for n in fields)

    def value(self, expression: sympy.Expr, axis: int, side: int) -> sympy.Expr | None:
        """Return the value of an expression on a face as a formula of position and time.

        The result is None if the value is unknown.
        """
        return self._known("value", self._value, expression, axis, side)

    def slope(self, expression: sympy.Expr, axis: int, side: int) -> sympy.Expr | None:
        """Return the outward normal derivative of an expression on a face; None if unknown."""
        return self._known("slope", self._slope, expression, axis, side)

    def _known(
        self,
        what: str,
        find: Callable[[sympy.Expr, int, int], sympy.Expr | None],
        expression: sympy.Expr,
        axis: int,
        side: int,
    ) -> sympy.Expr | None:
        key = (what, expression, axis, side)
        if key not in self._memo:
            known = not expression.free_symbols & self.arrays
            result = find(self.with_coordinates(expression), axis, side) if known else None
            if result is not None and result.has(
                sympy.nan, sympy.zoo, sympy.oo, -sympy.oo, sympy.I
            ):
                result = None
            self._memo[key] = result
        return self._memo[key]

    def _value(self, node: sympy.Expr, axis: int, side: int) -> sympy.Expr | None:
        if node in self.fields:
            wall = self.boundary.walls[self.fields.index(node)][axis][side]
            if wall.a == 0 or wall.b != 0 or wall.is_general:
                return None
            return self.on_face(wall.value / _exact(wall.a), axis, side)
        if lang.is_operator(node):
            return self._operator_value(node, axis, side)
        if (flux := flux_in_coordinates(self, node)) is not None:
            held = self.value(flux, axis, side)
            return held if not held else self.on_face(node.xreplace({flux: held}), axis, side)
        replaced, atoms = self.atoms(node)
        known = {}
        for symbol, atom in atoms.items():
            find = self.on_face if self.is_coefficient(atom) else self.value
            value = find(atom, axis, side)
            if value is not None:
                known[symbol] = value
        result = replaced.xreplace(known)
        return None if result.free_symbols & set(atoms) else result

    def on_face(self, coefficient: sympy.Expr, axis: int, side: int) -> sympy.Expr:
        """Restrict a formula of position to a face by substituting the face's normal coordinate."""
        place = _exact(self.grid.origin[axis] + side * self.grid.extent[axis])
        if jumps(coefficient):
            inward = (-1 if side else 1) * INSIDE * self.grid.extent[axis]
            place = sympy.Float(float(place) + inward)
        return coefficient.xreplace({self.coordinates[axis]: place})

    def _operator_value(self, node: sympy.Expr, axis: int, side: int) -> sympy.Expr | None:
        word, inner = lang.word_of(node), node.args[-1]
        powers = orders(word)
        along = lang.FLUXES.get(word, axis)
        if along != axis:  # a flux along the face
            return self._flux_along(node.args, along, axis, side)
        normal = 2 if powers is None else powers.get(axis, 0)
        if powers is not None and normal == 0:
            return self._along(self.value(inner, axis, side), powers, axis)
        if powers is not None and normal == 1:
            slope = self.slope(inner, axis, side)
            return self._along(slope if side or slope is None else -slope, powers, axis)
        if (stated := self.stated(node, axis, side)) is not None:
            return stated.value / _exact(stated.a) if stated.b == 0 else None
        if self.is_clamped(inner, axis, side):
            return None
        held = self.value if normal % 2 == 0 else self.slope
        return sympy.S.Zero if held(inner, axis, side) is not None else None

    def _flux_along(
        self, arguments: Sequence[sympy.Expr], along: int, axis: int, side: int
    ) -> sympy.Expr | None:
        values = [self.value(argument, axis, side) for argument in arguments]
        if None in values:
            return None
        x = self.coordinates[along]
        return derivative(values[0] * derivative(values[1], x), x)

    def _along(
        self, known: sympy.Expr | None, powers: Mapping[int, int], axis: int
    ) -> sympy.Expr | None:
        """Return the derivatives along the face of the face value ``known``; None if it is None."""
        for other, power in powers.items():
            if known is not None and other != axis:
                known = derivative(known, self.coordinates[other], power)
        return known

    def _slope(self, node: sympy.Expr, axis: int, side: int) -> sympy.Expr | None:
        if node in self.fields:
            wall = self.boundary.walls[self.fields.index(node)][axis][side]
            if wall.is_clamped:
                return self.on_face(wall.slope, axis, side)
            known = wall.b != 0 and wall.a == 0 and not wall.is_general
            return self.on_face(wall.value / _exact(wall.b), axis, side) if known else None
        if lang.is_operator(node):
            return self._operator_slope(node, axis, side)
        if (flux := flux_in_coordinates(self, node)) is not None:
            return sympy.S.Zero if self.slope(flux, axis, side) == 0 else None
        replaced, atoms = self.atoms(node)
        outward = (1 if side else -1) * sympy.S.One
        values, total = {}, sympy.S.Zero
        for symbol, atom in atoms.items():
            if self.is_coefficient(atom):
                across = outward * derivative(atom, self.coordinates[axis])
                values[symbol] = self.on_face(atom, axis, side)
                rate = self.on_face(across, axis, side)
            else:
                value, rate = (f(atom, axis, side) for f in (self.value, self.slope))
                values |= {symbol: value} if value is not None else {}
                rate = sympy.Symbol(f"unknown_{symbol.name}") if rate is None else rate
            total += derivative(replaced, symbol) * rate
        result = total.xreplace(values)
        unknown = set(atoms) | {s for s in result.free_symbols if s.name.startswith("unknown_")}
        return None if result.free_symbols & unknown or result.has(sympy.Derivative) else result

    def _operator_slope(self, node: sympy.Expr, axis: int, side: int) -> sympy.Expr | None:
        word, inner = lang.word_of(node), node.args[-1]
        powers, slope = orders(word), self.slope(inner, axis, side)
        if powers is not None and powers.get(axis, 0) == 0:
            return self._along(slope, powers, axis)
        if lang.FLUXES.get(word, axis) != axis:
            slopes = {self.slope(argument, axis, side) for argument in node.args}
            return sympy.S.Zero if slopes == {sympy.S.Zero} else None
        if (stated := self.stated(node, axis, side)) is not None:
            return stated.value / _exact(stated.b) if stated.a == 0 else None
        if powers is None and self.is_clamped(inner, axis, side):
            return None
        if powers is not None and powers[axis] >= 1 and self.is_clamped(inner, axis, side):
            return None
        even = powers is None or powers[axis] % 2 == 0
        return sympy.S.Zero if even and slope is not None else None

    def _robin(self, node: sympy.Expr, axis: int, side: int) -> BoundaryCondition:
        """Return the condition of an operator whose value and slope on a face are unknown.

        It is the condition that the settings state, if there is one. An operator with derivatives
        of even order only satisfies the homogeneous Robin condition of the field it acts on. All
        other operators are ``EXTRAPOLATED``.
        """
        if not lang.is_operator(node):
            return EXTRAPOLATED
        if (stated := self.stated(node, axis, side)) is not None:
            return stated
        inner = node.args[-1]
        wall = self.condition(inner, axis, side)
        powers = orders(lang.word_of(node)) or {axis: 2}
        even = all(power % 2 == 0 for power in powers.values())
        homogeneous = replace(wall.homogeneous, laplacian=None)
        return homogeneous if wall.kind == "robin" and even else EXTRAPOLATED


def _exact(number: float) -> sympy.Expr:
    """Convert a float to a SymPy number.

    Integers are converted exactly, so that SymPy recognises 1/0 as infinite.
    """
    return sympy.Integer(int(number)) if float(number).is_integer() else sympy.Float(number)
