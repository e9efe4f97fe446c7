"""A sweep from its members to its files: batches, single runs, pictures, the table, the summary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdesim.device import Placement, start_tensorflow
from pdesim.drawing import draw, shown
from pdesim.errors import InterruptedRun, PdesimError
from pdesim.output import write_sweep_csv
from pdesim.render import montage
from pdesim.run import describe_to_paraview, execute
from pdesim.stopping import stop_requests
from pdesim.sweep.members import Batch, Member, Outcome, batches, prepare_member


def run_sweep(
    jobs: Sequence[Sequence[str]], folder: Path, config_dir: str | None, console: Console
) -> int:
    """Compute all members of a sweep into ``folder/<number>/``; returns the exit code.

    0 if all went well, else the highest of the members' own.
    """
    prepared = []
    with console.status("planning") as status:
        for number, overrides in enumerate(jobs):
            status.update(f"planning {number + 1} of {len(jobs)}")
            prepared.append(prepare_member(number, folder / str(number), overrides, config_dir))
    outcomes = [one for one in prepared if isinstance(one, Outcome)]
    waiting = []
    for one in prepared:
        if isinstance(one, Member):
            for note in one.notes:
                console.print(f"{one.folder}: {note}", highlight=False, soft_wrap=True)
            if one.plan is None:
                outcomes.append(Outcome(one.number, one.folder, "skipped"))
            else:
                waiting.append(one)
    outcomes += _compute(waiting, console)
    outcomes.sort(key=lambda one: one.number)
    _pictures([one for one in waiting if _state(outcomes, one) == "finished"], console)
    if waiting:
        _summaries(folder, waiting[0], console)
    _tell(outcomes, folder, console)
    return max((one.error.exit_code for one in outcomes if one.error), default=0)


def _state(outcomes: Sequence[Outcome], member: Member) -> str:
    return next(one.state for one in outcomes if one.number == member.number)


def _compute(waiting: Sequence[Member], console: Console) -> list[Outcome]:
    """Batch after batch; those after a request to stop are not begun."""
    if not waiting:
        return []
    outcomes, programs = [], {}
    try:
        placement = start_tensorflow(waiting[0].plan.settings.device)
    except PdesimError as error:
        return [Outcome(m.number, m.folder, "failed", error) for m in waiting]
    for batch in batches(waiting, placement.is_gpu):
        if any(one.state == "interrupted" for one in outcomes):
            outcomes += [Outcome(m.number, m.folder, "not started") for m in batch.members]
        elif batch.alone:
            outcomes.append(_run_alone(batch.members[0], console))
        else:
            outcomes += _run_together(batch, placement, console, programs)
    return outcomes


def _run_together(
    batch: Batch, placement: Placement, console: Console, programs: dict
) -> list[Outcome]:
    from pdesim.sweep.batch import run_batch  # imports TensorFlow, which has started quietly now

    limit = batch.members[0].plan.settings.time.wall_limit
    key = batch.program, len(batch.members)
    try:
        with stop_requests(limit) as stop:
            outcomes, programs[key] = run_batch(
                batch.members, placement, console, stop, programs.get(key)
            )
        return outcomes
    except PdesimError as error:
        return [Outcome(m.number, m.folder, "failed", error) for m in batch.members]


def _run_alone(member: Member, console: Console) -> Outcome:
    state, error = "finished", None
    try:
        execute(
            member.plan, member.folder, member.config_yaml, console,
            goes_on=member.goes_on, pictures=False,
        )  # fmt: skip
    except PdesimError as problem:
        error = problem
        state = "interrupted" if isinstance(problem, InterruptedRun) else "failed"
    return Outcome(member.number, member.folder, state, error)


def _pictures(members: Sequence[Member], console: Console) -> None:
    """After all computing: what is drawn can be drawn again, what is computed should not wait."""
    with console.status("drawing") as status:
        for count, member in enumerate(members):
            status.update(f"drawing {count + 1} of {len(members)}")
            describe_to_paraview(member.folder)
            draw(member.folder, shown(member.plan.settings), console)


def _summaries(folder: Path, member: Member, console: Console) -> None:
    """``sweep.csv`` and the montage, from the files; their failure never costs the sweep."""
    settings = member.plan.settings
    try:
        with console.status("sweep.csv"):
            write_sweep_csv(folder)
        if settings.animation.name != "none":
            with console.status("the montage"):
                montage(folder, shown(settings), settings.montage)
    except PdesimError as error:
        console.print(f"{error}", highlight=False)


def _tell(outcomes: Sequence[Outcome], folder: Path, console: Console) -> None:
    """Every member that did not finish by name, and a count of the rest."""
    good = [one for one in outcomes if one.state in ("finished", "skipped")]
    skipped = sum(one.state == "skipped" for one in outcomes)
    told = f"{len(good)} of {len(outcomes)} members finished"
    console.print(told + (f" ({skipped} before)" if skipped else ""), highlight=False)
    bad = [one for one in outcomes if one not in good]
    if bad:
        table = Table("member", "ended", "why", box=None)
        for one in bad:
            why = one.error.problem if one.error else ""
            table.add_row(os.path.relpath(one.folder, folder), one.state, escape(why))
        console.print(table)
