"""One run from plan to files: simulate, store, draw, and say how it went."""

from __future__ import annotations

import contextlib
import logging
import platform
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.filesize import decimal

import pdesim
from pdesim.device import start_tensorflow
from pdesim.errors import InterruptedRun, OutputError, PdesimError
from pdesim.output import DiagnosticsFile, Snapshots, SnapshotWriter, write_status
from pdesim.output.snapshots import FILE as SNAPSHOTS
from pdesim.plan import Plan
from pdesim.progress import progress_display, speed

log = logging.getLogger("pdesim")


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


def execute(plan: Plan, folder: Path, config_yaml: str, console: Console) -> Run:
    """Carry a plan out in ``folder``, which may exist but must hold no run.

    Raises:
        PdesimError: after writing ``status.json``; frames that were finished are on disk.
    """
    began = time.time()
    placement = start_tensorflow(plan.settings.device)
    _make_folder(folder)
    with _log_file(folder):
        return _execute(plan, placement, folder, config_yaml, console, began)


def _execute(plan, placement, folder: Path, config_yaml: str, console: Console, began) -> Run:
    writer = _open_writer(plan, folder, config_yaml)
    status = {"state": "running", "equation": plan.equation.name, "started": _stamp(began)}
    write_status(folder, **status)
    diagnostics = DiagnosticsFile(
        folder / "diagnostics.csv", plan.equation.fields, plan.grid.cell_volume
    )
    numbers: dict = {}
    try:
        with contextlib.closing(writer), contextlib.closing(diagnostics):
            _compute(plan, placement, writer, diagnostics, console, numbers)
        state, error = "finished", None
    except PdesimError as problem:
        state = "interrupted" if isinstance(problem, InterruptedRun) else "failed"
        error = problem
    except BaseException as problem:
        write_status(folder, **status | {"state": "failed", "error": repr(problem)})
        raise
    status |= {"state": state, "seconds": round(time.time() - began, 3), **numbers}
    if error is not None:
        status["error"] = error.problem
        log.error("%s", error)
    write_status(folder, **status)
    _draw(plan, folder, console)
    if error is not None:
        raise error
    log.info("finished in %.1f s: %s", status["seconds"], folder)
    return Run(folder)


def _compute(plan: Plan, placement, writer, diagnostics, console: Console, numbers: dict) -> None:
    log.info("TensorFlow %s on %s", version("tensorflow"), placement.about)
    numbers["device"] = placement.about

    def store(index: int, moment: float, state: np.ndarray) -> None:
        writer.write(moment, state)
        diagnostics.write(index, moment, state)
        numbers.update(frames=index + 1, time=moment)

    if plan.equation.steady:
        _solve(plan, placement, store, console, numbers)
    else:
        _evolve(plan, placement, store, console, numbers)


def _solve(plan: Plan, placement, store, console: Console, numbers: dict) -> None:
    from pdesim.solvers.spectral import solve

    solution = solve(plan, placement)
    store(0, float(plan.times[0]), solution.state)
    numbers["residual"] = solution.residual
    told = f"solved; relative residual {solution.residual:.2e}"
    log.info(told)
    console.print(told, highlight=False)


def _evolve(plan: Plan, placement, store, console: Console, numbers: dict) -> None:
    from pdesim.simulation import Simulation

    simulation = Simulation(plan, placement)
    seconds_a_step = simulation.prepare()
    for line in describe(plan, placement.about, seconds_a_step):
        log.info(line)
        console.print(line, highlight=False, soft_wrap=True)
    cells = plan.grid.cells
    with (
        _stop_signals() as stop,
        progress_display(
            console, plan.equation.name, plan.times[0], plan.times[-1], cells
        ) as update,
    ):

        def report(progress) -> None:
            update(progress.steps, progress.time, progress.seconds)
            if stop:
                raise InterruptedRun(
                    f"stopped by {stop[0].name} at t = {progress.time:.6g}; all frames are kept",
                    exit_code=128 + stop[0],
                )

        try:
            for frame in simulation.frames(report):
                store(frame.index, frame.time, frame.state)
        finally:
            _count(simulation, cells, numbers)
    told = f"{simulation.steps:,} steps"
    if plan.step.adaptive:
        told += f" ({simulation.rejected:,} rejected)"
    told += f"  {speed(simulation.steps, simulation.seconds, cells)}"
    log.info(told)
    console.print(told, highlight=False)


