"""Computation of the shards of a data set, whose runs exist only until their shard is written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from pdesim.datasets.design import Design, Shard
from pdesim.datasets.layouts import WORK, Layout
from pdesim.datasets.records import Record, number_or_text, write_record
from pdesim.datasets.statistics import Statistics, Summary, summarise, total
from pdesim.engine.device import start_tensorflow
from pdesim.errors import (
    BoundaryError,
    ConfigError,
    DivergedError,
    FormulaError,
    InterruptedRun,
    OutputError,
    PdesimError,
    SolverError,
    StepperError,
)
from pdesim.export.source import Source, read_source
from pdesim.output import RunFolder
from pdesim.output.checkpoint import read_checkpoint
from pdesim.run.job import Outcome
from pdesim.run.stopping import stop_requests
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.compute import compute, sort_prepared
from pdesim.sweeps.members import ALONE, Member, batch_size, prepare_member, program_of
from pdesim.sweeps.workers import compute_elsewhere

#: errors of a trajectory that would occur again; any other error ends the command
LASTING = (
    BoundaryError, ConfigError, DivergedError, FormulaError, SolverError, StepperError,
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What is needed to compute shards.

    Args:
        design: the design of the data set.
        layout: the layout of its files.
        folder: folder of the data set.
        compose: function that composes the settings of a trajectory.
        console: the console for notes and progress.
        deadline: time, as of ``time.monotonic``, at which the command stops; None: unlimited.
    """

    design: Design
    layout: Layout
    folder: Path
    compose: Composer
    console: Console
    deadline: float | None

    def run_folder(self, number: int) -> Path:
        """Return the folder of the run of a trajectory."""
        return self.folder / WORK / "runs" / str(number)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


def compute_shards(work: Work, shards: Sequence[Shard], done: int) -> Iterator[Record]:
    """Compute shards, and yield the record of each after it has been written.

    At most as many shards as there are workers are computed at a time.

    Args:
        work: see :class:`Work`.
        shards: the shards that are not finished.
        done: number of trajectories in finished shards, for the progress.

    Raises:
        InterruptedRun: after a request to stop. Their runs can be resumed.
        PdesimError: for errors of the machine, such as a full disk.
    """
    workers = work.design.plan.settings.workers
    step = 1 if workers.is_this_process else workers.n
    for start in range(0, len(shards), step):
        group, began = shards[start : start + step], time.monotonic()
        outcomes = _compute(work, group, done)
        seconds = (time.monotonic() - began) / len(group)
        for shard in group:
            began = time.monotonic()
            record = _write(work, shard, outcomes, seconds)
            write_record(work.folder, shard, record)
            for number in shard.numbers:
                shutil.rmtree(work.run_folder(number), ignore_errors=True)
            done += len(shard.numbers)
            yield record


def _compute(work: Work, shards: Sequence[Shard], done: int) -> dict[int, Outcome]:
    """Compute the trajectories of some shards, and return the outcome of each by its number.

    Raises:
        PdesimError: see :func:`compute_shards`.
    """
    outcomes: dict[int, Outcome] = {}
    design = work.design
    settings = design.plan.settings
    if settings.workers.is_this_process:
        (shard,) = shards
        placement = start_tensorflow(settings.device)
        size = batch_size(design.plan, placement)
        with stop_requests(work.seconds_left) as stop:
            for numbers in _batches(design, shard, size):
                _restart_divided(work, numbers)
                found, waiting = _prepare(work, numbers)
                found += compute(waiting, work.console, stop, done, len(design.jobs))
                _check(found, stop.reason)
                outcomes |= {one.number: one for one in found}
                done += len(numbers)
        return outcomes
    waiting = []
    for shard in shards:
        found, more = _prepare(work, shard.numbers)
        outcomes |= {one.number: one for one in found}
        waiting += more
    runs = work.folder / WORK / "runs"
    if waiting:
        found = compute_elsewhere(
            waiting, runs, work.compose.config_dir, settings.workers, work.seconds_left,
            work.console,
        )  # fmt: skip
        outcomes |= {one.number: one for one in found}
    _check(list(outcomes.values()), None)
    return outcomes


