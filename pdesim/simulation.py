"""Blocks of steps as one compiled program, and what happens between them."""

from __future__ import annotations

import time as clock_module
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.device import Placement
from pdesim.errors import DivergedError
from pdesim.operators.lines import MethodOfLines
from pdesim.plan import Plan

#: wall-clock seconds that a block should take: short enough to stop soon, long enough to be free
BLOCK_SECONDS = 0.5
FIRST_BLOCK = 8


@dataclass(frozen=True)
class Frame:
    """One stored moment: ``state`` has shape ``(fields, *grid.shape)``."""

    index: int
    time: float
    state: np.ndarray


@dataclass(frozen=True)
class Progress:
    """Told after every block: steps taken, simulated time, and the seconds spent in blocks."""

    steps: int
    time: float
    seconds: float


class Simulation:
    """A plan on a device. Iterate :meth:`frames`; the first frame is the initial state.

    One call of the compiled program advances any number of steps: the step count, dt, the
    parameters and the stepper's coefficients are its arguments, so none of them retraces it.
    """

    def __init__(self, plan: Plan, placement: Placement) -> None:
        self.plan, self.placement = plan, placement
        self.dtype = tf.as_dtype(plan.settings.device.precision)
        self.fused = _use_xla(plan, placement)
        self.steps = 0
        self.seconds = 0.0
        self.compiled_steps = 0  # taken in the first block, whose time is mostly compilation
        self.compile_seconds = 0.0
        numbers = plan.equation.parameters.items()
        self._parameters = {name: tf.constant(v, self.dtype) for name, v in numbers}
        compiled = {"jit_compile": self.fused, "autograph": False}
        self._begin = tf.function(self._trace_begin, **compiled)
        self._block = tf.function(self._trace_block, **compiled)
        self._steps_a_block = FIRST_BLOCK

    def lines(self, parameters) -> MethodOfLines:
        return MethodOfLines(self.plan.problem, self.dtype, self.fused, parameters)

    def frames(self, report: Callable[[Progress], None] = lambda progress: None) -> Iterator[Frame]:
        """Yield the frames of the plan, advancing between them.

        Args:
            report: called after every block; may raise to stop the run.

        Raises:
            DivergedError: if a field is no longer finite; frames before it were yielded.
        """
        plan = self.plan
        with tf.device(self.placement.name):
            state = tf.constant(plan.state, self.dtype)
            yield Frame(0, float(plan.times[0]), state.numpy())
            carry = self._begin(state)
            for frame in range(len(plan.times) - 1):
                carry, state = self._to_next_frame(carry, frame, report)
                yield Frame(frame + 1, float(plan.times[frame + 1]), state.numpy())

    def _to_next_frame(self, carry, frame: int, report):
        plan = self.plan
        start, end = plan.times[frame], plan.times[frame + 1]
        count = plan.steps_between(frame)
        dt = (end - start) / count
        coefficients = self._coefficients(dt)
        done = 0
        while done < count:
            upto = min(count, done + self._steps_a_block)
            began = clock_module.perf_counter()
            carry, state, finite = self._block(
                carry,
                tf.constant(start, tf.float64),
                tf.constant(dt, tf.float64),
                tf.constant(done, tf.int64),
                tf.constant(upto, tf.int64),
                self._parameters,
                coefficients,
            )
            finite = finite.numpy()
            self._account(upto - done, clock_module.perf_counter() - began)
            report(Progress(self.steps, float(start + upto * dt), self.seconds))
            if not finite.all():
                raise self._diverged(finite, start + done * dt, start + upto * dt)
            done = upto
        return carry, state

    def _account(self, steps: int, seconds: float) -> None:
        if self.steps == 0:
            self.compile_seconds, self.compiled_steps = seconds, steps
        else:
            self.seconds += seconds
            wanted = int(steps * BLOCK_SECONDS / max(seconds, 1e-6))
            self._steps_a_block = max(1, min(wanted, 4 * self._steps_a_block))
        self.steps += steps

    def _coefficients(self, dt: float) -> dict[str, tf.Tensor]:
        """The stepper's numbers for this dt, worked out in float64 and rounded once."""
        plan, linear = self.plan, None
        if plan.stepper.method.family == "exponential":
            linear = plan.problem.linear_modes()
        values = plan.stepper.coefficients(linear, plan.equation.parameters, dt)
        types = self.lines({})
        return {name: tf.constant(v, types.dtype_of(v)) for name, v in values.items()}

    def _trace_begin(self, state):
        return self.plan.stepper.begin(self.lines({}), state)

    def _trace_block(self, carry, start, dt, first, last, parameters, coefficients):
        """Steps ``first`` to ``last`` of a frame interval; what is carried stays on the device."""
        lines, stepper = self.lines(parameters), self.plan.stepper
        step_dt = tf.cast(dt, self.dtype)

        def advance(index, carry):
            def moment(c):
                # from the frame's start, so that any division into blocks gives the same bits
                return start + (tf.cast(index, tf.float64) + c) * dt

            return index + 1, stepper.step(lines, carry, moment, step_dt, coefficients)

        _, carry = tf.while_loop(lambda index, _: index < last, advance, (first, carry))
        state = stepper.finish(lines, carry)
        axes = list(range(1, state.shape.rank))
        return carry, state, tf.reduce_all(tf.math.is_finite(state), axis=axes)

    def _diverged(self, finite: np.ndarray, since: float, upto: float) -> DivergedError:
        names = [f for f, good in zip(self.plan.equation.fields, finite, strict=True) if not good]
        limit = self.plan.step.limit
        told = f" (its stability limit at the start was {limit:.4g})" if np.isfinite(limit) else ""
        return DivergedError(
            f"{' and '.join(names)} stopped being finite between t = {since:.6g} and {upto:.6g}; "
            "the frames before are kept",
            cure=f"a smaller time.dt than {self.plan.step.dt:.4g}{told}, device.precision=float64, "
            "or other parameters",
        )


def _use_xla(plan: Plan, placement: Placement) -> bool:
    """XLA unless told otherwise; its convolutions on a CPU are many times slower than TF's own."""
    asked = plan.settings.device.jit
    if asked != "auto":
        return asked
    return placement.is_gpu or plan.problem.discretisation.name != "conv"
