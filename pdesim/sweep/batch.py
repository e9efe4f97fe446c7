"""A batch: several members of a sweep computed by one program, each with files of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from rich.console import Console

from pdesim.engine.device import Placement, enough_memory
from pdesim.engine.simulation import Simulation
from pdesim.errors import DeviceError, InterruptedRun, PdesimError
from pdesim.files import make_folder
from pdesim.output import Recorder, Worker, frames_waiting, write_status
from pdesim.output.lock import hold
from pdesim.output.status import describe_overflows
from pdesim.run.execute import closing_status, log_file, open_recorder, stamp
from pdesim.run.progress import WHOLE, Share, progress_display, speed
from pdesim.run.stopping import StopRequests
from pdesim.sweep.members import Member, Outcome


@dataclass
class _Seat:
    """One member at work: its files, its log, and what ended it before the others."""

    member: Member
    recorder: Recorder
    log: logging.Logger
    numbers: dict = field(default_factory=dict)
    error: PdesimError | None = None

    def store(self, index: int, moment: float, state) -> None:
        """Hand a frame over; a disk that is full ends this member alone."""
        try:
            self.recorder.frame(index, moment, state)
            self.numbers.update(frames=index + 1, time=moment)
        except PdesimError as error:
            self.error = error


def run_batch(
    members: Sequence[Member],
    placement: Placement,
    console: Console,
    stop: StopRequests,
    share: Share = WHOLE,
) -> list[Outcome]:
    """Compute members that share a program; every one ends with files as of a run of its own.

    A member that stops being finite, or cannot be written, ends alone. After a request to stop all
    have a checkpoint, and their outcome is "interrupted".
    """
    began = time.time()
    with ExitStack() as stack:
        worker = Worker(frames_waiting(members[0].plan.state_bytes) * len(members))
        stack.callback(worker.close)
        seats = []
        for member in members:
            seats.append(_take_seat(member, worker, stack, began))
        plans = [member.plan for member in members]
        simulation = Simulation(plans if len(plans) > 1 else plans[0], placement)
        try:
            with enough_memory(len(members) * plans[0].grid.cells):
                _advance(simulation, seats, console, stop, share)
        except DeviceError as error:
            for seat in seats:
                seat.error = seat.error or error
        for index, seat in enumerate(seats):
            _leave(seat, index, simulation, placement, time.time() - began)
    states = {None: "finished", True: "interrupted", False: "failed"}
    return [
        Outcome(
            seat.member.number,
            seat.member.folder,
            states[seat.error and isinstance(seat.error, InterruptedRun)],
            seat.error,
        )
        for seat in seats
    ]


def _take_seat(member: Member, worker: Worker, stack: ExitStack, began: float) -> _Seat:
    log = logging.getLogger(f"pdesim.member{member.number}")
    make_folder(member.folder)
    stack.enter_context(hold(member.folder))
    stack.enter_context(log_file(member.folder, log))
    recorder = open_recorder(member.plan, member.folder, member.config_yaml, member.goes_on, worker)
    for note in member.plan.notes:
        log.info("%s", note)
    name = member.plan.equation.name
    write_status(member.folder, state="running", equation=name, started=stamp(began))
    return _Seat(member, recorder, log, {"equation": name, "started": stamp(began)})


def _advance(
    simulation: Simulation,
    seats: Sequence[_Seat],
    console: Console,
    stop: StopRequests,
    share: Share,
) -> None:
    simulation.prepare()
    plan = simulation.plan
    cells, last = plan.grid.cells, len(plan.times) - 1
    name = f"{plan.equation.name} x {len(seats)}"

    def checkpoints() -> None:
        for index, seat in enumerate(seats):
            if seat.error is None and index not in simulation.failures:
                seat.recorder.checkpoint(simulation.checkpoint(index))

    start, end = plan.times[0], plan.times[-1]
    with progress_display(console, name, start, end, cells, share) as update:

        def report(progress) -> None:
            update(progress.steps, progress.time, progress.seconds)
            stop.check(progress.time)
            if seats[0].recorder.checkpoint_is_due:
                checkpoints()

        try:
            for frame in simulation.frames(report):
                _store(simulation, seats, frame)
                if frame.index < last:
                    stop.check(frame.time)
            checkpoints()
        except InterruptedRun as stopped:
            checkpoints()
            for seat in seats:
                if seat.error is None:
                    seat.error = InterruptedRun(stopped.problem, exit_code=stopped.exit_code)
        except PdesimError:
            pass  # every member ended, and each has an error of its own
    told = f"{name}: {simulation.steps:,} steps"
    told += f"  {speed(simulation.steps, simulation.seconds, cells)}"
    console.print(told, highlight=False, markup=False)


def _store(simulation: Simulation, seats: Sequence[_Seat], frame) -> None:
    for index, seat in enumerate(seats):
        if seat.error is None and index not in simulation.failures:
            state = frame.state[index] if len(seats) > 1 else frame.state
            seat.store(frame.index, frame.time, state)
    ended = [s for i, s in enumerate(seats) if s.error is not None or i in simulation.failures]
    if len(ended) == len(seats):
        raise next((s.error for s in ended if s.error is not None), simulation.failures[0])


def _leave(
    seat: _Seat, index: int, simulation: Simulation, placement: Placement, seconds: float
) -> None:
    """Close a member's files and say how it went."""
    seat.error = simulation.failures.get(index, seat.error)
    try:
        seat.recorder.close()
    except PdesimError as error:
        seat.error = seat.error or error
    steps, rejected = simulation.steps_of(index)
    plan = simulation.plans[index]
    numbers = seat.numbers | {
        "device": placement.about,
        "stepper": plan.stepper.method.name,
        "steps": steps,
        "rejected_steps": rejected,
        "dt": plan.step.dt,
        "compile_seconds": round(simulation.compile_seconds, 3),
        "members_of_batch": simulation.members,
        "time_error": simulation.relative_time_error(index),
    }
    if simulation.seconds > 0:
        # its own steps, in the time that all members took together
        rate = steps / simulation.seconds
        numbers["steps_per_second"] = round(rate, 3)
        numbers["cell_updates_per_second"] = round(rate * plan.grid.cells)
    if overflows := seat.recorder.overflows:
        numbers["stored_as_infinity_since"] = overflows
        seat.log.warning("%s", describe_overflows(overflows))
    status = numbers | closing_status(seat.error, seconds, seat.recorder.waited)
    write_status(seat.member.folder, **status)
    if seat.error is not None:
        seat.log.error("%s", seat.error)
    else:
        seat.log.info("%d steps; finished with a batch of %d", steps, simulation.members)
