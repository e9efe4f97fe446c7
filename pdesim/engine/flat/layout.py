"""States as flat arrays: contiguous rows with ghost cells on every side.

On CPUs, XLA generates the fastest code for sums of shifted reads of one flat array, without a
select for each neighbour. Rows are therefore contiguous and have ghost cells at both ends, so that
each neighbour is at a fixed distance in the array. There are enough ghost cells for several steps.
Each right-hand side makes the outermost valid ghost cells invalid. It also reads across the ends of
rows, which affects ghost cells only. A small grid is stored as one array; larger grids are divided
into ``slabs``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.formula import language as lang
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class FlatLayout:
    """Flat arrays ``(..., fields, cells)`` of a state ``(..., fields, *grid.shape)``.

    Args:
        depth: the number of chained right-hand sides in one step.
        steps: the number of steps per exchange of ghost cells.
        columns: the number of ghost cells at both ends of the axes x, y, z, except for the last
            axis, which is divided into rows.
        rows: the number of cells along the first array axis, without ghost cells.
        width: the number of cells of a tile along the second array axis; None for complete rows.
        exchange_cost: the cost of an exchange of ghost cells, in units of a right-hand side.
        reflections: the axes beyond whose sides ghost cells are mirror images of interior cells,
            with the signs of all fields (:func:`pdesim.operators.mirror.reflections`).
    """

    problem: Problem
    depth: int
    steps: int
    columns: tuple[int, ...]
    rows: int
    width: int | None = None
    exchange_cost: float = 1.0
    reflections: Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def extrapolated_axes(self) -> list[int]:
        """The axes beyond whose sides ghost cells follow from boundary conditions.

        They are computed before every right-hand side. All other ghost cells are copies or mirror
        images of interior cells, which the step itself computes, like interior cells.
        """
        periodic = self.problem.boundary.periodic_axes
        return [a for a, wraps in enumerate(periodic) if not wraps and a not in self.reflections]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Cells along all array axes but the first, ghost cells included."""
        cells = (self.width,) if self.width else self.problem.grid.points[:-1]
        return tuple(n + 2 * c for n, c in zip(cells, self.columns, strict=True))[::-1]

    @property
    def row(self) -> int:
        """The number of cells per index of the first array axis: one cell, a row, or a plane."""
        return math.prod(self.row_shape)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """The distance between neighbours along x, y, z, in cells."""
        return tuple(
            math.prod(self.row_shape[::-1][:axis]) for axis in range(len(self.row_shape) + 1)
        )

    @cached_property
    def margin(self) -> int:
        """The number of cells at both ends that lack neighbours for a right-hand side."""
        problem, scheme = self.problem, self.problem.discretisation
        nodes = [node for f in problem.equation.formulas for node in lang.operators_in(f)]
        words = {word for word in map(lang.word_of, nodes) if not lang.has_flux_form(word)}
        offsets = [self.shift(o) for word in words for o in scheme.terms(word, problem.grid)]
        margin = max(problem.halo * self.row, *offsets, 0)
        if not self.extrapolated_axes:
            return margin
        # ghost cells are extrapolated in arrays of complete rows
        return -(-margin // self.row) * self.row

    @property
    def ghosts(self) -> int:
        """The number of rows of ghost cells on each side before the first step.

        One row remains after the last step.
        """
        return -(-self.steps * self.depth * self.margin // self.row) + 1

    @property
    def fits(self) -> bool:
        """Whether the grid has at least as many rows and columns as there are ghost cells."""
        points = self.problem.grid.points
        return self.ghosts <= self.rows and all(
            c <= n for c, n in zip(self.columns, points[:-1], strict=True)
        )

    @property
    def cost(self) -> float:
        """The cost of a right-hand side relative to one without ghost cells.

        The cost of an exchange, divided by the number of right-hand sides between two exchanges, is
        included.
        """
        wider = self.row / math.prod(self.problem.grid.shape[1:])
        longer = 1 + self.ghosts / self.rows  # on average, half of the ghost rows are computed
        return wider * longer + self.exchange_cost / (self.steps * self.depth)

    @property
    def full_width(self) -> FlatLayout:
        """The layout of the same rows in full width."""
        return replace(self, width=None)

    def with_steps_per_exchange(self, steps: int) -> FlatLayout:
        """Return the layout with ghost cells for a number of steps."""
        problem, columns = self.problem, []
        for axis in range(problem.grid.dimensions - 1):
            once = axis in self.extrapolated_axes and not self.width
            columns.append(problem.halo * (1 if once else steps * self.depth))
        return replace(self, steps=steps, columns=tuple(columns))

    def shift(self, offsets: tuple[int, ...]) -> int:
        """Return the distance of a neighbour in cells, from its offsets along x, y, z."""
        return sum(o * stride for o, stride in zip(offsets, self.strides, strict=True))

    def pad(self, state: tf.Tensor) -> tf.Tensor:
        """Return a state as a flat array with space for ghost cells.

        A row of ghost cells is added at both ends of the first array axis, and ``columns`` ghost
        cells at both ends of every other axis. Their values are arbitrary.
        """
        before = state.shape.rank - self.problem.grid.dimensions
        for axis, ghosts in enumerate(self._beyond, start=before):
            room = tf.split(state, [ghosts, state.shape[axis] - ghosts], axis=axis)[0]
            state = tf.concat([room, state, room], axis=axis)
        return tf.reshape(state, (*state.shape[:before], -1))

    def on_grid(self, *pieces: tf.Tensor) -> tf.Tensor:
        """Return the state on the grid, from arrays that ``pad`` returned."""
        states, first = [], pieces[0].shape.rank - 1
        for flat in pieces:
            state = tf.reshape(flat, (*flat.shape[:-1], -1, *self.row_shape))
            inner = zip(self._beyond, state.shape[first:], strict=True)
            states.append(state[(..., *(slice(ghosts, n - ghosts) for ghosts, n in inner))])
        return tf.concat(states, axis=first)

    @property
    def _beyond(self) -> list[int]:
        return [1, *self.columns[::-1]]

    def extended(self, before, own, after) -> tf.Tensor:
        """Return one array with ghost cells, for a single kernel, from three flat pieces.

        The pieces were returned by ``pad``, each in one or more parts along the fields.
        """
        rows, ghosts = self.rows, self.ghosts
        parts = []
        for three in zip(before, own, after, strict=True):
            offsets = zip(three, (rows - ghosts, 0, 0), (ghosts, rows, ghosts), strict=True)
            filled = [self.with_columns(piece, 1 + start, n) for piece, start, n in offsets]
            parts.append(tf.concat(filled, axis=own[0].shape.rank - 1))
        return self._flat(tf.concat(parts, axis=own[0].shape.rank - 2))

    def with_columns(self, flat: tf.Tensor, start: int, rows: int) -> tf.Tensor:
        """Return rows with new ghost cells at their ends: ``(..., fields, rows, *row_shape)``.

        XLA vectorises this computation for an array of rows, but not for a flat array.

        Args:
            start: the index of the first of these rows in ``flat``, at least 1.
            rows: the number of rows.
        """
        shape = (*flat.shape[:-1], rows, *self.row_shape)

        def moved(axis: int, by: int) -> tf.Tensor:
            if axis == len(self.row_shape):
                return tf.reshape(flat[..., start * self.row + by :][..., : rows * self.row], shape)
            cells, stride = self.problem.grid.points[axis], self.strides[axis]
            columns = self.columns[axis]
            place = tf.reshape(tf.range(cells + 2 * columns), (-1, *[1] * axis))
            within = moved(axis + 1, by)
            last = tf.where(place < columns, moved(axis + 1, by + cells * stride), within)
            first = moved(axis + 1, by - cells * stride)
            return tf.where(place < cells + columns, last, first)

        return moved(0, 0)

    def _flat(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(rows, (*rows.shape[: -1 - len(self.row_shape)], -1))

    def interior_mask(self, rows: slice = slice(None)) -> tf.Tensor:
        """Return a mask of the flat array that is True in grid cells and False in ghost cells.

        Args:
            rows: the rows of the grid in which it is True.
        """
        ones = np.zeros(self.problem.grid.shape, bool)
        ones[rows] = True
        interior_mask = tf.pad(ones, [(ghosts, ghosts) for ghosts in self._beyond])
        return xla.optimization_barrier(tf.reshape(interior_mask, [-1]))[0]

    def interior(self, flat: tf.Tensor, beyond: int = 0) -> tf.Tensor:
        """Return the rows of the grid, with ``beyond`` rows of ghost cells at both ends."""
        return middle(flat, (self.rows + 2 * beyond) * self.row)


def decompose(
    problem: Problem,
    depth: int,
    bytes_per_cell: int,
    tuning: Tuning = TUNING,
    reflections: Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]] | None = None,
) -> FlatLayout | None:
    """Return the layout of the grid as one array; None if it has too few rows for the ghost cells.

    Args:
        bytes_per_cell: the size of the carried data.
    """
    size = problem.grid.cells * bytes_per_cell
    max_depth = next(
        (deep for most, deep in tuning.small_grid_depths.items() if size <= most), tuning.max_depth
    )
    rows = problem.grid.shape[0]
    once = FlatLayout(
        problem, depth, 1, (), rows,
        exchange_cost=tuning.exchange_cost, reflections=reflections or {},
    )  # fmt: skip
    if once.extrapolated_axes:
        max_depth = min(max_depth, tuning.max_extrapolated_depth)
    steps = range(1, max(1, max_depth // depth) + 1)
    choices = [once.with_steps_per_exchange(number) for number in steps]
    return min((c for c in choices if c.fits), key=lambda c: c.cost, default=None)


def middle(values: tf.Tensor, length: int) -> tf.Tensor:
    """Return the middle cells of a flat array, cropped equally at both ends."""
    beyond = (values.shape[-1] - length) // 2
    return values[..., beyond : beyond + length] if beyond else values


def aligned(*values: tf.Tensor) -> list[tf.Tensor]:
    """Crop flat arrays to their common cells."""
    shortest = min(value.shape[-1] for value in values)
    return [middle(value, shortest) for value in values]
