"""A loop over steps that records observables before every step.

Steps are taken one at a time by another loop, in the same compiled program.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tensorflow as tf

from pdesim.engine import error_control
from pdesim.engine.flat.flat_loop import FlatLoop
from pdesim.engine.sampler import Sampler
from pdesim.engine.step import StepContext

#: maximum number of steps in a call, and of records that a call returns
CAPACITY = 1024


@dataclass(frozen=True)
class ObservedLoop:
    """Steps with a record of the state before each; see :class:`pdesim.engine.time_loop.Loop`.

    ``advance`` and ``advance_adaptive`` also return the records as their last result, an array of
    shape ``(CAPACITY, ..., 1 + sampler.size)`` whose first column is the time. A record is valid if
    its index is less than the number of steps taken. Calls take at most ``CAPACITY`` steps.

    Args:
        inner: the loop that takes the steps; it provides ``trace_advance``.
    """

    context: StepContext
    inner: Any
    sampler: Sampler

    #: number of steps that are always taken together
    steps_at_once = 1

    def _empty(self) -> tf.Tensor:
        lead = (self.context.members,) if self.context.members else ()
        return tf.zeros((CAPACITY, *lead, 1 + self.sampler.size), tf.float64)

    def _record(self, parameters: Any, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        values = self.sampler.sample(parameters, state, time)
        return tf.concat([tf.cast(time, tf.float64)[..., tf.newaxis], values], axis=-1)

    @cached_property
    def advance(self) -> Any:
        return self.context.compiled(self._trace_advance)

    def _trace_advance(self, carry, start, dt, first, last, parameters, coefficients):
        context, axes = self.context, self.context.problem.grid.dimensions
        end, system = tf.reduce_max(last), context.system(parameters)

        def state_at(carry, index):
            time = start + tf.cast(index, tf.float64) * dt
            step_dt = context.per_member(tf.cast(dt, context.dtype), axes + 1)
            at = context.per_member(time, axes)
            return context.stepper.extract(system, carry, at, step_dt, coefficients), time

        def observe(index, carry, records):
            row = self._record(parameters, *state_at(carry, tf.minimum(index, last)))
            place = tf.minimum(index - first, CAPACITY - 1)
            return tf.tensor_scatter_nd_update(records, [[place]], row[tf.newaxis])

        if isinstance(self.inner, FlatLoop):  # records do not leave the flat layout
            return self.inner.trace_advance(
                carry, start, dt, first, last, parameters, coefficients,
                observe=observe, records=self._empty(),
            )  # fmt: skip

        def one(index, carry, records):
            records = observe(index, carry, records)
            upto = tf.minimum(index + 1, last)
            new, state, _ = self.inner.trace_advance(
                carry, start, dt, index, upto, parameters, coefficients
            )
            return index + 1, state if new is None else new, records

        _, carry, records = tf.while_loop(
            lambda index, *_: index < end, one, (first, carry, self._empty())
        )
        stop = context.per_member(start + tf.cast(last, tf.float64) * dt, axes)
        step_dt = context.per_member(tf.cast(dt, context.dtype), axes + 1)
        return *context.extract(system, carry, stop, step_dt, coefficients), records

    @cached_property
    def advance_adaptive(self) -> Any:
        return self.context.compiled(self._trace_adaptive)

    def _trace_adaptive(self, carry, time, end, dt, max_trials, tolerance, scale, parameters):
        context = self.context

        def active(progress):
            return error_control.active(progress, max_trials, end, time)

        def attempt(carry, records, now, dt, accepted, tried):
            row = self._record(parameters, carry, now)
            # a rejected step is recorded again, in the same place
            place = accepted[..., tf.newaxis]
            if context.members:
                place = tf.stack([accepted, tf.range(context.members, dtype=tf.int64)], axis=-1)
                records = tf.tensor_scatter_nd_update(records, place, row)
            else:
                records = tf.tensor_scatter_nd_update(records, [place], row[tf.newaxis])
            trials = tf.cast(active((now, dt, accepted, tried)), tf.int64)
            stop = tf.where(trials > 0, end, now)
            # a constant 1 would let the compiler change the kernels of the step, and its rounding
            one = tf.minimum(max_trials, 1)
            _, state, _, progress = self.inner.trace_adaptive(
                carry, now, stop, dt, one, tolerance, scale, parameters
            )
            later, next_dt, good, tries = progress
            return state, records, later, next_dt, accepted + good, tried + tries

        zero = tf.zeros_like(time, tf.int64)
        state, records, *rest = tf.while_loop(
            lambda carry, records, *progress: tf.reduce_any(active(progress)),
            attempt,
            (carry, self._empty(), time, dt, zero, zero),
        )
        system = context.system(parameters)
        return *context.extract(system, state, rest[0], rest[1], {}), tuple(rest), records
