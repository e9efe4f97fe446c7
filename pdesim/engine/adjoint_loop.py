"""Derivatives of steps: compiled programs that propagate derivatives from the end of a block.

A program takes the steps of a block again, stores the carried data before each step, and then
applies the transposed derivative of each step, from the last one to the first one. TensorFlow can
differentiate a step, but no compiled loop over steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import tensorflow as tf

from pdesim.engine import error_control
from pdesim.engine.step import StepContext
from pdesim.steppers.base import Carry

Tensors = Mapping[str, tf.Tensor]


class Slopes(NamedTuple):
    """Derivatives of a loss with respect to the arguments of a program.

    Attributes:
        carry: with respect to the state, or to the carried data, with their structure.
        parameters: with respect to the parameters that were asked for; in float64.
        coefficients: with respect to the stepper's coefficients.
    """

    carry: Any
    parameters: dict[str, tf.Tensor]
    coefficients: dict[str, tf.Tensor]


@dataclass(frozen=True)
class AdjointLoop:
    """The programs of a problem and a stepper, for one run.

    In all programs, ``slope`` is the derivative of the loss with respect to the result,
    ``parameters`` and ``coefficients`` are those of the steps, and the derivatives with respect to
    ``wanted`` parameters and to the coefficients are computed. If there are no wanted parameters,
    derivatives with respect to coefficients are omitted too.
    """

    context: StepContext

    @cached_property
    def of_steps(self) -> Any:
        """``of_steps(carry, slope, start, dt, first, last, parameters, coefficients, wanted,
        capacity)``: the derivatives of equal steps.

        The steps are ``first`` to ``last - 1`` of an interval that begins at ``start``, at most
        ``capacity``. ``carry`` are the carried data before the first one.
        """
        return self.context.compiled(self._trace_steps)

    def _trace_steps(
        self, carry, slope, start, dt, first, last, parameters, coefficients, wanted, capacity
    ):
        context, axes = self.context, self.context.problem.grid.dimensions

        def step(number, carry, parameters, coefficients):
            system, index = context.system(parameters), first + number
            return context.step(system, axes, index, carry, start, dt, coefficients)

        count = last - first

        def record(number, carry, history):
            return (
                number + 1,
                step(number, carry, parameters, coefficients),
                _write(history, number, carry),
            )

        zero = tf.zeros((), tf.int64)
        *_, history = tf.while_loop(
            lambda number, *_: number < count, record, (zero, carry, _arrays(carry, capacity))
        )
        return self._reverse(step, count, history, carry, slope, parameters, coefficients, wanted)

    @cached_property
    def of_adaptive_steps(self) -> Any:
        """``of_adaptive_steps(state, slope, time, end, dt, trials, tolerance, scale, parameters,
        wanted, capacity)``: the derivatives of adaptive steps, and the time that they reach.

        The arguments are those of ``Loop.advance_adaptive``. The lengths of the steps are treated
        as constants.
        """
        return self.context.compiled(self._trace_adaptive)

    def _trace_adaptive(
        self, state, slope, time, end, dt, trials, tolerance, scale, parameters, wanted, capacity
    ):
        context, axes = self.context, self.context.problem.grid.dimensions
        system, order = context.system(parameters), context.stepper.error_order
        scale = system.column(scale)

        def attempt(state, history, *progress):
            now, taken, number = progress[0], error_control.next_step(progress, end), progress[2]
            new, error = context.step_with_error(system, axes, state, now, taken)
            squares = error_control.squared_errors(new, error, tolerance, scale)
            sums = error_control.sum_of(squares, context.grid_axes)
            size = error_control.error_size(sums, context.problem.grid.cells)
            active = error_control.active(progress, trials, end, time)
            # a rejected step is overwritten by the next one, since its number is the same
            history = _write(history, number, (state, now, taken))
            good, progress = error_control.judge_step(size, active, progress, end, order)
            return context.select_members(good, new, state), history, *progress

        zero = tf.zeros_like(time, tf.int64)
        _, history, reached, _, count, _ = tf.while_loop(
            lambda state, history, *progress: error_control.active(progress, trials, end, time),
            attempt,
            (state, _arrays((state, time, dt), capacity), time, dt, zero, zero),
        )
        *states, times, lengths = history

        def step(number, state, parameters, _):
            system = context.system(parameters)
            place = tf.cast(number, tf.int32)
            now, taken = times.read(place), lengths.read(place)
            return context.step_with_error(system, axes, state, now, taken)[0]

        slopes = self._reverse(step, count, states, state, slope, parameters, {}, wanted)
        return slopes, reached

    def _reverse(self, step, count, history, carry, slope, parameters, coefficients, wanted):
        """Return the derivatives of recorded steps, applied from the last one to the first one."""
        given = coefficients if wanted else {}
        zeros = Slopes(
            slope,
            {name: tf.zeros_like(parameters[name], tf.float64) for name in wanted},
            {name: tf.zeros_like(values) for name, values in given.items()},
        )

        def back(number, slopes):
            place = tf.cast(number, tf.int32)
            before = tf.nest.pack_sequence_as(carry, [part.read(place) for part in history])
            new = pullback(
                lambda carry, own, used: step(
                    number, carry, {**parameters, **own}, {**coefficients, **used}
                ),
                (before, {name: parameters[name] for name in wanted}, dict(given)),
                slopes.carry,
            )
            return number - 1, Slopes(new[0], _sums(slopes[1], new[1]), _sums(slopes[2], new[2]))

        return tf.while_loop(lambda number, _: number >= 0, back, (count - 1, zeros))[1]

    @cached_property
    def of_init(self) -> Any:
        """``of_init(state, slope, time, dt, parameters, coefficients, wanted)``: the derivatives of
        the carried data of a state.
        """
        return self._of(lambda system, *given: self.context.stepper.init(system, *given))

    @cached_property
    def of_extract(self) -> Any:
        """``of_extract(carry, slope, time, dt, parameters, coefficients, wanted)``: the derivatives
        of the state that corresponds to carried data.
        """
        return self._of(lambda system, *given: self.context.stepper.extract(system, *given))

    def _of(self, function: Callable) -> Any:
        context = self.context

        def trace(carry, slope, time, dt, parameters, coefficients, wanted):
            given = coefficients if wanted else {}

            def value(carry, own, used):
                system = context.system({**parameters, **own})
                step_dt = tf.cast(dt, context.dtype)
                return function(system, carry, time, step_dt, {**coefficients, **used})

            own = {name: parameters[name] for name in wanted}
            carry, own, used = pullback(value, (carry, own, dict(given)), slope)
            return Slopes(carry, _doubles(own), used)

        return context.compiled(trace)

    @cached_property
    def of_initial(self) -> Any:
        """``of_initial(state, slope)``: the derivative of the truncation of an initial state."""
        context = self.context
        truncated = context.system({}).truncated

        def trace(state: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
            return pullback(truncated, (state,), slope)[0]

        return context.compiled(trace)


def pullback(function: Callable, arguments: Sequence[Any], slope: Any) -> Any:
    """Return the derivatives of ``sum(slope * function(*arguments))``, in the arguments' structure.

    A derivative that does not exist is 0.
    """
    parts = tf.nest.flatten(arguments)
    with tf.GradientTape() as tape:
        tape.watch(parts)
        values = tf.nest.flatten(function(*arguments))
    zero = tf.UnconnectedGradients.ZERO
    slopes = tape.gradient(values, parts, tf.nest.flatten(slope), unconnected_gradients=zero)
    return tf.nest.pack_sequence_as(arguments, slopes)


def _arrays(carry: Carry, capacity: int) -> list[tf.TensorArray]:
    return [
        tf.TensorArray(part.dtype, capacity, element_shape=part.shape, clear_after_read=False)
        for part in tf.nest.flatten(carry)
    ]


def _write(history: Sequence[tf.TensorArray], number: tf.Tensor, carry: Carry) -> list:
    parts = tf.nest.flatten(carry)
    place = tf.cast(number, tf.int32)
    return [array.write(place, part) for array, part in zip(history, parts, strict=True)]


def _doubles(values: Tensors) -> dict[str, tf.Tensor]:
    return {name: tf.cast(value, tf.float64) for name, value in values.items()}


def _sums(totals: Tensors, values: Tensors) -> dict[str, tf.Tensor]:
    return {name: total + tf.cast(values[name], total.dtype) for name, total in totals.items()}
