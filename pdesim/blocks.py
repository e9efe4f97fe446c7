"""Blocks of steps as compiled programs: one call advances many steps, of given or chosen size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from pdesim.operators.lines import MethodOfLines
from pdesim.operators.problem import Problem

#: a chosen step grows or shrinks by these factors at most; the middle one is for safety
SHRINK, SAFETY, GROW = 0.2, 0.9, 5.0
#: a step below this fraction of the interval means that the solution cannot be followed
VANISHING = 1e-12


@dataclass(frozen=True)
class Blocks:
    """The compiled programs of a problem and a stepper.

    Step counts, dt, parameters and the stepper's coefficients are arguments, so none of them
    traces a program again.
    """

    problem: Problem
    stepper: object
    dtype: tf.DType
    fused: bool

    def lines(self, parameters) -> MethodOfLines:
        return MethodOfLines(self.problem, self.dtype, self.fused, parameters)

    @cached_property
    def parameters(self) -> dict[str, tf.Tensor]:
        numbers = self.problem.equation.parameters.items()
        return {name: tf.constant(value, self.dtype) for name, value in numbers}

    def coefficients(self, dt: float) -> dict[str, tf.Tensor]:
        """The stepper's numbers for this dt, worked out in float64 and rounded once."""
        needs = self.stepper.method.family in ("exponential", "imex", "implicit")
        linear = None
        if needs and not isinstance(self.problem.modes, str):
            linear = self.problem.linear_modes()
        values = self.stepper.coefficients(linear, self.problem.equation.parameters, dt)
        types = self.lines({})
        return {name: tf.constant(v, types.dtype_of(v)) for name, v in values.items()}

    def _compiled(self, function):
        return tf.function(function, jit_compile=self.fused, autograph=False)

    @cached_property
    def begin(self):
        """``begin(state, time, dt, parameters, coefficients)``: what the stepper carries."""

        def trace(state, time, dt, parameters, coefficients):
            lines = self.lines(parameters)
            return self.stepper.begin(lines, state, time, tf.cast(dt, self.dtype), coefficients)

        return self._compiled(trace)

    @cached_property
    def advance(self):
        """``advance(carry, start, dt, first, last, parameters, coefficients)``.

        Takes the steps ``first`` to ``last`` of an interval that begins at ``start``; returns what
        is carried, the state, and whether each field is finite.
        """

        def trace(carry, start, dt, first, last, parameters, coefficients):
            lines, step_dt = self.lines(parameters), tf.cast(dt, self.dtype)

            def step(index, carry):
                def clock(c):
                    # from the interval's start, so that any division into blocks gives equal bits
                    return start + (tf.cast(index, tf.float64) + c) * dt

                carry = self.stepper.step(lines, carry, clock, step_dt, coefficients)
                return index + 1, carry

            _, carry = tf.while_loop(lambda index, _: index < last, step, (first, carry))
            return carry, *self._finish(lines, carry)

        return self._compiled(trace)

    @cached_property
    def follow(self):
        """``follow(carry, time, end, dt, trials, tolerance, parameters)`` for adaptive steppers.

        Takes up to ``trials`` steps of chosen size towards ``end``; returns what is carried, the
        state, finiteness, and (time, dt, accepted, tried). A step is accepted where the root mean
        square of ``error / (tolerance * (1 + |u|))`` is at most 1 for every field.
        """

        def trace(carry, time, end, dt, trials, tolerance, parameters):
            lines = self.lines(parameters)
            smallest = VANISHING * (end - time)

            def unfinished(carry, time, dt, accepted, tried):
                return (time < end) & (tried < trials) & (dt > smallest)

            def attempt(carry, time, dt, accepted, tried):
                last = time + dt * (1 + 1e-12) >= end
                taken = tf.where(last, end - time, dt)
                new, error = self.stepper.trial(
                    lines, carry, lambda c: time + c * taken, tf.cast(taken, self.dtype)
                )
                size = self._error_size(carry, new, error, tolerance)
                good = size <= 1.0
                factor = SAFETY * tf.maximum(size, 1e-10) ** (-1.0 / self.stepper.error_order)
                factor = tf.where(tf.math.is_finite(size), factor, SHRINK)
                proposed = taken * tf.clip_by_value(factor, SHRINK, GROW)
                # a step cut short by the interval's end says nothing against the longer one
                dt = tf.where(good & last, tf.maximum(dt, proposed), proposed)
                time = tf.where(good, tf.where(last, end, time + taken), time)
                return (
                    tf.where(good, new, carry),
                    time,
                    dt,
                    accepted + tf.cast(good, tf.int64),
                    tried + 1,
                )

            zero = tf.constant(0, tf.int64)
            result = tf.while_loop(unfinished, attempt, (carry, time, dt, zero, zero))
            carry, *rest = result
            return carry, *self._finish(lines, carry), tuple(rest)

        return self._compiled(trace)

    def _error_size(self, old, new, error, tolerance) -> tf.Tensor:
        allowed = tf.cast(tolerance, self.dtype) * (1 + tf.maximum(tf.abs(old), tf.abs(new)))
        axes = list(range(1, new.shape.rank))
        mean = tf.reduce_mean(tf.square(error / allowed), axis=axes)
        return tf.cast(tf.sqrt(tf.reduce_max(mean)), tf.float64)

    def _finish(self, lines, carry) -> tuple[tf.Tensor, tf.Tensor]:
        state = self.stepper.finish(lines, carry)
        axes = list(range(1, state.shape.rank))
        return state, tf.reduce_all(tf.math.is_finite(state), axis=axes)
