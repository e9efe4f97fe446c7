"""Tiles of a slab: what one core works on in its cache, several steps before the next.

XLA writes in place, in one thread and without a second array, what a loop carries and updates with
a slice. So the steps of a tile are a loop that goes to and fro between two arrays, and its stages
have arrays of their own. What is written by rows and columns and then read flat would be divided
out cell by cell, were the two not apart: loading a tile is a loop of one round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.operators.bands import Bands
from pdesim.operators.room import Room, written

#: ``step(parts, count, numbers, room)``: what is carried after a step, its parts along the numbers
Step = Callable[[Sequence[tf.Tensor], tf.Tensor, object, Room], Sequence[tf.Tensor]]
#: ``attempt(parts, numbers, room)`` settles the parts after one step; what is told of every cell
Attempt = Callable[[Sequence[tf.Tensor], object, Room], tf.Tensor]


@dataclass(frozen=True)
class Tiles:
    """A slab ``(..., numbers, cells)`` of so many ``rows``, cut into tiles.

    Tiles that do not divide the slab overlap.

    Args:
        tile: a band of fewer rows, of fewer cells too where rows are long.
        sizes: numbers in each part of what is carried.
        stages: that a step keeps, of every part.
    """

    tile: Bands
    rows: int
    sizes: Sequence[int]
    stages: int

    def sweep(self, slab: tf.Tensor, before, after, step: Step, steps, numbers) -> tf.Tensor:
        """All tiles of a slab, so many steps each, inside a program that XLA compiles.

        Args:
            before, after: the rows of ghosts on both sides.
            steps: at most ``tile.steps``.
            numbers: a structure of tensors that ``step`` is given.
        """
        packed, unpacked = _pack(numbers)

        def unpacking(parts, count, packed, room):
            return step(parts, count, unpacked(packed), room)

        def work(number, parts, spare, kept):
            parts, spare, kept = self._advanced(parts, spare, kept, unpacking, steps, packed)
            return parts, parts, spare, kept, None

        return self._in_turn(slab, before, after, work, steps)[0]

    def trial(self, slab: tf.Tensor, before, after, attempt: Attempt, rows, numbers):
        """One step of all tiles, and sums of what is told of its cells, ``(..., numbers)``.

        Args:
            rows: of the slab that are summed over, the first ones.
        """
        packed, unpacked = _pack(numbers)

        def work(number, parts, spare, kept):
            def one(count, packed, parts, spare, kept):
                room = Room(parts, list(spare), list(kept[1:]), tf.constant(True))
                told = written(kept[0], attempt(parts, unpacked(packed), room))
                # the compiler would make before the loop what is made of parts that stay the same
                parts = [_marked(part, told) for part in parts]
                return count + 1, _as_they_are(packed, count), parts, room.new, [told, *room.kept]

            once = tf.minimum(number + 1, 1)
            loop = (0, packed, parts, spare, kept)
            _, _, parts, spare, kept = tf.while_loop(lambda count, *_: count < once, one, loop)
            return spare, parts, spare, kept, self._sum(kept[0], number, rows)

        return self._in_turn(slab, before, after, work, rows)

    def _in_turn(self, slab: tf.Tensor, before, after, work, natural):
        """``work`` done on one tile after the other: the slab then, and the sum of what is told.

        Args:
            work: ``work(number, parts, spare, kept)``, of a flat tile and arrays of its size: the
                parts that it becomes, all arrays again, and what is told.
            natural: a number that is not negative, which the compiler cannot know.
        """
        shape = (self.tile.rows + 2 * self.tile.ghosts, self.tile.row)
        count = math.prod(self._tiles)

        def one(number, tile, spare, kept, sums, out):
            row, column = self._place(number)

            def load(count, parts):
                return count + 1, self._loaded(parts, slab, before, after, row + count, column)

            # one round, which the compiler cannot know: nothing is fused over its end
            once = tf.minimum(number + 1, 1)
            _, parts = tf.while_loop(lambda count, *_: count < once, load, (0, tile))
            parts = [tf.reshape(part, (*part.shape[:-2], -1)) for part in parts]
            new, parts, spare, kept, told = work(number, parts, spare, kept)
            out = self._stored(out, new, row, column)
            tile = [tf.reshape(part, (*part.shape[:-1], *shape)) for part in parts]
            return number + 1, tile, spare, kept, sums if told is None else sums + told, out

        def arrays(number, *shape):
            """Some that differ from all others: equal ones would be copies, which wait for threads.

            Each value is made of that before, so that few operations can begin at the same time.
            """
            value = tf.cast(natural, slab.dtype)
            for _ in range(number):
                value = tf.sqrt(value)
            return [tf.fill((*slab.shape[:-2], size, *shape), value) for size in self.sizes]

        cells = shape[0] * shape[1]
        kept = [array for stage in range(self.stages) for array in arrays(2 + stage, cells)]
        sums = tf.zeros(slab.shape[:-1], slab.dtype)
        out = tf.zeros((*slab.shape[:-1], self.rows, *self.tile.whole.across), slab.dtype)
        loop = (0, arrays(0, *shape), arrays(1, cells), kept, sums, out)
        *_, sums, out = tf.while_loop(lambda number, *_: number < count, one, loop)
        return tf.reshape(out, slab.shape), sums

    @property
    def _tiles(self) -> tuple[int, int]:
        """How many there are along both axes."""
        return -(-self.rows // self.tile.rows), -(-self._width // self._tile_width)

    def _place(self, number):
        """The row and the column at which a tile begins."""
        down, along = self._tiles
        row = number // along * (self.rows - self.tile.rows) // max(1, down - 1)
        column = number % along * (self._width - self._tile_width) // max(1, along - 1)
        return row, column

    def _sum(self, values, number, rows):
        """Over the cells of a tile that none before it had, in the first rows of the slab."""
        tile, (row, column) = self.tile, self._place(number)
        above, left = self._place(number - self._tiles[1])[0], self._place(number - 1)[1]
        down, along = tf.range(tile.rows), tf.range(self._tile_width)
        own = (row + down < rows) & ((row == 0) | (row + down >= above + tile.rows))
        new = (column == 0) | (column + along >= left + self._tile_width)
        core = tile.core(values)
        cells = tf.reshape(core, (*core.shape[:-1], tile.rows, *tile.across))
        cells = cells[(..., *(slice(tile.columns, n - tile.columns) for n in tile.across))]
        for axis, chosen in enumerate((own, new)[: 1 + len(tile.across)]):
            chosen = tf.reshape(chosen, (-1, *[1] * (len(tile.across) - axis)))
            cells = tf.where(chosen, cells, tf.zeros_like(cells))
        return tf.reduce_sum(cells, axis=list(range(-1 - len(tile.across), 0)))

    def _advanced(self, parts, spare, kept, step: Step, steps, packed) -> tuple:
        """A flat tile after so many steps, and the other arrays that it went to and fro with."""

        def two(count, packed, kept, *pair):
            pair = list(pair)
            for turn in range(2):
                now = count + turn
                room = Room(pair[turn], list(pair[1 - turn]), list(kept), now < steps)
                for part, values in enumerate(step(pair[turn], now, packed, room)):
                    room.settle(values, part)
                pair[1 - turn], kept = room.new, room.kept
            return count + 2, _as_they_are(packed, count), kept, *pair

        loop = (0, packed, kept, parts, spare)
        _, _, kept, parts, spare = tf.while_loop(lambda count, *_: count < steps, two, loop)
        return parts, spare, kept

    @property
    def _width(self) -> int:
        return (*self.tile.problem.grid.shape, 1)[1]

    @property
    def _tile_width(self) -> int:
        return self.tile.width or self._width

    @property
    def _firsts(self) -> list[int]:
        """The numbers that parts begin with."""
        return [0, *accumulate(self.sizes)][:-1]

    def _loaded(self, parts, slab, before, after, row, column) -> list[tf.Tensor]:
        """A tile written over others, its parts by rows; the first and the last reach beyond."""
        tile, lead = self.tile, [0] * (slab.shape.rank - 2)
        rows, ghosts = tile.rows, tile.ghosts
        is_first, is_last = tf.equal(row, 0), tf.equal(row, self.rows - rows)
        found = []
        for part, number in zip(parts, self._firsts, strict=True):

            def piece(values, start, rows, part=part, number=number):
                by_rows = tf.reshape(values, (*values.shape[:-1], -1, self.tile.whole.row))
                place = tf.stack([*lead, number, start, column if tile.width else 0])
                return tf.slice(by_rows, place, (*part.shape[:-2], rows, tile.row))

            above = piece(slab, tf.maximum(row - ghosts, 0), ghosts)
            below = piece(slab, tf.minimum(row + rows, self.rows - ghosts), ghosts)
            for start, values in (
                (ghosts, piece(slab, row, rows)),
                (0, tf.where(is_first, piece(before, 0, ghosts), above)),
                (ghosts + rows, tf.where(is_last, piece(after, 0, ghosts), below)),
            ):
                part = xla.dynamic_update_slice(part, values, tf.stack([*lead, 0, start, 0]))
            found.append(part)
        return found

    def _stored(self, out, parts, row, column) -> tf.Tensor:
        """The rows of a slab with those of a tile written in, ghosts at their ends anew."""
        tile, columns, across = self.tile, self.tile.columns, self.tile.whole.across
        lead = [0] * (out.shape.rank - len(across) - 2)
        for part, number in zip(parts, self._firsts, strict=True):
            if tile.width is None:
                rows = tile.with_columns(tile.core(part, beyond=1), 1, tile.rows)
                place = tf.stack([*lead, number, row, *[0] * len(across)])
                out = xla.dynamic_update_slice(out, rows, place)
                continue
            rows, width = tile.core(part), tile.width
            rows = tf.reshape(rows, (*rows.shape[:-1], tile.rows, tile.row))
            # the outermost columns are ghosts at the other end, and elsewhere written twice
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


def _as_they_are(packed, count) -> list[tf.Tensor]:
    """Numbers that a loop hands on; the compiler cannot know that they never change.

    So what is made of them stays in the kernels, and is not a host of small operations before.
    """
    return [tf.where(count < 0, tf.zeros_like(n), n) for n in packed]


def _marked(part: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """A part whose first cell, a ghost, is another."""
    first = values[..., : part.shape[-2], :1]
    return xla.dynamic_update_slice(part, first, tf.constant([0] * part.shape.rank))


def _pack(numbers):
    """Tensors of a structure as one flat tensor of each type, and how to get them back."""
    flat = tf.nest.flatten(numbers)
    types = sorted({tensor.dtype for tensor in flat}, key=str)
    members = [[n for n, tensor in enumerate(flat) if tensor.dtype == t] for t in types]
    packed = [tf.concat([tf.reshape(flat[n], [-1]) for n in of], axis=0) for of in members]

    def unpacked(packed):
        found = [None] * len(flat)
        for values, of in zip(packed, members, strict=True):
            sizes = [flat[n].shape.num_elements() for n in of]
            for n, part in zip(of, tf.split(values, sizes), strict=True):
                found[n] = tf.reshape(part, flat[n].shape)
        return tf.nest.pack_sequence_as(numbers, found)

    return packed, unpacked
