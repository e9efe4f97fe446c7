"""Formulas by finite differences: stencils or convolutions on arrays with ghost cells."""

from __future__ import annotations

from collections.abc import Sequence

import sympy
import tensorflow as tf

from pdesim.boundary import NO_FLUX, Boundary, Wall
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.operators import conv, stencil
from pdesim.operators.ghosts import extend


class Differences:
    """One evaluation of some formulas at one state; each field is extended once.

    What stands inside an operator is evaluated on the extended array when it is pointwise; a nested
    operator gives interior values, which are extended with homogeneous walls of the same kind.
    """

    def __init__(self, lines, fields: Sequence[tf.Tensor], stacked, time, formulas) -> None:
        self.lines, self.fields, self.stacked = lines, fields, stacked
        self.grid, self.halo = lines.problem.grid, lines.problem.halo
        self.time, self.numbers = time, lines.numbers(time)
        symbols = lines.problem.equation.field_symbols
        inside = set().union(*(_fields_inside_operators(f, symbols) for f in formulas))
        self.extended = self._extend_fields(sorted(inside)) if inside else {}
        names = {name: self._field(i) for i, name in enumerate(lines.problem.equation.fields)}
        places = {**lines.places(0), **self.numbers}
        self.value = Evaluator({**places, **names}, lines.library, self._apply)
        around = {**lines.places(self.halo), **self.numbers}
        self.on_extended = Evaluator({**around, **self.extended}, lines.library)

    def _field(self, index: int) -> tf.Tensor:
        name = self.lines.problem.equation.fields[index]
        if name in self.extended:
            return stencil.shifted(self.extended[name], self.grid, self.halo)
        return self.fields[index]

    def _extend_fields(self, indices: list[int]) -> dict[str, tf.Tensor]:
        """Ghost cells for some fields: in one go where their walls are of one kind."""
        lines, boundary = self.lines, self.lines.problem.boundary
        names = lines.problem.equation.fields
        walls = [_kinds(boundary, index) for index in indices]
        groups = [indices] if all(w == walls[0] for w in walls) else [[i] for i in indices]
        extended = {}
        for group in groups:
            whole = self.stacked is not None and len(group) == len(self.fields)
            values = self.stacked if whole else lines.stack([self.fields[i] for i in group])
            padded = self._extend(values, boundary.walls[group[0]], self._wall_value(group))
            for index, tensor in zip(group, lines.unstack(padded), strict=True):
                extended[names[index]] = tensor
        return extended

    def _extend(self, values, walls, wall_value, nested: bool = False) -> tf.Tensor:
        order = self.lines.problem.discretisation.order
        padded = extend(values, self.grid, walls, self.halo, order, wall_value)
        return self.lines.separate(padded, nested)

    def _wall_value(self, fields: list[int]):
        """The right-hand sides of the wall conditions of some fields, stacked as they are."""

        def value(_wall: Wall, axis: int, side: int):
            lines = self.lines
            walls = [lines.problem.boundary.walls[index][axis][side] for index in fields]
            if all(wall.value == 0 for wall in walls):
                return None
            formulas = [lines.with_time_parts(wall.value) for wall in walls]
            names = {**lines.wall_places(axis, side, self.halo), **lines.numbers(self.time)}
            shape = [n + 2 * self.halo if a > axis else n for a, n in enumerate(self.grid.points)]
            shape[axis] = 1
            evaluate = Evaluator(names, lines.library)
            layers = [lines.full(evaluate(formula), tuple(shape[::-1])) for formula in formulas]
            return lines.stack(layers)

        return value

    def _apply(self, word: str, arguments: tuple, value: Evaluator):
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # a derivative of a number
        scheme = self.lines.problem.discretisation
        if word == lang.DIVERGENCE:
            # a coefficient goes on evenly into an obstacle, whatever the field does there
            wall = self._inner_wall(arguments[1])
            even = NO_FLUX if wall else None
            padded = [self._extended_value(argument, value) for argument in arguments]
            reads = [self._reader(p, w) for p, w in zip(padded, (even, wall), strict=True)]
            return stencil.divergence(*reads, self.grid, scheme.order)
        padded = self._extended_value(arguments[0], value)
        terms = scheme.terms(word, self.grid)
        if scheme.name == "conv":
            return conv.derivative(padded, self.grid, self.halo, terms)
        return stencil.derivative(self._reader(padded, self._inner_wall(arguments[0])), terms)

    def _inner_wall(self, inner: sympy.Expr) -> Wall | None:
        """The wall on the faces of obstacles for an expression; None where there are none."""
        if self.lines.problem.mask is None:
            return None
        symbols = self.lines.problem.equation.field_symbols
        return self.lines.problem.mask.walls[min(_fields_of(inner, symbols), default=0)]

    def _reader(self, padded: tf.Tensor, wall: Wall | None) -> stencil.Neighbour:
        """Neighbours of the interior cells, ghosts in place of those inside obstacles."""

        def plain(offsets):
            return stencil.shifted(padded, self.grid, self.halo, offsets)

        if wall is None:
            return plain
        mask, periodic = self.lines.problem.mask, self.lines.problem.boundary.periodic_axes
        solid = tf.constant(mask.padded(self.halo, periodic))
        centre = plain((0,) * self.grid.dimensions)
        ghost = 2.0 * float(wall.value) - centre if wall.kind == "dirichlet" else centre

        def masked(offsets):
            inside = stencil.shifted(solid, self.grid, self.halo, offsets)
            return tf.where(inside, ghost, plain(offsets))

        return masked

    def _extended_value(self, inner: sympy.Expr, value: Evaluator) -> tf.Tensor:
        lines, problem = self.lines, self.lines.problem
        if not lang.operators_in(inner):
            shape = tuple(n + 2 * self.halo for n in self.grid.shape)
            return lines.full(self.on_extended(inner), shape)
        index = min(_fields_of(inner, problem.equation.field_symbols), default=0)
        walls = [tuple(w.homogeneous for w in pair) for pair in problem.boundary.walls[index]]
        interior = lines.full(value(inner), self.grid.shape)
        return self._extend(interior, walls, lambda *_: None, nested=True)


def _kinds(boundary: Boundary, index: int) -> list:
    return [[(w.kind, w.a, w.b) for w in pair] for pair in boundary.walls[index]]


def _fields_of(expression: sympy.Expr, symbols: Sequence[sympy.Symbol]) -> set[int]:
    return {index for index, s in enumerate(symbols) if s in expression.free_symbols}


def _fields_inside_operators(formula: sympy.Expr, symbols) -> set[int]:
    return set().union(*(_fields_of(node, symbols) for node in lang.operators_in(formula)))
