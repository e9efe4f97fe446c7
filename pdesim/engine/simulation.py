"""A plan on a device: blocks of steps, and what happens between them."""

from __future__ import annotations

import logging
import time as clock_module
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from pdesim.engine.compile_cache import get_or_compile, use_xla
from pdesim.engine.control import (
    changed_dt,
    divergence_error,
    growth_error,
    limit_varies,
    present_step,
    relative_error,
    seconds_a_step,
    vanishing_error,
)
from pdesim.engine.device import Placement, release_memory
from pdesim.engine.error_control import VANISHING
from pdesim.engine.integrator import Integrator, as_array
from pdesim.engine.monitor import Monitor
from pdesim.errors import PdesimError
from pdesim.output.checkpoint import Checkpoint
from pdesim.plan import Plan, TimeStep

log = logging.getLogger("pdesim")

#: wall-clock seconds that a block should take: short enough to stop soon, long enough to be free
BLOCK_SECONDS = 0.5
FIRST_BLOCK = 8
#: how often a first step is corrected before the run begins
CORRECTIONS = 8
#: after an event, adaptive steppers begin with this part of the interval that ends with a frame
AFTER_EVENT = 1e-2
#: growth between two targets that is looked at with suspicion where a step is not stable
SUSPICIOUS = 10.0


@dataclass(frozen=True)
class Frame:
    """A frame of a run: ``state`` has shape ``(fields, *grid.shape)``, of several members
    ``(members, fields, *grid.shape)``."""

    index: int
    time: float
    state: np.ndarray


