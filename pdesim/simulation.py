"""A plan on a device: blocks of steps, and what happens between them."""

from __future__ import annotations

import logging
import time as clock_module
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import tensorflow as tf

from pdesim.blocks import VANISHING
from pdesim.device import Placement, release_memory
from pdesim.errors import DivergedError, PdesimError, SolverError
from pdesim.moment import Moment
from pdesim.operators.krylov import UNSOLVED
from pdesim.plan import Plan, time_step
from pdesim.programs import program_for
from pdesim.steppers.stability import is_stable, linearise

log = logging.getLogger("pdesim")

#: wall-clock seconds that a block should take: short enough to stop soon, long enough to be free
BLOCK_SECONDS = 0.5
FIRST_BLOCK = 8
TRIAL_STEPS = 4


@dataclass(frozen=True)
class Frame:
    """One stored moment: ``state`` has shape ``(fields, *grid.shape)``, of several members
    ``(members, fields, *grid.shape)``."""

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

    Several plans of one problem, equal in all but parameters, first states and steps, advance as
    members of one program. A member that stops being finite is noted in ``failures`` and computed
    no further than the others need; its numbers never meet theirs. One that goes on alone after a
    beginning among others has itself for company, so that its bits are those of their program.
    """

    def __init__(self, plan: Plan | Sequence[Plan], placement: Placement) -> None:
        self.plans = [plan] if isinstance(plan, Plan) else list(plan)
        self.placement = placement
        first, self._shown = self.plan, len(self.plans)
        if self._shown == 1 and first.since and first.since.together:
            self.plans *= 2
        self._many = len(self.plans) > 1
        members = len(self.plans) if self._many else 0
        self.blocks = program_for(first, placement, _use_xla(first, placement), members)
        self.failures: dict[int, PdesimError] = {}
        moments = [plan.since for plan in self.plans]
        self._steps = np.array([m.steps if m else 0 for m in moments])
        self._rejected = np.array([m.rejected if m else 0 for m in moments])
        self.seconds = first.since.seconds if first.since else 0.0
        self.compile_seconds = 0.0
        self.steps_a_block = FIRST_BLOCK
        self._frame, self._done = 0, 0
        self._now = np.full(len(self.plans), float(first.times[0]))
        self._carry = None

    @property
    def plan(self) -> Plan:
        """The plan, or the first member's; an automatic dt may have been shortened in it."""
        return self.plans[0]

    @property
    def members(self) -> int:
        return self._shown

    @property
    def steps(self) -> int:
        """Steps taken, of all members together."""
        return int(self._steps[: self._shown].sum())

    @property
    def rejected(self) -> int:
        return int(self._rejected[: self._shown].sum())

    def steps_of(self, member: int) -> tuple[int, int]:
        """Steps taken and rejected by one member."""
        return int(self._steps[member]), int(self._rejected[member])

    def prepare(self) -> float:
        """Compile, and time a few steps whose result is thrown away: seconds a step.

        The plans' first states are on the device then, and let go.
        """
        began = clock_module.perf_counter()
        with tf.device(self.placement.name):
            self._place()
            for plan in self.plans:
                plan.first.let_go()
            release_memory()
            self._trial(1)
            release_memory()
            self.compile_seconds = clock_module.perf_counter() - began
            steps = max(TRIAL_STEPS, self.blocks.steps_at_once)
            self._trial(steps)  # the first touch of memory takes longer than the steps
            began = clock_module.perf_counter()
            self._trial(steps)
        seconds = (clock_module.perf_counter() - began) / steps
        self.steps_a_block = max(FIRST_BLOCK, int(BLOCK_SECONDS / max(seconds, 1e-6)))
        return seconds

    def frames(self, report: Report = lambda progress: None) -> Iterator[Frame]:
        """Yield the frames of the plan, advancing between them.

        Args:
            report: called after every block; may raise to stop the run.

        Raises:
            DivergedError: if a field is no longer finite, in every member; frames before it were
                yielded.
            SolverError: likewise, if an implicit step could not be solved for.
        SolverError: likewise, if an implicit step could not be solved.
        """
        times = self.plan.times
        with tf.device(self.placement.name):
            if self._carry is None:
                self._place()
            if self.plan.since is None:
                yield Frame(0, float(times[0]), self._shown_state())
            while self._frame < len(times) - 1:
                if self.plan.step.adaptive:
                    self._follow(report)
                else:
                    self._advance(report)
                self._frame, self._done = self._frame + 1, 0
                self._now[:] = times[self._frame]
                self._watch()
                yield Frame(self._frame, float(times[self._frame]), self._shown_state())

    def _shown_state(self) -> np.ndarray:
        state = _as_array(self._state)
        return state[0] if len(self.plans) > self._shown else state

    def moment(self, member: int = 0) -> Moment:
        """Where the simulation stands, between two blocks."""
        plan, one = self.plans[member], slice(None)
        done = self._done
        if self._many:
            one = member
            if done:  # members with longer steps rest until the others are there
                done = min(done, plan.steps_between(self._frame))
        mask = plan.problem.mask
        return Moment(
            stepper=plan.stepper.method.name,
            frame=self._frame,
            done=done,
            time=float(self._now[member]),
            made_for=float(self._made_for[member]),
            longest=plan.step.dt,
            limit=plan.step.limit,
            steps=int(self._steps[member]),
            rejected=int(self._rejected[member]),
            seconds=self.seconds,
            together=int(self._many),
            times=plan.times,
            state=_as_array(self._state)[one],
            carry=tuple(_as_array(part)[one] for part in tf.nest.flatten(self._carry)),
            solid=None if mask is None else mask.solid,
        )

    def _place(self) -> None:
        """Put what the stepper carries on the device: made anew, or as it was."""
        since = [plan.since for plan in self.plans]
        self._state = self._tensor([plan.state for plan in self.plans], self.blocks.dtype)
        if since[0] is None:
            self._state = self.blocks.initial(self._state)
        if since[0] is not None:
            self._frame, self._done = since[0].frame, max(m.done for m in since)
            self._now = np.array([m.time for m in since])
            made_for = np.array([m.made_for for m in since])
        elif self.plan.step.adaptive:
            made_for = np.array([plan.step.dt for plan in self.plans])
        else:
            made_for = self._equal_steps()
        self._host: list[dict] = [{}] * len(self.plans)
        self._begin(made_for, np.ones(len(self.plans), bool))
        if since[0] is not None:
            parts = zip(*(m.carry for m in since), strict=True)
            parts = [self._tensor(part, part[0].dtype) for part in parts]
            self._carry = tf.nest.pack_sequence_as(self._carry, parts)

    def _tensor(self, values: Sequence, dtype) -> tf.Tensor:
        """One value a member as a tensor; of a single run, that value itself."""
        return tf.constant(np.stack(values) if self._many else values[0], dtype)

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
        states = _as_array(self._state)
        for member, state in enumerate(states if self._many else [states]):
            if member not in self.failures:
                self.plans[member] = self._watched(self.plans[member], state.astype(np.float64))

    def _watched(self, plan: Plan, state: np.ndarray) -> Plan:
        now = float(plan.times[self._frame])
        waves = linearise(plan.problem, state, now)
        if is_stable(plan.stepper, waves, plan.step.dt):
            return plan
        step = time_step(plan.settings, waves, plan.stepper, plan.times)
        if step.dt >= plan.step.dt:
            return plan
        log.info("t = %g: dt lowered from %.4g to %.4g", now, plan.step.dt, step.dt)
        return replace(plan, step=step)

    def _counts(self) -> np.ndarray:
        return np.array([plan.steps_between(self._frame) for plan in self.plans])

    def _equal_steps(self) -> np.ndarray:
        """The steps of the present interval: its length in equal parts."""
        times, frame = self.plan.times, self._frame
        return (times[frame + 1] - times[frame]) / self._counts()

    def _begin(self, dt: np.ndarray, which: np.ndarray) -> None:
        """Make the steppers' numbers and what they carry from the states, for these dt."""
        self._made_for = dt
        if self.plan.step.adaptive:
            self._carry = self._state
            return
        for member in np.flatnonzero(which):
            plan = self.plans[member]
            numbers = self.blocks.coefficients.host(float(dt[member]), plan.equation.parameters)
            self._host[member] = numbers
        stacked = {
            name: np.stack([h[name] for h in self._host]) if self._many else value
            for name, value in self._host[0].items()
        }
        self._coefficients = self.blocks.coefficients.as_tensors(stacked)
        if not self._many:
            self._host = [{}]  # only members are put together anew
        begun = self.blocks.begin(
            self._state, self._double(self._now), self._double(dt), self._parameters,
            self._coefficients,
        )  # fmt: skip
        self._carry = begun if which.all() else self.blocks.choose(which, begun, self._carry)
        if which.all() and self._carries_state:
            self._state = self._carry

    @property
    def _carries_state(self) -> bool:
        """Whether what is carried is the state itself: one array then serves as both."""
        return self.plan.stepper.method.family in ("explicit", "stabilized")

    @cached_property
    def _parameters(self) -> dict[str, tf.Tensor]:
        names = self.plan.equation.parameters
        values = {name: [p.equation.parameters[name] for p in self.plans] for name in names}
        return self.blocks.parameter_tensors(values, self._tensor)

    def _trial(self, steps: int) -> None:
        if self.plan.step.adaptive:
            result = self._call_follow(float(self.plan.times[-1]), steps)
        else:
            last = np.full(len(self.plans), steps)
            result = self._call_advance(self._now, self._made_for, 0, last)
        result[2].numpy()

    def _advance(self, report: Report) -> None:
        """From one frame to the next in equal steps."""
        start, counts = float(self.plan.times[self._frame]), self._counts()
        dt = self._equal_steps()
        if self._done == 0:
            # what multistep methods carry belongs to one dt
            changed = ~np.isclose(dt, self._made_for, rtol=1e-9)
            if changed.any():
                self._begin(np.where(changed, dt, self._made_for), changed)
        while self._done < counts.max():
            first, upto = self._done, min(counts.max(), self._done + self.steps_a_block)
            last = np.minimum(counts, upto)
            began, before = clock_module.perf_counter(), float(self._now.min())
            self._state = None  # what is carried is enough, and large states leave room for it
            carry, self._state, finite = self._call_advance(
                np.full(len(counts), start), dt, first, last
            )
            self._carry = self._state if carry is None else carry
            self._done, self._now = int(upto), start + last * dt
            taken = np.maximum(last - first, 0)
            self._account(taken, finite, began, before, report)

    def _call_advance(self, start: np.ndarray, dt: np.ndarray, first: int, last: np.ndarray):
        return self.blocks.advance(
            self._carry, self._double(start), self._double(dt), tf.constant(first, tf.int64),
            self._tensor(last, tf.int64), self._parameters, self._coefficients,
        )  # fmt: skip

    def _follow(self, report: Report) -> None:
        """From one frame to the next in steps of chosen size."""
        end = float(self.plan.times[self._frame + 1])
        while (self._now < end).any():
            began, before = clock_module.perf_counter(), self._now.copy()
            _, self._state, finite, told = self._call_follow(end, self.steps_a_block)
            self._carry = self._state
            now, dt, accepted, tried = (np.atleast_1d(value.numpy()) for value in told)
            self._now, self._made_for = now, dt
            self._rejected += tried - accepted
            stuck = (now < end) & (dt <= VANISHING * (end - before))
            finite = np.atleast_2d(finite.numpy()) & ~stuck[:, np.newaxis]
            self._now[stuck] = end  # nothing more can come of it
            self._account(tried, finite, began, float(before.min()), report)

    def _call_follow(self, end: float, trials: int):
        tolerance = tf.constant(self.plan.step.tolerance, tf.float64)
        ends = np.full(len(self.plans), end)
        return self.blocks.follow(
            self._carry, self._double(self._now), self._double(ends),
            self._double(self._made_for), tf.constant(trials, tf.int64), tolerance,
            self._parameters,
        )  # fmt: skip

    def _double(self, values: np.ndarray) -> tf.Tensor:
        return self._tensor(values, tf.float64)

    def _account(self, steps: np.ndarray, finite, began: float, since: float, report) -> None:
        finite = np.atleast_2d(finite)  # waits for the device
        seconds = clock_module.perf_counter() - began
        compiling = self.steps == 0 and self.compile_seconds == 0
        if compiling:
            self.compile_seconds = seconds
        else:
            self.seconds += seconds
            wanted = int(steps.max() * BLOCK_SECONDS / max(seconds, 1e-6))
            self.steps_a_block = max(1, min(wanted, 4 * self.steps_a_block))
        self._steps += steps
        for member in np.flatnonzero(~finite.all(axis=1)):
            if member not in self.failures:
                self.failures[int(member)] = self._diverged(member, finite[member], since)
        if len(self.failures) == len(self.plans):
            raise self.failures[max(self.failures)]
        report(Progress(self.steps, float(self._now.min()), self.seconds))

    def _diverged(self, member: int, finite: np.ndarray, since: float) -> PdesimError:
        plan = self.plans[member]
        states = _as_array(self._state)
        if np.all((states[member] if self._many else states) == UNSOLVED):
            return SolverError(
                "the iterations for an implicit step did not converge between "
                f"t = {since:.6g} and {self._now[member]:.6g}; the frames before are kept",
                cure=f"a smaller time.dt than {plan.step.dt:.4g}, device.precision=float64, or an "
                "explicit stepper such as rkl2",
            )
        names = [f for f, good in zip(plan.equation.fields, finite, strict=True) if not good]
        limit = plan.step.limit
        told = f" (its stability limit at the start was {limit:.4g})" if np.isfinite(limit) else ""
        return DivergedError(
            f"{' and '.join(names)} stopped being finite between t = {since:.6g} and "
            f"{self._now[member]:.6g}; the frames before are kept",
            cure=f"a smaller time.dt than {plan.step.dt:.4g}{told}, device.precision=float64, "
            "or other parameters",
        )


def _as_array(tensor: tf.Tensor) -> np.ndarray:
    """A tensor's own memory on a CPU, which nobody writes to again; ``numpy()`` would copy it."""
    return np.asarray(memoryview(tensor)) if "CPU" in tensor.device else tensor.numpy()


def _use_xla(plan: Plan, placement: Placement) -> bool:
    """XLA unless told otherwise; its convolutions on a CPU are many times slower than TF's own."""
    asked = plan.settings.device.jit
    if asked != "auto":
        return asked
    return placement.is_gpu or plan.problem.discretisation.name != "conv"
