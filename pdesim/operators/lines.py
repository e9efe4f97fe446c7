"""The method of lines: an equation on a grid as ``dU/dt = rhs(U, t)``, inside a TensorFlow trace.

One statement of each formula serves all discretisations: the evaluator walks it and asks here
for the value of an operator. What stands inside an operator is evaluated on the extended array
(ghost cells included) when it is pointwise; a nested operator gives interior values, which are
extended with homogeneous walls of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.boundary import Boundary, Wall
from pdesim.equation import Equation
from pdesim.formula import Evaluator, Library, library
from pdesim.formula import language as lang
from pdesim.grid import Grid
from pdesim.operators import conv, spectral, stencil
from pdesim.operators.catalogue import Discretisation, fourier_wavenumbers
from pdesim.operators.ghosts import extend


@dataclass(frozen=True)
class MethodOfLines:
    """The right-hand side of an equation, for tensors of shape ``(fields, *grid.shape)``.

    ``fused`` says that the trace is compiled by XLA: a barrier then keeps the ghost cells from
    being fused into the stencil, which would turn every read into a select (3x slower on CPUs).
    """

    equation: Equation
    grid: Grid
    boundary: Boundary
    discretisation: Discretisation
    dtype: tf.DType
    fused: bool
    parameters: Mapping[str, tf.Tensor] = field(default_factory=dict)

    def rhs(self, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """All right-hand sides, stacked like the state."""
        return self.evaluate(self.equation.formulas, state, time)

    def rest(self, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """What the linear constant-coefficient part leaves over (``equation.split.rest``)."""
        return self.evaluate(self.equation.split.rest, state, time)

    def evaluate(self, formulas: Sequence[sympy.Expr], state, time: tf.Tensor) -> tf.Tensor:
        """Some formulas in the fields at one state and time, stacked on the fields' axis.

        ``state`` is the stacked tensor, or a sequence of one tensor per field.
        """
        pass_ = _Pass(self, state, time, formulas)
        return self.stack([self._full(pass_.value(f), self.grid.shape) for f in formulas])

    def stack(self, fields: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.stack(fields, axis=self._field_axis)

    def unstack(self, state: tf.Tensor) -> list[tf.Tensor]:
        return tf.unstack(state, axis=self._field_axis)

    @property
    def _field_axis(self) -> int:
        return -1 - self.grid.dimensions

    def column(self, values: tf.Tensor) -> tf.Tensor:
        """One number per field, shaped to multiply a stacked state."""
        return tf.reshape(values, (-1, *[1] * self.grid.dimensions))

    def to_modes(self, state: tf.Tensor) -> tf.Tensor:
        return spectral.forward(state, self.grid)

    def to_state(self, modes: tf.Tensor) -> tf.Tensor:
        return spectral.backward(modes, self.grid)

    def couple(self, matrix: tf.Tensor, modes: tf.Tensor) -> tf.Tensor:
        """A matrix function of the linear part, applied to modes.

        ``matrix`` is ``(fields, *modes)`` where the linear part does not couple fields, else
        ``(fields, fields, *modes)``.
        """
        if matrix.shape.rank == self.grid.dimensions + 1:
            return spectral.multiply(matrix, modes)
        rows = tf.unstack(matrix, axis=0)
        return self.stack(
            [tf.reduce_sum(spectral.multiply(row, modes), axis=self._field_axis) for row in rows]
        )

    def _full(self, value, shape: tuple[int, ...]) -> tf.Tensor:
        """A value as an array over the grid, where it is a number or lies along some axes only."""
        value = tf.convert_to_tensor(value, self.dtype)
        if tuple(value.shape[-len(shape) :]) == shape:
            return value
        return tf.broadcast_to(value, tf.broadcast_static_shape(value.shape, tf.TensorShape(shape)))

    def separate(self, tensor: tf.Tensor) -> tf.Tensor:
        """Keep XLA from fusing across this point."""
        return xla.optimization_barrier(tensor)[0] if self.fused else tensor

    def places(self, halo: int) -> dict[str, object]:
        coordinates = self.grid.coordinates(halo, self.boundary.periodic_axes)
        return self._as_tensors(self.grid.places(coordinates))

    def _as_tensors(self, places: Mapping[str, object]) -> dict[str, object]:
        return {name: tf.constant(value, self.dtype) for name, value in places.items()}

    def wall_places(self, axis: int, side: int, halo: int) -> dict[str, object]:
        """Positions of the layer of ghost cells, the coordinate across it being the face's."""
        coordinates = {}
        for other, name in enumerate(self.grid.axes):
            # axes later in x, y, z order come earlier in the array and are extended already
            reach = halo if other > axis else 0
            centres = self.grid.centres(other, reach, self.boundary.is_periodic(other))
            coordinates[name] = self.grid.broadcast(other, centres)
        face = self.grid.origin[axis] + (self.grid.extent[axis] if side else 0.0)
        coordinates[self.grid.axes[axis]] = np.full((1,) * self.grid.dimensions, face)
        return self._as_tensors(coordinates)


