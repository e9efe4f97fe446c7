"""Right-hand sides on flat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import sympy
import tensorflow as tf

from pdesim.engine.flat.layout import FlatLayout, aligned, middle
from pdesim.engine.flat.walls import Place, Walls
from pdesim.engine.stored import Fill
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.operators import stencil
from pdesim.operators.method_of_lines import MethodOfLines
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
    """

    layout: FlatLayout
    method: MethodOfLines
    opaque_nonnegative: tf.Tensor
    place: Place
    on_grid: MethodOfLines
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
        formulas = [self.method.with_time_parts(formula) for formula in formulas]
        values, library = self.method.values(time), self.method.library
        fields = aligned(*fields)
        around = dict(zip(self.problem.equation.fields, fields, strict=True))
        length = fields[0].shape[-1]
        if not any(lang.operators_in(formula) for formula in formulas):
            value = Evaluator({**values, **around}, library)
            return self._stack_to([value(f) for f in formulas], (*fields[0].shape[:-1], length))
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
        # every condition is different, since XLA merges conditionals with equal conditions
        true = self.opaque_nonnegative > -next(self._conditions)
        zeros = partial(tf.nest.map_structure, tf.zeros_like, values)
        return tf.cond(true, lambda: values, zeros)

    def _stack_to(self, values: list, shape: tuple[int, ...]) -> tf.Tensor:
        tensors = [tf.convert_to_tensor(value, self.method.dtype) for value in values]
        full = [t if tuple(t.shape) == shape else tf.broadcast_to(t, shape) for t in tensors]
        return tf.stack(full, axis=-2)

    def _apply(self, word: str, arguments: tuple, on_extended: Evaluator) -> Any:
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # the derivative of a constant
        grid, scheme = self.problem.grid, self.problem.discretisation
        reads = [self._reader(on_extended(argument)) for argument in arguments]
        if lang.has_flux_form(word):
            axes = lang.flux_axes(word, grid.dimensions)
            diffusivity, inner = reads
            return stencil.divergence(diffusivity, inner, grid, scheme.order, axes)
        return stencil.derivative(reads[0], scheme.terms(word, grid))

    def _reader(self, values: Any) -> stencil.Neighbour:
        values = tf.convert_to_tensor(values, self.method.dtype)
        if not values.shape.rank or values.shape[-1] == 1:
            return lambda offsets: values  # uniform
        margin = self.layout.margin
        length = values.shape[-1] - 2 * margin

        def neighbour(offsets: tuple[int, ...]) -> tf.Tensor:
            begin = margin + self.layout.shift(offsets)
            return values[..., begin : begin + length]

        return neighbour
