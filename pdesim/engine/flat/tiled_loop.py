"""The loop over steps of a large grid: a TensorFlow graph with a compiled call for each slab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from pdesim.engine import error_control
from pdesim.engine.flat.flat_loop import FlatLoop, flat_rhs
from pdesim.engine.flat.layout import aligned, middle
from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.rhs import FlatRightHandSide
from pdesim.engine.flat.slabs import Slabs, Sweep
from pdesim.engine.flat.tiles import Tiles
from pdesim.engine.flat.workspace import Workspace
from pdesim.engine.step import StepContext
from pdesim.engine.stored import StoringSystem
from pdesim.steppers.base import Carry


def _tiled_system(
    context: StepContext, rhs: FlatRightHandSide, workspace: Workspace
) -> StoringSystem:
    """Return the system of one step of a tile, which stores arrays in the workspace."""
    cost, carried = context.cost, workspace.carried
    return StoringSystem(rhs, cost.stored, workspace.store, middle, rhs.fill, carried)


def _reflected(
    context: StepContext, rhs: FlatRightHandSide, parts: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Return the parts of the carried data with mirror images in their ghost cells."""
    results, fields = [], context.cost.carried_fields
    for part in parts:
        size = part.shape[-2]
        results.append(rhs.reflected(part, None if fields is None else fields[:size]))
        fields = None if fields is None else fields[size:]
    return results


def sweep_of(
    context: StepContext, slabs: Slabs, position: PositionArrays, carry: Carry, numbers: Sequence
) -> Sweep:
    """Return the function that advances one slab by several steps, as a compiled call.

    Args:
        position: the position arrays of the slabs.
        carry: the carried data, whose structure is used.
        numbers: the start of the interval, the step, the parameters and the coefficients.
    """
    tiles = Tiles(slabs.tile, slabs.rows, context.sizes(carry), context.cost)

    @context.compiled
    def sweep(slab, index, steps, *numbers):
        def step(parts, count, numbers, workspace, place, arrays):
            start, dt, parameters, coefficients = numbers
            inputs = parameters, place, position, *(arrays or [None])
            system = _tiled_system(
                context, flat_rhs(context, tiles.tile, index, *inputs), workspace
            )
            at, parts = index + tf.cast(count, tf.int64), tf.nest.pack_sequence_as(carry, parts)
            new = context.step(system, 1, at, parts, start, dt, coefficients)
            return tf.nest.flatten(new)

        def reflect(parts, place):
            rhs = flat_rhs(context, tiles.tile, index, {}, place, position, None)
            return _reflected(context, rhs, parts)

        return tiles.sweep(slab, step, reflect, tf.cast(steps, tf.int32), numbers)

    return lambda *slab: sweep(*slab, *numbers)


def trial_of(
    context: StepContext, slabs: Slabs, position: PositionArrays, carry: Carry, numbers: Sequence
) -> Any:
    """Return the function that takes one step of a slab and sums its squared errors.

    Args:
        position, carry: see :func:`sweep_of`.
        numbers: the tolerance, the scales of the errors, and the parameters.
    """
    tiles = Tiles(slabs.tile, slabs.rows, context.sizes(carry), context.cost)

    def attempt(parts, numbers, workspace, place, arrays):
        rows, time, dt, tolerance, scale, parameters = numbers
        fixed = arrays[0] if arrays else None
        rhs = flat_rhs(context, tiles.tile, rows, parameters, place, position, fixed)
        system = _tiled_system(context, rhs, workspace)
        new, error = context.step_with_error(system, 1, parts[0], time, dt)
        stored = middle(workspace.write_output(new, 0).tensor, new.shape[-1])
        new, error = aligned(stored, error)
        return error_control.squared_errors(new, error, tolerance, rhs.column(scale))

    @context.compiled
    def trial(slab, rows, *numbers):
        def reflect(parts, place):
            rhs = flat_rhs(context, tiles.tile, rows, {}, place, position, None)
            return _reflected(context, rhs, parts)

        return tiles.trial(slab, attempt, reflect, rows, (rows, *numbers))

    def of_slab(slab, rows: int, time, dt):
        return trial(slab, tf.constant(rows), time, dt, *numbers)

    return of_slab


def arrays_of_slabs(
    position: PositionArrays, slabs: Slabs, parameters: Any, before: int = 0
) -> list:
    """Return the position arrays of each slab, with rows of ghost cells, or None for each.

    Args:
        before: the number of rows of the position arrays before those of the slabs.
    """
    if not position.names:
        return [None] * slabs.count
    arrays = position.compiled(parameters)

    def of_slab(arrays: tf.Tensor, start: int) -> tf.Tensor:
        return position.rows(arrays, start, slabs.rows, position.layout)

    compiled = position.context.compiled
    return [compiled(partial(of_slab, start=before + start))(arrays) for start in slabs.starts]


