"""Division of large grids into slabs of rows, one or more for each core.

XLA does not parallelise a kernel that writes in place, and parallel kernels write to newly
allocated memory in every pass. Each slab is therefore advanced by a compiled call: TensorFlow runs
the calls of all slabs in parallel, each in one thread. A slab takes several steps before it needs
new ghost cells from its neighbours (time skewing: Datta et al., SC 2008,
doi:10.1109/SC.2008.5222004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import tensorflow as tf

from pdesim.engine.flat.layout import FlatLayout
from pdesim.engine.flat.tiles import Slab
from pdesim.engine.flat.tuning import TUNING, Tuning

#: ``sweep(slab, index, steps)``: the values of a slab after ``steps`` steps
Sweep = Callable[[Slab, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Slabs:
    """The division of a flat state ``(..., fields, cells)`` into ``count`` slabs of equal size.

    If the number of rows is not a multiple of ``count``, some adjacent slabs overlap by a row.

    Args:
        tile: the layout of a tile, which takes ``tile.steps`` steps at a time.
        total: the number of rows that are divided: those of the grid, or of a part of it.
        first: the index of the first of these rows in the grid.
    """

    tile: FlatLayout
    count: int
    total: int
    first: int = 0

    @property
    def rows(self) -> int:
        """The number of rows of one slab, without ghost cells."""
        return -(-self.total // self.count)

    @property
    def lengths(self) -> list[int]:
        """The number of rows that each slab contributes."""
        ends = [*self.starts[1:], self.total]
        return [end - start for start, end in zip(self.starts, ends, strict=True)]

    @property
    def starts(self) -> list[int]:
        """The index of the first row of each slab among the rows that are divided."""
        return [number * self.total // self.count for number in range(self.count)]

    def _rows_of(self, values: tf.Tensor, start: int, rows: int) -> tf.Tensor:
        row = self.tile.full_width.row
        return values[..., start * row : (start + rows) * row]

    def split(self, state: tf.Tensor, compiled) -> list[tf.Tensor]:
        """Return the slabs of a state on the grid, each from a separate program."""
        return [compiled(partial(self._piece, number=n))(state) for n in range(self.count)]

    def _piece(self, state: tf.Tensor, number: int) -> tf.Tensor:
        start, columns = self.starts[number], self.tile.columns[::-1]
        before = (slice(None),) * (state.shape.rank - len(columns) - 1)
        slab = state[(*before, slice(start, start + self.rows))]
        for axis, ghosts in enumerate(columns, start=len(before) + 1):
            ends = tf.split(slab, [ghosts, slab.shape[axis] - 2 * ghosts, ghosts], axis)
            slab = tf.concat([ends[2], slab, ends[0]], axis)
        return tf.reshape(slab, (*state.shape[: len(before)], -1))

    def join(self, slabs) -> tf.Tensor:
        """Return the state on the grid, from its slabs."""
        own = [self.own(slab, length) for slab, length in zip(slabs, self.lengths, strict=True)]
        return tf.concat(own, axis=-len(self.tile.problem.grid.shape))

    def own(self, slab: tf.Tensor, length: int) -> tf.Tensor:
        """Return the rows that a slab contributes, without ghost cells.

        Args:
            length: the number of these rows; see :attr:`lengths`.
        """
        inner = [slice(ghosts, -ghosts) for ghosts in self.tile.columns[::-1]]
        rows = tf.reshape(slab, (*slab.shape[:-1], self.rows, *self.tile.full_width.row_shape))
        return rows[(..., slice(length), *inner)]

    def finite(self, slabs, compiled) -> tf.Tensor:
        """Return whether all values of each field are finite; a separate program for each slab."""

        def is_finite(slab: tf.Tensor) -> tf.Tensor:
            return tf.reduce_all(tf.math.is_finite(slab), axis=-1)

        program = compiled(is_finite)
        return tf.reduce_all(tf.stack([program(slab) for slab in slabs]), axis=0)

    def advance(self, slabs, arrays, first, last, sweep: Sweep) -> tuple:
        """Return the index of the next step and the slabs after the steps ``first`` to ``last``.

        A sweep takes several steps. TensorFlow's graph runs the sweeps of all slabs in parallel.

        Args:
            arrays: for each slab, its position arrays, or None.
        """

        def all_slabs(index, *slabs):
            steps = tf.minimum(last - index, self.tile.steps)
            surrounded = self.surrounded(slabs, arrays)
            return index + steps, *(sweep(slab, index, steps) for slab in surrounded)

        index, *slabs = tf.while_loop(lambda i, *_: i < last, all_slabs, (first, *slabs))
        return index, slabs

    def surrounded(self, slabs, arrays, beyond=None) -> list[Slab]:
        """Return the slabs with their ghost cells, places and position arrays.

        Args:
            beyond: the rows of ghost cells before the first slab and after the last one; by
                default, those of a periodic axis.
        """
        before, after = self.edges(slabs[0], slabs[-1])[::-1] if beyond is None else beyond
        return [
            Slab(
                slab,
                self._rows_before(slabs, number) if number else before,
                self._rows_after(slabs, number) if number + 1 < self.count else after,
                tf.constant(self.first + start),
                fixed,
            )
            for number, (slab, start, fixed) in enumerate(
                zip(slabs, self.starts, arrays, strict=True)
            )
        ]

    def edges(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the outermost rows of the first and the last slab.

        They are as many as there are rows of ghost cells on each side.
        """
        ghosts = self.tile.ghosts
        return self._rows_of(first, 0, ghosts), self._rows_of(last, self.rows - ghosts, ghosts)

    def _rows_before(self, slabs, number: int) -> tf.Tensor:
        ghosts, before = self.tile.ghosts, number - 1
        return self._rows_of(
            slabs[before], self.starts[number] - ghosts - self.starts[before], ghosts
        )

    def _rows_after(self, slabs, number: int) -> tf.Tensor:
        after = number + 1
        begin = self.starts[number] + self.rows - self.starts[after]
        return self._rows_of(slabs[after], begin, self.tile.ghosts)


