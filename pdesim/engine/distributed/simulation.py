"""Simulation of one problem on several devices of this machine, each advanced by a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import BrokenBarrierError
from typing import Any, TypeVar

import numpy as np

from pdesim.engine.blocks import Frame, Progress, Report
from pdesim.engine.compile_cache import get_or_compile, program_members, use_xla
from pdesim.engine.device import Placement
from pdesim.engine.distributed.communicator import (
    Communicator,
    Peers,
    ThreadCommunicator,
    agreed,
)
from pdesim.engine.distributed.decomposition import joined, part_of
from pdesim.engine.distributed.division import (
    Division,
    best_steps,
    decompose,
    part_of_plan,
    slabs_of_grid,
    slabs_of_part,
    tuning_of_parts,
)
from pdesim.engine.distributed.eligibility import devices_for, divides_members
from pdesim.engine.distributed.forms import ExtendedRows, RowsInSlabs
from pdesim.engine.distributed.link import OVERLAP_SECONDS, block_seconds, measure_link
from pdesim.engine.distributed.loop import DistributedLoop
from pdesim.engine.distributed.members import MembersSimulation
from pdesim.engine.error_scale import field_ranges
from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.engine.observation import Record, ignore
from pdesim.engine.simulation import BLOCK_SECONDS, Simulation
from pdesim.errors import PdesimError
from pdesim.output.checkpoint import Checkpoint
from pdesim.plan import Plan

T = TypeVar("T")


class DistributedSimulation:
    """A simulation on several devices, with the interface of :class:`Simulation`.

    The frames and checkpoints are those of the complete grid. They are bit for bit those of one
    device.

    Args:
        plans: the plans of all members.
        placements: the devices, one for each part of the grid.
        steps: the number of steps between two exchanges; None: chosen from the size of the parts.
        measures: see :class:`Simulation`.
        overlaps: whether exchanges take place while slabs are computed.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        placements: Sequence[Placement],
        tuning: Tuning = TUNING,
        steps: int | None = None,
        measures: bool = True,
        overlaps: bool = False,
    ) -> None:
        self.members, self._dimensions = len(plans), plans[0].grid.dimensions
        self._peers = Peers(len(placements))
        # each device always has the same thread, to which its device scope belongs
        self._threads = [ThreadPoolExecutor(1, "pdesim-device") for _ in placements]
        batch = program_members(plans)
        outer = get_or_compile(plans[0], placements[0], use_xla(plans[0]), batch, tuning)
        parts, steps = decompose(plans[0], len(placements), steps, slabs_of_grid(plans[0], outer))
        self.parts, self.steps_between_exchanges = parts, steps
        tuning = tuning_of_parts(tuning, len(placements), in_tiles=outer.slabs is not None)
        in_slabs = [slabs_of_part(plans[0], outer, part, tuning, overlaps) for part in parts]
        if None in in_slabs:  # all devices take their steps in the same form
            in_slabs = [None] * len(parts)
        self.simulations = []
        for rank, (placement, part) in enumerate(zip(placements, parts, strict=True)):
            communicator = ThreadCommunicator(self._peers, rank, placement.name)
            division = Division(outer, part, steps, communicator, in_slabs[rank], overlaps)
            self.simulations.append(
                simulation_of_part(plans, division, placement, tuning, measures)
            )
        #: shared by all devices, so that they stop at the same step
        self.stopped: dict[int, str] = {}
        for simulation in self.simulations:
            simulation.share_stopped(self.stopped)

    @property
    def _first(self) -> Simulation:
        return self.simulations[0]

    @property
    def plans(self) -> list[Plan]:
        return self._first.plans

    @property
    def plan(self) -> Plan:
        return self._first.plan

    @property
    def failures(self) -> dict[int, PdesimError]:
        return self._first.failures

    @property
    def steps(self) -> int:
        return self._first.steps

    @property
    def rejected(self) -> int:
        return self._first.rejected

    @property
    def seconds(self) -> float:
        return self._first.seconds

    @property
    def compile_seconds(self) -> float:
        return self._first.compile_seconds

    @property
    def description(self) -> list[str]:
        """Lines for the user on the division of the grid."""
        return self._first.description

    def steps_of(self, member: int) -> tuple[int, int]:
        """Return the numbers of steps taken and rejected of one member."""
        return self._first.steps_of(member)

    def prepare(self) -> float:
        """Compile the programs and return the seconds per step; see :meth:`Simulation.prepare`."""
        return self.on_all(lambda simulation: simulation.prepare())[0]

    def frames(
        self, report: Report = lambda progress: None, record: Record = ignore
    ) -> Iterator[Frame]:
        """Advance the simulation and yield its frames; see :meth:`Simulation.frames`."""
        shared = _SharedReport(self._peers, report)
        series = [
            simulation.frames(partial(shared, rank), ignore if rank else record)
            for rank, simulation in enumerate(self.simulations)
        ]
        try:
            while True:
                found = self.on_all(lambda frames: next(frames, None), series)
                frames: list[Frame] = [frame for frame in found if frame is not None]
                if not frames:
                    return
                yield replace(frames[0], state=self._joined([frame.state for frame in frames]))
        finally:
            self.on_all(lambda one: one.close(), series)

    def checkpoint(self, member: int = 0) -> Checkpoint:
        """Return the state of the complete grid; see :meth:`Simulation.checkpoint`."""
        parts = [simulation.checkpoint(member) for simulation in self.simulations]
        carried = zip(*(part.carry for part in parts), strict=True)
        return replace(
            parts[0],
            state=self._joined([part.state for part in parts]),
            carry=tuple(map(self._joined, carried)),
        )

    def relative_time_error(self, member: int = 0) -> dict[str, float]:
        """Return the estimated error in time; see :meth:`Simulation.relative_time_error`."""
        if not all(simulation.has_state for simulation in self.simulations):
            return {}
        whole = self._joined([simulation.state_of(member) for simulation in self.simulations])
        return self._first.relative_time_error(member, field_ranges(whole))

    def _joined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return joined(parts, self._dimensions)

    def on_all(self, task: Callable[[Any], T], items: Sequence[Any] | None = None) -> list[T]:
        """Return the results of a task for all devices, each in a thread.

        If a task fails, the tasks of the other devices end as well.
        """

        def guarded(item: Any) -> T:
            try:
                return task(item)
            except BaseException:
                self._peers.abort()
                raise

        items = self.simulations if items is None else items
        each = zip(self._threads, items, strict=True)
        tasks = [thread.submit(guarded, item) for thread, item in each]
        errors = [error for one in tasks if (error := one.exception()) is not None]
        if errors:
            raise next((e for e in errors if not isinstance(e, BrokenBarrierError)), errors[0])
        return [one.result() for one in tasks]