@dataclass(frozen=True)
class TiledLoop:
    """Fixed steps in slabs and tiles; see :class:`pdesim.engine.time_loop.TimeLoop`.

    Args:
        rest: the loop for the steps that some members take after others have reached the target.
    """

    context: StepContext
    slabs: Slabs
    rest: FlatLoop

    @property
    def steps_at_once(self) -> int:
        return self.slabs.tile.steps

    @cached_property
    def position(self) -> PositionArrays:
        return PositionArrays(self.context, self.slabs.tile.full_width)

    @cached_property
    def advance(self) -> Any:
        context, slabs = self.context, self.slabs
        on_grid = -1 - context.problem.grid.dimensions

        def in_slabs(carry, start, dt, first, last, parameters, coefficients):
            packed, unpack = context.pack(carry)
            numbers = parameters, coefficients

            def leave(pieces, stop, dt, parameters, coefficients):
                carry, system = unpack(slabs.join(pieces), on_grid), context.system(parameters)
                step_dt = tf.cast(dt, context.dtype)
                return context.extract(system, carry, stop, step_dt, coefficients)

            sweep = sweep_of(context, slabs, self.position, carry, (start, dt, *numbers))
            pieces = slabs.split(packed, context.compiled)
            arrays = arrays_of_slabs(self.position, slabs, parameters)
            first, pieces = slabs.advance(pieces, arrays, first, tf.reduce_min(last), sweep)
            if context.members:
                carry = unpack(context.compiled(slabs.join)(pieces), on_grid)
                return self.rest.advance(carry, start, dt, first, last, *numbers)
            stop = start + tf.cast(last, tf.float64) * dt
            return context.compiled(leave)(pieces, stop, dt, *numbers)

        return tf.function(in_slabs, autograph=False)

    @property
    def advance_adaptive(self) -> Any:
        return self.rest.advance_adaptive


@dataclass(frozen=True)
class AdaptiveTiledLoop:
    """Adaptive steps of a single run in slabs and tiles.

    Args:
        rest: the loop for fixed steps.
    """

    context: StepContext
    slabs: Slabs
    rest: Any

    @property
    def steps_at_once(self) -> int:
        return self.rest.steps_at_once

    @property
    def advance(self) -> Any:
        return self.rest.advance

    @cached_property
    def advance_adaptive(self) -> Any:
        context, slabs = self.context, self.slabs
        position = PositionArrays(context, slabs.tile.full_width)

        def in_slabs(carry, start, end, dt, max_trials, tolerance, scale, parameters):
            arrays = arrays_of_slabs(position, slabs, parameters)
            pieces = slabs.split(carry, context.compiled)
            numbers = start, end, dt, max_trials, tolerance, scale, parameters
            progress, pieces = adaptive_steps(context, slabs, position, pieces, arrays, *numbers)

            def leave(pieces, time, dt, parameters):
                system = context.system(parameters)
                return context.extract(system, slabs.join(pieces), time, dt, {})

            return *context.compiled(leave)(pieces, *progress[:2], parameters), progress

        return tf.function(in_slabs, autograph=False)


def adaptive_steps(
    context: StepContext,
    slabs: Slabs,
    position: PositionArrays,
    pieces: list[tf.Tensor],
    arrays: list,
    start: tf.Tensor,
    end: tf.Tensor,
    dt: tf.Tensor,
    max_trials: tf.Tensor,
    tolerance: tf.Tensor,
    scale: tf.Tensor,
    parameters: Any,
) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """Return the progress and the slabs after adaptive steps of a single run.

    Args:
        pieces, arrays: the slabs, and for each slab its position arrays, or None.
        start, end, ...: the arguments of :attr:`pdesim.engine.time_loop.Loop.advance_adaptive`.
    """
    cells, order = context.problem.grid.cells, context.stepper.error_order
    trial = trial_of(context, slabs, position, context.state_spec, (tolerance, scale, parameters))

    def unfinished(progress, pieces):
        return error_control.active(progress, max_trials, end, start)

    def attempt(progress, pieces):
        step = progress[0], error_control.next_step(progress, end)
        each = zip(slabs.surrounded(pieces, arrays), slabs.lengths, strict=True)
        results = [trial(slab, rows, *step) for slab, rows in each]
        new, sums = zip(*results, strict=True)
        size = error_control.error_size(tf.add_n(sums), cells)
        good, progress = error_control.judge_step(size, True, progress, end, order)
        return progress, tf.cond(good, lambda: list(new), lambda: pieces)

    zero = tf.zeros_like(start, tf.int64)
    return tf.while_loop(unfinished, attempt, ((start, dt, zero, zero), pieces))