def band_count(layout: FlatLayout, bytes_per_cell: int, tuning: Tuning = TUNING) -> int:
    """Return the number of successive bands in which a grid without slabs is computed.

    Every band has separate kernels, so two bands would double the compile time of methods with many
    stages.
    """
    large = (
        layout.problem.grid.cells * bytes_per_cell > tuning.single_band_bytes and layout.depth <= 2
    )
    halves = replace(layout, rows=layout.rows // 2)
    return 2 if large and layout.rows % 2 == 0 and halves.fits else 1


def decompose(
    layout: FlatLayout,
    bytes_per_cell: int,
    arrays: float,
    single: bool = False,
    tuning: Tuning = TUNING,
    part: range | None = None,
    halves: bool = False,
) -> Slabs | None:
    """Return slabs for a large grid; None if it is small or has too few rows.

    The result is also None if a tile cannot take several steps at a time (unless ``single``), or if
    there would be too few slabs to use more than half of the cores. A part of the grid only needs
    as many rows as there are ghost rows, since the compiler would round the steps of another form
    differently.

    Args:
        layout: the layout of the grid.
        bytes_per_cell: the size of the carried data.
        arrays: the number of arrays that the steps of a tile use, each as large as the tile.
        single: whether a slab takes one step at a time, of adaptive length.
        part: the rows that are divided; by default, all rows of the grid.
        halves: whether about half of the slabs of a part are computed at a time.
    """
    rows = range(layout.problem.grid.shape[0]) if part is None else part
    halved = band_count(layout, bytes_per_cell, tuning) > 1
    limit = tuning.two_band_bytes if halved else tuning.single_band_bytes
    # for single steps in three dimensions, planes of ghost cells cost more than tiling gains
    too_deep = single and layout.problem.grid.dimensions == 3
    if layout.problem.grid.cells * bytes_per_cell <= limit or too_deep:
        return None
    tile = _tile(layout, bytes_per_cell, single, tuning)
    min_rows, threads = 4 * tile.ghosts, tuning.threads
    # with small slabs, the memory of one slab's input is reused for the next slab
    size = len(rows) * layout.row * bytes_per_cell
    needed = -(-size // (tuning.slab_bytes * threads)) * threads
    count = min(needed, len(rows) // min_rows)
    if part is not None and len(part) >= tile.ghosts:
        # with halves, there are at least as many slabs as to compute half of them at a time
        wanted = max(needed, 2 * threads, 3) if halves else needed
        count = max(1, min(wanted, len(rows) // min_rows))
    elif 2 * count <= threads > 1:
        return None
    if tile.steps == 0 or count == 0:
        return None
    size = min(tuning.tile_bytes, int(tuning.tile_arrays_bytes // arrays))
    slab, best = -(-len(rows) // count), max(min_rows, size // (tile.row * bytes_per_cell))
    tile = replace(tile, rows=-(-slab // max(1, slab // best)))
    return Slabs(tile, count, len(rows), rows.start)


def _tile(layout: FlatLayout, bytes_per_cell: int, single: bool, tuning: Tuning) -> FlatLayout:
    """Return the layout of a tile.

    Its number of steps is 1 if ``single``, otherwise even; it is 0 if two steps would need too many
    ghost cells.
    """
    shape = layout.problem.grid.shape
    wide = len(shape) == 2 and shape[1] > 3 * tuning.tile_width // 2
    tile = replace(layout, width=tuning.tile_width if wide else None)
    if single:
        return tile.with_steps_per_exchange(1)
    a_step = tile.with_steps_per_exchange(1).ghosts - 1
    steps = tuning.ghost_rows[len(shape)] // a_step // 2 * 2
    if steps == 0 and 2 * a_step <= tuning.max_ghost_rows[len(shape)]:
        steps = 2
    while steps > 2:
        tile = tile.with_steps_per_exchange(steps)
        if 6 * tile.ghosts * tile.row * bytes_per_cell <= tuning.tile_ghost_bytes:
            break
        steps -= 2
    return tile.with_steps_per_exchange(steps)
