"""Blocks of steps of a large grid: TensorFlow's graph of compiled calls, one for each slab."""

from __future__ import annotations

import tensorflow as tf

from pdesim.engine import error_control
from pdesim.operators.slabs import Slabs
from pdesim.operators.tiles import Tiles


def advance(blocks, trace):
    """``blocks.advance`` in sweeps over all slabs; ``trace`` lets those members rest that are done.

    Steps beyond those that all members take are left to it.
    """
    slabs, rest = blocks.slabs, blocks.compiled(trace)
    on_grid = -1 - blocks.problem.grid.dimensions

    def in_slabs(carry, start, dt, first, last, *numbers):
        joined, part = blocks.joined(carry)

        def leave(pieces, stop, dt, parameters, coefficients):
            carry, system = part(slabs.join(pieces), on_grid), blocks.system(parameters)
            return blocks.finish(system, carry, stop, tf.cast(dt, blocks.dtype), coefficients)

        sweep = _sweep(blocks, carry, start, dt, *numbers)
        pieces = slabs.split(joined, blocks.compiled)
        first, pieces = slabs.advance(pieces, first, tf.reduce_min(last), sweep)
        if blocks.members:
            carry = part(blocks.compiled(slabs.join)(pieces), on_grid)
            return rest(carry, start, dt, first, last, *numbers)
        stop = start + tf.cast(last, tf.float64) * dt
        return blocks.compiled(leave)(pieces, stop, dt, *numbers)

    return tf.function(in_slabs, autograph=False)


def _sweep(blocks, carry, *numbers):
    """One slab over several steps, as a compiled call of its own."""
    tiles = _tiles(blocks, blocks.slabs, carry, blocks.stepper.kept)

    @blocks.compiled
    def sweep(slab, before, after, index, steps, *numbers):
        def step(parts, count, numbers, room):
            start, dt, parameters, coefficients = numbers
            system = blocks.in_band(tiles.tile, index, parameters, room)
            at, parts = index + tf.cast(count, tf.int64), tf.nest.pack_sequence_as(carry, parts)
            return tf.nest.flatten(blocks.step(system, at, parts, start, dt, coefficients))

        return tiles.sweep(slab, before, after, step, tf.cast(steps, tf.int32), numbers)

    return lambda *slab: sweep(*slab, *numbers)


def follow(blocks, slabs: Slabs):
    """``blocks.follow`` with every trial made slab by slab, of a single run."""
    cells, order = blocks.problem.grid.cells, blocks.stepper.error_order

    def in_slabs(carry, start, end, dt, trials, tolerance, scale, parameters):
        trial = _trial(blocks, slabs, carry, tolerance, scale, parameters)

        def unfinished(progress, pieces):
            return error_control.active(progress, trials, end, start)

        def attempt(progress, pieces):
            step = progress[0], error_control.next_step(progress, end)
            found = [
                trial(piece, *slabs.around(pieces, number), rows, *step)
                for number, (piece, rows) in enumerate(zip(pieces, slabs.lengths, strict=True))
            ]
            new, sums = zip(*found, strict=True)
            size = error_control.size_of(tf.add_n(sums), cells)
            good, progress = error_control.judged(size, True, progress, end, order)
            return progress, tf.cond(good, lambda: list(new), lambda: pieces)

        def leave(pieces, time, dt, parameters):
            return blocks.finish(blocks.system(parameters), slabs.join(pieces), time, dt, {})

        zero = tf.zeros_like(start, tf.int64)
        loop = (start, dt, zero, zero), slabs.split(carry, blocks.compiled)
        progress, pieces = tf.while_loop(unfinished, attempt, loop)
        return *blocks.compiled(leave)(pieces, *progress[:2], parameters), progress

    return tf.function(in_slabs, autograph=False)


def _trial(blocks, slabs: Slabs, carry, tolerance, scale, parameters):
    """One slab after a step, and its sums of squared errors, as a compiled call of its own."""
    tiles = _tiles(blocks, slabs, carry, 1 + blocks.stepper.kept)

    def attempt(parts, numbers, room):
        rows, time, dt, tolerance, scale, parameters = numbers
        system = blocks.in_band(tiles.tile, rows, parameters, room)

        def clock(c):
            return blocks.instant(time + c * dt, c)

        step_dt = tf.cast(dt, blocks.dtype)
        new, error = blocks.stepper.step_with_error(system, *parts, clock, step_dt)
        new = system.settled(new, 0)
        return error_control.squares(*system.aligned(new, error), tolerance, system.column(scale))

    @blocks.compiled
    def trial(slab, before, after, rows, time, dt, tolerance, scale, parameters):
        numbers = rows, time, dt, tolerance, scale, parameters
        return tiles.trial(slab, before, after, attempt, rows, numbers)

    def of_slab(slab, before, after, rows: int, time, dt):
        return trial(slab, before, after, tf.constant(rows), time, dt, tolerance, scale, parameters)

    return of_slab


def _tiles(blocks, slabs: Slabs, carry, stages: int) -> Tiles:
    axis = -1 - blocks.problem.grid.dimensions
    sizes = [part.shape[axis] for part in tf.nest.flatten(carry)]
    return Tiles(slabs.tile, slabs.rows, sizes, stages)
