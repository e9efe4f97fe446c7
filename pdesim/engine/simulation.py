"""Simulation of a plan on a device, in blocks of steps from frame to frame."""

from __future__ import annotations

import time as clock_module
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.blocks import Block, Frame, ObserveBlock, Progress, Report, ignore_block
from pdesim.engine.compile_cache import get_or_compile, program_members, use_xla
from pdesim.engine.device import Placement, release_memory
from pdesim.engine.equal_steps import EqualStepControl
from pdesim.engine.error_control import VANISHING
from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.engine.held import on_grid
from pdesim.engine.integrator import Integrator, as_array
from pdesim.engine.members import Members, checkpoint_of
from pdesim.engine.monitor import Monitor, accumulated_rounding, relative_error
from pdesim.engine.observation import Observation, Record, ignore
from pdesim.engine.observed_loop import CAPACITY
from pdesim.engine.run_errors import divergence_error
from pdesim.engine.step_timing import seconds_per_step
from pdesim.engine.time_loop import TimeLoop
from pdesim.errors import PdesimError
from pdesim.output.checkpoint import Checkpoint
from pdesim.plan import Plan

#: target duration of a block of steps in seconds: short enough to stop quickly, long enough to make
#: the overhead of a call negligible
BLOCK_SECONDS = 0.5
FIRST_BLOCK = 8
#: the first step of adaptive steppers after an event, as a fraction of the time between frames
AFTER_EVENT = 1e-2


