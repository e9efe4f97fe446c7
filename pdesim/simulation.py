"""A plan on a device: blocks of steps, and what happens between them."""

from __future__ import annotations

import logging
import time as clock_module
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from pdesim.blocks import Blocks
from pdesim.device import Placement
from pdesim.errors import DivergedError
from pdesim.plan import Plan, time_step
from pdesim.steppers.stability import is_stable, linearise

log = logging.getLogger("pdesim")

#: wall-clock seconds that a block should take: short enough to stop soon, long enough to be free
BLOCK_SECONDS = 0.5
FIRST_BLOCK = 8
TRIAL_STEPS = 4


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


Report = Callable[[Progress], None]


class Simulation:
    """A plan on a device. Iterate :meth:`frames`; the first frame is the initial state."""

    def __init__(self, plan: Plan, placement: Placement) -> None:
        self.plan, self.placement = plan, placement
        dtype = tf.as_dtype(plan.settings.device.precision)
        self.blocks = Blocks(plan.problem, plan.stepper, dtype, _use_xla(plan, placement))
        self.steps = 0
        self.rejected = 0
        self.seconds = 0.0
        self.compile_seconds = 0.0
        self.steps_a_block = FIRST_BLOCK
        self._dt = plan.step.dt
        self._coefficients: dict[float, dict] = {}

    def prepare(self) -> float:
        """Compile, and time a few steps whose result is thrown away: seconds a step."""
        plan, start = self.plan, float(self.plan.times[0])
        began = clock_module.perf_counter()
        with tf.device(self.placement.name):
            carry = self._begin(tf.constant(plan.state, self.blocks.dtype), 0)
            self._trial(carry, start, 0)
            self.compile_seconds = clock_module.perf_counter() - began
            began = clock_module.perf_counter()
            self._trial(carry, start, TRIAL_STEPS)
        return (clock_module.perf_counter() - began) / TRIAL_STEPS

    def frames(self, report: Report = lambda progress: None) -> Iterator[Frame]:
        """Yield the frames of the plan, advancing between them.

        Args:
            report: called after every block; may raise to stop the run.

        Raises:
            DivergedError: if a field is no longer finite; frames before it were yielded.
        """
        with tf.device(self.placement.name):
            state = tf.constant(self.plan.state, self.blocks.dtype)
            yield Frame(0, float(self.plan.times[0]), state.numpy())
            carry, dt = None, None
            for frame in range(len(self.plan.times) - 1):
                if self.plan.step.adaptive:
                    carry, state = self._follow(state if carry is None else carry, frame, report)
                else:
                    if dt is None or not np.isclose(dt, self._step_of(frame), rtol=1e-9):
                        # what multistep methods carry belongs to one dt
                        carry = self._begin(state, frame)
                        dt = self._step_of(frame)
                    carry, state = self._advance(carry, frame, report)
                self._watch(frame + 1, state)
                yield Frame(frame + 1, float(self.plan.times[frame + 1]), state.numpy())

    def _watch(self, frame: int, state: tf.Tensor) -> None:
        """Shorten an automatic dt where the solution has become stiffer than it was at first.

        Looked at after 1, 2, 4, 8, ... frames: solutions change most at the start.
        """
        plan = self.plan
        automatic = plan.settings.time.dt == "auto" and not plan.step.adaptive
        fields = set(plan.equation.field_symbols)
        varies = bool(plan.equation.jacobian.free_symbols & fields)
        if not (automatic and varies) or frame & (frame - 1) or frame + 1 >= len(plan.times):
            return
        values = state.numpy().astype(np.float64)
        waves = linearise(plan.problem, values, float(plan.times[frame]))
        if is_stable(plan.stepper, waves, plan.step.dt):
            return
        step = time_step(plan.settings, waves, plan.stepper, plan.times)
        if step.dt < plan.step.dt:
            log.info(
                "t = %g: dt lowered from %.4g to %.4g", plan.times[frame], plan.step.dt, step.dt
            )
            self.plan = replace(plan, step=step)

    def _step_of(self, frame: int) -> float:
        times = self.plan.times
        return float((times[frame + 1] - times[frame]) / self.plan.steps_between(frame))

    def _coefficients_for(self, dt: float) -> dict[str, tf.Tensor]:
        key = float(np.format_float_scientific(dt, 9))
        if key not in self._coefficients:
            self._coefficients = {key: self.blocks.coefficients(dt)}
        return self._coefficients[key]

    def _begin(self, state: tf.Tensor, frame: int):
        if self.plan.step.adaptive:
            return state
        dt, time = self._step_of(frame), self.plan.times[frame]
        coefficients = self._coefficients_for(dt)
        return self.blocks.begin(
            state, _double(time), _double(dt), self.blocks.parameters, coefficients
        )

    def _trial(self, carry, start: float, steps: int) -> None:
        blocks = self.blocks
        if self.plan.step.adaptive:
            result = self._call_follow(carry, start, float(self.plan.times[-1]), steps)
        else:
            dt = self._step_of(0)
            result = blocks.advance(
                carry, _double(start), _double(dt), _count(0), _count(steps), blocks.parameters,
                self._coefficients_for(dt),
            )  # fmt: skip
        result[2].numpy()

    def _advance(self, carry, frame: int, report: Report):
        """From one frame to the next in equal steps."""
        start, count, dt = self.plan.times[frame], self.plan.steps_between(frame), None
        dt = self._step_of(frame)
        coefficients, done = self._coefficients_for(dt), 0
        while done < count:
            upto = min(count, done + self.steps_a_block)
            began = clock_module.perf_counter()
            carry, state, finite = self.blocks.advance(
                carry, _double(start), _double(dt), _count(done), _count(upto),
                self.blocks.parameters, coefficients,
            )  # fmt: skip
            self._account(
                upto - done, finite, began, (start + done * dt, start + upto * dt), report
            )
            done = upto
        return carry, state

    def _follow(self, carry, frame: int, report: Report):
        """From one frame to the next in steps of chosen size."""
        now, end = float(self.plan.times[frame]), float(self.plan.times[frame + 1])
        while now < end:
            began, before = clock_module.perf_counter(), now
            carry, state, finite, told = self._call_follow(carry, now, end, self.steps_a_block)
            now, self._dt, accepted, tried = (value.numpy().item() for value in told)
            self.rejected += tried - accepted
            self._account(tried, finite, began, (before, now), report)
            if self._dt <= 1e-12 * (end - before):
                raise self._diverged(np.zeros(len(self.plan.equation.fields), bool), before, end)
        return carry, state

    def _call_follow(self, carry, now: float, end: float, trials: int):
        tolerance = self.plan.settings.time.tolerance
        return self.blocks.follow(
            carry, _double(now), _double(end), _double(self._dt), _count(trials),
            _double(tolerance), self.blocks.parameters,
        )  # fmt: skip

    def _account(self, steps: int, finite, began: float, span, report: Report) -> None:
        finite = finite.numpy()  # waits for the device
        seconds = clock_module.perf_counter() - began
        compiling = self.steps == 0 and self.compile_seconds == 0
        if compiling:
            self.compile_seconds = seconds
        else:
            self.seconds += seconds
            wanted = int(steps * BLOCK_SECONDS / max(seconds, 1e-6))
            self.steps_a_block = max(1, min(wanted, 4 * self.steps_a_block))
        self.steps += steps
        report(Progress(self.steps, float(span[1]), self.seconds))
        if not finite.all():
            raise self._diverged(finite, *span)

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


def _double(value: float) -> tf.Tensor:
    return tf.constant(value, tf.float64)


def _count(value: int) -> tf.Tensor:
    return tf.constant(value, tf.int64)


def _use_xla(plan: Plan, placement: Placement) -> bool:
    """XLA unless told otherwise; its convolutions on a CPU are many times slower than TF's own."""
    asked = plan.settings.device.jit
    if asked != "auto":
        return asked
    return placement.is_gpu or plan.problem.discretisation.name != "conv"
