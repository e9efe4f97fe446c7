"""One run from plan to files: simulate, store, draw, and say how it went."""

from __future__ import annotations

import contextlib
import logging
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console

import pdesim
from pdesim.engine.device import Placement, enough_memory, start_tensorflow
from pdesim.engine.startup import start_for
from pdesim.errors import InterruptedRun, OutputError, PdesimError, printable
from pdesim.export import write_xdmf
from pdesim.files import make_folder
from pdesim.output import (
    DiagnosticsFile,
    Layout,
    Recorder,
    Snapshots,
    SnapshotWriter,
    Worker,
    create_snapshots,
    fingerprint,
    frames_waiting,
    read_status,
    write_status,
)
from pdesim.output.lock import hold
from pdesim.output.snapshots import FILE as SNAPSHOTS
from pdesim.output.snapshots import FORMAT_VERSION, amend
from pdesim.output.status import describe_overflows, describe_time_error
from pdesim.plan import Plan
from pdesim.render.background import (
    PREWARM_CELL_UPDATES,
    BackgroundRenderer,
    draw,
    effective_animation,
)
from pdesim.run.preflight import describe, order_notes
from pdesim.run.progress import WHOLE, Share, progress_display, speed
from pdesim.run.resolution import note_after, notes_before
from pdesim.run.stopping import StopRequests, stop_requests
from pdesim.settings import Animation

log = logging.getLogger("pdesim")

#: safe, and from C where PyYAML was built with it: a sweep reads the text of every member
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: waiting for the disk is worth a word above this many seconds
NOTABLE_WAIT = 0.5


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path

    @property
    def snapshots(self) -> Snapshots:
        """The stored frames, opened for reading."""
        return Snapshots(self.folder)

    def to_xarray(self):
        """The stored frames as an ``xarray.Dataset``."""
        with self.snapshots as snapshots:
            return snapshots.to_xarray()


@dataclass(frozen=True)
class _Session:
    """What the parts of one run share; ``numbers`` end up in the status file."""

    plan: Plan
    placement: Placement
    folder: Path
    console: Console
    stop: StopRequests
    goes_on: bool
    share: Share
    renderer: BackgroundRenderer
    numbers: dict

    def tell(self, line: str, **style) -> None:
        line = printable(line)
        log.info(line)
        self.console.print(line, highlight=False, markup=False, **style)


def execute(
    plan: Plan,
    folder: Path,
    config_yaml: str,
    console: Console,
    *,
    goes_on: bool = False,
    alone: bool = False,
    pictures: bool = True,
    stop: StopRequests | None = None,
    share: Share = WHOLE,
) -> Run:
    """Carry a plan out in ``folder``.

    Args:
        config_yaml: the resolved configuration, stored with the frames.
        goes_on: add to the frames that the folder holds.
        alone: the process computes nothing else, and may be set up for this plan.
        pictures: draw them, if the settings ask for any.
        stop: of the sweep that this run is part of; None: its own, with ``time.wall_limit``.
        share: the run's part of that sweep.

    Raises:
        PdesimError: after writing ``status.json``; frames that were finished are on disk.
    """
    began = time.time()
    limit = plan.settings.time.wall_limit
    animation = effective_animation(plan.settings) if pictures else Animation(name="none")
    with BackgroundRenderer(folder, animation, plan.times) as renderer:
        if plan.steps_left * plan.grid.cells >= PREWARM_CELL_UPDATES:
            renderer.prewarm()  # while TensorFlow is imported, which takes one core
        with stop_requests(limit) if stop is None else contextlib.nullcontext(stop) as stop:
            placement = start_for([plan]) if alone else start_tensorflow(plan.settings.device)
            make_folder(folder)
            with hold(folder), log_file(folder):
                session = _Session(
                    plan, placement, folder, console, stop, goes_on, share, renderer, {}
                )
                error = _record(session, config_yaml, began)
        describe_to_paraview(folder)
        drawn = error is None and renderer.finish()
    if not drawn and not isinstance(error, InterruptedRun):
        draw(folder, animation, console)
    if error is not None:
        raise error
    return Run(folder)


