"""Ghost cells beyond boundaries that are not periodic, in flat arrays.

Ghost cells of periodic axes are copied from the other end of the grid, for several steps at a time
(:mod:`pdesim.engine.flat.layout`). Beyond all other boundaries, they follow from the boundary
condition and the interior cells next to it. They are computed again before every right-hand side
and written in place, so that the cost is proportional to the number of ghost cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine.flat.layout import FlatLayout
from pdesim.formula import Evaluator
from pdesim.model.boundary_conditions import BoundaryCondition
from pdesim.operators.ghost_cells import condition_kinds, ghost_layers
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.position_parts import evaluate_position

#: for each field of an array, its index in the equation, or None if its ghost cells are not read
Fields = Sequence["int | None"]


@dataclass(frozen=True)
class Place:
    """The indices of the first interior cell of a flat array, along the first and the last axis.

    They are integers, or scalar tensors if one program is used for arrays at several places.
    """

    row: Any = 0
    column: Any = 0


@dataclass(frozen=True)
class _Strip:
    """New values of ghost cells, and the index at which they begin in an array on the grid."""

    values: tf.Tensor
    begin: Sequence[int]


@dataclass(frozen=True)
class Walls:
    """The ghost cells beyond the boundaries of the domain, for flat arrays at one place.

    Args:
        layout: the layout of the arrays.
        method: the method of lines, with parameters shaped to broadcast against a field on the
            grid.
        opaque_nonnegative: a nonnegative number whose sign is unknown to the compiler.
    """

    layout: FlatLayout
    method: MethodOfLines
    place: Place
    opaque_nonnegative: tf.Tensor

    def fill(self, array: tf.Tensor, fields: Sequence[int | None], time: Any) -> tf.Tensor:
        """Return an array whose ghost cells satisfy the boundary conditions at a given time.

        Args:
            array: an array ``(..., len(fields), cells)`` that consists of complete rows.
            fields: for each field of the array, its index in the equation, or None for a field
                whose neighbours are not read.
        """
        boundary = self.layout.problem.boundary

        def strips(view: tf.Tensor, axis: int, fields: Fields) -> list[_Strip]:
            return [
                self._extrapolated(view, axis, side, start, group, time)
                for side in (0, 1)
                for start, group in _groups(boundary.walls, fields, axis, side)
            ]

        return self._along(array, self.layout.extrapolated_axes, fields, strips)

    def reflect(self, array: tf.Tensor, fields: Sequence[int]) -> tf.Tensor:
        """Return an array with mirror images of interior cells in the ghost cells of its sides.

        Args:
            fields: for each field of the array, its index in the equation.
        """

        def strips(view: tf.Tensor, axis: int, fields: Fields) -> list[_Strip]:
            return [self._mirrored(view, axis, side, fields) for side in (0, 1)]

        return self._along(array, list(self.layout.reflections), fields, strips)

    def exchange(self, array: tf.Tensor, fields: Sequence[int] | None) -> tf.Tensor:
        """Return an array with copies beyond periodic sides, and mirror images as in ``reflect``.

        Args:
            fields: for each field of the array, its index in the equation; None if unknown.
        """
        layout, boundary = self.layout, self.layout.problem.boundary
        images = layout.reflections if fields is not None else {}
        axes = [a for a, wraps in enumerate(boundary.periodic_axes) if wraps or a in images]

        def strips(view: tf.Tensor, axis: int, fields: Fields) -> list[_Strip]:
            if axis in images:
                return [self._mirrored(view, axis, side, fields) for side in (0, 1)]
            return [self._wrapped(view, axis, side) for side in (0, 1)]

        return self._along(array, axes, fields or [0] * array.shape[-2], strips)

    def _along(
        self,
        array: tf.Tensor,
        axes: Sequence[int],
        fields: Fields,
        strips: Callable[..., list[_Strip]],
    ) -> tf.Tensor:
        """Return an array with new ghost cells beyond both sides of axes.

        The axes are processed in the order of array axes, so that corners follow from the ghost
        cells of preceding axes.

        Args:
            fields: for each field of the array, its index in the equation, or None.
            strips: returns the new ghost cells of an axis, from the array on the grid.
        """
        if self.method.for_gpu and len(fields) > 1:
            # every field has an array of its own
            each = zip(tf.split(array, len(fields), axis=-2), fields, strict=True)
            return tf.concat([self._along(one, axes, [f], strips) for one, f in each], axis=-2)
        last = self.layout.problem.grid.dimensions - 1
        shape = (*array.shape[:-1], array.shape[-1] // self.layout.row, *self.layout.row_shape)
        rows: list[_Strip] = []
        if last in axes:
            view = tf.reshape(array, shape)
            rows = [self._flat(strip) for strip in strips(view, last, fields)]
        array = self._written(array, rows)
        if not set(axes) - {last}:
            return array
        view = tf.reshape(array, shape)
        for axis in sorted(set(axes) - {last}, reverse=True):
            view = self._written(view, strips(view, axis, fields))
        return self._written(tf.reshape(view, array.shape), [])

    def _flat(self, strip: _Strip) -> _Strip:
        """Return a strip of complete rows as a strip of a flat array."""
        lead = len(strip.begin) - len(self.layout.row_shape) - 1
        values = tf.reshape(strip.values, (*strip.values.shape[:lead], -1))
        return _Strip(values, [*strip.begin[:lead], strip.begin[lead] * self.layout.row])

    def _written(self, array: tf.Tensor, strips: Sequence[_Strip]) -> tf.Tensor:
        """Return an array with new values, written in place.

        XLA writes in place only if no other operation reads the array at the same time. A loop of
        one iteration, whose number of iterations is unknown to the compiler, separates the kernels
        that read the array, before and after the loop, from those that write to it.
        """
        if self.method.for_gpu:
            return _written_by_kernels(array, strips)
        strips = strips or [_touch(array)]
        once = tf.minimum(self.opaque_nonnegative + 1, 1)

        def write(count: tf.Tensor, array: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            for strip in strips:
                array = xla.dynamic_update_slice(array, strip.values, tf.constant(strip.begin))
            return count + 1, array

        return tf.while_loop(lambda count, _: count < once, write, (tf.zeros_like(once), array))[1]

    def _extrapolated(
        self, view: tf.Tensor, axis: int, side: int, start: int, fields: Sequence[int], time: Any
    ) -> _Strip:
        """Return the ghost cells of some fields on one side of an axis, from their conditions.

        Args:
            view: the array on the grid.
            start: the index of the first of these fields in the array.
        """
        problem, rank = self.layout.problem, view.shape.rank
        grid, halo, where = problem.grid, problem.halo, rank - 1 - axis
        field_axis, interior = rank - 1 - grid.dimensions, self._interior(axis)
        first = (view.shape[where] - interior) // 2

        def layers(begin: int, count: int) -> tf.Tensor:
            index = [slice(None)] * rank
            index[field_axis] = slice(start, start + len(fields))
            index[where] = slice(begin, begin + count)
            return view[tuple(index)]

        def cell(number: int) -> tf.Tensor:
            return layers(first + (interior - 1 - number if side else number), 1)

        def value(_wall: BoundaryCondition, _axis: int, _side: int, part: str = "value") -> Any:
            walls = [problem.boundary.walls[field][axis][side] for field in fields]
            formulas = [getattr(wall, part) for wall in walls]
            if all(formula == 0 for formula in formulas):
                return None
            shape = list(view.shape[field_axis + 1 :])
            evaluate = self._on_face(shape, axis, side, time)
            shape[where - field_axis - 1] = 1
            values = [self.method.full(evaluate(formula), tuple(shape)) for formula in formulas]
            return self.method.stack(values)

        wall = problem.boundary.walls[fields[0]][axis][side]
        order = problem.discretisation.order
        ghosts = ghost_layers(cell, wall, grid, axis, side, halo, order, value)
        values = tf.concat(ghosts[::-1] if side == 0 else ghosts, axis=where)
        index = [0] * rank
        index[field_axis], index[where] = start, first + interior if side else first - halo
        return self._beyond(axis, side, values, layers(index[where], halo), index)

    def _mirrored(self, view: tf.Tensor, axis: int, side: int, fields: Fields) -> _Strip:
        """Return all ghost cells on one side of an axis, as mirror images of interior cells."""
        rank, dimensions = view.shape.rank, self.layout.problem.grid.dimensions
        where, interior = rank - 1 - axis, self._interior(axis)
        count = (view.shape[where] - interior) // 2

        def layers(begin: int) -> tf.Tensor:
            index = [slice(None)] * rank
            index[where] = slice(begin, begin + count)
            return view[tuple(index)]

        images = tf.reverse(layers(interior if side else count), [where])
        of_field = self.layout.reflections[axis][side]
        signs = [1 if field is None else of_field[field] for field in fields]
        if -1 in signs:
            images = images * tf.reshape(tf.constant(signs, view.dtype), (-1, *[1] * dimensions))
        index = [0] * rank
        index[where] = count + interior if side else 0
        return self._beyond(axis, side, images, layers(index[where]), index)

    def _wrapped(self, view: tf.Tensor, axis: int, side: int) -> _Strip:
        """Return all ghost cells on one side of a periodic axis, as copies of interior cells."""
        rank, interior = view.shape.rank, self._interior(axis)
        where = rank - 1 - axis
        count = (view.shape[where] - interior) // 2
        index: list[Any] = [slice(None)] * rank
        index[where] = slice(count, 2 * count) if side else slice(interior, interior + count)
        begin = [0] * rank
        begin[where] = count + interior if side else 0
        return _Strip(view[tuple(index)], begin)

    def _beyond(
        self, axis: int, side: int, new: tf.Tensor, old: tf.Tensor, begin: Sequence[int]
    ) -> _Strip:
        """Return new ghost cells, or the old ones if the array does not extend to the side."""
        on_side = self._on_side(axis, side)
        if on_side is False:
            return _Strip(old, begin)
        return _Strip(new if on_side is True else tf.where(on_side, new, old), begin)

    def _interior(self, axis: int) -> int:
        """Return the number of interior cells of the array along an axis."""
        grid, layout = self.layout.problem.grid, self.layout
        if axis == grid.dimensions - 1:
            return layout.rows
        return layout.width or grid.points[axis]

    def _on_side(self, axis: int, side: int) -> Any:
        """Whether the array extends to one side of the domain: a bool, or a boolean tensor."""
        grid, interior = self.layout.problem.grid, self._interior(axis)
        if interior == grid.points[axis]:
            return True
        first = self._first(axis)
        last = grid.points[axis] - interior
        if isinstance(first, int):
            return first == (last if side else 0)
        return tf.equal(first, last if side else 0)

    def _first(self, axis: int) -> Any:
        """Return the index of the first interior cell of the array along an axis."""
        if axis == self.layout.problem.grid.dimensions - 1:
            return self.place.row
        return self.place.column if self.layout.width else 0

    def _on_face(self, shape: Sequence[int], axis: int, side: int, time: Any) -> Any:
        """Return a function that evaluates formulas of position and time on a face.

        Args:
            shape: the shape of the array on the grid, ghost cells included.
        """
        method, grid = self.method, self.layout.problem.grid
        boundary, coordinates = self.layout.problem.boundary, {}
        begin, size = [0] * grid.dimensions, [1] * grid.dimensions
        reach = max([self.layout.ghosts, *self.layout.columns])
        for other, name in enumerate(grid.axes):
            place = grid.array_axis(other)
            centres = grid.centres(other, reach, boundary.is_periodic(other))
            begin[place] = self._first(other) + reach - (shape[place] - self._interior(other)) // 2
            size[place] = shape[place]
            coordinates[name] = grid.broadcast(other, centres)
        face = grid.origin[axis] + (grid.extent[axis] if side else 0.0)
        coordinates[grid.axes[axis]] = np.full((1,) * grid.dimensions, face)
        if isinstance(time, tf.Tensor) and time.shape.rank:
            time = tf.reshape(time, (-1, *[1] * grid.dimensions))

        def part_of(values: np.ndarray) -> tf.Tensor:
            constant = values.shape
            first = [b if n > 1 else 0 for b, n in zip(begin, constant, strict=True)]
            length = [s if n > 1 else 1 for s, n in zip(size, constant, strict=True)]
            return tf.slice(tf.constant(values, method.dtype), first, length)

        def evaluate(formula: Any) -> Any:
            # with_time_parts determines which subexpressions the result of values contains
            formula = method.with_time_parts(formula)
            formula, parts = evaluate_position(formula, coordinates)
            names = {name: part_of(values) for name, values in {**coordinates, **parts}.items()}
            return Evaluator({**names, **method.values(time)}, method.library)(formula)

        return evaluate


def _written_by_kernels(array: tf.Tensor, strips: Sequence[_Strip]) -> tf.Tensor:
    """Return an array with new values, which are computed by one kernel and written by others."""
    if not strips:
        return array
    values = xla.optimization_barrier(*[strip.values for strip in strips])
    for strip, one in zip(strips, values, strict=True):
        array = xla.dynamic_update_slice(array, one, tf.constant(strip.begin))
    return xla.optimization_barrier(array)[0]


def _touch(array: tf.Tensor) -> _Strip:
    """Return a new value for the first cell of an array, a ghost cell that is never read.

    Writing it separates the kernels before and after it: XLA generates fast code only for an array
    that is flat when it is stored, and writes in place only if it is not reshaped by the kernel.
    """
    return _Strip(-array[..., :1], [0] * array.shape.rank)


def touched(array: tf.Tensor) -> tf.Tensor:
    """Return an array with another value in its first cell, a ghost cell that is never read.

    A loop that carries the result does not contain the array as a constant: XLA would otherwise
    evaluate arithmetic with a constant array before the loop, and store the results.
    """
    strip = _touch(array)
    return xla.dynamic_update_slice(array, strip.values, tf.constant(strip.begin))


def _groups(
    walls: Any, fields: Sequence[int | None], axis: int, side: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield the fields whose conditions on a side are of the same kind, in successive groups.

    Yields:
        The index of the first field of the group in ``fields``, and the fields of the group.
    """
    group: list[int] = []
    for index, field in enumerate([*fields, None]):
        kinds = None if field is None else condition_kinds(walls[field][axis][side])
        if group and (field is None or kinds != condition_kinds(walls[group[0]][axis][side])):
            yield index - len(group), group
            group = []
        if field is not None:
            group = [*group, field]
