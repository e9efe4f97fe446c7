"""Writing in the background: a thread stores frames and checkpoints in the order of submission."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError
from pdesim.output.checkpoint import Checkpoint, write_checkpoint
from pdesim.output.diagnostics import DiagnosticsFile
from pdesim.output.series import SeriesWriter
from pdesim.output.snapshots import SnapshotWriter

log = logging.getLogger("pdesim")

#: limits of the number of frames that wait to be written, and of their bytes
MAX_WAITING, MAX_WAITING_BYTES = 8, 2**28
#: niceness of the writing thread relative to that of the process, and the highest value on Linux
NICENESS, MAX_NICENESS = 10, 19
#: largest fraction of the run's time that is spent on checkpoints
CHECKPOINT_FRACTION = 0.05


class Worker:
    """A thread that executes tasks one after another, in the order of submission.

    Args:
        waiting: number of tasks that may wait. While this number of tasks is waiting, :meth:`put`
            blocks.
    """

    def __init__(self, waiting: int) -> None:
        self._queue: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = queue.Queue(
            max(1, waiting)
        )
        self._thread = threading.Thread(target=self._work, name="pdesim-recorder", daemon=True)
        self._thread.start()

    def put(self, task: Callable[..., None], *arguments: Any) -> float:
        """Submit a task, and return the seconds for which this call has blocked."""
        began = clock.perf_counter()
        self._queue.put((task, arguments))
        return clock.perf_counter() - began

    def drain(self) -> None:
        """Wait until all tasks are done."""
        self._queue.join()

    def close(self) -> None:
        """Execute the remaining tasks and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        # the thread has a low priority, because the computing threads wait for each other after
        # every step: delaying one of them would delay all. SCHED_IDLE would be too low, since this
        # thread sometimes holds Python's global interpreter lock
        if sys.platform == "linux":
            # added to the niceness of the process, since only root may lower a niceness
            thread = threading.get_native_id()
            nice = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, min(nice, MAX_NICENESS))
        while (item := self._queue.get()) is not None:
            task, arguments = item
            task(*arguments)
            self._queue.task_done()


def frames_waiting(frame_bytes: int) -> int:
    """Return how many frames of this size may wait to be written."""
    return min(MAX_WAITING, MAX_WAITING_BYTES // max(frame_bytes, 1))


class Recorder:
    """Writer of the frames and checkpoints of one run.

    The methods return immediately, unless too many frames are waiting to be written. ``waited`` is
    the total time in seconds for which calls have blocked. A resumed run may compute frames that
    the file already contains; they are not written again.

    Args:
        folder: folder of the run.
        writer: writer of the snapshot file.
        diagnostics: writer of ``diagnostics.csv``.
        settings: settings that the checkpoints depend on (``checkpoint.fingerprint``).
        every: seconds between checkpoints; None: one checkpoint, at the end.
        worker: the writing thread, which the members of a batch share.
        series: writer of the observables and probes; None if there are none.
        first_frame: the number of the first frame in the files.
    """

    def __init__(
        self,
        folder: Path,
        writer: SnapshotWriter,
        diagnostics: DiagnosticsFile,
        settings: str,
        every: float | None,
        worker: Worker,
        series: SeriesWriter | None = None,
        first_frame: int = 0,
    ) -> None:
        self.folder, self.settings, self.every = folder, settings, every
        self.waited = 0.0
        self._writer, self._diagnostics, self._worker = writer, diagnostics, worker
        self._series, self._first_frame = series, first_frame
        self._error: BaseException | None = None
        self._warned = False
        self._last_checkpoint, self._checkpoint_cost = clock.monotonic(), 0.0

    def frame(self, index: int, time: float, state: np.ndarray) -> None:
        """Store a frame.

        Args:
            index: number of the frame.
            time: simulated time.
            state: the fields, shape ``(fields, *grid.shape)``.

        Raises:
            OutputError: if this frame or an earlier one could not be written.
        """
        self._put(self._write_frame, index, time, state)

    def residuals(self, values: np.ndarray) -> None:
        """Store the residuals of a steady problem, shape ``(n,)``.

        Raises:
            OutputError: if an earlier frame could not be written.
        """
        self._put(self._writer.write_residuals, values)

    def series(self, times: np.ndarray, values: np.ndarray) -> None:
        """Store records of observables and probes.

        Args:
            times: shape ``(records,)``.
            values: shape ``(records, series)``.

        Raises:
            OutputError: if an earlier frame or record could not be written.
        """
        assert self._series is not None
        self._put(self._series.append, times, values)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint.

        Raises:
            OutputError: if an earlier frame could not be written. If only the checkpoint cannot be
                written, a warning is logged and the run continues.
        """
        self._last_checkpoint = clock.monotonic()
        self._put(self._write_checkpoint, checkpoint)

    @property
    def overflows(self) -> dict[str, float]:
        """Name of a field -> the time at which it first exceeded the range of the stored type."""
        return self._writer.overflows

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether ``every`` seconds have passed since the last checkpoint.

        If checkpoints would take more than the fraction ``CHECKPOINT_FRACTION`` of the time, they
        are written less often.
        """
        since = clock.monotonic() - self._last_checkpoint
        return (
            self.every is not None
            and since >= self.every
            and self._checkpoint_cost <= CHECKPOINT_FRACTION * since
        )

    def close(self) -> None:
        """Wait until all frames and checkpoints are written, and close the files.

        Raises:
            OutputError: if a frame could not be written.
        """
        self._worker.drain()
        self._diagnostics.close()
        try:
            if self._series is not None:
                self._series.close()
        finally:
            self._writer.close()
        self._check()

    def _put(self, task: Callable[..., None], *arguments: Any) -> None:
        self._check()
        self.waited += self._worker.put(self._guarded, task, arguments)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _guarded(self, task: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self._error is None:
            try:
                task(*arguments)
            except BaseException as error:  # _check raises it in the computing thread
                self._error = error

    def _write_frame(self, index: int, time: float, state: np.ndarray) -> None:
        index -= self._first_frame
        if index < 0:
            return
        if index >= self._writer.frames:
            self._writer.write(time, state)
        if index >= self._diagnostics.frames:
            self._diagnostics.write(index, time, state)

    def _write_checkpoint(self, checkpoint: Checkpoint) -> None:
        began = clock.perf_counter()
        # all frames and records before the checkpoint must be on the disk
        self._writer.sync()
        if self._series is not None:
            self._series.sync()
        try:
            write_checkpoint(self.folder, checkpoint, self.settings)
        except OutputError as error:
            # the run continues; the previous checkpoint still exists
            if not self._warned:
                log.warning("the run continues, but the checkpoint was not written: %s", error)
            self._warned = True
        self._checkpoint_cost = clock.perf_counter() - began