def _record(session: _Session, config_yaml: str, began: float) -> PdesimError | None:
    """Compute and store; what went wrong comes back, told in the log and the status file."""
    plan, folder = session.plan, session.folder
    status = {"state": "running", "equation": plan.equation.name, "started": stamp(began)}
    if plan.resume_from is not None:
        status["resumed_at"] = plan.resume_from.time
    recorder, error, before = None, None, _read_status(folder)
    worker = Worker(frames_waiting(plan.state_bytes))
    if plan.resume_from is not None and before.get("device", session.placement.about) != (
        session.placement.about
    ):
        session.tell(
            f"computed on {before['device']} before, now on {session.placement.about}: "
            "may differ from an uninterrupted run by rounding"
        )
    try:
        recorder = open_recorder(plan, folder, config_yaml, session.goes_on, worker)
        write_status(folder, **status)
        try:
            _compute(session, recorder)
        finally:
            recorder.close()
    except PdesimError as problem:
        error = problem
    except BaseException as problem:
        write_status(folder, **status | {"state": "failed", "error": repr(problem)})
        raise
    finally:
        worker.close()
    waited = recorder.waited if error is None else None
    if recorder is not None and recorder.overflows:
        session.numbers["stored_as_infinity_since"] = recorder.overflows
        session.tell(describe_overflows(recorder.overflows), soft_wrap=True)
    status |= closing_status(error, time.time() - began, waited) | session.numbers
    if error is not None:
        log.error("%s", error)
    else:
        log.info("finished in %.1f s: %s", status["seconds"], folder)
    write_status(folder, **status)
    return error


def closing_status(error: PdesimError | None, seconds: float, waited: float | None) -> dict:
    """What the status file says of a run's end."""
    status = {"state": "finished", "seconds": round(seconds, 3)}
    if waited is not None:
        status["waited_for_disk"] = round(waited, 3)
    if error is not None:
        status["state"] = "interrupted" if isinstance(error, InterruptedRun) else "failed"
        status["error"] = error.problem
    return status


def _read_status(folder: Path) -> dict:
    try:
        return read_status(folder)
    except OutputError:
        return {}


def _compute(session: _Session, recorder: Recorder) -> None:
    log.info("TensorFlow %s on %s", version("tensorflow"), session.placement.about)
    session.numbers["device"] = session.placement.about
    for note in session.plan.notes:
        session.tell(note, soft_wrap=True)
    work = _solve if session.plan.equation.steady else _evolve
    with enough_memory(session.plan.grid.cells):
        work(session, recorder)
    if recorder.waited >= NOTABLE_WAIT:
        session.tell(f"the disk was the slower one: the run waited {recorder.waited:.1f} s for it")


def _solve(session: _Session, recorder: Recorder) -> None:
    from pdesim.solvers.transform import solve

    solution = solve(session.plan, session.placement)
    recorder.frame(0, float(session.plan.times[0]), solution.state)
    session.numbers.update(frames=1, residual=solution.residual)
    session.tell(f"solved; relative residual {solution.residual:.2e}")
    for note in order_notes(session.plan):
        session.tell(note, soft_wrap=True)


def _evolve(session: _Session, recorder: Recorder) -> None:
    from pdesim.engine.simulation import Simulation

    plan, console, numbers = session.plan, session.console, session.numbers
    notes = notes_before(plan)  # the initial state is released by prepare
    simulation = Simulation(plan, session.placement)
    seconds_a_step = simulation.prepare()
    about = describe(simulation.plan, session.placement.about, seconds_a_step)
    for line in [*about, *order_notes(plan), *notes]:
        session.tell(line, soft_wrap=True)
    name, cells = plan.equation.name, plan.grid.cells
    start, end, unresolved = plan.times[0], plan.times[-1], None
    display = progress_display(console, name, start, end, cells, session.share)
    with display as update:

        def report(progress) -> None:
            update(progress.steps, progress.time, progress.seconds)
            session.stop.check(progress.time)
            session.renderer.poll()
            if recorder.checkpoint_is_due:
                recorder.checkpoint(simulation.checkpoint())

        try:
            for frame in simulation.frames(report):
                if frame.index == len(plan.times) - 1:
                    unresolved = note_after(plan, frame.state)
                recorder.frame(frame.index, frame.time, frame.state)
                numbers.update(frames=frame.index + 1, time=frame.time)
                if frame.index < len(plan.times) - 1:
                    session.stop.check(frame.time)
            recorder.checkpoint(simulation.checkpoint())
        except InterruptedRun as stopped:
            recorder.checkpoint(simulation.checkpoint())
            hint = f"pdesim resume {session.folder}   continues from there"
            raise InterruptedRun(stopped.problem, hint, exit_code=stopped.exit_code) from None
        finally:
            count_steps(simulation, cells, numbers)
    if unresolved:
        session.tell(unresolved, soft_wrap=True)
    told = f"{simulation.steps:,} steps"
    if plan.step.adaptive:
        told += f" ({simulation.rejected:,} rejected)"
    session.tell(f"{told}  {speed(simulation.steps, simulation.seconds, cells)}")
    if line := describe_time_error(numbers.get("time_error")):
        session.tell(line)