@dataclass(frozen=True)
class Progress:
    """Reported after every block: steps taken, simulated time, and seconds spent in blocks."""

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
        if self._shown == 1 and first.resume_from and first.resume_from.in_batch:
            self.plans *= 2
        members = len(self.plans) if len(self.plans) > 1 else 0
        self.blocks = get_or_compile(first, placement, use_xla(first, placement), members)
        self.failures: dict[int, PdesimError] = {}
        moments = [plan.resume_from for plan in self.plans]
        self._steps = np.array([m.steps if m else 0 for m in moments])
        self._rejected = np.array([m.rejected if m else 0 for m in moments])
        self.seconds = first.resume_from.seconds if first.resume_from else 0.0
        self.compile_seconds = 0.0
        self.steps_per_block = FIRST_BLOCK
        self._target, self._done = 0, 0
        fields = len(first.equation.fields)
        self.monitor = Monitor.start(len(self.plans), fields, float(first.times[0]))
        self._controlled = first.resume_from is not None
        self._at = Integrator(self.plans, self.blocks)

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
                plan.initial.release()
            release_memory()
            self._trial(1)
            release_memory()
            self.compile_seconds = clock_module.perf_counter() - began
            # no call of a run with equal steps takes more of them at once
            most = None if self._at.adaptive else int(self._counts().max())
            seconds = seconds_a_step(self._trial, self.blocks.steps_at_once, most)
            self._begin_control()
        self.steps_per_block = max(FIRST_BLOCK, int(BLOCK_SECONDS / max(seconds, 1e-6)))
        return seconds

    def frames(self, report: Report = lambda progress: None) -> Iterator[Frame]:
        """Yield the frames of the plan, advancing between them.

        Args:
            report: called after every block; may raise to stop the run.

        Raises:
            DivergedError: if a field is no longer finite, in every member; frames before it were
                yielded.
            SolverError: likewise, if an implicit step could not be solved.
        """
        plan, targets = self.plan, self.plan.targets
        with tf.device(self.placement.name):
            if self._at.carry is None:
                self._place()
            self._begin_control()
            if plan.resume_from is None:
                yield Frame(0, float(targets[0]), self._shown_state())
            while self._target < len(targets) - 1:
                if plan.step.adaptive:
                    self._follow(report)
                else:
                    self._advance(report)
                before, self._target, self._done = self._target, self._target + 1, 0
                self._at.now[:] = targets[self._target]
                self._control()
                frame = plan.frame_at(self._target)
                if frame > plan.frame_at(before):
                    yield Frame(frame, float(plan.times[frame]), self._shown_state())

    def _shown_state(self) -> np.ndarray:
        if len(self.plans) > self._shown:
            return self._at.state_of(0)
        return as_array(self._at.state)

    def checkpoint(self, member: int = 0) -> Checkpoint:
        """The state between two blocks of steps, from which the run can be resumed."""
        plan, at, done = self.plans[member], self._at, self._done
        if at.many and done:  # members with longer steps rest until the others are there
            done = min(done, plan.steps_between(self._target))
        mask = plan.problem.mask
        return Checkpoint(
            stepper=plan.stepper.method.name,
            frame=plan.frame_at(self._target),
            target=self._target,
            steps_since_target=done,
            time=float(at.now[member]),
            dt=float(at.dt[member]),
            max_dt=plan.step.dt,
            limit=plan.step.limit,
            steps=int(self._steps[member]),
            rejected=int(self._rejected[member]),
            seconds=self.seconds,
            in_batch=int(at.many),
            checked=int(self.monitor.checked[member]),
            checks=int(self.monitor.checks[member]),
            measured_at=float(self.monitor.time[member]),
            times=plan.times,
            targets=plan.targets,
            errors=self.monitor.of(member),
            state=at.state_of(member),
            carry=at.carry_of(member),
            solid=None if mask is None else mask.solid,
        )

    def _place(self) -> None:
        """Put everything on the device: made anew, or as it was."""
        since, at = [plan.resume_from for plan in self.plans], self._at
        if since[0] is not None:
            self._target, self._done = since[0].target, max(m.steps_since_target for m in since)
            at.now = np.array([m.time for m in since])
            for number, m in enumerate(since):
                self.monitor.restore(number, m.errors, m.measured_at, m.checked, m.checks)
            dt = np.array([m.dt for m in since])
        elif at.adaptive:
            dt = np.array([plan.step.dt for plan in self.plans])
        else:
            dt = self._equal_steps()
        at.place(dt)

    def relative_time_error(self, member: int = 0) -> dict[str, float]:
        """The estimated error in time up to now (:func:`pdesim.engine.control.relative_error`)."""
        if not self._controlled:
            return {}
        errors = self.monitor.total(float(self._at.now[member]))[member]
        peaks, state = self.monitor.peak[member], self._at.state_of(member)
        return relative_error(errors, peaks, state, self.plans[member])

    def _begin_control(self) -> None:
        """Measure the error of the first step, and correct automatic steps until it is allowed."""
        if self._controlled:
            return
        self._controlled = True
        self.monitor.look(*self._at.statistics())
        if not self.monitor.peak.all():
            self._look_ahead()
        if self.plan.step.adaptive:
            # the first step is not known yet; its error is about what is allowed
            self.monitor.damped = self.plan.step.tolerance * self.monitor.scale
            return
        everyone = self._at.everyone
        for _ in range(CORRECTIONS if self.plan.step.automatic else 1):
            self.monitor.checks[:] = 0
            self._measure(everyone)
            factors = self._factors(everyone)
            if not (factors < 1).any():
                break
            self._change_steps(np.minimum(factors, 1.0), {})
            self._at.begin(self._equal_steps(), everyone)

    def _control(self) -> None:
        """At a target: measure the error if it is time to, and let steps follow error and limit."""
        if self._target == len(self.plan.targets) - 1:
            return
        peaks = self.monitor.peak.copy()
        self.monitor.look(*self._at.statistics())
        if not self.monitor.peak.all():
            self._look_ahead()
        due = self.monitor.due(self._steps) & self._alive
        suspicious = (self.monitor.peak > SUSPICIOUS * peaks).any(axis=1) & (peaks > 0).all(axis=1)
        suspicious &= self._alive
        # where coefficients of derivatives change, the limit does so from one target to the next
        analysed = due | suspicious | (self._alive & self.plan.problem.stiffness_varies)
        if not analysed.any():
            return
        # the length of steps that were given is questioned only where the solution grows fast
        limits = self._limits(analysed if self.plan.step.automatic else suspicious)
        for member in np.flatnonzero(suspicious):
            plan = self.plans[member]
            limit = limits.get(int(member), plan.step).limit
            self._end(int(member), growth_error(plan, limit, float(self._at.now[member])))
        self._measure(due)
        self._change_steps(self._factors(due), limits)

    @property
    def _alive(self) -> np.ndarray:
        return np.array([number not in self.failures for number in range(len(self.plans))])

    def _look_ahead(self) -> None:
        """The scale of a field that is zero: what it becomes in a step."""
        state = self._at.one_step(self._until_target(), self.monitor.scale)
        self.monitor.fill(*self._at.statistics(state))

    def _until_target(self) -> np.ndarray:
        return self.plan.targets[self._target + 1] - self._at.now

    def _measure(self, which: np.ndarray) -> None:
        """Measure at what rate the error of some members grows."""
        if which.any() and self.plan.stepper.method.order > 0:
            monitor, at = self.monitor, self._at
            rates = at.error_rate(self._until_target(), monitor.peak, monitor.scale)
            monitor.record(which, *rates, float(at.now.max()), self._steps)

    def _factors(self, which: np.ndarray) -> np.ndarray:
        """By what automatic steps should change for the error that was measured."""
        if not self.plan.step.automatic:
            return np.ones(len(self.plans))
        start, end = self.plan.times[0], self.plan.end
        order = self.plan.stepper.method.order
        factors = self.monitor.wanted_factor(order, float(self._at.now.max()), start, end)
        return np.where(which, factors, 1.0)

    def _limits(self, which: np.ndarray) -> dict[int, TimeStep]:
        """The steps that the present states allow, of members whose equation has changed since."""
        if self.plan.step.adaptive or not limit_varies(self.plan):
            return {}
        found = {
            int(member): present_step(self.plans[member], self._at.state_of(member), self._target)
            for member in np.flatnonzero(which)
        }
        return {member: step for member, step in found.items() if step is not None}

    def _change_steps(self, factors: np.ndarray, limits: Mapping[int, TimeStep]) -> None:
        """Shorten or lengthen automatic steps, for accuracy and within their present limit."""
        if not self.plan.step.automatic:
            return
        for member, (plan, factor) in enumerate(zip(self.plans, factors, strict=True)):
            if factor == 1 and member not in limits:
                continue
            dt, now = changed_dt(plan, factor, limits.get(member)), float(self._at.now[member])
            if error := vanishing_error(plan, dt, now):
                self._end(member, error)
            elif dt != plan.step.dt:
                log.info("t = %g: dt changed from %.4g to %.4g", now, plan.step.dt, dt)
                self.plans[member] = replace(plan, step=replace(plan.step, dt=dt))

    def _end(self, member: int, error: PdesimError | None) -> None:
        """Note the error that ends a member, if any; the last one ends all."""
        if error is not None:
            self.failures[member] = error
            if len(self.failures) == len(self.plans):
                raise error

    def _counts(self) -> np.ndarray:
        return np.array([plan.steps_between(self._target) for plan in self.plans])

    def _equal_steps(self) -> np.ndarray:
        """The steps of the present interval: its length in equal parts."""
        targets, number = self.plan.targets, self._target
        return (targets[number + 1] - targets[number]) / self._counts()

    def _trial(self, steps: int) -> None:
        at, count = self._at, len(self.plans)
        if at.adaptive:
            result = at.follow(np.full(count, self.plan.end), steps, self.monitor.scale)
        else:
            result = at.advance(at.now, at.dt, 0, np.full(count, steps))
        result[2].numpy()

    def _advance(self, report: Report) -> None:
        """From one target to the next in equal steps."""
        at, counts, dt = self._at, self._counts(), self._equal_steps()
        start = np.full(len(counts), float(self.plan.targets[self._target]))
        if self._done == 0:
            # what multistep methods carry belongs to one dt
            changed = ~np.isclose(dt, at.dt, rtol=1e-9)
            if changed.any():
                at.begin(np.where(changed, dt, at.dt), changed)
        while self._done < counts.max():
            first, upto = self._done, min(counts.max(), self._done + self.steps_per_block)
            last = np.minimum(counts, upto)
            began, before = clock_module.perf_counter(), float(at.now.min())
            at.state = None  # what is carried is enough, and large states leave room for it
            carry, at.state, finite = at.advance(start, dt, first, last)
            at.carry = at.state if carry is None else carry
            self._done, at.now = int(upto), start + last * dt
            self._account(np.maximum(last - first, 0), finite, began, before, report)

    def _follow(self, report: Report) -> None:
        """From one target to the next in steps of chosen size."""
        at, end = self._at, float(self.plan.targets[self._target + 1])
        if (at.now == self.plan.targets[self._target]).all():
            self._restart_after_event()
        ends = np.full(len(self.plans), end)
        while (at.now < end).any():
            began, before = clock_module.perf_counter(), at.now.copy()
            _, at.state, finite, told = at.follow(ends, self.steps_per_block, self.monitor.scale)
            at.carry = at.state
            now, dt, accepted, tried = (np.atleast_1d(value.numpy()) for value in told)
            at.now, at.dt = now, dt
            self._rejected += tried - accepted
            stuck = (now < end) & (dt <= VANISHING * (end - before))
            finite = np.atleast_2d(finite.numpy()) & ~stuck[:, np.newaxis]
            at.now[stuck] = end  # nothing more can come of it
            self._account(tried, finite, began, float(before.min()), report)

    def _restart_after_event(self) -> None:
        """Begin with a short step where a formula has switched: what comes is not known."""
        plan, here = self.plan, self.plan.targets[self._target]
        if plan.problem.is_time_dependent and (
            self._target == 0 or np.isclose(here, plan.events).any()
        ):
            longest = AFTER_EVENT * (plan.times[1] - plan.times[0])
            self._at.dt = np.minimum(self._at.dt, longest)

    def _account(self, steps: np.ndarray, finite, began: float, since: float, report) -> None:
        finite = np.atleast_2d(finite)  # waits for the device
        seconds = clock_module.perf_counter() - began
        compiling = self.steps == 0 and self.compile_seconds == 0
        if compiling:
            self.compile_seconds = seconds
        else:
            self.seconds += seconds
            wanted = int(steps.max() * BLOCK_SECONDS / max(seconds, 1e-6))
            self.steps_per_block = max(1, min(wanted, 4 * self.steps_per_block))
        self._steps += steps
        for member in np.flatnonzero(~finite.all(axis=1)):
            if member not in self.failures:
                self.failures[int(member)] = divergence_error(
                    self.plans[member],
                    self._at.state_of(member),
                    finite[member],
                    since,
                    float(self._at.now[member]),
                )
        if len(self.failures) == len(self.plans):
            raise self.failures[max(self.failures)]
        report(Progress(self.steps, float(self._at.now.min()), self.seconds))
