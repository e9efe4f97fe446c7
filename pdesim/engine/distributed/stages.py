"""Simulations of several devices in threads, which keep common targets and wait after blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np

from pdesim.engine.blocks import Frame, Progress
from pdesim.engine.observation import Record
from pdesim.engine.simulation import Simulation
from pdesim.errors import PdesimError

#: the result of a task if the simulation has reached its end
END = object()


@dataclass(frozen=True)
class Share:
    """The members of one device.

    Args:
        simulation: their simulation.
        first: the number of the first one in the batch.
        thread: the thread that always advances this simulation, to which its device scope belongs.
    """

    simulation: Simulation
    first: int
    thread: ThreadPoolExecutor

    @property
    def numbers(self) -> range:
        """The numbers of the members in the batch."""
        return range(self.first, self.first + self.simulation.members)

    @property
    def has_failed(self) -> bool:
        """Whether all members have failed."""
        return set(range(self.simulation.members)) <= set(self.simulation.failures)

    @property
    def advances(self) -> bool:
        """Whether a member has neither failed nor stopped."""
        ended = {*self.simulation.failures, *self.simulation.stopped}
        return not set(range(self.simulation.members)) <= ended

    @property
    def states(self) -> np.ndarray:
        """The present states, ``(members, fields, *grid.shape)``."""
        states = self.simulation.present_states
        return states if self.simulation.members > 1 else states[np.newaxis]


class Stages:
    """The stages of the members of one device (:meth:`Simulation.stages`), computed by its thread.

    Args:
        share: the members.
        events: receives this object, and whether it waits after a block, whenever it waits or has
            reached a stage.
    """

    def __init__(self, share: Share, events: SimpleQueue[tuple[Stages, bool]]) -> None:
        self.share, self._events = share, events
        self._stages = share.simulation.stages(self._wait, self._keep)
        self._may_continue: SimpleQueue[bool] = SimpleQueue()
        self._records: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._task: Future[Any] | None = None
        self._has_ended = False

    @property
    def advances(self) -> bool:
        """Whether there is another stage."""
        return self.share.advances and not self._has_ended

    def start(self) -> None:
        """Start the computation of the next stage."""
        self._task = self.share.thread.submit(next, self._stages, END)
        self._task.add_done_callback(lambda _: self._events.put((self, False)))

    def resume(self) -> None:
        """Continue after a block."""
        self._may_continue.put(True)

    def result(self) -> Frame | None:
        """Return the frame at the stage, or None; if all members have failed, None."""
        assert self._task is not None
        try:
            result = self._task.result()
        except PdesimError:
            if not self.share.has_failed:
                raise
            result = END
        self._has_ended = result is END
        return None if result is END else result

    def deliver(self, record: Record) -> None:
        """Call ``record`` with the records since the last call."""
        for member, times, values in self._records:
            record(self.share.first + member, times, values)
        self._records.clear()

    def end(self) -> None:
        """End the computation, after the present block if it has not reached its stage."""
        if self._task is not None and not self._task.done():
            self._may_continue.put(False)
            wait([self._task])
        self.share.thread.submit(self._stages.close).result()

    def _keep(self, member: int, times: np.ndarray, values: np.ndarray) -> None:
        self._records.append((member, times, values))

    def _wait(self, progress: Progress) -> None:
        """Wait after a block until :meth:`resume` or :meth:`end` is called."""
        self._events.put((self, True))
        if not self._may_continue.get():
            raise _Ended


class _Ended(Exception):
    """Ends the computation of a device in its thread."""


def next_stage(
    all_stages: Sequence[Stages],
    events: SimpleQueue[tuple[Stages, bool]],
    report: Callable[[], None],
    record: Record,
) -> list[Frame | None]:
    """Advance several devices to their next stage, and return their frames there.

    Args:
        all_stages: the stages of the devices, all at the same one.
        events: the events of these stages.
        report: called whenever all devices that have not reached the stage have finished a block,
            while they wait. It may raise an exception; :meth:`Stages.end` must then be called.
        record: called with new records while all devices wait.
    """
    for stages in all_stages:
        stages.start()
    running = set(all_stages)
    while running:
        waiting = []
        for _ in range(len(running)):
            stages, waits = events.get()
            if waits:
                waiting.append(stages)
            else:
                running.remove(stages)
        for stages in all_stages:
            stages.deliver(record)
        if waiting:
            report()
        for stages in waiting:
            stages.resume()
    return [stages.result() for stages in all_stages]