def count_steps(simulation, cells: int, numbers: dict) -> None:
    """What the status file says about the steps of a single run."""
    numbers.update(
        stepper=simulation.plan.stepper.method.name,
        steps=simulation.steps,
        rejected_steps=simulation.rejected,
        dt=simulation.plan.step.dt,
        compile_seconds=round(simulation.compile_seconds, 3),
        time_error=simulation.relative_time_error(),
    )
    if simulation.seconds > 0:
        rate = simulation.steps / simulation.seconds
        numbers.update(steps_per_second=round(rate, 3), cell_updates_per_second=round(rate * cells))


@contextlib.contextmanager
def log_file(folder: Path, log: logging.Logger = log) -> Iterator[None]:
    """``pdesim.log`` in the run's folder, whoever configured logging."""
    try:
        handler = logging.FileHandler(folder / "pdesim.log", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder / 'pdesim.log'} cannot be written ({error.strerror})",
            hint="hydra.run.dir=DIR with a folder that you may write to",
        ) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # a full disk is told of elsewhere
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


def open_recorder(
    plan: Plan, folder: Path, config_yaml: str, goes_on: bool, worker: Worker
) -> Recorder:
    """The files of a run, ready to be written beside the computation; see :func:`execute`."""
    settings, path = plan.settings, folder / SNAPSHOTS
    dtype = np.dtype(settings.output.dtype or settings.device.precision)
    layout = Layout(
        plan.grid,
        plan.equation.fields,
        plan.selection,
        dtype,
        settings.output.compression,
        settings.output.keep_bits,
        plan.equation.labels,
        plan.equation.units,
        None if plan.problem.mask is None else plan.problem.mask.solid,
    )
    if not goes_on:
        if path.exists() and not settings.output.overwrite:
            raise OutputError(
                f"{path} already contains a run; nothing was overwritten",
                hint="another folder (hydra.run.dir=...), output.overwrite=true or resume=auto",
            )
        create_snapshots(path, layout, _attributes(plan, layout, config_yaml))
    else:
        amend(path, {"config": config_yaml})
    writer = SnapshotWriter(path, layout)
    diagnostics = DiagnosticsFile(
        folder / "diagnostics.csv", plan.equation.fields, plan.grid.cell_volume, writer.frames,
        layout.mask,
    )  # fmt: skip
    physics = fingerprint(yaml.load(config_yaml, Loader=_YAML))
    return Recorder(folder, writer, diagnostics, physics, settings.output.checkpoint, worker)


def _attributes(plan: Plan, layout: Layout, config_yaml: str) -> dict:
    settings, equation = plan.settings, plan.equation
    second = plan.problem.second_conditions
    return {
        "Conventions": "CF-1.8",
        "format_version": FORMAT_VERSION,
        "title": equation.about or equation.name,
        "equation_name": equation.name,
        "equation_title": equation.title,
        "equation": equation.text,
        "fields": list(layout.stored),
        "config": config_yaml,
        "boundary": repr(plan.problem.boundary.describe(equation.fields, plan.grid.axes)),
        **({"second_conditions": "\n".join(second)} if second else {}),
        "seed": settings.seed,
        "precision": settings.device.precision,
        "device_asked": settings.device.name,
        "pdesim_version": pdesim.__version__,
        "tensorflow_version": version("tensorflow"),
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
    }


def describe_to_paraview(folder: Path) -> None:
    """``snapshots.xdmf``; where nothing was stored there is nothing to describe."""
    try:
        write_xdmf(folder / SNAPSHOTS)
    except PdesimError as error:
        log.warning("no snapshots.xdmf: %s", error)


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))
