"""Writing beside the computation: a thread that stores frames and checkpoints in their order."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time as clock
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pdesim.errors import OutputError
from pdesim.output.checkpoint import Checkpoint, write_checkpoint
from pdesim.output.diagnostics import DiagnosticsFile
from pdesim.output.snapshots import SnapshotWriter

log = logging.getLogger("pdesim")

#: frames that may wait to be written, fewer where they are large
WAITING, WAITING_BYTES = 8, 2**28
#: of the writing thread, above that of the computing ones; the system's highest
NICENESS, NICEST = 10, 19
#: time spent on checkpoints at most, as a fraction of the whole
CHECKPOINT_SHARE = 0.05


class Worker:
    """A thread that does tasks one after the other; :meth:`put` waits while too many do."""

    def __init__(self, waiting: int) -> None:
        self._queue: queue.Queue = queue.Queue(max(1, waiting))
        self._thread = threading.Thread(target=self._work, name="pdesim-recorder", daemon=True)
        self._thread.start()

    def put(self, task: Callable, *arguments) -> float:
        """Hand a task over; returns the seconds that took."""
        began = clock.perf_counter()
        self._queue.put((task, arguments))
        return clock.perf_counter() - began

    def drain(self) -> None:
        """Wait until all tasks are done."""
        self._queue.join()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        # computing goes first: its threads meet after every step, and wait for one that is held up.
        # Linux knows priorities of threads; none at all (SCHED_IDLE) would starve the lock it holds
        if sys.platform == "linux":
            # beyond the process's own: no user but root may go back from that (nice -n 15 pdesim)
            thread = threading.get_native_id()
            nice = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, min(nice, NICEST))
        while (item := self._queue.get()) is not None:
            task, arguments = item
            task(*arguments)
            self._queue.task_done()


def frames_waiting(frame_bytes: int) -> int:
    """How many frames of this size may wait to be written."""
    return min(WAITING, WAITING_BYTES // max(frame_bytes, 1))


class Recorder:
    """Takes frames and moments of one run and returns at once, unless the disk is behind.

    ``waited`` counts the seconds that the computation had to wait for it. Frames that the file
    holds already are not written again: a run that goes on from a checkpoint passes them anew.

    Args:
        settings: what the run's moments depend on (``checkpoint.fingerprint``).
        every: seconds between checkpoints, or None.
        worker: shared by the members of a batch.
    """

    def __init__(
        self,
        folder: Path,
        writer: SnapshotWriter,
        diagnostics: DiagnosticsFile,
        settings: str,
        every: float | None,
        worker: Worker,
    ) -> None:
        self.folder, self.settings, self.every = folder, settings, every
        self.waited = 0.0
        self._writer, self._diagnostics, self._worker = writer, diagnostics, worker
        self._error: BaseException | None = None
        self._warned = False
        self._last_checkpoint, self._checkpoint_cost = clock.monotonic(), 0.0

    def frame(self, index: int, time: float, state: np.ndarray) -> None:
        """Store a frame.

        Raises:
            OutputError: if this or an earlier one could not be written.
        """
        self._put(self._write_frame, index, time, state)

    def checkpoint(self, moment: Checkpoint) -> None:
        self._last_checkpoint = clock.monotonic()
        self._put(self._write_checkpoint, moment)

    @property
    def overflows(self) -> dict[str, float]:
        """Per field, when a value first exceeded the range of the type it is stored in."""
        return self._writer.overflows

    @property
    def checkpoint_is_due(self) -> bool:
        since = clock.monotonic() - self._last_checkpoint
        return (
            self.every is not None
            and since >= self.every
            and self._checkpoint_cost <= CHECKPOINT_SHARE * since
        )

    def close(self) -> None:
        """Wait until everything is written, and close the files.

        Raises:
            OutputError: if something could not be written.
        """
        self._worker.drain()
        self._diagnostics.close()
        self._writer.close()
        self._check()

    def _put(self, task: Callable, *arguments) -> None:
        self._check()
        self.waited += self._worker.put(self._guarded, task, arguments)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _guarded(self, task: Callable, arguments: tuple) -> None:
        if self._error is None:
            try:
                task(*arguments)
            except BaseException as error:  # told to the computing thread
                self._error = error

    def _write_frame(self, index: int, time: float, state: np.ndarray) -> None:
        if index >= self._writer.frames:
            self._writer.write(time, state)
        if index >= self._diagnostics.frames:
            self._diagnostics.write(index, time, state)

    def _write_checkpoint(self, moment: Checkpoint) -> None:
        began = clock.perf_counter()
        self._writer.sync()  # a checkpoint never knows of frames that the disk does not
        try:
            write_checkpoint(self.folder, moment, self.settings)
        except OutputError as error:
            # the run itself can go on; the checkpoint before this one is still there
            if not self._warned:
                log.warning("no checkpoint: %s", error)
            self._warned = True
        self._checkpoint_cost = clock.perf_counter() - began
