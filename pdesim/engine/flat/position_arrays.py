"""Arrays that depend on position only: coefficients, sources and obstacles, with ghost cells.

They are computed once per call of the step loop and have the layout of the state, with all ghost
cells, so that the kernels of a step read them like another field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy
import tensorflow as tf

from pdesim.engine.flat.layout import FlatLayout
from pdesim.engine.step import StepContext
from pdesim.formula import language as lang
from pdesim.operators import argument_sides
from pdesim.operators.finite_differences import Differences
from pdesim.operators.position_parts import position_parts

#: the name of the array that is 1 inside obstacles and 0 elsewhere
MASK = "mask"


@dataclass(frozen=True)
class PositionArrays:
    """The arrays of a problem and a stepper for one layout of the complete grid.

    Args:
        layout: the layout, whose ghost cells the arrays have on all sides.
    """

    context: StepContext
    layout: FlatLayout

    @cached_property
    def parts(self) -> dict[str, Any]:
        """The subexpressions of the formulas that depend on position only, by name."""
        formulas = map(self.context.system({}).prepared, self.context.cost.formulas)
        return position_parts(self.context.problem, formulas)

    @property
    def names(self) -> list[str]:
        """The names of the arrays, in the order in which they are stacked."""
        return [*self.parts, *([] if self.context.problem.mask is None else [MASK])]

    @cached_property
    def compiled(self) -> Any:
        """:meth:`on_grid` as a compiled function."""
        return self.context.compiled(self.on_grid)

    def passed_to(self, trace: Callable, index: int) -> Any:
        """Return a loop as a compiled function, with the arrays as a further, last argument.

        The loop is compiled as it is if there are no arrays.

        Args:
            index: the index of the argument of ``trace`` that contains the parameters.
        """
        traced = self.context.compiled(trace)

        def call(*arguments: Any) -> Any:
            return traced(*arguments, self.compiled(arguments[index]))

        return call if self.names else traced

    def on_grid(self, parameters: Any) -> tf.Tensor | None:
        """Return the arrays with ghost cells, ``(..., arrays, *grid shape)``; None without arrays.

        Members whose parameters differ are the first axis.
        """
        if not self.names:
            return None
        method = self.context.system(parameters)
        state = [tf.zeros((), method.dtype)] * len(self.context.problem.equation.fields)
        differences = Differences(method, state, None, tf.zeros((), tf.float64), [])
        values = [self._with_ghosts(*self._part(differences, part)) for part in self.parts.values()]
        mask = self.context.problem.mask
        if mask is not None:
            halo, periodic = differences.halo, self.context.problem.boundary.periodic_axes
            solid = tf.constant(mask.padded(halo, periodic), method.dtype)
            values.append(self._with_ghosts(solid, halo))
        shape = tf.TensorShape(())
        for value in values:
            shape = tf.broadcast_static_shape(shape, value.shape)
        return method.stack([tf.broadcast_to(value, shape) for value in values])

    def _part(self, differences: Differences, part: sympy.Expr) -> tuple[tf.Tensor, int]:
        """Return the values of a subexpression, and the number of its ghost cells on each side.

        A diffusivity has the ghost cells that the plain form computes for it; for all other
        subexpressions, ghost cells beyond boundaries are not needed.
        """
        method, shape = differences.system, self.context.problem.grid.shape
        if part in self._diffusivities:
            sides = argument_sides.conditions(self.context.problem, part)
            return differences.coefficient(part, sides), differences.halo
        return _on(shape, differences.value(part), method.dtype), 0

    @cached_property
    def _diffusivities(self) -> set[sympy.Expr]:
        """The subexpressions that are complete first arguments of fluxes."""
        formulas = map(self.context.system({}).prepared, self.context.cost.formulas)
        nodes = [node for formula in formulas for node in lang.operators_in(formula)]
        return {node.args[0] for node in nodes if lang.has_flux_form(lang.word_of(node))}

    def _with_ghosts(self, values: tf.Tensor, halo: int) -> tf.Tensor:
        """Return values on the grid with the ghost cells of the layout.

        Args:
            values: an array ``(..., *grid.shape)`` with ``halo`` ghost cells on each side.
        """
        grid = self.context.problem.grid
        for axis, points in enumerate(grid.points):
            last = axis == grid.dimensions - 1
            count = self.layout.ghosts if last else self.layout.columns[axis]
            index = np.arange(-count, points + count)
            if axis in self.layout.reflections:
                index = index % (2 * points)
                index = np.where(index < points, index, 2 * points - 1 - index)
            elif self.context.problem.boundary.is_periodic(axis):
                index = index % points
            else:
                index = np.clip(index, -halo, points + halo - 1)
            values = tf.gather(values, index + halo, axis=values.shape.rank - 1 - axis)
        return values

    def named(self, arrays: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Return flat arrays by name, each with the shape of a flat field."""
        if arrays is None:
            return {}
        return dict(zip(self.names, tf.unstack(arrays, axis=-2), strict=True))

    def rows(
        self, arrays: tf.Tensor | None, start: int, rows: int, layout: FlatLayout
    ) -> tf.Tensor | None:
        """Return some rows with the ghost cells of a layout with at most as many, as flat arrays.

        Args:
            arrays: the result of :meth:`on_grid`.
            start: the index of the first row.
            rows: the number of rows without ghost cells.
        """
        if arrays is None:
            return None
        begin = self.layout.ghosts - layout.ghosts + start
        index = [slice(begin, begin + rows + 2 * layout.ghosts)]
        for mine, others in zip(self.layout.columns[::-1], layout.columns[::-1], strict=True):
            index.append(slice(mine - others, None if mine == others else others - mine))
        selected = arrays[(..., *index)]
        return tf.reshape(selected, (*arrays.shape[: -len(index)], -1))


def _on(shape: Sequence[int], value: Any, dtype: tf.DType) -> tf.Tensor:
    """Return a value that broadcasts over the grid as an array on the grid."""
    value = tf.convert_to_tensor(value, dtype)
    return tf.broadcast_to(value, tf.broadcast_static_shape(value.shape, tf.TensorShape(shape)))