#: a simulation on one or several devices
AnySimulation = Simulation | DistributedSimulation | MembersSimulation


def build_simulation(
    plans: Sequence[Plan],
    placement: Placement,
    communicator: Communicator | None = None,
    measures: bool = True,
    together: int | None = None,
) -> AnySimulation:
    """Return a simulation on ``device.count`` devices, or of the rows of this process.

    The devices divide the members, or the grid if there are fewer members. The members of a batch
    whose grid cannot be divided have at most one device each.

    Args:
        communicator: the other processes, each of which computes a part of the grid.
        measures: see :class:`Simulation`.
        together: see :class:`MembersSimulation`.

    Raises:
        DeviceError: if there are fewer GPUs.
    """
    if communicator is not None:
        return simulation_of_process(plans, placement, communicator)
    count = devices_for(plans[0], len(plans))
    if count == 1:
        return Simulation(plans, placement, measures=measures)
    placements = placement.all_of(count)
    if divides_members(plans[0], len(plans)):
        return MembersSimulation(plans, placements, measures=measures, together=together)
    return DistributedSimulation(plans, placements, measures=measures)


def simulation_of_process(
    plans: Sequence[Plan],
    placement: Placement,
    communicator: Communicator,
    tuning: Tuning = TUNING,
    steps: int | None = None,
) -> Simulation:
    """Return the simulation of the rows of one process.

    Its frames and checkpoints are those of these rows. All processes must call its methods in the
    same order.
    """
    batch = program_members(plans)
    threads = int(agreed(communicator, [tuning.threads])[0])
    of_first = replace(tuning, cores=threads)  # all processes choose the same form
    outer = get_or_compile(plans[0], placement, use_xla(plans[0]), batch, of_first)
    whole, link = slabs_of_grid(plans[0], outer), measure_link(communicator)
    if steps is None and whole is None and outer.layout is not None:
        best = best_steps(plans[0], communicator.size, link, placement, tuning)
        steps = int(agreed(communicator, [best])[0])  # the processes may have different cores
    parts, steps = decompose(plans[0], communicator.size, steps, whole)
    tuning = tuning_of_parts(tuning, 1, in_tiles=outer.slabs is not None)
    part = parts[communicator.rank]
    received = (
        2 * whole.tile.ghosts * plans[0].state_bytes // plans[0].grid.shape[0] if whole else 0
    )
    overlaps = whole is not None and link.seconds(received) > OVERLAP_SECONDS
    slabs = slabs_of_part(plans[0], outer, part, tuning, overlaps)
    if not all(communicator.gather(np.array(slabs is not None), equal=True)):
        slabs = None
    division = Division(outer, part, steps, communicator, slabs, overlaps)
    simulation = simulation_of_part(plans, division, placement, tuning)
    simulation.block_seconds = max(BLOCK_SECONDS, block_seconds(communicator))
    return simulation


def simulation_of_part(
    plans: Sequence[Plan],
    division: Division,
    placement: Placement,
    tuning: Tuning,
    measures: bool = True,
) -> Simulation:
    """Return the simulation of the rows of one device."""
    part, outer = division.part, division.outer
    own = [part_of_plan(plan, part) for plan in plans]
    problem = part_of(plans[0].problem, part)
    alone = replace(own[0], problem=problem, observables=None, stops=None)
    batch = program_members(plans)
    inner = get_or_compile(alone, placement, use_xla(plans[0]), batch, tuning)
    form: Any = ExtendedRows(
        inner, part, division.steps, division.communicator, outer.records_steps
    )
    extended, slabs = form, division.slabs
    if slabs is not None:
        position = PositionArrays(inner.context, slabs.tile.full_width)
        form = RowsInSlabs(
            outer.context, slabs, position, part.before, division.communicator, division.overlaps
        )
    loop: Any = DistributedLoop(outer, extended, form)
    return Simulation(own, placement, tuning, measures, loop)


class _SharedReport:
    """Calls ``report`` once after a block, while all devices wait.

    The function may raise an exception to stop the run, which all devices then raise.
    """

    def __init__(self, peers: Peers, report: Report) -> None:
        self.peers, self.report = peers, report

    def __call__(self, rank: int, progress: Progress) -> None:
        error: BaseException | None = None
        self.peers.gather(rank, None)  # all devices have finished the block
        if rank == 0:
            try:
                self.report(progress)
            except BaseException as raised:
                error = raised
        error = self.peers.gather(rank, error)[0]
        if error is not None:
            raise error
