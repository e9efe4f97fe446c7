"""Tiles of a slab: what one core works on in its cache, several steps before the next.

XLA writes in place, in one thread and without a second array, what a loop carries and updates with
a slice. So the steps of a tile are a loop that goes to and fro between two arrays, and its stages
have arrays of their own. What is written by rows and columns and then read flat would be divided
out cell by cell, were the two not apart: loading a tile is a loop of one round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.operators.bands import Bands
from pdesim.operators.room import Room

#: ``step(parts, count, numbers, room)``: what is carried after a step, its parts along the numbers
Step = Callable[[Sequence[tf.Tensor], tf.Tensor, object, Room], Sequence[tf.Tensor]]


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
        shape = (self.tile.rows + 2 * self.tile.ghosts, self.tile.row)
        packed, unpacked = _pack(numbers)
        down, along = -(-self.rows // self.tile.rows), -(-self._width // self._tile_width)

        def unpacking(parts, count, packed, room):
            return step(parts, count, unpacked(packed), room)

        def one(number, tile, others, out):
            row = number // along * (self.rows - self.tile.rows) // max(1, down - 1)
            column = number % along * (self._width - self._tile_width) // max(1, along - 1)

            def load(count, parts):
                place = row + count, column
                return count + 1, self._loaded(parts, slab, before, after, *place)

            # one round, which the compiler cannot know: nothing is fused over its end
            once = tf.minimum(number + 1, 1)
            _, parts = tf.while_loop(lambda count, *_: count < once, load, (0, tile))
            parts = [tf.reshape(part, (*part.shape[:-2], -1)) for part in parts]
            parts, others = self._advanced(parts, others, unpacking, steps, packed)
            out = self._stored(out, parts, row, column)
            tile = [tf.reshape(part, (*part.shape[:-1], *shape)) for part in parts]
            return number + 1, tile, others, out

        def arrays(number, *shape):
            """Some that differ from all others: equal ones would be copies, which wait for threads.

            Each value is made of that before, so that few operations can begin at the same time.
            """
            value = tf.cast(steps, slab.dtype)
            for _ in range(number):
                value = tf.sqrt(value)
            return [tf.fill((*slab.shape[:-2], size, *shape), value) for size in self.sizes]

        cells = shape[0] * shape[1]
        kept = [array for stage in range(self.stages) for array in arrays(2 + stage, cells)]
        out = tf.zeros((*slab.shape[:-1], self.rows, *self.tile.whole.across), slab.dtype)
        loop = (0, arrays(0, *shape), (arrays(1, cells), kept), out)
        out = tf.while_loop(lambda number, *_: number < down * along, one, loop)[-1]
        return tf.reshape(out, slab.shape)

    def _advanced(self, parts, others, step: Step, steps, packed) -> tuple[list, tuple]:
        """A flat tile after so many steps, and the other arrays that it went to and fro with."""

        def two(count, packed, kept, *pair):
            pair = list(pair)
            for turn in range(2):
                now = count + turn
                room = Room(pair[turn], list(pair[1 - turn]), list(kept), now < steps)
                for part, values in enumerate(step(pair[turn], now, packed, room)):
                    room.settle(values, part)
                pair[1 - turn], kept = room.new, room.kept
            # they never change, which the compiler cannot know: what is made of them stays in the
            # kernels, where it would be a host of small operations before the loops
            packed = [tf.where(count < 0, tf.zeros_like(n), n) for n in packed]
            return count + 2, packed, kept, *pair

        spare, kept = others
        loop = (0, packed, kept, parts, spare)
        _, _, kept, parts, spare = tf.while_loop(lambda count, *_: count < steps, two, loop)
        return parts, (spare, kept)

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