class _Pass:
    """One evaluation of formulas at one state: extends each field once, transforms each once."""

    def __init__(self, lines: MethodOfLines, state, time, formulas) -> None:
        self.lines = lines
        self.stacked = state if isinstance(state, tf.Tensor) else None
        self.fields = state if self.stacked is None else lines.unstack(state)
        self.halo = lines.discretisation.halo
        self.using = tensor_library(lines.dtype)
        self.numbers = {**lines.parameters, "t": tf.cast(time, lines.dtype)}
        self._modes: dict[sympy.Basic, tf.Tensor] = {}
        symbols = lines.equation.field_symbols
        inside = set().union(*(_fields_inside_operators(f, symbols) for f in formulas))
        self.extended = {}
        if inside and not lines.discretisation.is_spectral:
            self.extended = self._extend_fields(sorted(inside))
        names = {name: self._field(i) for i, name in enumerate(lines.equation.fields)}
        self.value = Evaluator(
            {**lines.places(0), **self.numbers, **names}, self.using, self._apply
        )
        if self.extended:
            names = {**lines.places(self.halo), **self.numbers, **self.extended}
            self.on_extended = Evaluator(names, self.using)

    def _field(self, index: int) -> tf.Tensor:
        grid, name = self.lines.grid, self.lines.equation.fields[index]
        if name in self.extended:
            return stencil.shifted(self.extended[name], grid, self.halo)
        return self.fields[index]

    def _extend_fields(self, indices: list[int]) -> dict[str, tf.Tensor]:
        """Ghost cells for some fields: in one go where their walls are of one kind."""
        lines = self.lines
        walls = [_kinds(lines.boundary, index) for index in indices]
        groups = [indices] if all(w == walls[0] for w in walls) else [[i] for i in indices]
        extended = {}
        for group in groups:
            whole = self.stacked is not None and len(group) == len(self.fields)
            values = self.stacked if whole else lines.stack([self.fields[i] for i in group])
            padded = self._extend(values, lines.boundary.walls[group[0]], self._wall_value(group))
            for index, tensor in zip(group, lines.unstack(padded), strict=True):
                extended[lines.equation.fields[index]] = tensor
        return extended

    def _extend(self, values, walls, wall_value) -> tf.Tensor:
        lines = self.lines
        padded = extend(
            values, lines.grid, walls, self.halo, lines.discretisation.order, wall_value
        )
        return lines.separate(padded)

    def _wall_value(self, fields: list[int]):
        """The right-hand sides of the wall conditions of some fields, stacked as they are."""

        def value(_wall: Wall, axis: int, side: int):
            lines = self.lines
            walls = [lines.boundary.walls[index][axis][side] for index in fields]
            if all(wall.value == 0 for wall in walls):
                return None
            names = {**lines.wall_places(axis, side, self.halo), **self.numbers}
            shape = [n + 2 * self.halo if a > axis else n for a, n in enumerate(lines.grid.points)]
            shape[axis] = 1
            evaluate = Evaluator(names, self.using)
            layers = [lines._full(evaluate(wall.value), tuple(shape[::-1])) for wall in walls]
            return lines.stack(layers)

        return value

    def _apply(self, word: str, arguments: tuple, value: Evaluator):
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # a derivative of a number
        if self.lines.discretisation.is_spectral:
            return self._apply_spectral(word, arguments, value)
        if word == lang.DIVERGENCE:
            diffusivity, inner = (self._extended_value(a, value) for a in arguments)
            return stencil.divergence(diffusivity, inner, self.lines.grid)
        padded = self._extended_value(arguments[0], value)
        way = conv if self.lines.discretisation.name == "conv" else stencil
        order = self.lines.discretisation.order
        return way.derivative(padded, self.lines.grid, _terms(word, self.lines.grid), order)

    def _extended_value(self, inner: sympy.Expr, value: Evaluator) -> tf.Tensor:
        lines = self.lines
        shape = tuple(n + 2 * self.halo for n in lines.grid.shape)
        if not lang.operators_in(inner):
            if not self.extended:
                names = {**lines.places(self.halo), **self.numbers}
                return lines._full(Evaluator(names, self.using)(inner), shape)
            return lines._full(self.on_extended(inner), shape)
        index = min(_fields_of(inner, lines.equation.field_symbols), default=0)
        walls = [tuple(w.homogeneous for w in pair) for pair in lines.boundary.walls[index]]
        interior = lines._full(value(inner), lines.grid.shape)
        return self._extend(interior, walls, lambda *_: None)

    def _apply_spectral(self, word: str, arguments: tuple, value: Evaluator):
        grid = self.lines.grid
        if word == lang.DIVERGENCE:
            diffusivity, inner = arguments
            flux = [diffusivity * lang.operator(f"d_d{a}", inner) for a in grid.axes]
            parts = (lang.operator(f"d_d{a}", f) for a, f in zip(grid.axes, flux, strict=True))
            return value(sympy.Add(*parts))
        (inner,) = arguments
        if inner not in self._modes:
            full = self.lines._full(value(inner), grid.shape)
            self._modes[inner] = spectral.forward(full, grid)
        symbols = self.lines.discretisation.symbols(grid, fourier_wavenumbers(grid))
        if word == lang.LAPLACIAN:
            parts = [self._symbol(symbols[f"d2_d{a}2"]) for a in grid.axes]
            return spectral.backward(spectral.multiply(sum(parts), self._modes[inner]), grid)
        modes = spectral.multiply(self._symbol(symbols[word]), self._modes[inner])
        return spectral.backward(modes, grid)

    def _symbol(self, values: np.ndarray) -> tf.Tensor:
        complex_dtype = tf.complex128 if self.lines.dtype == tf.float64 else tf.complex64
        return tf.constant(values, complex_dtype if np.iscomplexobj(values) else self.lines.dtype)


