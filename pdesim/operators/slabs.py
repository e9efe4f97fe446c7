"""Grids too large for the caches: slabs of rows, one or more for each core, worked on in bands.

XLA does not divide a kernel that writes in place among threads, and what it does divide writes to
fresh memory, pass after pass. So a slab is a compiled call of its own: TensorFlow runs the calls
for all slabs at the same time, each in one thread. A slab takes several steps before it needs new
ghosts from its neighbours, and its bands go to and fro between two arrays that stay in the cache.
Bands in time: Datta et al., SC 2008, doi:10.1109/SC.2008.5222004.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.operators import flat
from pdesim.operators.bands import Bands

#: rows of ghosts that a slab begins with, at least those of one step
GHOST_ROWS = 8
#: bytes of one band, which passes between two such arrays; a slab has at most so many
BAND_BYTES, SLAB_BYTES = 2**20, 2**24

#: ``sweep(slab, before, after, index)``: a slab after several steps, from its ghosts on both sides
Sweep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Slabs:
    """How a flat state ``(..., numbers, cells)`` is cut into ``count`` slabs of equal size.

    Slabs that do not divide the grid overlap by a row, as bands do that do not divide a slab.

    Args:
        bands: of ``bands.rows`` each, which take ``bands.steps`` steps at a time.
    """

    bands: Bands
    count: int

    @property
    def rows(self) -> int:
        """Of one slab, without ghosts."""
        return -(-self._grid_rows // self.count)

    @property
    def _grid_rows(self) -> int:
        return self.bands.problem.grid.shape[0]

    @property
    def _starts(self) -> list[int]:
        return [number * self._grid_rows // self.count for number in range(self.count)]

    def _rows_of(self, values: tf.Tensor, start: int, rows: int) -> tf.Tensor:
        row = self.bands.row
        return values[..., start * row : (start + rows) * row]

    def split(self, state: tf.Tensor) -> list[tf.Tensor]:
        """The slabs of a state on the grid."""
        return [self._with_columns(state, start) for start in self._starts]

    def _with_columns(self, state: tf.Tensor, start: int) -> tf.Tensor:
        columns, axes = self.bands.columns, len(self.bands.across)
        before = (slice(None),) * (state.shape.rank - axes - 1)
        slab = state[(*before, slice(start, start + self.rows))]
        for axis in range(len(before) + 1, slab.shape.rank):
            ends = tf.split(slab, [columns, slab.shape[axis] - 2 * columns, columns], axis)
            slab = tf.concat([ends[2], slab, ends[0]], axis)
        return tf.reshape(slab, (*state.shape[: len(before)], -1))

    def join(self, slabs) -> tf.Tensor:
        """The state on the grid again."""
        ends = [*self._starts[1:], self._grid_rows]
        lengths = [end - start for start, end in zip(self._starts, ends, strict=True)]
        inner = (slice(self.bands.columns, -self.bands.columns),) * len(self.bands.across)
        own = []
        for slab, length in zip(slabs, lengths, strict=True):
            rows = tf.reshape(slab, (*slab.shape[:-1], self.rows, *self.bands.across))
            own.append(rows[(..., slice(length), *inner)])
        return tf.concat(own, axis=-len(self.bands.problem.grid.shape))

    def advance(self, slabs, first, last, sweep: Sweep) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The steps from ``first`` to ``last``, of which a sweep takes several: the next's index.

        For graphs of TensorFlow, which runs the sweeps of all slabs side by side.
        """

        def all_slabs(index, *slabs):
            around = [self._around(slabs, number) for number in range(self.count)]
            moved = [sweep(s, *ghosts, index) for s, ghosts in zip(slabs, around, strict=True)]
            return tf.minimum(index + self.bands.steps, last), *moved

        index, *slabs = tf.while_loop(lambda i, *_: i < last, all_slabs, (first, *slabs))
        return index, slabs

    def _around(self, slabs, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The rows before and after a slab, from its neighbours."""
        starts, ghosts = self._starts, self.bands.ghosts
        before, after = (number - 1) % self.count, (number + 1) % self.count
        start, end = starts[number], starts[number] + self.rows
        begin = (start or self._grid_rows) - ghosts - starts[before]
        return (
            self._rows_of(slabs[before], begin, ghosts),
            self._rows_of(slabs[after], end % self._grid_rows - starts[after], ghosts),
        )

    def sweep(self, slab: tf.Tensor, before, after, step) -> tf.Tensor:
        """All bands of a slab, several steps each, inside a program that XLA compiles.

        Args:
            step: ``step(values, number)`` returns the values after step ``number``, which have
                fewer ghosts.
        """
        bands, row, axes = self.bands, self.bands.row, slab.shape.rank
        number_of_bands = -(-self.rows // bands.rows)
        length = (bands.rows + 2 * bands.ghosts) * row

        def at(start):
            return tf.stack([*[0] * (axes - 1), start])

        def one(number, spare, out):
            start = number * (self.rows - bands.rows) // (number_of_bands - 1)
            band = self._with_ghosts(slab, before, after, start, at)
            pair, values = [band, spare], band
            for count in range(bands.steps):
                new = step(values, count)
                margin, to = (length - new.shape[-1]) // 2, (count + 1) % 2
                pair[to] = xla.dynamic_update_slice(pair[to], new, at(margin))
                values = pair[to][..., margin : length - margin]
            rows = bands.with_columns(bands.core(values, beyond=1), 1, bands.rows)
            place = tf.stack([*[0] * (axes - 1), start, *[0] * len(bands.across)])
            return number + 1, pair[1], xla.dynamic_update_slice(out, rows, place)

        spare = tf.zeros((*slab.shape[:-1], length), slab.dtype)
        loop = (0, spare, tf.zeros((*slab.shape[:-1], self.rows, *bands.across), slab.dtype))
        out = tf.while_loop(lambda number, *_: number < number_of_bands, one, loop)[-1]
        return tf.reshape(out, slab.shape)

    def _with_ghosts(self, slab, before, after, start, at) -> tf.Tensor:
        """One band of a slab; only the first and the last reach beyond it."""
        bands, row = self.bands, self.bands.row
        inner = bands.rows + bands.ghosts
        shape = (*slab.shape[:-1], (inner + bands.ghosts) * row)

        def first():
            return tf.concat([before, self._rows_of(slab, 0, inner)], axis=-1)

        def last():
            return tf.concat([self._rows_of(slab, self.rows - inner, inner), after], axis=-1)

        def between():
            return tf.slice(slab, at((start - bands.ghosts) * row), shape)

        is_last = tf.equal(start, self.rows - bands.rows)
        return tf.cond(tf.equal(start, 0), first, lambda: tf.cond(is_last, last, between))


def pieces(whole: Bands, bytes_a_cell: int) -> int:
    """In how many bands, one after the other, a grid is computed that has no slabs.

    Every band has kernels of its own, so methods of many stages would compile twice as long.
    """
    large = whole.problem.grid.cells * bytes_a_cell > flat.PIECE_BYTES and whole.depth <= 2
    halves = replace(whole, rows=whole.rows // 2)
    return 2 if large and whole.rows % 2 == 0 and halves.fits else 1


def cut(whole: Bands, bytes_a_cell: int) -> Slabs | None:
    """Slabs for a large grid; None for one that is small, or has too few rows.

    None too where a sweep would be a single step: of a band that is not written to again the
    compiler keeps neither the cells nor the stages, and computes them for every neighbour.

    Args:
        whole: the grid as one band.
        bytes_a_cell: of all numbers that are carried.
    """
    rows, row_bytes = whole.problem.grid.shape[0], whole.row * bytes_a_cell
    limit = flat.WHOLE_BYTES if pieces(whole, bytes_a_cell) > 1 else flat.PIECE_BYTES
    if whole.problem.grid.cells * bytes_a_cell <= limit:
        return None
    bands = whole.lasting(max(1, GHOST_ROWS // (whole.lasting(1).ghosts - 1)))
    if bands.steps == 1:
        return None
    least = max(BAND_BYTES // row_bytes, 4 * bands.ghosts)
    # small slabs let go of what they were made from one by one, and their memory is used again
    wanted = -(-rows * row_bytes // (SLAB_BYTES * _cores())) * _cores()
    count = min(wanted, rows // (2 * least))
    if count < 1:
        return None
    slab = -(-rows // count)
    return Slabs(replace(bands, rows=-(-slab // (slab // least))), count)


def _cores() -> int:
    """Threads in which TensorFlow runs operations side by side."""
    asked = tf.config.threading.get_inter_op_parallelism_threads()
    if asked or not hasattr(os, "sched_getaffinity"):
        return asked or os.cpu_count() or 1
    return len(os.sched_getaffinity(0))
