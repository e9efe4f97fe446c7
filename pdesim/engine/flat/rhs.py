"""Right-hand sides on flat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import sympy
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine.flat.layout import FlatLayout, aligned, middle
from pdesim.engine.flat.position_arrays import MASK
from pdesim.engine.flat.walls import Place, Walls
from pdesim.engine.stored import Fill
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.metric import CELL
from pdesim.model.boundary_conditions import NO_FLUX, BoundaryCondition
from pdesim.operators import stencil
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.position_parts import without_position
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class FlatRightHandSide:
    """The right-hand side on flat fields.

    Results of formulas with operators are shorter by ``layout.margin`` cells at both ends.

    Args:
        method: the method of lines, with parameters shaped to broadcast against one flat field.
        opaque_nonnegative: a nonnegative number whose sign is unknown to the compiler.
        place: the position of the arrays in the grid.
        on_grid: the method of lines, with parameters shaped for fields on the grid.
        arrays: the arrays that depend on position only, by name, as flat fields.
        parts: the subexpressions of the formulas that these arrays replace, by name.
    """

    layout: FlatLayout
    method: MethodOfLines
    opaque_nonnegative: tf.Tensor
    place: Place
    on_grid: MethodOfLines
    arrays: Mapping[str, tf.Tensor] = field(default_factory=dict)
    parts: Mapping[str, sympy.Basic] = field(default_factory=dict)
    _conditions: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def problem(self) -> Problem:
        return self.layout.problem

    def rhs(self, state: tf.Tensor, time: Any) -> tf.Tensor:
        """Return all right-hand sides, stacked like the state."""
        return self.evaluate(self.problem.equation.formulas, self.unstack(state), time)

    def evaluate(
        self, formulas: Sequence[sympy.Expr], fields: Sequence[tf.Tensor], time: Any
    ) -> tf.Tensor:
        """Evaluate formulas of the fields and stack the results like fields."""
        formulas = [self.method.prepared(formula) for formula in formulas]
        formulas = [without_position(self.problem, formula) for formula in formulas]
        values, library = self.method.values(time), self.method.library
        grid = self.problem.grid
        lengths = {f"L{axis}": n for axis, n in zip(grid.axes, grid.extent, strict=True)}
        values = {**lengths, CELL.name: grid.spacing[0], **values}
        fields = aligned(*fields)
        length = fields[0].shape[-1]
        around = dict(zip(self.problem.equation.fields, fields, strict=True))
        around |= {name: middle(array, length) for name, array in self.arrays.items()}
        if not any(lang.operators_in(formula) for formula in formulas):
            value = Evaluator({**values, **around}, library)
            return self._stack_to([value(f) for f in formulas], fields[0].shape)
        length -= 2 * self.layout.margin
        on_extended = Evaluator({**values, **around}, library)

        def apply(word: str, arguments: tuple, _value: Evaluator) -> Any:
            return self._apply(word, arguments, on_extended)

        centre = {name: middle(field, length) for name, field in around.items()}
        value = Evaluator({**values, **centre}, library, apply)
        return self._stack_to([value(f) for f in formulas], (*fields[0].shape[:-1], length))

    @property
    def fill(self) -> Fill | None:
        """The function that computes ghost cells from boundary conditions; None if not needed."""
        return self._walls.fill if self.layout.extrapolated_axes else None

    @property
    def _walls(self) -> Walls:
        return Walls(self.layout, self.on_grid, self.place, self.opaque_nonnegative)

    def reflected(self, array: tf.Tensor, fields: Sequence[int] | None) -> tf.Tensor:
        """Return an array with mirror images beyond the sides about which the state is symmetric.

        Args:
            fields: for each field of the array, its index in the equation.
        """
        if not self.layout.reflections or fields is None:
            return array
        return self._walls.reflect(array, fields)

    def exchanged(self, array: tf.Tensor, fields: Sequence[int] | None) -> tf.Tensor:
        """Return an array whose ghost cells are copies or mirror images of interior cells.

        Args:
            fields: for each field of the array, its index in the equation.
        """
        return self._walls.exchange(array, fields)

    def fields_with_neighbors(self, formulas: Sequence[sympy.Expr]) -> list[int]:
        """Return the indices of the fields in the arguments of operators."""
        nodes = [node for formula in formulas for node in lang.operators_in(formula)]
        arguments = set().union(*(node.free_symbols for node in nodes))
        fields = self.problem.equation.field_symbols
        return [index for index, field in enumerate(fields) if field in arguments]

    def stack(self, fields: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.stack(aligned(*fields), axis=-2)

    def unstack(self, state: tf.Tensor) -> list[tf.Tensor]:
        return tf.unstack(state, axis=-2)

    def column(self, values: tf.Tensor) -> tf.Tensor:
        """Return one value per field (and member), shaped to multiply a flat state."""
        return tf.reshape(values, (*values.shape, 1))

    def stored(self, values: Any) -> Any:
        """Return the tensors, stored in memory.

        XLA would otherwise compute them again for each neighbour.
        """
        if self.method.for_gpu:
            return self._stored_by_field(values)
        # every condition is different, since XLA merges conditionals with equal conditions
        true = self.opaque_nonnegative > -next(self._conditions)
        zeros = partial(tf.nest.map_structure, tf.zeros_like, values)
        return tf.cond(true, lambda: values, zeros)

    def _stored_by_field(self, values: Any) -> Any:
        """Return the tensors, with each field in an array of its own.

        XLA computes several arrays of equal shape in one kernel, which reads each input once.
        """
        parts = [tf.split(part, part.shape[-2], axis=-2) for part in tf.nest.flatten(values)]
        flat = iter(xla.optimization_barrier(*[field for part in parts for field in part]))
        parts = [tf.concat([next(flat) for _ in part], axis=-2) for part in parts]
        return tf.nest.pack_sequence_as(values, parts)

    def _stack_to(self, values: list, shape: Sequence[int]) -> tf.Tensor:
        """Return values of formulas as one array; they are 0 inside obstacles."""
        tensors = [tf.convert_to_tensor(value, self.method.dtype) for value in values]
        full = [t if t.shape == shape else tf.broadcast_to(t, shape) for t in tensors]
        rates = tf.stack(full, axis=-2)
        if MASK not in self.arrays:
            return rates
        solid = middle(self.arrays[MASK], rates.shape[-1]) > 0.5
        return tf.where(solid, tf.zeros_like(rates), rates)

    def _apply(self, word: str, arguments: tuple, on_extended: Evaluator) -> Any:
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # the derivative of a constant
        grid, scheme = self.problem.grid, self.problem.discretisation
        wall = self._obstacle_condition(arguments[-1])
        if not lang.has_flux_form(word):
            read = self._reader(on_extended(arguments[0]), wall)
            return stencil.derivative(read, scheme.terms(word, grid))
        # coefficients are even about the faces of obstacles for all conditions of the field
        even = NO_FLUX if wall else None
        diffusivity = self._reader(on_extended(arguments[0]), even)
        inner = self._reader(on_extended(arguments[1]), wall)
        axes = lang.flux_axes(word, grid.dimensions)
        harmonic = [None] * grid.dimensions if self._has_harmonic_mean(arguments[0]) else None
        return stencil.divergence(diffusivity, inner, grid, scheme.order, axes, harmonic)

    def _has_harmonic_mean(self, diffusivity: sympy.Expr) -> bool:
        if isinstance(diffusivity, sympy.Symbol) and diffusivity.name in self.parts:
            diffusivity = self.parts[diffusivity.name]
        return self.problem.has_harmonic_mean(diffusivity)

    def _obstacle_condition(self, inner: sympy.Expr) -> BoundaryCondition | None:
        """Return the condition of an expression on obstacles; None if there are no obstacles."""
        mask, fields = self.problem.mask, self.problem.equation.field_symbols
        if mask is None:
            return None
        indices = (n for n, field in enumerate(fields) if field in inner.free_symbols)
        return mask.walls[min(indices, default=0)]

    def _reader(self, values: Any, wall: BoundaryCondition | None) -> stencil.Neighbour:
        """Return a function that returns the values of neighbours at given offsets.

        Neighbours inside obstacles have ghost values that satisfy the condition ``wall``.
        """
        values = tf.convert_to_tensor(values, self.method.dtype)
        if not values.shape.rank or values.shape[-1] == 1:
            return lambda offsets: values  # uniform
        if wall is None:
            return lambda offsets: self._shifted(values, offsets)
        solid = middle(self.arrays[MASK], values.shape[-1])
        centre = self._shifted(values, (0,) * self.problem.grid.dimensions)
        ghost = 2.0 * float(wall.value) - centre if wall.kind == "dirichlet" else centre

        def masked(offsets: tuple[int, ...]) -> tf.Tensor:
            inside = self._shifted(solid, offsets) > 0.5
            return tf.where(inside, ghost, self._shifted(values, offsets))

        return masked

    def _shifted(self, values: tf.Tensor, offsets: tuple[int, ...]) -> tf.Tensor:
        """Return the values of neighbours, for all cells but the margin at both ends."""
        margin = self.layout.margin
        begin = margin + self.layout.shift(offsets)
        return values[..., begin : begin + values.shape[-1] - 2 * margin]
