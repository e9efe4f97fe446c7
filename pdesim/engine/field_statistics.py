"""Statistics of fields over the grid, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.flat.slabs import Slabs
from pdesim.engine.held import Held
from pdesim.engine.step import StepContext

#: number of values of a state in a band of rows: in double precision, they fit into a cache
BAND_VALUES = 2**18

#: returns float64 arrays of the shape of the given ones
Terms = Callable[..., Sequence[tf.Tensor]]


@dataclass(frozen=True)
class FieldStatistics:
    """Statistics of states on the grid, or of those that a loop holds in slabs.

    Args:
        cells: the number of cells of the complete grid.
        slabs: the slabs of states that are held in slabs; None if there are none.
        of_all: returns the sums over the rows of all devices, from those over the rows of this one;
            None for one device.
    """

    context: StepContext
    cells: int
    slabs: Slabs | None = None
    of_all: Callable[[np.ndarray], np.ndarray] | None = None

    def spread_and_size(self, state: tf.Tensor | Held) -> tuple[np.ndarray, np.ndarray]:
        """Return standard deviation and root mean square of each field."""
        if self.of_all is None and not isinstance(state, Held):
            spread, size = self._in_one_call(state)
            return spread.numpy(), size.numpy()
        mean, squares = self._means(self._sums, [state])
        (spread,) = self._means(self._deviations, [state], mean)
        return np.sqrt(spread), np.sqrt(squares)

    def distance(self, a: tf.Tensor | Held, b: tf.Tensor | Held) -> np.ndarray:
        """Return the root mean square of the difference of each field."""
        (mean,) = self._means(self._differences, [a, b])
        return np.sqrt(mean)

    def _means(self, program: Any, states: Sequence, *others: np.ndarray) -> np.ndarray:
        """Return means over the grid of the terms whose sums over some rows a program returns."""
        given = [tf.constant(values) for values in others]
        found = [
            np.stack([total.numpy() for total in program(pieces, length, *given)])
            for *pieces, length in zip(*map(_pieces, states), self._lengths(states), strict=True)
        ]
        sums = np.sum(found, axis=0)
        return (sums if self.of_all is None else self.of_all(sums)) / self.cells

    def _lengths(self, states: Sequence) -> Sequence[int | None]:
        """Return the number of rows that each slab contributes; None for states on the grid."""
        if not isinstance(states[0], Held):
            return [None]
        assert self.slabs is not None
        return self.slabs.lengths

    @cached_property
    def _in_one_call(self) -> Any:
        """The program of :meth:`spread_and_size` for one device, where each call takes time."""

        def statistics(state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            def means(terms: Terms) -> list[tf.Tensor]:
                return [total / self.cells for total in self._totals(terms, [state], None)]

            mean, squares = means(lambda v: (tf.cast(v, tf.float64), _square(v)))
            (spread,) = means(lambda v: [self._deviation(v, mean)])
            return tf.sqrt(spread), tf.sqrt(squares)

        return self.context.compiled(statistics)

    def _deviation(self, values: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """Return the squared difference of values and the mean of each field."""
        shaped = tf.reshape(mean, (*mean.shape, *[1] * self._dimensions))
        return _square(tf.cast(values, tf.float64) - shaped)

    @cached_property
    def _sums(self) -> Any:
        def sums(pieces: list[tf.Tensor], length: int | None) -> list[tf.Tensor]:
            return self._totals(lambda v: (tf.cast(v, tf.float64), _square(v)), pieces, length)

        return self.context.compiled(sums)

    @cached_property
    def _deviations(self) -> Any:
        def deviations(
            pieces: list[tf.Tensor], length: int | None, mean: tf.Tensor
        ) -> list[tf.Tensor]:
            return self._totals(lambda v: [self._deviation(v, mean)], pieces, length)

        return self.context.compiled(deviations)

    @cached_property
    def _differences(self) -> Any:
        def differences(pieces: list[tf.Tensor], length: int | None) -> list[tf.Tensor]:
            return self._totals(lambda a, b: [_square(a - b)], pieces, length)

        return self.context.compiled(differences)

    def _totals(
        self, terms: Terms, pieces: Sequence[tf.Tensor], length: int | None
    ) -> list[tf.Tensor]:
        """Return the sums of terms over some rows, in a trace.

        Args:
            pieces: the same slab of one or several states, or states on the grid.
            length: the number of rows that the slab contributes; None for states on the grid.
        """
        if length is not None:
            assert self.slabs is not None
            pieces = [self.slabs.own(piece, length) for piece in pieces]
        in_bands = not self.context.target.for_gpu
        return grid_sums(terms, pieces, self._dimensions, in_bands)

    @property
    def _dimensions(self) -> int:
        return self.context.problem.grid.dimensions


def grid_sums(
    terms: Terms, arrays: Sequence[tf.Tensor], dimensions: int, in_bands: bool
) -> list[tf.Tensor]:
    """Return the sums of each of ``terms(*arrays)`` over the grid.

    Args:
        arrays: shape ``(..., *grid shape)``.
        in_bands: whether the terms of a few rows are computed at a time. A compiler for CPUs stores
            the terms, so that those of the complete grid would take more memory than the state.
    """
    axes = list(range(-dimensions, 0))
    rows = arrays[0].shape[-dimensions]
    size = arrays[0].shape.num_elements() // rows
    band = min(rows, max(1, BAND_VALUES // size)) if in_bands else rows

    def sums(first: tf.Tensor | int, count: int) -> list[tf.Tensor]:
        pieces = [_rows_of(values, first, count, dimensions) for values in arrays]
        return [tf.reduce_sum(values, axis=axes) for values in terms(*pieces)]

    if band == rows:
        return sums(0, rows)

    def add_band(number: tf.Tensor, *totals: tf.Tensor) -> tuple:
        added = sums(number * band, band)
        return number + 1, *(a + b for a, b in zip(totals, added, strict=True))

    count, left = divmod(rows, band)
    # the remaining rows first: the sums then have the right number and shape
    totals = sums(rows - left, left) if left else [tf.zeros_like(one) for one in sums(0, band)]
    _, *totals = tf.while_loop(
        lambda number, *_: number < count, add_band, (tf.constant(0), *totals)
    )
    return list(totals)


def _pieces(state: tf.Tensor | Held) -> list[tf.Tensor]:
    """Return the slabs of a state, or the state on the grid alone."""
    return state.slabs if isinstance(state, Held) else [state]


def _rows_of(values: tf.Tensor, first: tf.Tensor | int, count: int, dimensions: int) -> tf.Tensor:
    axis = values.shape.rank - dimensions
    begin: list[tf.Tensor | int] = [0] * values.shape.rank
    size = list(values.shape)
    begin[axis], size[axis] = first, count
    return tf.slice(values, begin, size)


def _square(values: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.cast(values, tf.float64))
