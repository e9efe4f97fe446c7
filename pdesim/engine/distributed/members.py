"""Simulation of the members of a batch on several devices, each of which advances its own members.

The devices exchange nothing. They reach every target together, so that frames contain all members
at one time, and they wait for each other after every block of steps, so that a run can be stopped
and checkpoints can be written there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from pdesim.engine.blocks import Frame, Progress, Report
from pdesim.engine.compile_cache import get_or_compile, program_members, use_xla
from pdesim.engine.device import Placement
from pdesim.engine.distributed.decomposition import divided
from pdesim.engine.distributed.stages import Share, Stages, next_stage
from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.engine.observation import Record, ignore
from pdesim.engine.simulation import Simulation
from pdesim.errors import PdesimError
from pdesim.output.checkpoint import Checkpoint
from pdesim.plan import Plan

T = TypeVar("T")


class MembersSimulation:
    """A simulation of a batch on several devices, with the interface of :class:`Simulation`.

    Each device advances its members with the program of a batch of their number; the numbers differ
    by at most one. The frames and checkpoints are bit for bit those of a batch on one device.

    Args:
        plans: the plans of all members, at least one for each device.
        placements: the devices.
        measures: see :class:`Simulation`.
        together: the number of members that one device would compute together; by default, all. If
            it is 1, a device with a single member uses the program of a single run, and otherwise
            that of a batch, which may round differently; the member is then computed twice.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        placements: Sequence[Placement],
        tuning: Tuning = TUNING,
        measures: bool = True,
        together: int | None = None,
    ) -> None:
        self.members = len(plans)
        together = self.members if together is None else together
        self.shares = []
        for placement, numbers in zip(
            placements, divided(len(plans), len(placements)), strict=True
        ):
            own = [plans[number] for number in numbers]
            batch = max(program_members(own), 2 if together > 1 else 0)
            loop = get_or_compile(plans[0], placement, use_xla(plans[0]), batch, tuning, together)
            simulation = Simulation(own, placement, tuning, measures, loop)
            thread = ThreadPoolExecutor(1, "pdesim-device")
            self.shares.append(Share(simulation, numbers.start, thread))

    @property
    def simulations(self) -> list[Simulation]:
        """The simulations of the devices."""
        return [share.simulation for share in self.shares]

    @property
    def plans(self) -> list[Plan]:
        """The plans of all members, with the current automatic steps."""
        return [plan for one in self.simulations for plan in one.plans[: one.members]]

    @property
    def plan(self) -> Plan:
        """The plan of the first member."""
        return self.simulations[0].plan

    @cached_property
    def failures(self) -> MutableMapping[int, PdesimError]:
        """The errors of failed members."""
        return _OfMembers(self.shares, lambda simulation: simulation.failures)

    @cached_property
    def stopped(self) -> MutableMapping[int, str]:
        """The reasons why members have stopped before the end of the run."""
        return _OfMembers(self.shares, lambda simulation: simulation.stopped)

    @property
    def steps(self) -> int:
        """The number of steps taken by all members."""
        return sum(simulation.steps for simulation in self.simulations)

    @property
    def rejected(self) -> int:
        """The number of steps rejected of all members."""
        return sum(simulation.rejected for simulation in self.simulations)

    @property
    def seconds(self) -> float:
        """The computing time in blocks, of the slowest device."""
        return max(simulation.seconds for simulation in self.simulations)

    @property
    def compile_seconds(self) -> float:
        return max(simulation.compile_seconds for simulation in self.simulations)

    @property
    def progress(self) -> Progress:
        """The progress of all members; its time is that of the slowest one that still advances."""
        running = [share for share in self.shares if share.advances] or self.shares
        time = min(share.simulation.progress.time for share in running)
        return Progress(self.steps, time, self.seconds)

    @property
    def description(self) -> list[str]:
        """Lines for the user on the division of the members."""
        sizes = sorted({simulation.members for simulation in self.simulations})
        each = " or ".join(map(str, sizes))
        noun = "member" if sizes == [1] else "members"
        return [f"{len(self.shares)} devices with {each} {noun} each"]

    def steps_of(self, member: int) -> tuple[int, int]:
        """Return the numbers of steps taken and rejected of one member."""
        share, own = self._find(member)
        return share.simulation.steps_of(own)

    def checkpoint(self, member: int = 0) -> Checkpoint:
        """Return the state of a member; see :meth:`Simulation.checkpoint`."""
        share, own = self._find(member)
        return share.simulation.checkpoint(own)

    def relative_time_error(self, member: int = 0) -> dict[str, float]:
        """Return the estimated error in time; see :meth:`Simulation.relative_time_error`."""
        share, own = self._find(member)
        return share.simulation.relative_time_error(own)

    def _find(self, member: int) -> tuple[Share, int]:
        """Return the device of a member, and the member's number on it."""
        share = next(share for share in self.shares if member in share.numbers)
        return share, member - share.first

    def prepare(self) -> float:
        """Compile the programs and return the seconds per step; see :meth:`Simulation.prepare`.

        The result is that of the slowest device.
        """
        tasks = [share.thread.submit(share.simulation.prepare) for share in self.shares]
        errors = [error for task in tasks if (error := task.exception()) is not None]
        if errors:
            raise errors[0]
        return max(task.result() for task in tasks)

    def frames(
        self, report: Report = lambda progress: None, record: Record = ignore
    ) -> Iterator[Frame]:
        """Advance the simulation and yield its frames; see :meth:`Simulation.frames`.

        ``report`` and ``record`` are called in the thread that iterates over the frames. In frames
        after its end, the values of a member are undefined.
        """
        events: SimpleQueue[tuple[Stages, bool]] = SimpleQueue()
        devices = [Stages(share, events) for share in self.shares]
        try:
            while going := [device for device in devices if device.advances]:
                found = next_stage(going, events, lambda: report(self.progress), record)
                if len(self.failures) == self.members:
                    raise self.failures[max(self.failures)]
                firsts = [device.share.first for device in going]
                frame = self._joined(firsts, found)
                if frame is not None:
                    yield frame
        finally:
            for device in devices:
                device.end()

    def _joined(self, firsts: Sequence[int], frames: Sequence[Frame | None]) -> Frame | None:
        """Return the frame of all members, from those of some devices; None if there are none.

        Args:
            firsts: the number of the first member of each device.
        """
        present = [(n, frame) for n, frame in zip(firsts, frames, strict=True) if frame is not None]
        if not present:
            return None
        # at a time between two frames, only the devices whose members stop have a frame
        one = present[0][1]
        ending = tuple(first + member for first, frame in present for member in frame.ending)
        states = np.concatenate([share.states for share in self.shares])
        return Frame(one.index, one.time, states, ending, one.regular)


@dataclass(frozen=True, eq=False)
class _OfMembers(MutableMapping[int, T]):
    """A mapping from the members of a batch, stored in the mappings of their devices.

    Args:
        mapping: returns the mapping of a simulation.
    """

    shares: Sequence[Share]
    mapping: Callable[[Simulation], MutableMapping[int, T]]

    def _of(self, member: int) -> tuple[MutableMapping[int, T], int]:
        for share in self.shares:
            if member in share.numbers:
                return self.mapping(share.simulation), member - share.first
        raise KeyError(member)

    def __getitem__(self, member: int) -> T:
        mapping, own = self._of(member)
        return mapping[own]

    def __setitem__(self, member: int, value: T) -> None:
        mapping, own = self._of(member)
        mapping[own] = value

    def __delitem__(self, member: int) -> None:
        mapping, own = self._of(member)
        del mapping[own]

    def __iter__(self) -> Iterator[int]:
        for share in self.shares:
            # a member that is computed twice has a second number, which the batch does not have
            mapping, own = self.mapping(share.simulation), range(share.simulation.members)
            yield from (share.first + member for member in mapping if member in own)

    def __len__(self) -> int:
        return sum(1 for _ in self)