def tensor_library(dtype: tf.DType) -> Library:
    """TensorFlow's functions for the evaluator; numbers become tensors of ``dtype``."""

    class Module:
        @staticmethod
        def where(condition, a, b):
            condition = tf.convert_to_tensor(condition)
            return tf.where(condition, *(tf.convert_to_tensor(v, dtype) for v in (a, b)))

        logical_and, logical_or = staticmethod(tf.logical_and), staticmethod(tf.logical_or)
        logical_not = staticmethod(tf.logical_not)

        def __getattr__(self, name):
            function = getattr(tf.math, name)
            return lambda *values: function(*(tf.convert_to_tensor(v, dtype) for v in values))

    return library(Module())


def _kinds(boundary: Boundary, index: int) -> list:
    return [[(w.kind, w.a, w.b) for w in pair] for pair in boundary.walls[index]]


def _terms(word: str, grid: Grid) -> list[tuple[int, int]]:
    if word == lang.LAPLACIAN:
        return [(axis, 2) for axis in range(grid.dimensions)]
    return [lang.DERIVATIVES[word]]


def _fields_of(expression: sympy.Expr, symbols: Sequence[sympy.Symbol]) -> set[int]:
    return {index for index, s in enumerate(symbols) if s in expression.free_symbols}


def _fields_inside_operators(formula: sympy.Expr, symbols) -> set[int]:
    return set().union(*(_fields_of(node, symbols) for node in lang.operators_in(formula)))