def _count(simulation, cells: int, numbers: dict) -> None:
    """What the status file says about the steps."""
    numbers.update(
        stepper=simulation.plan.stepper.method.name,
        steps=simulation.steps,
        rejected_steps=simulation.rejected,
        dt=simulation.plan.step.dt,
        compile_seconds=round(simulation.compile_seconds, 3),
    )
    if simulation.seconds > 0:
        rate = simulation.steps / simulation.seconds
        numbers.update(steps_per_second=round(rate, 3), cell_updates_per_second=round(rate * cells))


def describe(plan: Plan, device: str, seconds_a_step: float) -> list[str]:
    """The lines before a run: what will be done, with which step, at what cost."""
    settings, step = plan.settings, plan.step
    points = " x ".join(str(n) for n in plan.grid.points)
    operators = plan.problem.discretisation.name
    if plan.problem.discretisation.order:
        operators += f" of order {plan.problem.discretisation.order}"
    limit = "no stability limit" if np.isinf(step.limit) else f"stability limit {step.limit:.4g}"
    if step.adaptive:
        steps = f"dt chosen for a local error of {settings.time.tolerance:g}, first {step.dt:.3g}"
    else:
        left = plan.total_steps * seconds_a_step
        steps = f"dt = {plan.shortest_step:.4g} ({limit}), {plan.total_steps:,} steps"
        steps += f", about {left:.0f} s" if left >= 1 else ", under a second"
    stepper = plan.stepper.method.name + (f" ({plan.why})" if plan.why else "")
    size = np.dtype(settings.output.dtype or settings.device.precision).itemsize
    state = plan.state.size * np.dtype(settings.device.precision).itemsize
    disk = plan.state.size * size * len(plan.times)
    precision = settings.device.precision
    return [
        f"{plan.equation.name} on {points} cells, {operators}, {precision}, {device}",
        f"{stepper}: {steps}",
        f"memory about {_bytes(plan.arrays_held * state)}; "
        f"{len(plan.times)} frames, {_bytes(disk)} before compression",
    ]


def _bytes(count: float) -> str:
    return decimal(int(count))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be made ({error.strerror})",
            cure="hydra.run.dir=DIR with a folder that you may write to",
        ) from None


@contextlib.contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """``pdesim.log`` in the run's folder, whoever configured logging."""
    handler = logging.FileHandler(folder / "pdesim.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def _open_writer(plan: Plan, folder: Path, config_yaml: str) -> SnapshotWriter:
    settings = plan.settings
    attributes = {
        "Conventions": "CF-1.8",
        "title": plan.equation.about or plan.equation.name,
        "equation_name": plan.equation.name,
        "equation_title": plan.equation.title,
        "equation": plan.equation.text,
        "fields": list(plan.equation.fields),
        "config": config_yaml,
        "boundary": repr(plan.problem.boundary.describe(plan.equation.fields, plan.grid.axes)),
        "seed": settings.seed,
        "precision": settings.device.precision,
        "device_asked": settings.device.name,
        "pdesim_version": pdesim.__version__,
        "tensorflow_version": version("tensorflow"),
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
    }
    return SnapshotWriter(
        folder / SNAPSHOTS,
        plan.grid,
        plan.equation.fields,
        attributes,
        labels=plan.equation.labels,
        units=plan.equation.units,
        dtype=np.dtype(settings.output.dtype or settings.device.precision),
        compression=settings.output.compression,
        overwrite=settings.output.overwrite,
        mask=None if plan.problem.mask is None else plan.problem.mask.solid,
    )


def _draw(plan: Plan, folder: Path, console: Console) -> None:
    """Pictures from the files; their failure never costs the run."""
    from pdesim.render import diagnostics_plot, render

    animation = plan.settings.animation
    if animation.name == "none":
        return
    try:
        picture = render(folder / SNAPSHOTS, animation)
        diagnostics_plot(folder / "diagnostics.csv", folder / "diagnostics.png")
        log.info("drew %s", picture)
    except PdesimError as error:
        log.error("no picture: %s", error)
        console.print(f"no picture: {error}", highlight=False)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[signal.Signals]]:
    """Collect SIGINT and SIGTERM; the run ends at its next block. A second one acts at once."""
    caught: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def note(number, _frame) -> None:
        caught.append(signal.Signals(number))
        signal.signal(number, previous[number])

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, previous[number])


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))
