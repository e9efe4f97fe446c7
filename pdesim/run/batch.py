"""Jobs that advance together in one compiled program, from their plans to their files."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from pdesim.engine.device import Placement
from pdesim.engine.memory import enough_memory
from pdesim.errors import InterruptedRun, LostHostError, OutputError, PdesimError, printable
from pdesim.files import make_folder
from pdesim.output import RunFolder, Worker, frames_waiting
from pdesim.output.lock import hold
from pdesim.output.status import describe_overflows, describe_time_error
from pdesim.run.agreement import ALONE, Agreement
from pdesim.run.files import log_file, open_recorder
from pdesim.run.job import Job, Outcome, outcome_of, state_of
from pdesim.run.member import MemberRun
from pdesim.run.options import Options
from pdesim.run.preflight import describe, order_notes
from pdesim.run.progress import progress_display, steps_line
from pdesim.run.resolution import note_after, notes_before, with_cause
from pdesim.run.steady import solve_steady
from pdesim.run.stopping import StopRequests

if TYPE_CHECKING:
    from pdesim.engine.blocks import Frame, Progress
    from pdesim.engine.distributed.simulation import AnySimulation
    from pdesim.render.background import BackgroundRenderer

log = logging.getLogger("pdesim")

#: a run reports for how long it has waited for the disk if this exceeds this number of seconds
NOTABLE_WAIT_SECONDS = 0.5


class Batch:
    """Jobs that advance together, as members of one simulation.

    Args:
        began: the time at which the jobs were started, in seconds since the epoch.
        agreement: what the processes of a run that shares one grid agree on.
    """

    def __init__(
        self,
        placement: Placement,
        console: Console,
        options: Options,
        stop: StopRequests,
        renderer: BackgroundRenderer | None,
        began: float,
        agreement: Agreement = ALONE,
    ) -> None:
        self.agreement = agreement
        self.placement, self.console, self.options = placement, console, options
        self.stop, self.renderer, self.began = stop, renderer, began
        #: the jobs whose files could be opened
        self.runs: list[MemberRun] = []
        self._front_note: str | None = None

    def execute(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Compute all jobs; see :func:`pdesim.run.execute.execute`."""
        errors: dict[Path, PdesimError | None] = {}
        with ExitStack() as stack:
            worker = Worker(frames_waiting(jobs[0].plan.state_bytes) * len(jobs))
            stack.callback(worker.close)
            try:
                for job in jobs:
                    try:
                        opening = partial(self._open, job, worker, stack)
                        self.runs.append(self.agreement.in_turn(opening))
                    except PdesimError as error:
                        errors[job.folder] = error
                if self.runs:
                    self._compute()
            except BaseException as problem:
                for run in self.runs:
                    run.abandon(problem)
                raise
            for run in self.runs:
                self._close(run)
                errors[run.job.folder] = run.error
        return [outcome_of(job, errors[job.folder]) for job in jobs]

    def _open(self, job: Job, worker: Worker, stack: ExitStack) -> MemberRun:
        """Lock the folder of a job and open its files. Closing ``stack`` releases the lock.

        Raises:
            PdesimError: if the files cannot be written, or would overwrite another run.
        """
        run_folder, plan = RunFolder(job.folder), job.plan
        run_log = log if self.options.detailed else logging.getLogger(f"pdesim.member{job.number}")
        status: dict[str, Any] = {
            "state": "running",
            "equation": plan.equation.name,
            "started": _iso_time(self.began),
        }
        if plan.resume_from is not None:
            status["resumed_at"] = plan.resume_from.time
        make_folder(job.folder)
        with ExitStack() as opening:
            opening.enter_context(hold(job.folder))
            if not job.resume:
                run_folder.check_overwrite(plan.settings.output.overwrite)
            opening.enter_context(log_file(job.folder, run_log))
            before = run_folder.read_status_or_empty().get("device")
            try:
                recorder = open_recorder(job, worker)
            except PdesimError as error:
                run_log.error("%s", error)
                run_folder.write_status(**status | {"state": "failed", "error": error.problem})
                raise
            run = MemberRun(job, run_log, status, recorder)
            run_folder.write_status(**status)
            stack.enter_context(opening.pop_all())
        if plan.resume_from is not None and before not in (None, self.placement.about):
            self._report(
                run,
                f"the run was computed on {before} before and is now computed on "
                f"{self.placement.about}: the results may differ from those of an uninterrupted "
                "run by rounding errors",
            )
        return run

    def _report(self, run: MemberRun, line: str) -> None:
        """Log a line about one job, and print it if ``options.detailed`` is set."""
        line = printable(line)
        run.log.info("%s", line)
        if self.options.detailed:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _compute(self) -> None:
        """Compute the jobs and store their frames. Errors are stored in ``MemberRun.error``."""
        first = self.runs[0]
        plan = first.job.plan
        if self.options.detailed:
            first.log.info("TensorFlow %s on %s", version("tensorflow"), self.placement.about)
        for run in self.runs:
            run.status["device"] = self.placement.about
            for note in run.job.plan.notes:
                self._report(run, note)
        try:
            with enough_memory(len(self.runs) * plan.grid.cells):
                if plan.equation.steady:
                    self._solve(first)
                else:
                    self._evolve()
        except PdesimError as error:
            self._end_all(error)
        waited = first.recorder.waited
        if self.options.detailed and first.error is None and waited >= NOTABLE_WAIT_SECONDS:
            line = f"output was the bottleneck: the run waited {waited:.1f} s for the disk"
            self._report(first, line)

    def _end_all(self, error: PdesimError) -> None:
        """End all jobs that have not failed yet with this error."""
        for run in self.runs:
            run.error = run.error or error

    def _solve(self, run: MemberRun) -> None:
        """Solve a steady problem."""
        plan = run.job.plan
        solution = solve_steady(run, self.placement)
        self._is_stopped_by_callback(run, float(plan.times[0]), solution.state)
        self._report(run, str(solution))
        for note in order_notes(plan):
            self._report(run, note)

    def _evolve(self) -> None:
        """Advance all jobs in time."""
        from pdesim.engine.distributed.simulation import build_simulation

        plans, detailed = [run.job.plan for run in self.runs], self.options.detailed
        first, plan = self.runs[0], plans[0]
        # computed before prepare releases the initial state
        notes = notes_before(plan) if detailed else []
        processes, together = self.agreement.communicator, self.options.together
        simulation = build_simulation(plans, self.placement, processes, together=together)
        seconds_per_step = simulation.prepare()
        if detailed:
            lines = describe(simulation.plan, self.placement.about, seconds_per_step)
            for line in (*lines, *simulation.description, *order_notes(plan), *notes):
                self._report(first, line)
        try:
            self._advance(simulation)
        except PdesimError as error:
            self._end_all(error)
        finally:
            for index, run in enumerate(self.runs):
                run.error = with_cause(simulation.failures.get(index, run.error), run.job.plan)
                # an error of this process alone, in which the others do not take part
                alone = self.agreement.divided and isinstance(
                    run.error, LostHostError | OutputError
                )
                if "stopped" not in run.status and not alone:
                    run.count_steps(simulation, index)
                if not detailed:
                    run.status["members_of_batch"] = len(self.runs)
        if not detailed:
            line = ", ".join([f"{self._label}: {steps_line(simulation)}", *simulation.description])
            self.console.print(line, highlight=False, markup=False)
        elif first.error is None:
            self._report_result(first, simulation)

    @property
    def _label(self) -> str:
        name = self.runs[0].job.plan.equation.name
        return name if self.options.detailed else f"{name} x {len(self.runs)}"

    def _advance(self, simulation: AnySimulation) -> None:
        """Compute and store the frames of a simulation, and checkpoints when they are due.

        Raises:
            PdesimError: if all jobs have failed.
        """
        plan = self.runs[0].job.plan
        times, cells, last = plan.times, plan.grid.cells, len(plan.times) - 1
        display = progress_display(
            self.console, self._label, times[0], times[-1], cells, self.options.progress
        )
        with display as update:

            def report(progress: Progress) -> None:
                update(progress.steps, progress.time, progress.seconds)
                self.agreement.check(self.stop, progress.time)
                if self.renderer is not None:
                    self.renderer.poll()
                if self.agreement.any(self.runs[0].recorder.checkpoint_is_due):
                    self._checkpoint(simulation)

            try:
                for frame in simulation.frames(report, self._record):
                    if self.options.detailed and frame.index == last and not self.agreement.divided:
                        self._front_note = note_after(plan, frame.state)
                    self._store(simulation, frame)
                    if frame.index < last:
                        self.agreement.check(self.stop, frame.time)
                    if not self._active(simulation):
                        break
                self._checkpoint(simulation)
            except InterruptedRun as request:
                self._checkpoint(simulation)
                for _, run in self._active(simulation):
                    run.interrupt(request)

    def _active(self, simulation: AnySimulation) -> list[tuple[int, MemberRun]]:
        """Return the jobs that have not failed, with their member numbers in the simulation."""
        return [
            (index, run)
            for index, run in enumerate(self.runs)
            if not run.has_ended and index not in simulation.failures
        ]

    def _store(self, simulation: AnySimulation, frame: Frame) -> None:
        for index, run in self._active(simulation):
            if not frame.regular and index not in frame.ending:
                continue
            state = frame.state[index] if len(self.runs) > 1 else frame.state
            run.frame(frame.index, frame.time, state)
            try:
                stopped = self._is_stopped_by_callback(run, frame.time, state)
            except BaseException:
                run.checkpoint(simulation, index)  # the run can be resumed from this frame
                raise
            if stopped and index not in frame.ending:
                simulation.stopped[index] = "the callback returned False"
            if index in simulation.stopped:
                run.checkpoint(simulation, index)
                run.count_steps(simulation, index)
                run.stop(simulation.stopped[index], frame.time)
        if not self._active(simulation):
            failed = [run.error or simulation.failures.get(n) for n, run in enumerate(self.runs)]
            if all(error is not None for error in failed):
                raise next(error for error in failed if error is not None)

    def _is_stopped_by_callback(self, run: MemberRun, time: float, state: np.ndarray) -> bool:
        if self.options.callback is None:
            return False
        fields = run.job.plan.problem.by_name(state)
        try:
            answer = self.options.callback(time, fields)
        except KeyboardInterrupt:
            message = f"stopped by KeyboardInterrupt at t = {time:.6g}; all frames are kept"
            raise InterruptedRun(message) from None
        return isinstance(answer, bool | np.bool_) and not answer

    def _record(self, member: int, times: np.ndarray, values: np.ndarray) -> None:
        self.runs[member].record(times, values)

    def _checkpoint(self, simulation: AnySimulation) -> None:
        for index, run in self._active(simulation):
            run.checkpoint(simulation, index)

    def _report_result(self, run: MemberRun, simulation: AnySimulation) -> None:
        if self._front_note:
            self._report(run, self._front_note)
        self._report(run, steps_line(simulation))
        if reason := run.status.get("stopped"):
            self._report(run, f"stopped at t = {run.status['stopped_at']:g}: {reason}")
        if line := describe_time_error(run.status.get("time_error")):
            self._report(run, line)

    def _close(self, run: MemberRun) -> None:
        """Close the files of a job, and record its outcome in its log and in ``status.json``."""
        run.close()
        if overflows := run.recorder.overflows:
            run.status["stored_as_infinity_since"] = overflows
            self._report(run, describe_overflows(overflows))
        seconds = time.time() - self.began
        run.status |= {
            "state": state_of(run.error),
            "seconds": round(seconds, 3),
            "waited_for_disk": round(run.recorder.waited, 3),
        }
        if run.error is not None:
            run.status["error"] = run.error.problem
            run.log.error("%s", run.error)
        elif self.options.detailed:
            run.log.info("finished in %.1f s: %s", seconds, run.job.folder)
        else:
            steps, members = run.status["steps"], len(self.runs)
            run.log.info("finished after %d steps, in a batch of %d members", steps, members)
        RunFolder(run.job.folder).write_status(**run.status)


def _iso_time(seconds: float) -> str:
    """Convert seconds since the epoch to an ISO 8601 time in the local time zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))
