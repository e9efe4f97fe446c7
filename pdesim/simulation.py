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
from pdesim.moment import Moment
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
    """A plan on a device. Iterate :meth:`frames`; the first frame is the initial state.

    A plan that goes on from an earlier moment yields the frames after it, bit for bit those of a
    run that never stopped.
    """

    def __init__(self, plan: Plan, placement: Placement) -> None:
        self.plan, self.placement = plan, placement
        dtype = tf.as_dtype(plan.settings.device.precision)
        self.blocks = Blocks(plan.problem, plan.stepper, dtype, _use_xla(plan, placement))
        self.steps = plan.since.steps if plan.since else 0
        self.rejected = plan.since.rejected if plan.since else 0
        self.seconds = plan.since.seconds if plan.since else 0.0
        self.compile_seconds = 0.0
        self.steps_a_block = FIRST_BLOCK
        self._frame, self._done, self._now = 0, 0, float(plan.times[0])
        self._carry = None

    def prepare(self) -> float:
        """Compile, and time a few steps whose result is thrown away: seconds a step."""
        began = clock_module.perf_counter()
        with tf.device(self.placement.name):
            self._place()
            self._trial(0)
            self.compile_seconds = clock_module.perf_counter() - began
            began = clock_module.perf_counter()
            self._trial(TRIAL_STEPS)
        return (clock_module.perf_counter() - began) / TRIAL_STEPS

    def frames(self, report: Report = lambda progress: None) -> Iterator[Frame]:
        """Yield the frames of the plan, advancing between them.

        Args:
            report: called after every block; may raise to stop the run.

        Raises:
            DivergedError: if a field is no longer finite; frames before it were yielded.
        """
        with tf.device(self.placement.name):
            if self._carry is None:
                self._place()
            if self.plan.since is None:
                yield Frame(0, self._now, self._state.numpy())
            while self._frame < len(self.plan.times) - 1:
                if self.plan.step.adaptive:
                    self._follow(report)
                else:
                    self._advance(report)
                self._frame, self._done = self._frame + 1, 0
                self._now = float(self.plan.times[self._frame])
                self._watch()
                yield Frame(self._frame, self._now, self._state.numpy())

    def moment(self) -> Moment:
        """Where the simulation stands, between two blocks."""
        mask = self.plan.problem.mask
        return Moment(
            stepper=self.plan.stepper.method.name,
            frame=self._frame,
            done=self._done,
            time=self._now,
            made_for=self._made_for,
            longest=self.plan.step.dt,
            limit=self.plan.step.limit,
            steps=self.steps,
            rejected=self.rejected,
            seconds=self.seconds,
            times=self.plan.times,
            state=self._state.numpy(),
            carry=tuple(part.numpy() for part in tf.nest.flatten(self._carry)),
            solid=None if mask is None else mask.solid,
        )

    def _place(self) -> None:
        """Put what the stepper carries on the device: made anew, or as it was."""
        since = self.plan.since
        self._state = tf.constant(self.plan.state, self.blocks.dtype)
        self._made_for = self.plan.step.dt if self.plan.step.adaptive else self._step
        if since is not None:
            self._frame, self._done, self._now = since.frame, since.done, since.time
            self._made_for = since.made_for
        self._begin(self._made_for)
        if since is not None:
            parts = [tf.constant(part) for part in since.carry]
            self._carry = tf.nest.pack_sequence_as(self._carry, parts)

    def _watch(self) -> None:
        """Shorten an automatic dt where the solution has become stiffer than it was at first.

        Looked at after 1, 2, 4, 8, ... frames: solutions change most at the start.
        """
        plan = self.plan
        automatic = plan.settings.time.dt == "auto" and not plan.step.adaptive
        fields = set(plan.equation.field_symbols)
        varies = bool(plan.equation.jacobian.free_symbols & fields)
        if not (automatic and varies) or self._frame & (self._frame - 1):
            return
        waves = linearise(plan.problem, self._state.numpy().astype(np.float64), self._now)
        if is_stable(plan.stepper, waves, plan.step.dt):
            return
        step = time_step(plan.settings, waves, plan.stepper, plan.times)
        if step.dt < plan.step.dt:
            log.info("t = %g: dt lowered from %.4g to %.4g", self._now, plan.step.dt, step.dt)
            self.plan = replace(plan, step=step)

    @property
    def _step(self) -> float:
        """The step of the present interval: its length in equal parts."""
        times, frame = self.plan.times, self._frame
        return float((times[frame + 1] - times[frame]) / self.plan.steps_between(frame))

    def _begin(self, dt: float) -> None:
        """Make the stepper's numbers and what it carries from the state, for this dt."""
        self._made_for = dt
        if self.plan.step.adaptive:
            self._carry = self._state
            return
        self._coefficients = self.blocks.coefficients(dt)
        self._carry = self.blocks.begin(
            self._state, _double(self._now), _double(dt), self.blocks.parameters,
            self._coefficients,
        )  # fmt: skip

    def _trial(self, steps: int) -> None:
        if self.plan.step.adaptive:
            result = self._call_follow(float(self.plan.times[-1]), steps)
        else:
            result = self._call_advance(self._now, self._made_for, 0, steps)
        result[2].numpy()

    def _advance(self, report: Report) -> None:
        """From one frame to the next in equal steps."""
        start, count = float(self.plan.times[self._frame]), self.plan.steps_between(self._frame)
        dt = self._step
        if self._done == 0 and not np.isclose(dt, self._made_for, rtol=1e-9):
            self._begin(dt)  # what multistep methods carry belongs to one dt
        while self._done < count:
            first, upto = self._done, min(count, self._done + self.steps_a_block)
            began, before = clock_module.perf_counter(), self._now
            self._carry, self._state, finite = self._call_advance(start, dt, first, upto)
            self._done, self._now = upto, start + upto * dt
            self._account(upto - first, finite, began, before, report)

    def _call_advance(self, start: float, dt: float, first: int, last: int):
        return self.blocks.advance(
            self._carry, _double(start), _double(dt), _count(first), _count(last),
            self.blocks.parameters, self._coefficients,
        )  # fmt: skip

    def _follow(self, report: Report) -> None:
        """From one frame to the next in steps of chosen size."""
        end = float(self.plan.times[self._frame + 1])
        while self._now < end:
            began, before = clock_module.perf_counter(), self._now
            self._carry, self._state, finite, told = self._call_follow(end, self.steps_a_block)
            self._now, self._made_for, accepted, tried = (value.numpy().item() for value in told)
            self.rejected += tried - accepted
            self._account(tried, finite, began, before, report)
            if self._made_for <= 1e-12 * (end - before):
                raise self._diverged(np.zeros(len(self.plan.equation.fields), bool), before)

    def _call_follow(self, end: float, trials: int):
        tolerance = self.plan.settings.time.tolerance
        return self.blocks.follow(
            self._carry, _double(self._now), _double(end), _double(self._made_for),
            _count(trials), _double(tolerance), self.blocks.parameters,
        )  # fmt: skip

    def _account(self, steps: int, finite, began: float, since: float, report: Report) -> None:
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
        if not finite.all():
            raise self._diverged(finite, since)
        report(Progress(self.steps, self._now, self.seconds))

    def _diverged(self, finite: np.ndarray, since: float) -> DivergedError:
        names = [f for f, good in zip(self.plan.equation.fields, finite, strict=True) if not good]
        limit = self.plan.step.limit
        told = f" (its stability limit at the start was {limit:.4g})" if np.isfinite(limit) else ""
        return DivergedError(
            f"{' and '.join(names)} stopped being finite between t = {since:.6g} and "
            f"{self._now:.6g}; the frames before are kept",
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
