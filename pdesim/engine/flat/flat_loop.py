"""The loop over steps on flat arrays, for grids that fit into the caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from pdesim.engine import error_control
from pdesim.engine.flat import slabs
from pdesim.engine.flat.layout import FlatLayout, aligned, middle
from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.rhs import FlatRightHandSide
from pdesim.engine.flat.walls import Place, touched
from pdesim.engine.plain_loop import PlainLoop
from pdesim.engine.step import StepContext
from pdesim.engine.stored import Slot, StoringSystem
from pdesim.steppers.base import Carry


def flat_rhs(
    context: StepContext,
    layout: FlatLayout,
    opaque_nonnegative: tf.Tensor,
    parameters: Any,
    place: Place,
    position: PositionArrays,
    arrays: tf.Tensor | None,
) -> FlatRightHandSide:
    """Return the right-hand side of a problem on flat arrays.

    Args:
        opaque_nonnegative: a nonnegative number whose sign is unknown to the compiler.
        place: the position of the arrays in the grid.
        arrays: the flat arrays of ``position`` at this place.
    """
    return FlatRightHandSide(
        layout,
        context.system(parameters, axes=1),
        opaque_nonnegative,
        place,
        context.system(parameters),
        position.named(arrays),
        position.parts,
    )


def flat_system(context: StepContext, rhs: FlatRightHandSide) -> StoringSystem:
    """Return the system of one step, which stores the arrays that must not be computed twice."""
    cost = context.cost
    # carried arrays are stored at the end of a step
    stored = cost.neighbors_read | (cost.reused - set(cost.outputs))

    def store(_: int, values: tf.Tensor) -> Slot:
        return Slot([rhs.stored(values)])

    return StoringSystem(rhs, stored, store, middle, rhs.fill)


def _with_sums(new: tf.Tensor, squared_errors: tf.Tensor, mask: tf.Tensor) -> tuple:
    """Return a flat state, and the sums of its squared errors over the cells of a mask."""
    inside = tf.where(mask, squared_errors, tf.zeros_like(squared_errors))
    return new, error_control.sum_of(inside, axis=-1)


@dataclass(frozen=True)
class FlatLoop:
    """Steps on flat arrays; see :class:`pdesim.engine.time_loop.TimeLoop`.

    Args:
        layout: the layout of the grid as one array.
        sliced: whether this loop takes only the steps that remain after a loop in slabs.
    """

    context: StepContext
    layout: FlatLayout
    sliced: bool = False

    @property
    def steps_at_once(self) -> int:
        return self.layout.steps

    @cached_property
    def position(self) -> PositionArrays:
        return PositionArrays(self.context, self.layout)

    @cached_property
    def advance(self) -> Any:
        return self.position.passed_to(self.trace_advance, index=5)

    def trace_advance(
        self,
        carry,
        start,
        dt,
        first,
        last,
        parameters,
        coefficients,
        arrays=None,
        observe=None,
        records=None,
    ):
        """Trace ``advance``: several steps at a time, then single steps for the remaining ones.

        Args:
            observe: ``observe(index, carry, records)``, called before every exchange of ghost cells
                with the data on the grid; returns new ``records``, which are the last result.
        """
        context, end = self.context, tf.reduce_max(last)
        phases = [(self.layout, tf.reduce_min(last), False)]
        if context.members or self.layout.steps > 1:
            one_by_one = replace(self.layout, steps=1)
            phases.append((one_by_one, end, context.members > 0))
        if self.sliced:
            phases = phases[1:]
        packed, unpack = context.pack(carry)
        fields = packed.shape[-1 - context.problem.grid.dimensions]
        parts = fields if context.target.separate_fields else 1
        # the number of parts of each band; a large grid has two bands
        count = slabs.band_count(self.layout, context.bytes_per_cell, context.tuning)
        bands = tf.split(packed, count, axis=-context.problem.grid.dimensions)
        flat = [tf.split(self.layout.pad(band), parts, axis=-2) for band in bands]
        for layout, stop, resting in phases:
            band = replace(layout, rows=layout.rows // count)
            rows = range(0, layout.rows, band.rows)
            fixed = [self.position.rows(arrays, row, band.rows, band) for row in rows]
            fixed = [] if arrays is None else fixed

            def one(index, values, rhs, resting=resting):
                new = self._step(rhs, unpack, index, values, start, dt, coefficients, parts)
                if resting:
                    old = tf.split(tf.concat(values, axis=-2), parts, axis=-2)
                    both = aligned(*new, *old)
                    new = context.select_members(index < last, both[:parts], both[parts:])
                return rhs.stored(new)

            def several(index, fixed, records, *flat, band=band, one=one, first=first):
                if observe is not None:
                    records = observe(index, self._on_grid(unpack, flat), records)
                new, fixed = [], [touched(values) for values in fixed]
                for number, piece in enumerate(flat):
                    inputs = end - first, parameters, Place(number * band.rows), self.position
                    rhs = flat_rhs(context, band, *inputs, fixed[number] if fixed else None)
                    around = flat[number - 1], piece, flat[(number + 1) % len(flat)]
                    extended = rhs.stored(band.extended(*around))
                    values = [rhs.reflected(extended, context.cost.carried_fields)]
                    for step in range(band.steps):
                        values = one(index + step, values, rhs)
                    new.append([band.interior(value, beyond=1) for value in values])
                return index + band.steps, fixed, records, *new

            def fits(index, *_, band=band, stop=stop):
                return index + band.steps <= stop

            state = (first, fixed, [] if records is None else records, *flat)
            first, _, kept, *flat = tf.while_loop(fits, several, state)
            records = None if records is None else kept
        system, carry = context.system(parameters), self._on_grid(unpack, flat)
        results = PlainLoop(context).leave(system, carry, start, dt, last, coefficients)
        return results if records is None else (*results, records)

    def _on_grid(self, unpack, flat) -> Carry:
        """Return the carried data on the grid, from the parts of each band."""
        carries = [unpack(tf.concat(piece, axis=-2)) for piece in flat]
        return tf.nest.map_structure(self.layout.on_grid, *carries)

    def _step(self, rhs, unpack, index, values, start, dt, coefficients, parts: int) -> Sequence:
        """Return the carried data after a step, computed separately in ``parts`` parts.

        Each part is computed from arrays of a different shape. Otherwise the compiler would store
        intermediate results that several parts use, in an additional pass over memory, instead of
        computing them in each part.
        """
        results = []
        for number in range(parts):
            apart = [tf.reshape(value, [*[1] * (2 * number), *value.shape]) for value in values]
            carry = unpack(tf.concat(apart, axis=-2))
            system = flat_system(self.context, rhs)
            new = self.context.step(system, 1, index, carry, start, dt, coefficients)
            packed = tf.concat(aligned(*tf.nest.flatten(new)), axis=-2)
            new = tf.split(packed, parts, axis=-2)[number]
            results.append(tf.reshape(new, new.shape[2 * number :]))
        return results

    def _attempt(self, rhs: FlatRightHandSide, flat, now, dt, tolerance, scale) -> tuple:
        """Return a flat state after one step, and its squared errors."""
        context, layout = self.context, rhs.layout
        extended = rhs.stored(layout.extended([flat], [flat], [flat]))
        extended = rhs.reflected(extended, context.cost.carried_fields)
        system = flat_system(context, rhs)
        new, error = context.step_with_error(system, 1, extended, now, dt)
        _, new, error = aligned(flat, new, error)
        if context.members:
            # in one kernel with the sum of its squares, the compiler would round the error
            # differently for different numbers of members, and steps depend on it
            error = rhs.stored(error)
        return new, error_control.squared_errors(new, error, tolerance, rhs.column(scale))

    def trial(self, rows: slice) -> Any:
        """See :meth:`pdesim.engine.plain_loop.PlainLoop.trial`."""
        return self.position.passed_to(partial(self.trace_trial, rows), index=5)

    def trace_trial(self, rows, carry, time, dt, tolerance, scale, parameters, arrays=None):
        context, layout = self.context, self.layout.with_steps_per_exchange(1)
        fixed = None if arrays is None else self.position.rows(arrays, 0, layout.rows, layout)
        # the sign of the number of steps is unknown to the compiler
        inputs = tf.cast(tf.reduce_any(dt > 0), tf.int64), parameters, Place(), self.position
        rhs = flat_rhs(context, layout, *inputs, fixed)
        new, squares = self._attempt(rhs, layout.pad(carry), time, dt, tolerance, scale)
        new, sums = _with_sums(new, squares, layout.interior_mask(rows))
        return layout.on_grid(new), sums

    @cached_property
    def advance_adaptive(self) -> Any:
        return self.position.passed_to(self.trace_adaptive, index=7)

    def trace_adaptive(
        self, carry, time, end, dt, max_trials, tolerance, scale, parameters, arrays=None
    ):
        context, layout = self.context, self.layout.with_steps_per_exchange(1)
        fixed = [] if arrays is None else [self.position.rows(arrays, 0, layout.rows, layout)]
        interior_mask = layout.interior_mask()
        order = context.stepper.error_order

        def active(progress):
            return error_control.active(progress, max_trials, end, time)

        def attempt(carry, fixed, *progress):
            fixed = [touched(values) for values in fixed]
            inputs = max_trials, parameters, Place(), self.position
            rhs = flat_rhs(context, layout, *inputs, fixed[0] if fixed else None)
            taken = error_control.next_step(progress, end)
            new, squares = self._attempt(rhs, carry, progress[0], taken, tolerance, scale)
            new, sums = _with_sums(new, squares, interior_mask)
            size = error_control.error_size(sums, context.problem.grid.cells)
            good, progress = error_control.judge_step(size, active(progress), progress, end, order)
            return context.select_members(good, new, carry), fixed, *progress

        zero = tf.zeros_like(time, tf.int64)
        flat, _, *rest = tf.while_loop(
            lambda carry, fixed, *progress: tf.reduce_any(active(progress)),
            attempt,
            (layout.pad(carry), fixed, time, dt, zero, zero),
        )
        state = layout.on_grid(flat)
        time, dt = rest[:2]
        results = context.extract(context.system(parameters), state, time, dt, {})
        return *results, tuple(rest)
