"""A job in progress: its recorder, the entries of its status file, and the error that ended it."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from pdesim.errors import InterruptedRun, PdesimError
from pdesim.output import Recorder, RunFolder
from pdesim.run.job import Job

if TYPE_CHECKING:
    from pdesim.engine.distributed.simulation import AnySimulation


@dataclass
class MemberRun:
    """One job in progress.

    Args:
        job: the job.
        log: logger that writes to the log file of the run.
        status: entries of the run's ``status.json``.
        recorder: writer of frames and checkpoints.
        error: the error that ended the job; None while there is none.
    """

    job: Job
    log: logging.Logger
    status: dict[str, Any]
    recorder: Recorder
    error: PdesimError | None = None

    def frame(self, index: int, time: float, state: np.ndarray) -> None:
        """Store a frame. If this fails (for example, the disk is full), only this job ends."""
        try:
            self.recorder.frame(index, time, state)
            self.status.update(frames=index + 1, time=time)
        except PdesimError as error:
            self.error = error

    def record(self, times: np.ndarray, values: np.ndarray) -> None:
        """Store values of observables and probes; see :meth:`frame`."""
        observables = self.job.plan.observables
        if self.has_ended or observables is None:
            return
        last = zip(observables.columns, values[-1].tolist(), strict=True)
        if not self.job.is_first_part:
            return
        self.status["observed"] = {name: value if isfinite(value) else None for name, value in last}
        try:
            self.recorder.series(times, values)
        except PdesimError as error:
            self.error = error

    def stop(self, reason: str, time: float) -> None:
        """Note that the job has stopped before its end, by a condition of its settings."""
        self.status.update(stopped=reason, stopped_at=time)

    @property
    def has_ended(self) -> bool:
        """Whether the job has failed or stopped."""
        return self.error is not None or "stopped" in self.status

    def checkpoint(self, simulation: AnySimulation, index: int) -> None:
        """Store a checkpoint of member ``index``.

        If an earlier frame could not be written, this job ends.
        """
        try:
            self.recorder.checkpoint(simulation.checkpoint(index))
        except PdesimError as error:
            self.error = error

    def interrupt(self, request: InterruptedRun) -> None:
        hint = f"pdesim resume {self.job.folder}   continues the run"
        self.error = InterruptedRun(request.problem, hint, exit_code=request.exit_code)

    def count_steps(self, simulation: AnySimulation, index: int) -> None:
        """Add the numbers of steps and the speed of member ``index`` to ``status``."""
        plan = simulation.plans[index]
        steps, rejected = simulation.steps_of(index)
        self.status.update(
            stepper=plan.stepper.method.name,
            steps=steps,
            rejected_steps=rejected,
            dt=plan.step.dt,
            compile_seconds=round(simulation.compile_seconds, 3),
            time_error=simulation.relative_time_error(index),
        )
        if simulation.seconds > 0:
            # the steps of this job alone, divided by the time that all jobs of the batch have taken
            rate = steps / simulation.seconds
            updates = round(rate * plan.grid.cells)
            self.status.update(steps_per_second=round(rate, 3), cell_updates_per_second=updates)

    def close(self) -> None:
        """Wait until everything is written, and close the files."""
        try:
            self.recorder.close()
        except PdesimError as error:
            if self.error is None or isinstance(self.error, InterruptedRun):
                self.error = error

    def abandon(self, problem: BaseException) -> None:
        """Close the files after an unexpected exception."""
        with contextlib.suppress(PdesimError):
            self.recorder.close()
        status = self.status | {"state": "failed", "error": repr(problem)}
        RunFolder(self.job.folder).write_status(**status)
