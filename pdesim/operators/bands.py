"""Periodic states as flat bands: rows one after the other, with rows of ghost cells at both ends.

What XLA compiles best on a CPU is a sum of one flat array read at shifted places. So the rows of a
periodic state are laid end to end. A neighbour in another row is then a shift like any other, and
one beyond the end of its own row is chosen by a mask. Only whole rows have ghosts, and each
right-hand side uses some of them up, so a band that begins with many rows of ghosts takes several
steps before it needs new ones. One band is the whole of a small grid; large ones have ``slabs``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.formula import Evaluator, Library
from pdesim.formula import language as lang
from pdesim.operators import stencil
from pdesim.operators.problem import Problem

#: rows of ghosts that the whole grid begins with, at least those of one step
GHOST_ROWS = 4


def serves(problem: Problem) -> bool:
    """Whether a problem can be computed in bands.

    Periodic axes, stencils, no obstacles, formulas without coordinates, and operators that do not
    stand inside one another.
    """
    equation = problem.equation
    known = {*equation.field_symbols, *equation.parameter_symbols.values(), lang.TIME}
    nodes = [node for f in equation.formulas for node in lang.operators_in(f)]
    return (
        problem.discretisation.name == "stencil"
        and problem.mask is None
        and all(problem.boundary.periodic_axes)
        and all(formula.free_symbols <= known for formula in equation.formulas)
        and not any(lang.operators_in(part) for node in nodes for part in node.args)
        and bool(nodes)
    )


@dataclass(frozen=True)
class Bands:
    """Bands ``(..., numbers, cells)`` of a state ``(..., numbers, *grid.shape)``.

    Args:
        depth: right-hand sides that stand on one another in one step; each uses ``reach`` rows.
        steps: that a band takes before it needs new ghosts.
        rows: of one band, without ghosts.
    """

    problem: Problem
    depth: int
    steps: int
    rows: int

    @property
    def row(self) -> int:
        """Cells in what lies at one place of the first array axis: a cell, a row, or a plane."""
        return math.prod(self.problem.grid.shape[1:])

    @cached_property
    def reach(self) -> int:
        """Rows that a right-hand side uses up: the halo, and one more under diagonal neighbours.

        Of the first cell of a row, the neighbour before it in the row before lies a row further on;
        what is read in its place, and not used, must still be there.
        """
        problem, scheme = self.problem, self.problem.discretisation
        nodes = [node for f in problem.equation.formulas for node in lang.operators_in(f)]
        words = {lang.word_of(node) for node in nodes} - {lang.DIVERGENCE}
        offsets = [o for word in words for o in scheme.terms(word, problem.grid)]
        return problem.halo + any(sum(map(bool, offset)) > 1 for offset in offsets)

    @property
    def ghosts(self) -> int:
        """Rows of ghosts on either side before the first step."""
        return self.steps * self.depth * self.reach

    def masks(self, fused: bool) -> dict[tuple[int, int], tf.Tensor]:
        """Where a neighbour lies beyond the end: per (axis, offset), along the longest band."""
        grid, halo, masks = self.problem.grid, self.problem.halo, {}
        cell = tf.range((self.rows + 2 * self.ghosts) * self.row)
        for axis in range(grid.dimensions - 1):
            place = cell // math.prod(grid.points[:axis]) % grid.points[axis]
            for offset in range(1, halo + 1):
                masks[axis, -offset] = place < offset
                masks[axis, offset] = place >= grid.points[axis] - offset
        if not masks or not fused:
            return masks
        # made once: XLA would make them again in every step
        return dict(zip(masks, xla.optimization_barrier(*masks.values()), strict=True))

    def extended(self, whole: tf.Tensor) -> tf.Tensor:
        """The flat grid ``(..., numbers, cells)`` as one band with its ghosts."""
        end = self.ghosts * self.row
        return tf.concat([whole[..., -end:], whole, whole[..., :end]], axis=-1)


def cut(problem: Problem, depth: int) -> Bands | None:
    """The grid as one band, or None where it has too few rows for so many ghosts."""
    rows = problem.grid.shape[0]
    once = Bands(problem, depth, 1, rows)
    bands = replace(once, steps=max(1, GHOST_ROWS // once.ghosts))
    return bands if bands.ghosts <= rows else None


def aligned(*values: tf.Tensor) -> list[tf.Tensor]:
    """Flat arrays of one band, cut to the ghosts that all of them have."""
    shortest = min(value.shape[-1] for value in values)
    return [_middle(value, shortest) for value in values]


def _middle(value: tf.Tensor, length: int) -> tf.Tensor:
    beyond = (value.shape[-1] - length) // 2
    return value[..., beyond : beyond + length] if beyond else value


@dataclass(frozen=True)
class Band:
    """Evaluates formulas on flat fields; what has operators loses ``reach`` rows at both ends.

    Args:
        always: a predicate that is true, which the compiler cannot know.
    """

    bands: Bands
    masks: dict[tuple[int, int], tf.Tensor]
    always: tf.Tensor
    library: Library
    dtype: tf.DType

    def evaluate(self, formulas: Sequence[sympy.Expr], state, numbers) -> tf.Tensor:
        """Some formulas, stacked; ``numbers`` are the parameters and the time."""
        equation = self.problem.equation
        fields = tf.unstack(state, axis=-2) if isinstance(state, tf.Tensor) else aligned(*state)
        around = dict(zip(equation.fields, fields, strict=True))
        length = fields[0].shape[-1]
        if not any(lang.operators_in(formula) for formula in formulas):
            value = Evaluator({**numbers, **around}, self.library)
            return self._stack([value(f) for f in formulas], (*fields[0].shape[:-1], length))
        length -= 2 * self.bands.reach * self.bands.row
        on_extended = Evaluator({**numbers, **around}, self.library)

        def apply(word: str, arguments: tuple, _value):
            return self._apply(word, arguments, on_extended)

        centre = {name: _middle(field, length) for name, field in around.items()}
        value = Evaluator({**numbers, **centre}, self.library, apply)
        return self._stack([value(f) for f in formulas], (*fields[0].shape[:-1], length))

    def stored(self, values: tf.Tensor) -> tf.Tensor:
        """The same values, computed once: XLA would compute them again for each neighbour read."""
        return tf.cond(self.always, lambda: values, lambda: tf.zeros_like(values))

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
        if word == lang.DIVERGENCE:
            return stencil.divergence(*reads, grid, scheme.order)
        return stencil.derivative(reads[0], scheme.terms(word, grid))

    def _reader(self, values) -> stencil.Neighbour:
        grid, row = self.problem.grid, self.bands.row
        values = tf.convert_to_tensor(values, self.dtype)
        if not values.shape.rank or values.shape[-1] == 1:
            return lambda offsets: values  # the same everywhere
        margin = self.bands.reach * row
        length = values.shape[-1] - 2 * margin

        def shifted(offsets: tuple[int, ...], axis: int, shift: int) -> tf.Tensor:
            if axis == grid.dimensions - 1:
                begin = margin + shift + offsets[axis] * row
                return values[..., begin : begin + length]
            offset, stride = offsets[axis], math.prod(grid.points[:axis])
            within = shifted(offsets, axis + 1, shift + offset * stride)
            if not offset:
                return within
            around = (offset - int(math.copysign(grid.points[axis], offset))) * stride
            beyond = shifted(offsets, axis + 1, shift + around)
            return tf.where(self.masks[axis, offset][:length], beyond, within)

        return lambda offsets: shifted(offsets, 0, 0)
