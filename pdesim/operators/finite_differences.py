"""Evaluation of formulas by finite differences on arrays with ghost cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
import tensorflow as tf

from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.advection import speed as transport_speed
from pdesim.model.boundary_conditions import (
    EXTRAPOLATED,
    JOINED,
    NO_FLUX,
    PERIODIC,
    Boundary,
    BoundaryCondition,
)
from pdesim.operators import advection, argument_sides, convolution, nonlocal_terms, stencil
from pdesim.operators.differentiable import same_values
from pdesim.operators.ghost_cells import (
    WallPair,
    WallValue,
    condition_kinds,
    extend,
    face_values,
)
from pdesim.operators.position_parts import evaluate_position

if TYPE_CHECKING:
    from pdesim.operators.method_of_lines import MethodOfLines


class Differences:
    """The evaluation of formulas at one state; ghost cells are added to each field only once.

    The ghost cells of an operator's argument follow from the boundary conditions of the argument
    (``problem.conditions``) where those are known. Elsewhere the argument is evaluated in the ghost
    cells, from the ghost cells of the fields, operators and coefficients that it contains.
    """

    def __init__(
        self,
        system: MethodOfLines,
        fields: Sequence[tf.Tensor],
        stacked: tf.Tensor | None,
        time: Any,
        formulas: Sequence[sympy.Expr],
        halo: int | None = None,
    ) -> None:
        self.system, self.fields, self.stacked = system, fields, stacked
        self.grid, self.halo = system.problem.grid, system.problem.halo if halo is None else halo
        self.time, self.numbers = time, system.values(time)
        symbols = system.problem.equation.field_symbols
        inside = set().union(*(_fields_inside_operators(f, symbols) for f in formulas))
        self.extended = self._extend_fields(sorted(inside)) if inside else {}
        names = {name: self._field(i) for i, name in enumerate(system.problem.equation.fields)}
        namespace = {**system.namespace(0), **self.numbers}
        self.value = Evaluator({**namespace, **names}, system.library, self._apply)
        self._padded: dict[sympy.Expr, tf.Tensor] = {}
        around = {**system.namespace(self.halo), **self.numbers, **self._extended_arrays(formulas)}
        self.on_extended = Evaluator({**around, **self.extended}, system.library)

    def _extended_arrays(self, formulas: Sequence[sympy.Expr]) -> dict[str, tf.Tensor]:
        """Return parameters with one number for each cell, with ghost cells on periodic domains.

        With other boundaries, expressions with such parameters are evaluated from their atoms.
        """
        if not all(self.system.problem.boundary.periodic_axes):
            return {}
        symbols = [sympy.Symbol(n, real=True) for n in self.system.problem.equation.arrays]
        inside = [s for s in symbols if any(_fields_inside_operators(f, [s]) for f in formulas)]
        walls = [(PERIODIC, PERIODIC)] * self.grid.dimensions
        values = {symbol.name: self.numbers[symbol.name] for symbol in inside}
        return {n: self._extend(v, walls, self._value_on_face) for n, v in values.items()}

    def _field(self, index: int) -> tf.Tensor:
        name = self.system.problem.equation.fields[index]
        if name in self.extended:
            inside = stencil.shifted(self.extended[name], self.grid, self.halo)
            return same_values(self.fields[index], inside)
        return self.fields[index]

    def _extend_fields(self, indices: list[int]) -> dict[str, tf.Tensor]:
        """Add ghost cells to fields, in one operation if their conditions are of the same kinds."""
        system, boundary = self.system, self.system.problem.boundary
        names = system.problem.equation.fields
        walls = [_kinds(boundary, index) for index in indices]
        groups = [indices] if all(w == walls[0] for w in walls) else [[i] for i in indices]
        extended = {}
        for group in groups:
            complete = self.stacked is not None and len(group) == len(self.fields)
            values = self.stacked if complete else system.stack([self.fields[i] for i in group])
            padded = self._extend(values, boundary.walls[group[0]], self._field_value(group))
            for index, tensor in zip(group, system.unstack(padded), strict=True):
                extended[names[index]] = tensor
        return extended

    def _extend(
        self,
        values: tf.Tensor,
        walls: Sequence[WallPair],
        wall_value: WallValue,
        nested: bool = False,
        pointwise: tf.Tensor | None = None,
        extra: int = 0,
    ) -> tf.Tensor:
        order = self.system.problem.discretisation.order
        padded = extend(values, self.grid, walls, self.halo, order, wall_value, pointwise, extra)
        return self.system.separate(padded, nested)

    def _field_value(self, fields: list[int]) -> Any:
        """Return the function for the right-hand sides of the boundary conditions of fields.

        The right-hand sides of the fields are stacked; see ``ghost_cells.extend``.
        """

        def value(_wall: BoundaryCondition, axis: int, side: int, part: str = "value") -> Any:
            system = self.system
            walls = [system.problem.boundary.walls[index][axis][side] for index in fields]
            values = [getattr(wall, part) for wall in walls]
            if all(value == 0 for value in values):
                return None
            shape = [n + 2 * self.halo if a > axis else n for a, n in enumerate(self.grid.points)]
            shape[axis] = 1
            evaluate = self._on_face(axis, side)
            layers = [system.full(evaluate(value), tuple(shape[::-1])) for value in values]
            return system.stack(layers)

        return value

    def _on_face(self, axis: int, side: int) -> Callable[[sympy.Expr], object]:
        """Return a function that evaluates formulas of position and time on a face."""
        system = self.system
        symbols = system.problem.equation.field_symbols

        def evaluate(formula: sympy.Expr) -> Any:
            read = [index for index, s in enumerate(symbols) if s in formula.free_symbols]
            fields = {symbols[index].name: self._field_on_face(index, axis, side) for index in read}
            # call with_time_parts before values: it determines which subexpressions values contains
            formula = system.with_time_parts(formula)
            coordinates = system.face_coordinates(axis, side, self.halo)
            formula, parts = evaluate_position(formula, coordinates)
            names = {**system.as_tensors({**coordinates, **parts}), **system.values(self.time)}
            return Evaluator({**names, **fields}, system.library)(formula)

        return evaluate

    def _field_on_face(self, index: int, axis: int, side: int) -> tf.Tensor:
        """Return the values of a field on a face, extrapolated from the interior."""
        problem = self.system.problem
        kinds = [pair[0] for pair in problem.boundary.walls[index]]
        joined = [wall if wall.kind in JOINED else EXTRAPOLATED for wall in kinds]
        order = problem.discretisation.order
        values = self.fields[index]
        return face_values(values, self.grid, axis, side, self.halo, order, joined)

    def _value_on_face(
        self, wall: BoundaryCondition, axis: int, side: int, part: str = "value"
    ) -> Any:
        """Return the right-hand side of a derived boundary condition on a face; None for 0."""
        formula = getattr(wall, part)
        if formula == 0:
            return None
        return tf.convert_to_tensor(self._on_face(axis, side)(formula), self.system.dtype)

    def _apply(self, word: str, arguments: tuple, value: Evaluator) -> Any:
        if word == lang.CONVOLVE:
            kernel, inner = arguments
            modes = self.system.to_modes(self.system.full(value(inner), self.grid.shape))
            return nonlocal_terms.convolved(self.system, kernel, modes)
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # the derivative of a constant
        scheme = self.system.problem.discretisation
        if word in lang.ADVECTION:
            return self._transported(word, arguments, value)
        axes = lang.flux_axes(word, self.grid.dimensions)
        if axes is not None:
            # coefficients are even about the faces of obstacles for all conditions of the field
            wall = self._inner_wall(arguments[1])
            even = NO_FLUX if wall else None
            sides = argument_sides.diffusivity(self.system.problem, *arguments)
            padded = [
                self._extended_value(arguments[0], value, sides),
                self._extended_value(arguments[1], value),
            ]
            diffusivity = self._reader(padded[0], even)
            values = self._reader(padded[1], wall)
            is_harmonic = self.system.problem.has_harmonic_mean(arguments[0])
            harmonic = self._at_boundaries() if is_harmonic else None
            return stencil.divergence(diffusivity, values, self.grid, scheme.order, axes, harmonic)
        padded = self._extended_value(arguments[0], value)
        terms = scheme.terms(word, self.grid)
        if scheme.name == "conv":
            by_library = self.system.library_convolutions
            return convolution.derivative(padded, self.grid, self.halo, terms, by_library)
        wall = self._inner_wall(arguments[0])
        if wall is not None:
            return stencil.derivative(self._reader(padded, wall), terms)
        symbols = self.system.problem.equation.field_symbols
        if arguments[0] in symbols and all(self.system.problem.boundary.periodic_axes):
            index = symbols.index(arguments[0])
            walls = self.system.problem.boundary.walls[index]
            return stencil.periodic_derivative(
                self.fields[index],
                lambda values: self._extend(values, walls, self._value_on_face), padded,
                self.grid, self.halo, terms,
            )  # fmt: skip
        return stencil.derivative_of_padded(padded, self.grid, self.halo, terms)

    def _transported(self, word: str, arguments: tuple, value: Evaluator) -> tf.Tensor:
        """Return ``advect_x(velocity, u)`` or its like for another axis."""
        axis, (velocity, u) = lang.ADVECTION[word], arguments
        problem, scheme = self.system.problem, self.system.problem.discretisation.advection

        def cells(expression: sympy.Expr) -> advection.Cells:
            known = problem.conditions
            if known.is_coefficient(expression) and not known.has_position(expression):
                number = tf.convert_to_tensor(value(expression), self.system.dtype)
                return lambda m: number
            sides = argument_sides.transported(problem, expression)
            padded = self._extended_value(expression, value, sides)
            return advection.cells_at_faces(padded, self.grid, self.halo, axis)

        speed, depends_on_u = transport_speed(velocity, u, problem.equation.field_symbols)
        if depends_on_u:
            flux = advection.split_flux(cells(velocity), cells(u), cells(speed), scheme)
        else:
            flux = advection.flux(cells(velocity), cells(u), scheme)
        return advection.divergence(self.system.separate(flux, nested=True), self.grid, axis)

    def coefficient(self, coefficient: sympy.Expr, sides: Any) -> tf.Tensor:
        """Return the values of a coefficient in all cells and ghost cells.

        Args:
            sides: the conditions of the coefficient (:mod:`argument_sides`).
        """
        return self._extended_value(coefficient, self.value, sides)

    def _at_boundaries(self) -> list[list[tf.Tensor] | None]:
        """Return masks of the cells at the lower and the upper boundary of each axis.

        The entry of a periodic axis is None.
        """
        results = []
        for axis, points in enumerate(self.grid.points):
            cells = np.arange(points)
            sides = [self.grid.broadcast(axis, cells == last) for last in (0, points - 1)]
            joined = self.system.problem.boundary.is_joined(axis)
            results.append(None if joined else [tf.constant(side) for side in sides])
        return results

    def _inner_wall(self, inner: sympy.Expr) -> BoundaryCondition | None:
        """Return the condition of an expression on obstacles; None if there are no obstacles."""
        if self.system.problem.mask is None:
            return None
        symbols = self.system.problem.equation.field_symbols
        return self.system.problem.mask.walls[min(_fields_of(inner, symbols), default=0)]

    def _reader(self, padded: tf.Tensor, wall: BoundaryCondition | None) -> stencil.Neighbour:
        """Return a function that returns the values of neighbours at given offsets.

        Neighbours inside obstacles have ghost values that satisfy the condition ``wall``.
        """

        def plain(offsets: tuple[int, ...]) -> tf.Tensor:
            return stencil.shifted(padded, self.grid, self.halo, offsets)

        if wall is None:
            return plain
        mask, periodic = self.system.problem.mask, self.system.problem.boundary.periodic_axes
        assert mask is not None  # without obstacles, wall is None
        solid = tf.constant(mask.padded(self.halo, periodic))
        centre = plain((0,) * self.grid.dimensions)
        ghost = 2.0 * float(wall.value) - centre if wall.kind == "dirichlet" else centre

        def masked(offsets: tuple[int, ...]) -> tf.Tensor:
            inside = stencil.shifted(solid, self.grid, self.halo, offsets)
            return tf.where(inside, ghost, plain(offsets))

        return masked

    def _extended_value(self, inner: sympy.Expr, value: Evaluator, sides: Any = None) -> tf.Tensor:
        """Return the values of an expression with ghost cells.

        Args:
            sides: the conditions of the expression; by default those of :mod:`argument_sides`.
        """
        system = self.system
        shape = tuple(n + 2 * self.halo for n in self.grid.shape)
        nested = bool(lang.operators_in(inner))
        problem = system.problem
        sides = argument_sides.conditions(problem, inner) if sides is None else sides
        pointwise = {wall.kind for pair in sides for wall in pair} <= {"periodic", "pointwise"}
        periodic = all(problem.boundary.periodic_axes)
        if argument_sides.is_pointwise(problem, inner, sides):
            return system.full(self.on_extended(inner), shape)
        if nested and periodic:
            interior = system.full(value(inner), self.grid.shape)
            return self._extend(interior, sides, self._value_on_face, nested=True)
        full = None
        if any(wall.kind == "pointwise" for pair in sides for wall in pair):
            full = system.full(self._from_atoms(inner, value), shape)
            if pointwise:
                return system.separate(full, nested)
        interior = system.full(value(inner), self.grid.shape)
        return self._extend(interior, sides, self._value_on_face, True, full)

    def _from_atoms(self, inner: sympy.Expr, value: Evaluator) -> Any:
        """Evaluate an expression in all cells and ghost cells, from its atoms with ghost cells.

        At second order, ghost cells from a given face value have an error of h**2. This suffices
        for the field whose equation is evaluated, but not for expressions that also contain fields
        with Neumann conditions. The atoms are therefore extrapolated from one more cell.
        """
        replaced, atoms = self.system.problem.conditions.atoms(inner)
        names = {symbol.name: self._extended_atom(atom, value) for symbol, atom in atoms.items()}
        return Evaluator({**self.numbers, **names}, self.system.library)(replaced)

    def _extended_atom(self, atom: sympy.Expr, value: Evaluator) -> tf.Tensor:
        problem = self.system.problem
        symbols = problem.equation.field_symbols
        if atom in symbols:
            pairs = problem.boundary.walls[symbols.index(atom)]
            if not any(wall.kind == "dirichlet" for pair in pairs for wall in pair):
                return self.extended[atom.name]
        if atom not in self._padded:
            values = tf.convert_to_tensor(value(atom), self.system.dtype)
            if lang.is_operator(atom):
                values = self.system.full(values, self.grid.shape)
            condition = problem.conditions.condition
            sides = [
                (condition(atom, axis, 0), condition(atom, axis, 1))
                for axis in range(self.grid.dimensions)
            ]
            nested = lang.is_operator(atom)
            extra = 1 if problem.discretisation.order == 2 else 0
            around = None
            if any(wall.kind == "continued" for pair in sides for wall in pair):
                around = self._on_wider_ghosts(atom)
            self._padded[atom] = self._extend(
                values, sides, self._value_on_face, nested, around, extra
            )
        return self._padded[atom]

    def _on_wider_ghosts(self, node: sympy.Expr) -> tf.Tensor:
        """Return the values of an operator with ghost cells.

        The values in the ghost cells are computed from additional ghost cells of the argument.
        """
        scheme, grid = self.system.problem.discretisation, self.grid
        word, inner = lang.word_of(node), node.args[-1]
        reach = scheme.reach(word, grid.dimensions)
        wider = Differences(
            self.system, self.fields, self.stacked, self.time, [node], self.halo + reach
        )
        padded = wider._extended_value(inner, wider.value)
        # a grid of the cells and the ghost cells; stencils use nothing but its shape
        complete = replace(grid, points=tuple(n + 2 * self.halo for n in grid.points))

        def neighbour(offsets: tuple[int, ...]) -> tf.Tensor:
            return stencil.shifted(padded, complete, reach, offsets)

        return stencil.derivative(neighbour, scheme.terms(word, grid))


def _kinds(boundary: Boundary, index: int) -> list:
    return [[condition_kinds(wall) for wall in pair] for pair in boundary.walls[index]]


def _fields_of(expression: sympy.Expr, symbols: Sequence[sympy.Symbol]) -> set[int]:
    return {index for index, s in enumerate(symbols) if s in expression.free_symbols}


def _fields_inside_operators(formula: sympy.Expr, symbols: Sequence[sympy.Symbol]) -> set[int]:
    return set().union(*(_fields_of(node, symbols) for node in lang.operators_in(formula)))
