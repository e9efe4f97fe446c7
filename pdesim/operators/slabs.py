"""Grids too large for the caches: slabs of rows, one or more for each core, worked on in tiles.

XLA does not divide a kernel that writes in place among threads, and what it does divide writes to
fresh memory, pass after pass. So a slab is a compiled call of its own: TensorFlow runs the calls
for all slabs at the same time, each in one thread. A slab takes several steps before it needs new
ghosts from its neighbours. Bands in time: Datta et al., SC 2008, doi:10.1109/SC.2008.5222004.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import tensorflow as tf

from pdesim.operators import flat
from pdesim.operators.bands import Bands

#: rows of ghosts that a slab has in one to three dimensions, but for one; more where that is
#: needed for two steps, but not more than these
GHOST_ROWS, MOST_ROWS = {1: 16, 2: 16, 3: 4}, {1: 32, 2: 32, 3: 4}
#: bytes of a tile and of all arrays that its steps keep, at most where rows allow it, its cells
#: along a row (at least as many as ghosts), and what the least tile may have
TILE_BYTES, KEPT_BYTES, TILE_WIDTH, LEAST_TILE = 2**19, 5 * 2**18, 256, 2**23
#: bytes of a slab at most
SLAB_BYTES = 2**24

#: ``sweep(slab, before, after, index, steps)``: a slab after so many steps, from its ghosts on
#: both sides
Sweep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Slabs:
    """How a flat state ``(..., numbers, cells)`` is cut into ``count`` slabs of equal size.

    Slabs that do not divide the grid overlap by a row.

    Args:
        tile: what a slab is worked on in, ``tile.steps`` steps at a time.
    """

    tile: Bands
    count: int

    @property
    def rows(self) -> int:
        """Of one slab, without ghosts."""
        return -(-self._grid_rows // self.count)

    @property
    def _grid_rows(self) -> int:
        return self.tile.problem.grid.shape[0]

    @property
    def lengths(self) -> list[int]:
        """Rows that each slab adds to the grid."""
        ends = [*self._starts[1:], self._grid_rows]
        return [end - start for start, end in zip(self._starts, ends, strict=True)]

    @property
    def _starts(self) -> list[int]:
        return [number * self._grid_rows // self.count for number in range(self.count)]

    def _rows_of(self, values: tf.Tensor, start: int, rows: int) -> tf.Tensor:
        row = self.tile.whole.row
        return values[..., start * row : (start + rows) * row]

    def split(self, state: tf.Tensor, compiled) -> list[tf.Tensor]:
        """The slabs of a state on the grid, each from a program of its own."""
        return [compiled(partial(self._piece, number=n))(state) for n in range(self.count)]

    def _piece(self, state: tf.Tensor, number: int) -> tf.Tensor:
        start, columns, axes = self._starts[number], self.tile.columns, len(self.tile.whole.across)
        before = (slice(None),) * (state.shape.rank - axes - 1)
        slab = state[(*before, slice(start, start + self.rows))]
        for axis in range(len(before) + 1, slab.shape.rank):
            ends = tf.split(slab, [columns, slab.shape[axis] - 2 * columns, columns], axis)
            slab = tf.concat([ends[2], slab, ends[0]], axis)
        return tf.reshape(slab, (*state.shape[: len(before)], -1))

    def join(self, slabs) -> tf.Tensor:
        """The state on the grid again."""
        inner = (slice(self.tile.columns, -self.tile.columns),) * len(self.tile.whole.across)
        own = []
        for slab, length in zip(slabs, self.lengths, strict=True):
            rows = tf.reshape(slab, (*slab.shape[:-1], self.rows, *self.tile.whole.across))
            own.append(rows[(..., slice(length), *inner)])
        return tf.concat(own, axis=-len(self.tile.problem.grid.shape))

    def advance(self, slabs, first, last, sweep: Sweep) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The steps from ``first`` to ``last``, of which a sweep takes several: the next's index.

        For graphs of TensorFlow, which runs the sweeps of all slabs side by side.
        """

        def all_slabs(index, *slabs):
            around = [self.around(slabs, number) for number in range(self.count)]
            steps = tf.minimum(last - index, self.tile.steps)
            pairs = zip(slabs, around, strict=True)
            return index + steps, *(sweep(slab, *ghosts, index, steps) for slab, ghosts in pairs)

        index, *slabs = tf.while_loop(lambda i, *_: i < last, all_slabs, (first, *slabs))
        return index, slabs

    def around(self, slabs, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The rows before and after a slab, from its neighbours."""
        starts, ghosts = self._starts, self.tile.ghosts
        before, after = (number - 1) % self.count, (number + 1) % self.count
        start, end = starts[number], starts[number] + self.rows
        begin = (start or self._grid_rows) - ghosts - starts[before]
        return (
            self._rows_of(slabs[before], begin, ghosts),
            self._rows_of(slabs[after], end % self._grid_rows - starts[after], ghosts),
        )


def pieces(whole: Bands, bytes_a_cell: int) -> int:
    """In how many bands, one after the other, a grid is computed that has no slabs.

    Every band has kernels of its own, so methods of many stages would compile twice as long.
    """
    large = whole.problem.grid.cells * bytes_a_cell > flat.PIECE_BYTES and whole.depth <= 2
    halves = replace(whole, rows=whole.rows // 2)
    return 2 if large and whole.rows % 2 == 0 and halves.fits else 1


def cut(whole: Bands, bytes_a_cell: int, arrays: int, single: bool = False) -> Slabs | None:
    """Slabs for a large grid; None for one that is small, or has too few rows.

    None too where a sweep would be a single step, or leave half of the cores without work.

    Args:
        whole: the grid as one band.
        bytes_a_cell: of all numbers that are carried.
        arrays: that a tile's steps need, each as large as the tile.
        single: for single steps of chosen size.
    """
    rows = whole.problem.grid.shape[0]
    limit = flat.WHOLE_BYTES if pieces(whole, bytes_a_cell) > 1 else flat.PIECE_BYTES
    # of single steps in three dimensions, planes of ghosts cost more than the caches save
    too_deep = single and whole.problem.grid.dimensions == 3
    if whole.problem.grid.cells * bytes_a_cell <= limit or too_deep:
        return None
    tile = _tile(whole, bytes_a_cell, single)
    least = 4 * tile.ghosts
    # small slabs let go of what they were made from one by one, and their memory is used again
    wanted = -(-rows * whole.row * bytes_a_cell // (SLAB_BYTES * _cores())) * _cores()
    count = min(wanted, rows // least)
    if tile.steps == 0 or 2 * count <= _cores() > 1:
        return None
    size = min(TILE_BYTES, KEPT_BYTES // arrays)
    slab, best = -(-rows // count), max(least, size // (tile.row * bytes_a_cell))
    return Slabs(replace(tile, rows=-(-slab // max(1, slab // best))), count)


def _tile(whole: Bands, bytes_a_cell: int, single: bool) -> Bands:
    """A tile and an even number of steps for it, or one; 0 where two have too many ghosts."""
    shape = whole.problem.grid.shape
    wide = len(shape) == 2 and shape[1] > 3 * TILE_WIDTH // 2
    tile = replace(whole, width=TILE_WIDTH if wide else None)
    if single:
        return tile.lasting(1)
    a_step = tile.lasting(1).ghosts - 1
    steps = GHOST_ROWS[len(shape)] // a_step // 2 * 2
    if steps == 0 and 2 * a_step <= MOST_ROWS[len(shape)]:
        steps = 2
    while steps > 2:
        tile = tile.lasting(steps)
        if 6 * tile.ghosts * tile.row * bytes_a_cell <= LEAST_TILE:
            break
        steps -= 2
    return tile.lasting(steps)


def _cores() -> int:
    """Threads in which TensorFlow runs operations side by side."""
    asked = tf.config.threading.get_inter_op_parallelism_threads()
    if asked or not hasattr(os, "sched_getaffinity"):
        return asked or os.cpu_count() or 1
    return len(os.sched_getaffinity(0))