class Simulation:
    """Simulation of a plan on a device.

    Iterate over :meth:`frames`; the first frame is the initial state.

    A resumed plan yields the frames after its checkpoint. They are bit-identical to those of an
    uninterrupted run.

    Several plans that differ only in parameters, initial states and steps advance as members of one
    program. The failure of a member is recorded in ``failures``; other members are not affected. A
    member of a batch that is resumed alone is computed twice in one program, so that its results
    are bit-identical to those of the batch's program.

    Args:
        measures: whether the error in time is measured even if no step depends on it.
        loop: the programs; by default, those of one device. A single member is computed twice if
            they are those of a batch.
    """

    def __init__(
        self,
        plan: Plan | Sequence[Plan],
        placement: Placement,
        tuning: Tuning = TUNING,
        measures: bool = True,
        loop: TimeLoop | None = None,
    ) -> None:
        plans = [plan] if isinstance(plan, Plan) else list(plan)
        self.placement, first = placement, plans[0]
        #: the number of members whose frames are returned
        self.members = len(plans)
        batch = program_members(plans) if loop is None else loop.context.members
        self.loop = loop or get_or_compile(first, placement, use_xla(first), batch, tuning)
        if self.members == 1:
            plans *= max(batch, 1)
        before = [plan.resume_from for plan in plans]
        monitor = Monitor.start(
            len(plans), len(first.equation.fields), float(first.times[0]),
            first.step.tolerance, self.loop.dtype.name,
        )  # fmt: skip
        self._batch = Members(
            plans,
            Integrator(plans, self.loop),
            monitor,
            steps=np.array([m.steps if m else 0 for m in before]),
            rejected=np.array([m.rejected if m else 0 for m in before]),
        )
        started = first.resume_from is not None
        self._control = EqualStepControl(self._batch, started, measures)
        self.seconds = first.resume_from.seconds if first.resume_from else 0.0
        self.compile_seconds = 0.0
        #: the target duration of a block in seconds
        self.block_seconds, self.steps_per_block = BLOCK_SECONDS, FIRST_BLOCK
        #: called before every block of steps
        self.observe_block: ObserveBlock = ignore_block
        #: the largest number of steps in a block; None for no limit
        self.longest_block: int | None = None

    @property
    def plans(self) -> list[Plan]:
        """The plans of all members, with the current automatic steps."""
        return self._batch.plans

    @property
    def plan(self) -> Plan:
        """The plan of the first member."""
        return self._batch.plan

    @property
    def failures(self) -> dict[int, PdesimError]:
        """The errors of failed members."""
        return self._batch.failures

    @property
    def stopped(self) -> dict[int, str]:
        """The reasons why members have stopped before the end of the run."""
        return self._batch.stopped

    @property
    def steps(self) -> int:
        """The number of steps taken by all members."""
        return int(self._batch.steps[: self.members].sum())

    @property
    def rejected(self) -> int:
        """The number of steps rejected of all members."""
        return int(self._batch.rejected[: self.members].sum())

    @property
    def carry(self) -> Any:
        """The carried data of the stepper, with an axis of members if there are several."""
        return on_grid(self._batch.at.carry)

    @property
    def description(self) -> list[str]:
        """Lines for the user on the division of the grid among devices."""
        return self.loop.description

    def steps_of(self, member: int) -> tuple[int, int]:
        """Return the numbers of steps taken and rejected of one member."""
        return int(self._batch.steps[member]), int(self._batch.rejected[member])

    def prepare(self) -> float:
        """Compile the program and return the seconds per step, from trial steps that are discarded.

        The initial states are uploaded to the device and released on the host.
        """
        began, members = clock_module.perf_counter(), self._batch
        with tf.device(self.placement.name):
            self._upload()
            for plan in members.plans:
                plan.initial.release()
            release_memory()
            self._trial(1)
            release_memory()
            self.compile_seconds = clock_module.perf_counter() - began
            # the maximum number of fixed steps in a call
            max_steps = None if members.at.adaptive else int(members.steps_to_target().max())
            seconds = seconds_per_step(
                self._trial, self.loop.steps_at_once, max_steps, self.loop.agree
            )
            self._control.start()
        self.steps_per_block = max(FIRST_BLOCK, int(self.block_seconds / max(seconds, 1e-6)))
        return seconds

    def frames(
        self, report: Report = lambda progress: None, record: Record = ignore
    ) -> Iterator[Frame]:
        """Advance the simulation and yield its frames.

        Members that stop early, by a condition of the settings, yield their last frame when they
        stop.

        Args:
            report: called after every block; may raise to stop the run.
            record: called with new values of observables.

        Raises:
            DivergedError: if all members have failed, because a field is no longer finite or a step
                became too small. Earlier frames have been yielded.
            SolverError: if all members have failed, because an implicit step did not converge.
        """
        with closing(self.stages(report, record)) as stages:
            yield from (frame for frame in stages if frame is not None)

    def stages(self, report: Report, record: Record) -> Generator[Frame | None, None, None]:
        """Advance the simulation in stages, by which several simulations keep common targets.

        The first value is the initial frame, or None if the run is resumed. For every target, two
        values follow: None, when all steps up to the target have been taken, and then the frame at
        the target, or None if there is none. See :meth:`frames`.
        """
        members, plan = self._batch, self.plan
        observation = Observation(members, self.loop, record, self.members)
        with tf.device(self.placement.name):
            if members.at.carry is None:
                self._upload()
            members.check_constraints()
            self._control.start()
            yield self._initial_frame(observation) if plan.resume_from is None else None
            while members.target < len(plan.targets) - 1 and members.alive.any():
                if members.at.adaptive:
                    self._advance_adaptive(report, observation)
                else:
                    self._advance(report, observation)
                yield None
                yield self._reach_target(observation)

    def _initial_frame(self, observation: Observation) -> Frame:
        observation.at_target(last=False)
        ending = observation.ending(0)
        return Frame(0, float(self.plan.targets[0]), self.present_states, ending)

    def _reach_target(self, observation: Observation) -> Frame | None:
        """Return the frame at the next target, up to which all steps were taken; None for none."""
        members, plan, targets = self._batch, self.plan, self.plan.targets
        known, members.target = plan.frame_at(members.target), members.target + 1
        frame, time = plan.frame_at(members.target), float(targets[members.target])
        members.steps_since_target = 0
        members.at.now[members.alive] = time
        self._control.at_target()
        if frame > known:
            members.check_constraints()
        observation.at_target(last=members.target == len(targets) - 1)
        ending = observation.ending(frame)
        if frame > known:
            return Frame(frame, float(plan.times[frame]), self.present_states, ending)
        if ending:
            return Frame(frame + 1, time, self.present_states, ending, regular=False)
        return None

    @property
    def present_states(self) -> np.ndarray:
        """The present states of the members, with the shape of those of frames."""
        at = self._batch.at
        return at.state_of(0) if len(self.plans) > self.members else as_array(at.state)

    @property
    def has_state(self) -> bool:
        """Whether there are states: there are none if a block has failed for lack of memory."""
        return self._batch.at.has_state

    def state_of(self, member: int) -> np.ndarray:
        """Return the present state of a member, on this device."""
        return self._batch.at.state_of(member)

    def share_stopped(self, stopped: dict[int, str]) -> None:
        """Use one mapping of stopped members with the simulations on other devices."""
        self._batch.stopped = stopped

    def checkpoint(self, member: int = 0) -> Checkpoint:
        """Return the state between two blocks of steps, from which the run can be resumed."""
        return checkpoint_of(self._batch, member, self.seconds)

    def relative_time_error(
        self, member: int = 0, ranges: np.ndarray | None = None
    ) -> dict[str, float]:
        """Return the estimated error in time so far (:func:`pdesim.engine.monitor.relative_error`).

        Args:
            ranges: the maximum of each field minus its minimum, on the complete grid; by default,
                they are computed.
        """
        members = self._batch
        if not self._control.started or not self.has_state:
            return {}
        if self.plan.equation.iterated is not None or self.plan.equation.noise:
            return {}
        monitor = members.monitor
        if ranges is None:
            ranges = self.loop.ranges(self.state_of(member))
        errors = monitor.total(float(members.at.now[member]))[member]
        rounding = accumulated_rounding(monitor.noise[member], int(members.steps[member]))
        return relative_error(errors, monitor.peak[member], rounding, ranges, self.plans[member])

    def _upload(self) -> None:
        """Copy the initial states, or those of the checkpoints, to the device."""
        members, at = self._batch, self._batch.at
        before = [plan.resume_from for plan in self.plans if plan.resume_from is not None]
        if before:
            members.target = before[0].target
            members.steps_since_target = max(m.steps_since_target for m in before)
            at.now = np.array([m.time for m in before])
            for number, m in enumerate(before):
                members.monitor.restore(number, m.errors, m.measured_at, m.checked, m.checks)
            dt = np.array([m.dt for m in before])
        elif at.adaptive:
            dt = np.array([plan.step.dt for plan in self.plans])
        else:
            dt = members.fixed_dt()
        at.upload(dt)

    def _trial(self, steps: int) -> None:
        """Take ``steps`` steps from the current states and discard the result."""
        members, count = self._batch, len(self.plans)
        at = members.at
        if at.adaptive:
            ends = np.full(count, self.plan.end)
            result = at.advance_adaptive(ends, steps, members.monitor.scale)
        else:
            result = at.advance(at.now, at.dt, 0, np.full(count, steps))
        result[2].numpy()

    def _advance(self, report: Report, observation: Observation) -> None:
        """Advance from one target to the next in fixed steps."""
        members, at = self._batch, self._batch.at
        dt, alive = members.fixed_dt(), members.alive
        counts = members.steps_to_target()
        # members that have ended take as many steps, which costs nothing and is not recorded
        counts[~alive] = counts[alive].max()
        start = np.full(len(counts), float(self.plan.targets[members.target]))
        given, restarted = at.carry, False
        if members.steps_since_target == 0:
            # the carried data of multistep methods belong to one dt
            changed = ~np.isclose(dt, at.dt, rtol=1e-9)
            if restarted := bool(changed.any()):
                at.init(np.where(changed, dt, at.dt), changed)
        while members.steps_since_target < counts.max():
            first = members.steps_since_target
            upto = min(counts.max(), first + self._most_steps)
            last = np.minimum(counts, upto)
            began, before = clock_module.perf_counter(), float(at.now[alive].min())
            self.observe_block(Block(given, start, dt, first, last, restarted))
            at.state = None  # the program needs the carried data only; this frees memory
            carry, at.state, finite, *records = at.advance(start, dt, first, last)
            given = at.carry = at.state if carry is None else carry
            restarted = False
            for rows in records:
                observation.of_block(rows, np.maximum(last - first, 0))
            members.steps_since_target = int(upto)
            at.now[alive] = (start + last * dt)[alive]
            self._record_block(np.maximum(last - first, 0), finite, began, before, report)

    def _advance_adaptive(self, report: Report, observation: Observation) -> None:
        """Advance from one target to the next in adaptive steps."""
        members, at = self._batch, self._batch.at
        end, alive = float(self.plan.targets[members.target + 1]), members.alive
        if (at.now[alive] == self.plan.targets[members.target]).all():
            self._restart_after_event()
        ends = np.where(alive, end, at.now)
        while (at.now < ends).any():
            began, before = clock_module.perf_counter(), at.now.copy()
            scale, trials = members.monitor.scale.copy(), self._most_steps
            self.observe_block(Block(at.carry, at.now, at.dt, 0, trials, False, ends, scale))
            carry, at.state, finite, result, *records = at.advance_adaptive(ends, trials, scale)
            at.carry = at.state if carry is None else carry
            now, dt, accepted, tried = (np.atleast_1d(value.numpy()) for value in result)
            for rows in records:
                observation.of_block(rows, accepted)
            at.now, at.dt = now, dt
            members.rejected += tried - accepted
            stuck = (now < ends) & (dt <= VANISHING * (end - before))
            finite = np.atleast_2d(finite.numpy()) & ~stuck[:, np.newaxis]
            at.now[stuck] = end  # these members have failed
            self._record_block(tried, finite, began, float(before[alive].min()), report)

    @property
    def _most_steps(self) -> int:
        """The largest number of steps of the next block."""
        capacity = CAPACITY if self.loop.records_steps else None
        limits = (self.steps_per_block, capacity, self.longest_block)
        return min(limit for limit in limits if limit is not None)

    def _restart_after_event(self) -> None:
        """Restart with a short step after an event."""
        plan, target = self.plan, self._batch.target
        switched = np.isclose(plan.targets[target], plan.events).any()
        if plan.problem.is_time_dependent and (target == 0 or switched):
            longest = AFTER_EVENT * (plan.times[1] - plan.times[0])
            self._batch.at.dt = np.minimum(self._batch.at.dt, longest)

    def _record_block(
        self, steps: np.ndarray, finite: Any, began: float, since: float, report: Report
    ) -> None:
        """Count the steps of a block, adapt the length of the next one, and record failures."""
        members = self._batch
        finite = np.atleast_2d(finite)  # this waits for the device
        seconds = self.loop.agree(clock_module.perf_counter() - began)
        if self.steps == 0 and self.compile_seconds == 0:
            self.compile_seconds = seconds
        else:
            self.seconds += seconds
            target_steps = int(steps.max() * self.block_seconds / max(seconds, 1e-6))
            self.steps_per_block = max(1, min(target_steps, 4 * self.steps_per_block))
        members.steps += np.where(members.alive, steps, 0)
        for member in np.flatnonzero(~finite.all(axis=1)).tolist():
            if members.alive[member]:
                state, now = members.at.state_of(member), float(members.at.now[member])
                members.failures[member] = divergence_error(
                    self.plans[member], state, finite[member], since, now
                )
        if len(members.failures) == len(self.plans):
            raise members.failures[max(members.failures)]
        report(self.progress)

    @property
    def progress(self) -> Progress:
        """The progress of all members; its time is that of the slowest one that still advances."""
        members = self._batch
        running = members.alive if members.alive.any() else members.at.everyone
        return Progress(self.steps, float(members.at.now[running].min()), self.seconds)
