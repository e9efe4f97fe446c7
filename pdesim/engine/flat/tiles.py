"""Tiles of a slab, each advanced by several steps in the cache of one core.

XLA updates slices of loop variables in place, in one thread and without a copy. The steps of a tile
are therefore a loop that alternates between two arrays, with buffers for stages. Loading a tile is
a separate loop of one iteration: fused with the subsequent flat reads, its writes by rows and
columns would need integer divisions in every cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine import error_control
from pdesim.engine.flat.layout import FlatLayout
from pdesim.engine.flat.walls import Place, touched
from pdesim.engine.flat.workspace import Workspace, write_middle
from pdesim.steppers.cost import Cost

#: ``step(parts, count, numbers, workspace, place, arrays)`` returns the carried data after a step,
#: in parts along the fields; ``arrays`` is a list of the position arrays of the tile, or empty
Step = Callable[..., Sequence[tf.Tensor]]
#: ``attempt(parts, numbers, workspace, place, arrays)`` writes the parts after one step and returns
#: the squared error of every cell
Attempt = Callable[..., tf.Tensor]
#: ``reflect(parts, place)`` returns the parts with ghost cells that are mirror images
Reflect = Callable[[Sequence[tf.Tensor], Place], Sequence[tf.Tensor]]


class Slab(NamedTuple):
    """A slab and its surroundings.

    Args:
        values: the flat slab ``(..., fields, cells)``, without rows of ghost cells.
        before, after: the rows of ghost cells on both sides.
        start: the index of its first row.
        arrays: the arrays that depend on position only, with all ghost cells; None if there are
            none.
    """

    values: tf.Tensor
    before: tf.Tensor
    after: tf.Tensor
    start: tf.Tensor
    arrays: tf.Tensor | None = None


@dataclass(frozen=True)
class Tiles:
    """The division of a slab ``(..., fields, cells)`` of ``rows`` rows into tiles.

    Tiles overlap if their size does not divide the slab.

    Args:
        tile: the layout of one tile.
        sizes: the number of fields in each part of the carried data.
        cost: the cost of a step, which determines its buffers.
    """

    tile: FlatLayout
    rows: int
    sizes: Sequence[int]
    cost: Cost

    def sweep(self, slab: Slab, step: Step, reflect: Reflect, steps, numbers) -> tf.Tensor:
        """Return a slab after ``steps`` steps, tile by tile, in a program compiled by XLA.

        Args:
            reflect: computes the ghost cells that are mirror images of interior cells.
            steps: at most ``tile.steps``.
            numbers: a structure of tensors that is passed to ``step``.
        """
        packed, unpacked = _pack((slab.start, numbers))

        def work(number, parts, spare, buffers, arrays):
            def unpacking(parts, count, packed, workspace, arrays):
                start, numbers = unpacked(packed)
                return step(parts, count, numbers, workspace, self._place(start, number), arrays)

            parts = reflect(parts, self._place(slab.start, number))
            parts, spare, buffers, arrays = self._advance(
                parts, spare, buffers, arrays, unpacking, steps, packed
            )
            return parts, parts, spare, buffers, arrays, None

        return self._for_each_tile(slab, work, steps, self.cost.buffers)[0]

    def trial(self, slab: Slab, attempt: Attempt, reflect: Reflect, rows, numbers):
        """Return a slab after one step of all tiles, and sums of squared errors, ``(..., fields)``.

        Args:
            rows: the number of leading rows of the slab that are included in the sums.
        """
        packed, unpacked = _pack((slab.start, numbers))

        def work(number, parts, spare, buffers, arrays):
            def one(count, packed, parts, spare, buffers, arrays):
                arrays = [touched(values) for values in arrays]
                taken = tf.constant(True)
                workspace = Workspace(list(parts), list(spare), list(buffers[1:]), taken, self.cost)
                start, numbers = unpacked(packed)
                place = self._place(start, number)
                squared_errors = attempt(parts, numbers, workspace, place, arrays)
                squared_errors = write_middle(buffers[0], squared_errors)
                # change every part, since the compiler would move computations with unchanged parts
                # out of the loop
                parts = [_mark(part, squared_errors) for part in workspace.old]
                buffers = [squared_errors, *workspace.buffers]
                return count + 1, _opaque(packed, count), parts, workspace.new, buffers, arrays

            once = tf.minimum(number + 1, 1)
            parts = reflect(parts, self._place(slab.start, number))
            loop = (0, packed, parts, spare, buffers, arrays)
            _, _, parts, spare, buffers, arrays = tf.while_loop(
                lambda count, *_: count < once, one, loop
            )
            return spare, parts, spare, buffers, arrays, self._sum(buffers[0], number, rows)

        buffer_sizes = (sum(self.sizes), *self.cost.buffers)
        return self._for_each_tile(slab, work, rows, buffer_sizes)

    def _for_each_tile(self, slab: Slab, work, opaque_nonnegative, buffer_sizes):
        """Return the slab after ``work`` on all tiles in turn, and the sum of its results.

        Args:
            work: ``work(number, parts, spare, buffers, arrays)``, for a flat tile and arrays of its
                size, returns the new parts, all arrays, and a result to be summed or None.
            opaque_nonnegative: a nonnegative number whose sign is unknown to the compiler.
            buffer_sizes: the number of fields in each of the arrays ``buffers``.
        """
        shape = (self.tile.rows + 2 * self.tile.ghosts, self.tile.row)
        count, values = math.prod(self._tiles), slab.values

        def one(number, tile, fixed, spare, buffers, sums, out):
            row, column = self._origin(number)

            def load(count, parts, fixed):
                fixed = [
                    self._load_arrays(part, slab.arrays, row + count, column) for part in fixed
                ]
                return count + 1, self._load(parts, slab, row + count, column), fixed

            # a loop of one iteration prevents fusion across its end; the compiler does not know the
            # number of iterations
            once = tf.minimum(number + 1, 1)
            _, parts, fixed = tf.while_loop(lambda count, *_: count < once, load, (0, tile, fixed))
            parts, flat = ([tf.reshape(a, (*a.shape[:-2], -1)) for a in b] for b in (parts, fixed))
            new, parts, spare, buffers, flat, result = work(number, parts, spare, buffers, flat)
            fixed = [tf.reshape(a, (*a.shape[:-1], *shape)) for a in flat]
            out = self._store(out, new, row, column)
            tile = [tf.reshape(part, (*part.shape[:-1], *shape)) for part in parts]
            sums = sums if result is None else sums + result
            return number + 1, tile, fixed, spare, buffers, sums, out

        def arrays(number, sizes, *shape, lead=values.shape[:-2]):
            """Return new arrays, filled with a value that is different for each ``number``.

            XLA would create arrays of equal values as copies of one array. Each value is computed
            from the preceding one, so that few operations can start at the same time.
            """
            value = tf.cast(opaque_nonnegative, values.dtype)
            for _ in range(number):
                value = tf.sqrt(value)
            return [tf.fill((*lead, size, *shape), value) for size in sizes]

        cells = shape[0] * shape[1]
        buffers = [arrays(2 + n, [size], cells)[0] for n, size in enumerate(buffer_sizes)]
        fixed = []
        if slab.arrays is not None:
            *lead, size, _ = slab.arrays.shape
            fixed = arrays(2 + len(buffers), [size], *shape, lead=lead)
        sums = tf.zeros(values.shape[:-1], tf.float64)
        across = self.tile.full_width.row_shape
        out = tf.zeros((*values.shape[:-1], self.rows, *across), values.dtype)
        spare = arrays(1, self.sizes, cells)
        loop = (0, arrays(0, self.sizes, *shape), fixed, spare, buffers, sums, out)
        *_, sums, out = tf.while_loop(lambda number, *_: number < count, one, loop)
        return tf.reshape(out, values.shape), sums

    @property
    def _tiles(self) -> tuple[int, int]:
        """The number of tiles along both axes."""
        return -(-self.rows // self.tile.rows), -(-self._width // self._tile_width)

    def _origin(self, number):
        """Return the first row and the first column of a tile."""
        down, along = self._tiles
        row = number // along * (self.rows - self.tile.rows) // max(1, down - 1)
        column = number % along * (self._width - self._tile_width) // max(1, along - 1)
        return row, column

    def _place(self, start, number) -> Place:
        """Return the place of a tile of the slab that begins at row ``start``."""
        row, column = self._origin(number)
        return Place(start + row, column)

    def _sum(self, values, number, rows):
        """Return the sum over the cells of a tile in the first ``rows`` rows of the slab.

        Cells that are also in a preceding, overlapping tile are excluded.
        """
        tile, (row, column) = self.tile, self._origin(number)
        above, left = self._origin(number - self._tiles[1])[0], self._origin(number - 1)[1]
        down, along = tf.range(tile.rows), tf.range(self._tile_width)
        own = (row + down < rows) & ((row == 0) | (row + down >= above + tile.rows))
        new = (column == 0) | (column + along >= left + self._tile_width)
        own_cells = tile.interior(values)
        cells = tf.reshape(own_cells, (*own_cells.shape[:-1], tile.rows, *tile.row_shape))
        inner = zip(tile.columns[::-1], tile.row_shape, strict=True)
        cells = cells[(..., *(slice(ghosts, n - ghosts) for ghosts, n in inner))]
        for axis, selected in enumerate((own, new)[: 1 + len(tile.row_shape)]):
            selected = tf.reshape(selected, (-1, *[1] * (len(tile.row_shape) - axis)))
            cells = tf.where(selected, cells, tf.zeros_like(cells))
        return error_control.sum_of(cells, list(range(-1 - len(tile.row_shape), 0)))

    def _advance(
        self, parts, spare, buffers, arrays, step: Callable[..., Sequence[tf.Tensor]], steps, packed
    ) -> tuple:
        """Return a flat tile after ``steps`` steps, and the other arrays."""

        def two(count, packed, buffers, arrays, *both):
            pair, arrays = list(both), [touched(values) for values in arrays]
            for turn in range(2):
                now = count + turn
                taken = now < steps
                workspace = Workspace(
                    list(pair[turn]), list(pair[1 - turn]), list(buffers), taken, self.cost
                )
                for part, values in enumerate(step(pair[turn], now, packed, workspace, arrays)):
                    workspace.write_output(values, part)
                pair[turn], pair[1 - turn] = workspace.old, workspace.new
                buffers = workspace.buffers
            return count + 2, _opaque(packed, count), buffers, arrays, *pair

        loop = (0, packed, buffers, arrays, parts, spare)
        _, _, buffers, arrays, parts, spare = tf.while_loop(
            lambda count, *_: count < steps, two, loop
        )
        return parts, spare, buffers, arrays

    @property
    def _width(self) -> int:
        return (*self.tile.problem.grid.shape, 1)[1]

    @property
    def _tile_width(self) -> int:
        return self.tile.width or self._width

    @property
    def _first_fields(self) -> list[int]:
        """The index of the first field of each part."""
        return [0, *accumulate(self.sizes)][:-1]

    def _load_arrays(self, part, arrays, row, column) -> tf.Tensor:
        """Load the position arrays of a tile, with ghost cells, into the array ``part``."""
        by_rows = tf.reshape(arrays, (*arrays.shape[:-1], -1, self.tile.full_width.row))
        lead = [0] * (arrays.shape.rank - 1)
        place = tf.stack([*lead, row, column if self.tile.width else 0])
        values = tf.slice(by_rows, place, part.shape)
        return xla.dynamic_update_slice(part, values, tf.constant([0] * part.shape.rank))

    def _load(self, parts, slab: Slab, row, column) -> list[tf.Tensor]:
        """Load a tile with its ghost cells into the arrays ``parts``, by rows."""
        tile, lead = self.tile, [0] * (slab.values.shape.rank - 2)
        rows, ghosts = tile.rows, tile.ghosts
        is_first, is_last = tf.equal(row, 0), tf.equal(row, self.rows - rows)
        results = []
        for part, number in zip(parts, self._first_fields, strict=True):

            def piece(values, start, rows, part=part, number=number):
                by_rows = tf.reshape(values, (*values.shape[:-1], -1, self.tile.full_width.row))
                place = tf.stack([*lead, number, start, column if tile.width else 0])
                return tf.slice(by_rows, place, (*part.shape[:-2], rows, tile.row))

            above = piece(slab.values, tf.maximum(row - ghosts, 0), ghosts)
            below = piece(slab.values, tf.minimum(row + rows, self.rows - ghosts), ghosts)
            for start, values in (
                (ghosts, piece(slab.values, row, rows)),
                (0, tf.where(is_first, piece(slab.before, 0, ghosts), above)),
                (ghosts + rows, tf.where(is_last, piece(slab.after, 0, ghosts), below)),
            ):
                part = xla.dynamic_update_slice(part, values, tf.stack([*lead, 0, start, 0]))
            results.append(part)
        return results

    def _store(self, out, parts, row, column) -> tf.Tensor:
        """Write the rows of a tile into a slab and fill the ghost cells at the ends of its rows."""
        tile, across = self.tile, self.tile.full_width.row_shape
        lead = [0] * (out.shape.rank - len(across) - 2)
        for part, number in zip(parts, self._first_fields, strict=True):
            if tile.width is None:
                rows = tile.with_columns(tile.interior(part, beyond=1), 1, tile.rows)
                place = tf.stack([*lead, number, row, *[0] * len(across)])
                out = xla.dynamic_update_slice(out, rows, place)
                continue
            rows, width, (columns,) = tile.interior(part), tile.width, tile.columns
            rows = tf.reshape(rows, (*rows.shape[:-1], tile.rows, tile.row))
            # the outermost columns are also ghost cells at the other end; other columns are written
            # twice
            first = tf.where(tf.equal(column, 0), self._width + columns, column + columns)
            last = tf.where(tf.equal(column, self._width - width), 0, column + width)
            for begin, size, to in (
                (columns, width, column + columns),
                (columns, columns, first),
                (width, columns, last),
            ):
                place = tf.stack([*lead, number, row, to])
                out = xla.dynamic_update_slice(out, rows[..., begin : begin + size], place)
        return out


def _opaque(packed, count) -> list[tf.Tensor]:
    """Return the same values in a form that the compiler does not recognise as constant.

    Arithmetic with these values then remains in the kernels of the loop; the compiler would
    otherwise move it out of the loop as many small operations.
    """
    return [tf.where(count < 0, tf.zeros_like(n), n) for n in packed]


def _mark(part: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Return ``part`` with its first cell (a ghost cell) replaced by that of ``values``."""
    first = values[..., : part.shape[-2], :1]
    return xla.dynamic_update_slice(part, first, tf.constant([0] * part.shape.rank))


def _pack(numbers):
    """Return the tensors of a structure as one flat tensor per type, and the inverse function."""
    flat = tf.nest.flatten(numbers)
    types = sorted({tensor.dtype for tensor in flat}, key=str)
    members = [[n for n, tensor in enumerate(flat) if tensor.dtype == t] for t in types]
    packed = [tf.concat([tf.reshape(flat[n], [-1]) for n in of], axis=0) for of in members]

    def unpacked(packed):
        results = [None] * len(flat)
        for values, of in zip(packed, members, strict=True):
            sizes = [flat[n].shape.num_elements() for n in of]
            for n, part in zip(of, tf.split(values, sizes), strict=True):
                results[n] = tf.reshape(part, flat[n].shape)
        return tf.nest.pack_sequence_as(numbers, results)

    return packed, unpacked
