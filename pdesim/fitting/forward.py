"""The forward function of a fit: parameters to the frames of runs, in memory.

All runs take the same steps. If each run chose its own, as runs with ``time.dt=auto`` do, its
frames would jump by the error in time whenever a parameter changes the number of steps, and
differences of two runs would measure these jumps. The steps are recorded once, from runs at the
first start and at the bounds of each parameter: in every interval between targets the smallest of
their steps is used. Adaptive steppers take fixed steps too, without their estimate of the error.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from pdesim.engine.blocks import Progress
from pdesim.engine.compile_cache import get_or_compile, use_xla
from pdesim.engine.device import Placement
from pdesim.engine.integrator import Integrator, as_array
from pdesim.engine.simulation import Simulation
from pdesim.errors import ConfigError, DivergedError, PdesimError, SolverError
from pdesim.fitting.members import Family, least_favourable
from pdesim.fitting.schedule import Schedule
from pdesim.plan import Plan
from pdesim.sweeps.members import can_share, largest_batch

#: recorded steps of adaptive steppers are averages over an interval; single steps may be smaller
ADAPTIVE_SAFETY = 0.8
#: target duration of a block of steps in seconds, and the first number of steps of a block
BLOCK_SECONDS, FIRST_BLOCK = 0.3, 16

#: times whose distance is below this fraction of the shortest interval are equal
AT_TARGET = 1e-6

#: ``check(time)``: called after every block; may raise to stop the fit
Check = Callable[[float], None]


@dataclass(frozen=True)
class Batches:
    """How the runs of one or several evaluations are divided into programs.

    Args:
        group: the number of runs of an evaluation.
        groups: the number of evaluations that are computed together.
        size: the number of runs in a program.
    """

    group: int
    groups: int
    size: int

    @classmethod
    def choose(cls, plan: Plan, placement: Placement, group: int, starts: int) -> Batches:
        """Choose the numbers for a plan; 1 run per program if plans cannot share programs.

        Args:
            group: the number of runs of an evaluation.
            starts: the largest number of evaluations at a time.
        """
        most = largest_batch(plan, placement) if can_share(plan) else 1
        if group <= most:
            groups = min(starts, most // group)
            return cls(group, groups, group * groups)
        parts = -(-group // most)
        return cls(group, 1, -(-group // parts))


@dataclass(frozen=True)
class Forward:
    """Computes the frames of runs with given parameters.

    Args:
        family: the plans.
        schedule: the steps.
        placement: the device.
        batches: the sizes of programs.
        check: see :data:`Check`.
    """

    family: Family
    schedule: Schedule
    placement: Placement
    batches: Batches
    check: Check = lambda time: None

    @property
    def times(self) -> np.ndarray:
        """The times of the frames, shape ``(frames,)``; the first one is that of the start."""
        return self.family.base.times

    def frames(self, places: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the frames of runs, beginning with the initial states.

        Args:
            places: positions of the parameters between their bounds, ``(runs, parameters)``.

        Returns:
            For each time in :attr:`times` an array ``(runs, fields, *grid.shape)``. The states of
            runs that have failed are NaN.
        """
        count = len(places)
        size = self.batches.size
        if self.batches.groups > 1 and count <= self.batches.group:
            size = self.batches.group
        padded = np.concatenate([places, np.repeat(places[-1:], -count % size, axis=0)])
        parts = [self._advance(part) for part in padded.reshape(-1, size, places.shape[1])]
        for states in zip(*parts, strict=True):
            yield np.concatenate(states)[:count]

    def _advance(self, places: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the frames of the runs of one program; see :meth:`frames`."""
        plans, schedule = [self.family.plan(place) for place in places], self.schedule
        at, first = self._start(plans), self.family.base
        failed: np.ndarray = np.zeros(len(plans), bool)
        yield _states(at, failed)
        for target, count in enumerate(schedule.steps.tolist()):
            failed = failed | self._interval(at, target, count)
            # the frame at the target, unless the target is between two frames
            if first.frame_at(target + 1) > first.frame_at(target):
                yield _states(at, failed)

    def _start(self, plans: list[Plan]) -> Integrator:
        """Return the initial states on the device."""
        members = len(plans) if len(plans) > 1 else 0
        loop = get_or_compile(plans[0], self.placement, use_xla(plans[0]), members)
        at = Integrator(plans, loop)
        with tf.device(self.placement.name):
            at.upload(np.full(len(plans), self.schedule.dt[0]))
        return at

    def _interval(self, at: Integrator, target: int, count: int) -> np.ndarray:
        """Advance from a target to the next one, and return which runs have failed."""
        start, members = float(self.schedule.targets[target]), len(at.plans)
        dt = np.full(members, self.schedule.dt[target])
        starts, block, done = np.full(members, start), FIRST_BLOCK, 0
        good: np.ndarray = np.ones(members, bool)
        with tf.device(self.placement.name):
            at.now = starts
            if not np.allclose(dt, at.dt, rtol=1e-9, atol=0):
                at.init(dt, at.everyone)
            while done < count:
                upto, began = min(count, done + block), clock.perf_counter()
                at.state = None
                carry, at.state, finite, *_ = at.advance(starts, dt, done, np.full(members, upto))
                at.carry = at.state if carry is None else carry
                good = np.asarray(np.atleast_2d(finite.numpy()).all(axis=1))
                seconds, done = clock.perf_counter() - began, upto
                block = max(1, min(4 * block, int(block * BLOCK_SECONDS / max(seconds, 1e-6))))
                self.check(start + done * float(dt[0]))
                if not good.any():
                    break
        return ~good


def _states(at: Integrator, failed: np.ndarray) -> np.ndarray:
    """Return the states ``(runs, fields, *grid.shape)``, NaN for failed runs."""
    state = as_array(at.state)
    states = state if at.many else state[np.newaxis]
    if not failed.any():
        return states
    states = states.copy()
    states[failed] = np.nan
    return states


def record_schedule(
    family: Family,
    placement: Placement,
    batches: Batches,
    check: Check = lambda time: None,
    note: Callable[[str], None] = lambda text: None,
) -> Schedule:
    """Return the steps that runs at the first start and at the bounds of the parameters need.

    Args:
        family: the plans.
        placement: the device.
        batches: the sizes of programs.
        check: see :data:`Check`.
        note: called with a message for each of these runs that fails.

    Raises:
        PdesimError: if a given ``time.dt`` is above the stability limit at a bound, and if all of
            these runs fail.
    """
    places = least_favourable(family.parameters)
    plans = [family.planned(place) for place in places]
    targets = plans[0].targets
    if plans[0].settings.time.dt != "auto":
        counts = [plans[0].steps_between(n) for n in range(len(targets) - 1)]
        return Schedule(targets, np.array(counts, dtype=np.int64))
    plans = [replace(plan, targets=targets) for plan in plans]
    most = np.zeros(len(targets) - 1, dtype=np.int64)
    failures: dict[int, PdesimError] = {}
    size = batches.size if batches.groups == 1 else batches.group
    for first in range(0, len(plans), size):
        part = plans[first : first + size]
        part += [part[-1]] * (size - len(part))
        taken, failed = _steps_taken(part, placement, check)
        most = np.maximum(most, taken)
        failures |= {first + n: error for n, error in failed.items() if first + n < len(plans)}
    if not most.all():
        raise _no_run(next(iter(failures.values()), None))
    for number, error in failures.items():
        values = ", ".join(f"{k}={v:.4g}" for k, v in family.values(places[number]).items())
        cause = error.problem.removesuffix("; earlier frames are kept")
        note(f"note: no time steps are recorded at {values}: {cause}")
    if plans[0].step.adaptive:
        most = np.ceil(most / ADAPTIVE_SAFETY).astype(np.int64)
    return Schedule(targets, most)


def _steps_taken(
    plans: Sequence[Plan], placement: Placement, check: Check
) -> tuple[np.ndarray, dict[int, PdesimError]]:
    """Return the largest number of steps of several runs in each interval between targets.

    Returns:
        The numbers of steps, 0 if all runs fail, and the errors of runs that have failed.
    """
    targets, shortest = plans[0].targets, np.diff(plans[0].targets).min()
    simulation = Simulation(list(plans), placement)
    counts = np.zeros((len(targets), len(plans)), dtype=np.int64)

    def report(progress: Progress) -> None:
        check(progress.time)
        place = int(np.abs(targets - progress.time).argmin())
        if abs(targets[place] - progress.time) <= AT_TARGET * shortest:  # all members are there
            counts[place] = [simulation.steps_of(n)[0] for n in range(len(plans))]

    with suppress(DivergedError, SolverError):  # if all have failed
        for _ in simulation.frames(report):
            pass
    taken = np.diff(counts, axis=0)
    taken[:, list(simulation.failures)] = 0
    return taken.max(axis=1), simulation.failures


def _no_run(error: PdesimError | None) -> PdesimError:
    problem = "the runs at the start and at the bounds of the parameters all fail"
    if error is None:
        return ConfigError(problem, "bounds inside which the solution remains finite")
    return ConfigError(
        f"{problem}: {error.problem}",
        "bounds inside which the solution remains finite",
        error.hint,
    )
