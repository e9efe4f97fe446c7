"""The files of a run: snapshots, diagnostics, the log, and the description for ParaView."""

from __future__ import annotations

import contextlib
import logging
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import pdesim
from pdesim.errors import OutputError, PdesimError
from pdesim.export import write_xdmf
from pdesim.files import load_yaml, make_folder
from pdesim.output import (
    DiagnosticsFile,
    Layout,
    Recorder,
    RunFolder,
    SeriesWriter,
    SnapshotWriter,
    Worker,
    create_snapshots,
    fingerprint,
)
from pdesim.output.diagnostics import DIGITS, EXACT_DIGITS
from pdesim.output.part_files import part_attributes
from pdesim.output.parts import remove_parts
from pdesim.output.pictures import forget_pictures
from pdesim.output.snapshots import FORMAT_VERSION, update_attributes
from pdesim.plan import Plan
from pdesim.run.job import Job
from pdesim.run.steady import solver_attributes
from pdesim.run.stored_networks import store_networks
from pdesim.steppers.targets import nearness

log = logging.getLogger("pdesim")


class _LogFile(logging.FileHandler):
    """A log file that ignores errors such as a full disk, which the writer of frames reports."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextlib.contextmanager
def log_file(folder: Path, log: logging.Logger = log) -> Iterator[None]:
    """Write the messages of a logger to ``pdesim.log`` in the run's folder.

    Raises:
        OutputError: if the file cannot be opened.
    """
    path = RunFolder(folder).log
    try:
        handler = _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror})",
            hint="set hydra.run.dir=DIR to a folder that you may write to",
        ) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


def open_recorder(job: Job, worker: Worker) -> Recorder:
    """Return a recorder for the files of a job.

    The files are created, replacing existing ones. If the job resumes a run, the existing files are
    opened instead.

    Args:
        job: the job.
        worker: the thread that writes the files.

    Raises:
        OutputError: if the files cannot be written.
    """
    plan, run, part = job.plan, job.files, job.part
    settings, layout = plan.settings, _layout(job)
    if job.is_first_part:
        _prepare_folder(job)
    if not job.resume or part is not None:
        attributes = {**file_attributes(plan, layout, job.config_yaml), **job.attributes}
        if part is not None:
            make_folder(part.folder)
            rows = (part.number, part.count, part.first, part.rows, plan.grid.shape[0])
            attributes |= part_attributes(rows, part.first_frame, layout.mask)
        create_snapshots(run.snapshots, layout, attributes)
    writer = SnapshotWriter(run.snapshots, layout)
    diagnostics = DiagnosticsFile(
        run.diagnostics, plan.equation.distributed, plan.grid.cell_volume, writer.frames,
        layout.mask, layout.scalars, plan.grid.cell_volumes,
        digits=DIGITS if part is None else EXACT_DIGITS,
    )  # fmt: skip
    settings_text = fingerprint(load_yaml(job.config_yaml))
    return Recorder(
        run.path, writer, diagnostics, settings_text, settings.output.checkpoint, worker,
        _series_writer(job), 0 if part is None else part.first_frame,
    )  # fmt: skip


def _prepare_folder(job: Job) -> None:
    """Remove what a new run replaces, and store what concerns the complete run."""
    remove_parts(job.folder)
    if job.resume:
        snapshots = RunFolder(job.folder).snapshots
        update_attributes(snapshots, {"config": job.config_yaml})
    else:
        forget_pictures(job.folder)
        store_networks(job.plan, job.folder)


def _layout(job: Job) -> Layout:
    """Return the layout of the snapshot file of a job, or of its part of the grid."""
    plan, part = job.plan, job.part
    settings = plan.settings
    grid, selection = plan.grid, plan.selection
    solid = None if plan.problem.mask is None else plan.problem.mask.solid
    if part is not None:
        grid = grid.part(part.first, part.rows)
        selection = selection.part(part.first, part.rows)
        solid = None if solid is None else solid[part.first : part.first + part.rows]
    return Layout(
        grid,
        plan.equation.fields,
        selection,
        np.dtype(settings.output.dtype or settings.device.precision),
        settings.output.compression,
        settings.output.keep_bits,
        plan.equation.labels,
        plan.equation.units,
        solid,
        solver_attributes(plan),
        plan.equation.scalars,
    )


def _series_writer(job: Job) -> SeriesWriter | None:
    """Return the writer of observables and probes; None if there are none."""
    plan, path = job.plan, RunFolder(job.folder).series
    observables, checkpoint = plan.observables, plan.resume_from
    if not job.is_first_part:
        return None
    if observables is None:
        path.unlink(missing_ok=True)  # of a run that is overwritten
        return None
    keep = None
    if job.resume and checkpoint is not None:
        # a record of every step precedes the step, any other record follows it
        near = nearness(plan.times) * (-1 if observables.every is None else 1)
        keep = checkpoint.time + near
    attributes = {
        "Conventions": "CF-1.8",
        "title": f"observables of {plan.equation.name}",
        "equation": plan.equation.text,
        "config": job.config_yaml,
        "pdesim_version": pdesim.__version__,
    }
    series = dict(zip(observables.columns, observables.descriptions, strict=True))
    return SeriesWriter(path, series, attributes, keep)


def file_attributes(plan: Plan, layout: Layout, config_yaml: str) -> dict[str, Any]:
    """Return the attributes of a snapshot file."""
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
        **({"scalars": list(layout.scalars)} if layout.scalars else {}),
        "config": config_yaml,
        "boundary": repr(plan.problem.boundary.describe(equation.distributed, plan.grid.names)),
        **({"second_conditions": "\n".join(second)} if second else {}),
        "seed": settings.seed,
        "precision": settings.device.precision,
        "device_asked": settings.device.name,
        "pdesim_version": pdesim.__version__,
        "tensorflow_version": version("tensorflow"),
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
    }


def write_paraview_description(folder: Path) -> None:
    """Write ``snapshots.xdmf``, which describes the frames for ParaView.

    If that is impossible, for example because there are no frames, a warning is logged.
    """
    try:
        write_xdmf(RunFolder(folder).snapshots)
    except PdesimError as error:
        log.warning("snapshots.xdmf was not written: %s", error)
