"""The loop over steps on grid-shaped arrays, for all problems and steppers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tensorflow as tf

from pdesim.engine import error_control
from pdesim.engine.step import StepContext
from pdesim.formula.language import operators_in

#: steps of an iterated map in one pass over memory
MAP_STEPS = 16


@dataclass(frozen=True)
class PlainLoop:
    """Steps on arrays of the grid's shape; see :class:`pdesim.engine.time_loop.TimeLoop`."""

    context: StepContext

    #: number of steps that are always taken together
    steps_at_once = 1

    @cached_property
    def advance(self) -> Any:
        return self.context.compiled(self.trace_advance)

    def trace_advance(self, carry, start, dt, first, last, parameters, coefficients):
        context = self.context
        system, end = context.system(parameters), tf.reduce_max(last)
        axes = context.problem.grid.dimensions

        def one(index, carry):
            stored = context.stored(system)
            new = context.step(stored, axes, index, carry, start, dt, coefficients)
            # members that have taken all their steps are not advanced
            return index + 1, context.select_members(
                index < last, new, carry
            ) if context.members else new

        index, together = first, self._steps_per_pass
        if together > 1:

            def several(index, carry):
                for _ in range(together):
                    index, carry = one(index, carry)
                return index, carry

            index, carry = tf.while_loop(
                lambda index, _: index + together <= end, several, (index, carry)
            )
        _, carry = tf.while_loop(lambda index, _: index < end, one, (index, carry))
        return self.leave(system, carry, start, dt, last, coefficients)

    @property
    def _steps_per_pass(self) -> int:
        """Number of steps that are compiled into one pass over memory.

        Steps of an iterated map without operators read no neighbours.
        """
        equation = self.context.problem.equation
        pointwise = not any(map(operators_in, equation.all_formulas)) and not equation.reductions
        return MAP_STEPS if equation.iterated is not None and pointwise else 1

    def leave(self, system, carry, start, dt, last, coefficients):
        """Return the results of ``advance`` after its steps."""
        context, axes = self.context, self.context.problem.grid.dimensions
        stop = context.per_member(start + tf.cast(last, tf.float64) * dt, axes)
        step_dt = context.per_member(tf.cast(dt, context.dtype), axes + 1)
        return context.extract(system, carry, stop, step_dt, coefficients)

    def _attempt(self, system, carry, now, dt, tolerance, scale) -> tuple:
        """Return a state after one step, and its squared errors."""
        context, axes = self.context, self.context.problem.grid.dimensions
        new, error = context.step_with_error(context.stored(system), axes, carry, now, dt)
        return new, error_control.squared_errors(new, error, tolerance, system.column(scale))

    def trial(self, rows: slice) -> Any:
        """``trial(state, time, dt, tolerance, scale, parameters)``.

        Returns the state after one step of an adaptive stepper, and the sums of the squared errors
        (:func:`pdesim.engine.error_control.squared_errors`) over some rows of the grid.
        """

        def trace(state, time, dt, tolerance, scale, parameters):
            system, axes = self.context.system(parameters), self.context.grid_axes
            new, squares = self._attempt(system, state, time, dt, tolerance, scale)
            index = (..., rows, *[slice(None)] * (len(axes) - 1))
            return new, error_control.sum_of(squares[index], axes)

        return self.context.compiled(trace)

    @cached_property
    def advance_adaptive(self) -> Any:
        return self.context.compiled(self.trace_adaptive)

    def trace_adaptive(self, carry, time, end, dt, max_trials, tolerance, scale, parameters):
        context = self.context
        system, order = context.system(parameters), context.stepper.error_order

        def active(progress):
            return error_control.active(progress, max_trials, end, time)

        def attempt(carry, *progress):
            now, taken = progress[0], error_control.next_step(progress, end)
            new, squared_errors = self._attempt(system, carry, now, taken, tolerance, scale)
            sums = error_control.sum_of(squared_errors, context.grid_axes)
            size = error_control.error_size(sums, context.problem.grid.cells)
            good, progress = error_control.judge_step(size, active(progress), progress, end, order)
            return context.select_members(good, new, carry), *progress

        zero = tf.zeros_like(time, tf.int64)
        carry, *rest = tf.while_loop(
            lambda carry, *progress: tf.reduce_any(active(progress)),
            attempt,
            (carry, time, dt, zero, zero),
        )
        return *context.extract(system, carry, rest[0], rest[1], {}), tuple(rest)