def _batches(design: Design, shard: Shard, size: int) -> Iterator[list[int]]:
    """Yield the trajectories of a shard that are computed together, at most ``size``.

    They differ only in numbers. Batches do not depend on what has been computed before, so that a
    repeated command computes the same ones, whose results agree to the last bit.
    """
    forms: dict[tuple[str, ...], list[int]] = {}
    for number in shard.numbers:
        forms.setdefault(_form(design.jobs[number]), []).append(number)
    for numbers in forms.values():
        for part in np.array_split(np.asarray(numbers), -(-len(numbers) // size)):
            yield part.tolist()


def _form(job: Sequence[str]) -> tuple[str, ...]:
    """Return overrides without the values that are numbers."""
    parts = [word.partition("=") for word in job]
    return tuple(
        key if isinstance(number_or_text(value), int | float) else f"{key}={value}"
        for key, _, value in parts
    )


def _restart_divided(work: Work, numbers: Sequence[int]) -> None:
    """Delete the runs of a batch if they cannot be resumed as one batch.

    This is so after the process was killed while it wrote the checkpoints of the batch. Batches of
    another size would give other rounding errors.
    """
    design = work.design
    first = Member(design.plan, work.run_folder(numbers[0]), "")
    folders = [work.run_folder(number) for number in numbers]
    divided = len({_place(folder) for folder in folders} - {"failed"}) > 1
    if divided and not program_of(first).startswith(ALONE):
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _prepare(work: Work, numbers: Sequence[int]) -> tuple[list[Outcome], list[Member]]:
    """Plan trajectories, or what is left of them."""
    with work.console.status("planning"):
        prepared = [
            prepare_member(number, work.run_folder(number), work.design.jobs[number], work.compose)
            for number in numbers
        ]
    return sort_prepared(prepared, work.console)


def _place(folder: Path) -> str:
    """Return a text that is equal for runs that can be resumed as one batch."""
    run = RunFolder(folder)
    state = run.read_status_or_empty().get("state")
    if state in ("finished", "failed"):
        return str(state)
    if not run.checkpoint.is_file():
        return "start"
    try:
        checkpoint, _ = read_checkpoint(run.checkpoint)
    except OutputError:
        return "unreadable"
    return repr((checkpoint.target, checkpoint.steps_since_target, checkpoint.time))


def _check(outcomes: Sequence[Outcome], reason: tuple[str, int] | None) -> None:
    """Raise the first error that is not one of a trajectory itself."""
    for one in outcomes:
        if isinstance(one.error, InterruptedRun):
            message, code = reason or (one.error.problem, one.error.exit_code)
            raise InterruptedRun(message, exit_code=code)
        if isinstance(one.error, OutputError):
            raise OutputError(
                one.error.problem,
                hint="free some disk space or check the permissions; the same command continues",
            )
        if one.error is not None and not isinstance(one.error, LASTING):
            raise one.error


def _write(work: Work, shard: Shard, outcomes: dict[int, Outcome], seconds: float) -> Record:
    """Write the trajectories of a shard that have not failed, and return its record."""
    began = time.monotonic()
    sources: dict[int, Source] = {}
    summaries: dict[int, Summary] = {}
    failed: dict[int, tuple[str, int]] = {}
    steps, device = 0, ""
    for number in shard.numbers:
        status = RunFolder(work.run_folder(number)).read_status_or_empty()
        steps += int(status.get("steps", 0))
        device = str(status.get("device", device))
        error = outcomes[number].error
        if error is None:
            source = read_source(RunFolder(work.run_folder(number)).snapshots)
            summary = summarise(source, work.layout.dtype)
            error = _defect(work, source, summary)
        if error is None:
            sources[number], summaries[number] = source, summary
        else:
            failed[number] = (error.problem, error.exit_code)
    paths = [work.folder / path for path in work.layout.files(shard, list(sources))]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    if sources:
        work.layout.write(list(sources.values()), paths)
    return Record(
        stored=tuple(sources),
        failed=failed,
        stationary=tuple(n for n, summary in summaries.items() if summary.stationary),
        statistics=total(s.statistics for s in summaries.values()) if sources else Statistics(),
        steps=steps,
        seconds=round(seconds + time.monotonic() - began, 3),
        device=device,
    )


def _defect(work: Work, source: Source, summary: Summary) -> PdesimError | None:
    """Return the reason why the frames of a finished run cannot be stored; None if they can."""
    expected = len(work.design.plan.times)
    if len(source.times) != expected:
        return DivergedError(f"it has {len(source.times)} frames of {expected}")
    if not summary.finite:
        kind = work.layout.dtype or next(iter(source.dtypes.values()))
        return DivergedError(f"a value exceeds the range of {kind}")
    return None
