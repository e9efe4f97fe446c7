"""The command ``pdesim dataset``: computes a data set, or what is left of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pdesim.datasets.card import describe, write_card
from pdesim.datasets.compute import Work, compute_shards
from pdesim.datasets.design import Shard, build_design
from pdesim.datasets.layouts import DATA, WORK, build_layout, check_format
from pdesim.datasets.records import (
    Record,
    begin,
    describe_request,
    read_record,
    write_description,
)
from pdesim.datasets.settings import read_dataset_settings
from pdesim.errors import DivergedError, InterruptedRun
from pdesim.files import check_creatable, clear_left_behind, make_folder
from pdesim.operators.coordinates import refuse
from pdesim.output.lock import hold
from pdesim.sweeps.compose import Composer

#: the option that names the folder, for errors
OPTION = "--output"


def make_dataset(
    words: Sequence[str],
    to: str | None,
    folder: Path,
    config_dir: str | None = None,
    trusted: bool = False,
    console: Console | None = None,
) -> int:
    """Compute a data set of trajectories, or continue one that was stopped.

    Args:
        words: settings as on the command line; those of :class:`DatasetSettings` and those of the
            runs, with the swept ones.
        to: the format, a name in :data:`pdesim.datasets.layouts.LAYOUTS`.
        folder: folder of the data set, which must be new, empty, or contain this data set.
        config_dir: folder of the user's configuration files.
        trusted: whether the user trusts these files.
        console: the console for notes and progress.

    Returns:
        The exit code: 0, or the highest exit code of a trajectory that has failed.

    Raises:
        ConfigError: for invalid settings, and if the folder contains another data set.
        OutputError: if the folder contains other files, or cannot be written.
        InterruptedRun: after a request to stop; the same command continues.
        DivergedError: if all trajectories have failed.
    """
    began = time.monotonic()
    console = console or Console(stderr=True)
    check_format(to)
    check_creatable(folder, OPTION)
    settings, others = read_dataset_settings(words)
    design = build_design(others, settings, config_dir, trusted)
    refuse(design.plan.grid, "pdesim dataset")
    layout = build_layout(str(to), design.plan)
    make_folder(folder, OPTION)
    with hold(folder):
        complete = begin(folder, request := describe_request(design, str(to)))
        if complete is None:
            limit = design.plan.settings.time.wall_limit
            deadline = None if limit is None else began + limit
            composer = Composer(config_dir, trusted)
            work = Work(design, layout, folder, composer, console, deadline)
            done = _compute_all(work)
            _finish(work, request, done)
            failed = {n: code for _, record in done for n, (_, code) in record.failed.items()}
        else:
            _print(console, f"{folder} is complete already")
            shutil.rmtree(folder / WORK, ignore_errors=True)
            failed = dict.fromkeys(complete.get("failed") or {}, DivergedError.exit_code)
    if failed:
        _print(console, f"{len(failed)} of {len(design.jobs)} trajectories failed; README.md and")
        _print(console, "trajectories.csv list them with their causes")
    return max(failed.values(), default=0)


def _compute_all(work: Work) -> list[tuple[Shard, Record]]:
    """Compute all shards that are not finished, and return all shards with their records."""
    known = {shard: _finished(work, shard) for shard in work.design.shards}
    waiting = [shard for shard, record in known.items() if record is None]
    count = len(work.design.jobs)
    done = count - sum(len(shard.numbers) for shard in waiting)
    if done:
        _print(work.console, f"{done} of {count} trajectories were computed before")
    try:
        records = compute_shards(work, waiting, done)
        for shard, record in zip(waiting, records, strict=True):
            known[shard] = record
            done += len(shard.numbers)
            written = f"{len(record.stored)} of {len(shard.numbers)} trajectories written"
            _print(work.console, f"{shard.name}: {written}; {done} of {count} done")
    except InterruptedRun as stopped:
        raise InterruptedRun(
            f"{stopped.problem.partition(' at t =')[0]}; {done} of {count} trajectories are stored",
            "the same command continues",
            exit_code=stopped.exit_code,
        ) from None
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"stopped by SIGINT; {done} of {count} trajectories are stored",
            "the same command continues",
        ) from None
    return [(shard, record) for shard, record in known.items() if record is not None]


def _finished(work: Work, shard: Shard) -> Record | None:
    """Return the record of a shard whose files exist; otherwise None."""
    record = read_record(work.folder, shard)
    if record is None:
        return None
    files = work.layout.files(shard, record.stored)
    return record if all((work.folder / file).is_file() for file in files) else None


def _finish(work: Work, request: Mapping[str, Any], done: Sequence[tuple[Shard, Record]]) -> None:
    """Join the files of the shards, and write the card. The description comes last."""
    design, layout, folder = work.design, work.layout, work.folder
    if not any(record.stored for _, record in done):
        cause, code = next(iter(done[0][1].failed.values()))
        error = DivergedError(
            f"all {len(design.jobs)} trajectories have failed, the first one with: {cause}",
            hint=f"other settings, in another folder ({OPTION} FOLDER)",
        )
        error.exit_code = code
        raise error
    for split in dict.fromkeys(shard.split for shard, _ in done):
        parts = [
            folder / file
            for shard, record in done
            if shard.split == split
            for file in layout.files(shard, record.stored)
        ]
        if parts:
            layout.join(folder, split, parts)
    write_card(folder, design, layout, done)
    write_description(
        folder, {"state": "complete", **describe(design, done), "request": dict(request)}
    )
    shutil.rmtree(folder / WORK, ignore_errors=True)
    for data in (folder / DATA).iterdir():
        clear_left_behind(data, ".", ".tmp")


def _print(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
