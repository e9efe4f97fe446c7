"""The step loop of a plan on several devices as a single call, for timing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import tensorflow as tf

from pdesim.bench.measure import time_rounds
from pdesim.bench.program import Program, field_scales
from pdesim.bench.scaling import Load
from pdesim.engine.device import Placement
from pdesim.engine.distributed.communicator import Communicator, Peers, ThreadCommunicator
from pdesim.engine.distributed.forms import RowsInSlabs
from pdesim.engine.distributed.link import Link, fit_link
from pdesim.engine.distributed.simulation import DistributedSimulation
from pdesim.engine.flat.tuning import TUNING
from pdesim.engine.simulation import Simulation
from pdesim.plan import Plan

T = TypeVar("T")

#: sizes in bytes of the two arrays that a device sends to each neighbour to measure the link
LINK_BYTES = (2**12, 2**22)
#: exchanges in a round of this measurement
LINK_EXCHANGES = 20


@dataclass
class TimedCommunicator:
    """A communicator that counts the seconds which the device spends in its operations.

    They include the time in which the device waits for others.
    """

    inner: Communicator
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.rank, self.size = self.inner.rank, self.inner.size

    def exchange(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._timed(lambda: self.inner.exchange(first, last))

    def gather(self, values: np.ndarray, equal: bool = False) -> list[np.ndarray]:
        return self._timed(lambda: self.inner.gather(values, equal))

    def _timed(self, operation: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return operation()
        finally:
            self.seconds += time.perf_counter() - began


class DistributedProgram:
    """The counterpart of ``Program`` on several devices.

    Args:
        plan: the plan of the complete grid.
        placements: the devices.
        threads: on a CPU, the number of threads of each device.

    Attributes:
        exchange_seconds: for every call of :meth:`run`, the seconds that the first device spent in
            exchanges.
    """

    def __init__(self, plan: Plan, placements: Sequence[Placement], threads: int) -> None:
        tuning = replace(TUNING, cores=threads * len(placements))
        self._simulation = DistributedSimulation([plan], placements, tuning)
        self.exchange_seconds: list[float] = []
        scales = field_scales(plan.state)
        clocks = {}

        def program(simulation) -> Program:
            loop = simulation.loop
            clock = clocks[loop.communicator.rank] = TimedCommunicator(loop.communicator)
            timed = loop.with_communicator(clock)
            return Program(simulation.plan, simulation.placement, timed, scales)

        self._programs = self._simulation.on_all(program, self._simulation.simulations)
        self._clock = clocks[0]

    @property
    def load(self) -> Load:
        """The rows, ghost rows and exchanges of the device with the most rows."""
        program = max(self._programs, key=lambda one: len(one.loop.part.extended))
        part, form = program.loop.part, program.loop.form
        steps, carried = form.steps, tf.nest.flatten(program.carry)
        ghosts = form.width * ((part.before > 0) + (part.after > 0))
        adaptive, in_slabs = program.plan.step.adaptive, isinstance(form, RowsInSlabs)
        received = sum(v.shape.num_elements() * v.dtype.size // part.rows for v in carried) * ghosts
        return Load(
            devices=len(self._programs),
            total_rows=part.total,
            rows=part.rows,
            ghost_rows=ghosts,
            in_slabs=in_slabs,
            steps=steps,
            # slabs contain all carried data; adaptive steppers also gather the errors of every step
            exchanges=(1 if in_slabs else len(carried)) / steps + adaptive,
            exchanged=received / steps,
        )

    def run(self, steps: int) -> list[tf.Tensor]:
        """Take a number of steps from the initial state, and return the last states of all devices.

        The method returns when all devices have finished.
        """
        before = self._clock.seconds
        states = self._simulation.on_all(lambda program: program.run(steps), self._programs)
        self.exchange_seconds.append(self._clock.seconds - before)
        return states


def measure_link(placements: Sequence[Placement], repeats: int) -> Link:
    """Measure the latency and the bandwidth of exchanges between devices.

    All devices exchange arrays of two sizes, and copy the received rows into one array, as the step
    loop does.

    Args:
        placements: the devices.
        repeats: the number of rounds, whose median is used.
    """
    peers, count = Peers(len(placements)), len(placements)

    def exchange_on(rank: int, size: int, times: int) -> None:
        placement = placements[rank]
        communicator = ThreadCommunicator(peers, rank, placement.name)
        try:
            with tf.device(placement.name):
                rows = tf.zeros(size // 4, tf.float32)
                for _ in range(times):
                    received = tf.concat(communicator.exchange(rows, rows), 0)
                    received[-1].numpy()  # waits for the device
        except BaseException:
            peers.abort()
            raise

    with ThreadPoolExecutor(count) as pool:

        def runs_of(size: int) -> Callable[[int], object]:
            return lambda times: list(
                pool.map(lambda rank: exchange_on(rank, size, times), range(count))
            )

        small, large = LINK_BYTES
        rounds = time_rounds([runs_of(small), runs_of(large)], [LINK_EXCHANGES] * 2, repeats)
    seconds = [float(np.median(times)) / LINK_EXCHANGES for times in rounds]
    return fit_link((2 * small, 2 * large), (seconds[0], seconds[1]))


def single_program(plan: Plan, placement: Placement, threads: int) -> Program:
    """Return the program of one device, which has this number of threads on a CPU."""
    tuning = replace(TUNING, cores=threads)
    return Program(plan, placement, Simulation(plan, placement, tuning).loop)
