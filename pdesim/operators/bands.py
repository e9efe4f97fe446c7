"""Periodic states as flat bands: all their rows end to end, with ghosts on every side.

What XLA compiles best on a CPU is a sum of one flat array read at shifted places, without a choice
between neighbours. So rows carry ghost cells at both ends and are laid end to end: every neighbour
is then a shift by a fixed number of cells. Ghosts last for several steps. Each right-hand side
makes those on the outside useless, and reads across the ends of rows, but only into ghosts; what is
handed on are the cells between them. One band is the whole of a small grid; large ones have
``slabs``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count

import sympy
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.formula import Evaluator, Library
from pdesim.formula import language as lang
from pdesim.operators import stencil
from pdesim.operators.problem import Problem
from pdesim.operators.room import Room, middle

#: right-hand sides, on one another, that ghosts are made for at most. Each is a kernel of its own;
#: for grids of few bytes the run would be over before they were compiled
DEEPEST, SMALL = 8, {2**16: 1, 2**18: 2}
#: what new ghosts cost, in right-hand sides: all that is carried is copied
EXCHANGE = 1.0


@dataclass(frozen=True)
class Bands:
    """Bands ``(..., numbers, cells)`` of a state ``(..., numbers, *grid.shape)``.

    Args:
        depth: right-hand sides that stand on one another in one step.
        steps: that a band takes before it needs new ghosts.
        columns: ghost cells at both ends of all array axes but the first.
        rows: of one band along the first array axis, without ghosts.
        width: cells of a tile along the second array axis, where that is not all of a row.
    """

    problem: Problem
    depth: int
    steps: int
    columns: int
    rows: int
    width: int | None = None

    @property
    def across(self) -> tuple[int, ...]:
        """Cells along all array axes but the first, with ghosts."""
        shape = (self.width,) if self.width else self.problem.grid.shape[1:]
        return tuple(n + 2 * self.columns for n in shape)

    @property
    def row(self) -> int:
        """Cells in what lies at one place of the first array axis: a cell, a row, or a plane."""
        return math.prod(self.across)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """How far apart neighbours along x, y, z lie."""
        return tuple(math.prod(self.across[::-1][:axis]) for axis in range(len(self.across) + 1))

    @cached_property
    def margin(self) -> int:
        """Cells at both ends that a right-hand side has no neighbours for."""
        problem, scheme = self.problem, self.problem.discretisation
        nodes = [node for f in problem.equation.formulas for node in lang.operators_in(f)]
        words = {word for word in map(lang.word_of, nodes) if not lang.has_flux_form(word)}
        places = [self.shift(o) for word in words for o in scheme.terms(word, problem.grid)]
        return max(problem.halo * self.row, *places, 0)

    @property
    def ghosts(self) -> int:
        """Rows of ghosts on either side before the first step; one is left after the last."""
        return -(-self.steps * self.depth * self.margin // self.row) + 1

    @property
    def fits(self) -> bool:
        """Whether the grid has as many cells as ghosts are made of."""
        return self.ghosts <= self.rows and self.columns <= min(
            self.problem.grid.shape[1:], default=self.columns
        )

    @property
    def cost(self) -> float:
        """Of a right-hand side, beside one without ghosts: those in it, and making them anew."""
        wider = self.row / math.prod(self.problem.grid.shape[1:])
        longer = 1 + self.ghosts / self.rows  # half of them are left on the average
        return wider * longer + EXCHANGE / (self.steps * self.depth)

    @property
    def whole(self) -> Bands:
        """The same rows with all their cells."""
        return replace(self, width=None)

    def lasting(self, steps: int) -> Bands:
        """The same with ghosts for so many steps."""
        return replace(self, steps=steps, columns=steps * self.depth * self.problem.halo)

    def shift(self, offsets: tuple[int, ...]) -> int:
        """How far away a neighbour lies, from its offsets along x, y, z."""
        return sum(o * stride for o, stride in zip(offsets, self.strides, strict=True))

    def widened(self, state: tf.Tensor) -> tf.Tensor:
        """A state on the grid, flat, with room for the ghosts of rows and one row at both ends."""
        before = state.shape.rank - self.problem.grid.dimensions
        for axis, ghosts in enumerate(self._beyond, start=before):
            room = tf.split(state, [ghosts, state.shape[axis] - ghosts], axis=axis)[0]
            state = tf.concat([room, state, room], axis=axis)
        return tf.reshape(state, (*state.shape[:before], -1))

    def on_grid(self, *pieces: tf.Tensor) -> tf.Tensor:
        """The state on the grid again, from what was ``widened``."""
        states, first = [], pieces[0].shape.rank - 1
        for flat in pieces:
            state = tf.reshape(flat, (*flat.shape[:-1], -1, *self.across))
            inner = zip(self._beyond, state.shape[first:], strict=True)
            states.append(state[(..., *(slice(ghosts, n - ghosts) for ghosts, n in inner))])
        return tf.concat(states, axis=first)

    @property
    def _beyond(self) -> list[int]:
        return [1] + [self.columns] * len(self.across)

    def extended(self, before, own, after) -> tf.Tensor:
        """One band with its ghosts, for a single kernel, from three flat pieces of the grid.

        All are ``widened``, and come in one or more parts along the numbers.
        """
        rows, ghosts = self.rows, self.ghosts
        parts = []
        for three in zip(before, own, after, strict=True):
            places = zip(three, (rows - ghosts, 0, 0), (ghosts, rows, ghosts), strict=True)
            filled = [self.with_columns(piece, 1 + start, n) for piece, start, n in places]
            parts.append(tf.concat(filled, axis=own[0].shape.rank - 1))
        return self._flat(tf.concat(parts, axis=own[0].shape.rank - 2))

    def with_columns(self, flat: tf.Tensor, start: int, rows: int) -> tf.Tensor:
        """Some rows with new ghosts at their ends: ``(..., numbers, rows, *across)``.

        ``flat`` begins ``start`` rows before them, at least one. Compiled as a loop over rows and
        what is in them, this is vectorised; flat it would not be.
        """
        shape = (*flat.shape[:-1], rows, *self.across)

        def moved(axis: int, by: int) -> tf.Tensor:
            if axis == len(self.across):
                return tf.reshape(flat[..., start * self.row + by :][..., : rows * self.row], shape)
            cells, stride = self.problem.grid.points[axis], self.strides[axis]
            place = tf.reshape(tf.range(cells + 2 * self.columns), (-1, *[1] * axis))
            within = moved(axis + 1, by)
            last = tf.where(place < self.columns, moved(axis + 1, by + cells * stride), within)
            first = moved(axis + 1, by - cells * stride)
            return tf.where(place < cells + self.columns, last, first)

        return moved(0, 0)

    def _flat(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(rows, (*rows.shape[: -1 - len(self.across)], -1))

    def inside(self) -> tf.Tensor:
        """Whether cells of the flat grid are no ghosts, worked out once in a compiled program."""
        ones = tf.ones(self.problem.grid.shape, tf.bool)
        inside = tf.pad(ones, [(ghosts, ghosts) for ghosts in self._beyond])
        return xla.optimization_barrier(tf.reshape(inside, [-1]))[0]

    def core(self, flat: tf.Tensor, beyond: int = 0) -> tf.Tensor:
        """The rows of a band, and some ``beyond`` them."""
        return middle(flat, (self.rows + 2 * beyond) * self.row)


def cut(problem: Problem, depth: int, bytes_a_cell: int) -> Bands | None:
    """The grid as one band, or None where it has too few rows for so many ghosts.

    Args:
        bytes_a_cell: of all numbers that are carried.
    """
    size = problem.grid.cells * bytes_a_cell
    deepest = next((deep for most, deep in SMALL.items() if size <= most), DEEPEST)
    once = Bands(problem, depth, 1, depth * problem.halo, problem.grid.shape[0])
    choices = [once.lasting(steps) for steps in range(1, max(1, deepest // depth) + 1)]
    return min((c for c in choices if c.fits), key=lambda c: c.cost, default=None)


def aligned(*values: tf.Tensor) -> list[tf.Tensor]:
    """Flat arrays of one band, cut to the ghosts that all of them have."""
    shortest = min(value.shape[-1] for value in values)
    return [middle(value, shortest) for value in values]


@dataclass(frozen=True)
class Band:
    """Evaluates formulas on flat fields; what has operators loses ``margin`` cells at both ends.

    Args:
        natural: a number that is not negative, which the compiler cannot know.
        room: where stages are written to, in a tile.
    """

    bands: Bands
    natural: tf.Tensor
    library: Library
    dtype: tf.DType
    room: Room | None = None
    _conditions: Iterator[int] = field(default_factory=lambda: count(1))

    def evaluate(self, formulas: Sequence[sympy.Expr], state, numbers) -> tf.Tensor:
        """Some formulas, stacked; ``numbers`` are the parameters and the time."""
        equation = self.problem.equation
        fields = tf.unstack(state, axis=-2) if isinstance(state, tf.Tensor) else aligned(*state)
        around = dict(zip(equation.fields, fields, strict=True))
        length = fields[0].shape[-1]
        if not any(lang.operators_in(formula) for formula in formulas):
            value = Evaluator({**numbers, **around}, self.library)
            return self._stack([value(f) for f in formulas], (*fields[0].shape[:-1], length))
        length -= 2 * self.bands.margin
        on_extended = Evaluator({**numbers, **around}, self.library)

        def apply(word: str, arguments: tuple, _value):
            return self._apply(word, arguments, on_extended)

        centre = {name: middle(field, length) for name, field in around.items()}
        value = Evaluator({**numbers, **centre}, self.library, apply)
        return self._stack([value(f) for f in formulas], (*fields[0].shape[:-1], length))

    def stored(self, values):
        """The same, one or more tensors, computed once: XLA would do so for each neighbour read."""
        if self.room is not None:
            return tf.nest.map_structure(self.room.keep, values)
        # each has a condition of its own, as branches of equal conditions are put together
        true = self.natural > -next(self._conditions)
        zeros = partial(tf.nest.map_structure, tf.zeros_like, values)
        return tf.cond(true, lambda: values, zeros)

    @property
    def problem(self) -> Problem:
        return self.bands.problem

    def _stack(self, values: list, shape: tuple[int, ...]) -> tf.Tensor:
        tensors = [tf.convert_to_tensor(value, self.dtype) for value in values]
        whole = [t if tuple(t.shape) == shape else tf.broadcast_to(t, shape) for t in tensors]
        return tf.stack(whole, axis=-2)

    def _apply(self, word: str, arguments: tuple, on_extended: Evaluator):
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # a derivative of a number
        grid, scheme = self.problem.grid, self.problem.discretisation
        reads = [self._reader(on_extended(argument)) for argument in arguments]
        if lang.has_flux_form(word):
            axes = lang.flux_axes(word, grid.dimensions)
            return stencil.divergence(*reads, grid, scheme.order, axes)
        return stencil.derivative(reads[0], scheme.terms(word, grid))

    def _reader(self, values) -> stencil.Neighbour:
        values = tf.convert_to_tensor(values, self.dtype)
        if not values.shape.rank or values.shape[-1] == 1:
            return lambda offsets: values  # the same everywhere
        margin = self.bands.margin
        length = values.shape[-1] - 2 * margin

        def neighbour(offsets: tuple[int, ...]) -> tf.Tensor:
            begin = margin + self.bands.shift(offsets)
            return values[..., begin : begin + length]

        return neighbour
