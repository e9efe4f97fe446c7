"""Execution of a sweep: computation of the members, table, montage, summary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdesim.errors import PdesimError
from pdesim.files import make_folder
from pdesim.output import RunFolder, write_sweep_csv
from pdesim.output.lock import hold, is_held, wait_until_free
from pdesim.output.pictures import drawn_pictures, forget_pictures
from pdesim.render import montage
from pdesim.render.background import effective_animation
from pdesim.render.montage import STILL
from pdesim.run.job import Outcome
from pdesim.run.pictures import redraw
from pdesim.run.preflight import second_conditions
from pdesim.run.resolution import notes_before
from pdesim.run.stopping import stop_requests
from pdesim.settings import Settings
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.compute import compute, sort_prepared
from pdesim.sweeps.ensemble import compute_ensemble
from pdesim.sweeps.members import ALONE, Member, prepare_member, program_of
from pdesim.sweeps.workers import compute_elsewhere
from pdesim.tables import print_table

#: number of members for which the resolution of the grid is checked before a sweep
MAX_CHECKED = 8
#: seconds in which a worker notices that its sweep has ended, and writes its checkpoints
WORKERS_STOP_SECONDS = 60.0
#: exit code of errors that are found before a run
MISTAKE = 2
#: states of members after a request to stop
UNDONE = ("interrupted", "not started")


def run_sweep(
    jobs: Sequence[Sequence[str]],
    folder: Path,
    compose: Composer,
    console: Console,
) -> int:
    """Compute all members of a sweep into ``folder/<number>/``.

    Args:
        jobs: overrides of each member.
        folder: folder of the sweep.
        compose: function that composes the settings of a member.
        console: the console for notes and progress.

    Returns:
        The exit code: 0 if all members finished, otherwise the highest exit code of a member.

    Raises:
        OutputError: if another process is computing a sweep in this folder.
        PdesimError: the error of the first member, if no member can be planned. A folder that was
            empty or missing before is then deleted.
    """
    empty = not folder.exists() or not any(folder.iterdir())
    outcomes = compute_sweep(jobs, folder, compose, console)
    if _is_unplanned(outcomes) and outcomes[0].error:
        if empty:  # it contains the settings of the members, and nothing that was computed
            shutil.rmtree(folder, ignore_errors=True)
        raise outcomes[0].error
    return max((one.error.exit_code for one in outcomes if one.error), default=0)


def compute_sweep(
    jobs: Sequence[Sequence[str]], folder: Path, compose: Composer, console: Console
) -> list[Outcome]:
    """Compute all members of a sweep, and return their outcomes in order; see :func:`run_sweep`."""
    make_folder(folder, "hydra.sweep.dir")
    with hold(folder):
        return _run_held(jobs, folder, compose, console)


def _run_held(
    jobs: Sequence[Sequence[str]], folder: Path, compose: Composer, console: Console
) -> list[Outcome]:
    """Compute a sweep in a folder that is locked already; see :func:`run_sweep`."""
    if jobs and _is_ensemble(jobs[0], compose):
        outcomes = compute_ensemble(jobs, folder, compose, console)
        _report(outcomes, folder, console)
        return outcomes
    _await_workers(folder, console)
    prepared = []
    with console.status("planning") as status:
        for number, overrides in enumerate(jobs):
            status.update(f"planning {number + 1} of {len(jobs)}")
            prepared.append(prepare_member(number, folder / str(number), overrides, compose))
    outcomes, waiting = sort_prepared(prepared, console)
    if waiting:
        _warn(waiting, console)
        outcomes += _compute(waiting, folder, compose.config_dir, console)
        _summaries(folder, waiting[0], outcomes, console)
    outcomes.sort(key=lambda one: one.number)
    if not _is_unplanned(outcomes):
        _report(outcomes, folder, console)
    return outcomes


def _is_unplanned(outcomes: Sequence[Outcome]) -> bool:
    """Return whether no member could be planned, all for the same reason."""
    problems = {one.error.problem for one in outcomes if one.error and one.state == "failed"}
    failed = all(one.error and one.error.exit_code == MISTAKE for one in outcomes)
    frames = any(RunFolder(one.folder).contains_run for one in outcomes)
    return failed and len(problems) == 1 and not frames


def _is_ensemble(overrides: Sequence[str], compose: Composer) -> bool:
    """Whether the settings of a member ask for moments over the members."""
    try:
        return compose(overrides).settings.output.ensemble is not None
    except PdesimError:  # reported with the other members
        return False


def _await_workers(folder: Path, console: Console) -> None:
    """Wait until the workers of an earlier sweep, which was killed, have written checkpoints."""
    members = [path for path in folder.iterdir() if path.name.isdecimal()]
    if any(is_held(member) for member in members):
        with console.status("waiting for workers of an earlier sweep to stop"):
            wait_until_free(members, WORKERS_STOP_SECONDS)


def _warn(waiting: Sequence[Member], console: Console) -> None:
    """Print the notes on the members' plans before the sweep starts, each note once.

    Notes on the grid are printed only for the first member that has such notes, because most
    members have the same grid. Members that are computed in this process and without a batch print
    their notes on the equation themselves, when they start.
    """
    here = waiting[0].plan.settings.workers.is_this_process
    together = [one for one in waiting if not (here and program_of(one).startswith(ALONE))]
    for note, numbers in _equation_notes(together).items():
        prefix = "" if len(numbers) == len(waiting) else f"{_member_names(numbers)}: "
        console.print(f"{prefix}{note}", highlight=False, soft_wrap=True)
    for member in waiting[:MAX_CHECKED]:
        if notes := notes_before(member.plan):
            for note in notes:
                console.print(
                    f"member {member.number}: {note}", highlight=False, markup=False, soft_wrap=True
                )
            return


def _equation_notes(members: Sequence[Member]) -> dict[str, list[int]]:
    """Return notes on parameters and boundary conditions -> numbers of the members concerned."""
    notes: dict[str, list[int]] = {}
    for member in members:
        for note in (*member.plan.notes, *second_conditions(member.plan)):
            notes.setdefault(note, []).append(member.number)
    return notes


def _member_names(numbers: Sequence[int], most: int = 5) -> str:
    rest = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    kind = "member" if len(numbers) == 1 else "members"
    return f"{kind} {', '.join(map(str, numbers[:most]))}{rest}"


def _compute(
    waiting: Sequence[Member], folder: Path, config_dir: str | None, console: Console
) -> list[Outcome]:
    workers = waiting[0].plan.settings.workers
    limits = [member.plan.settings.time.wall_limit for member in waiting]
    limit = min((one for one in limits if one is not None), default=None)
    if workers.is_this_process:
        with stop_requests(limit) as stop:
            return compute(waiting, console, stop)
    return compute_elsewhere(waiting, folder, config_dir, workers, limit, console)


def _summaries(folder: Path, member: Member, outcomes: Sequence[Outcome], console: Console) -> None:
    """Write ``sweep.csv`` and the montage from the members' files. Errors are only printed."""
    settings = member.plan.settings
    stopped = any(one.state in UNDONE for one in outcomes)
    try:
        with console.status("sweep.csv"):
            write_sweep_csv(folder)
        if not stopped:
            with console.status("the montage"):
                _draw(folder, settings, console)
    except PdesimError as error:
        console.print(f"not drawn or written: {error}", highlight=False, markup=False)


def _draw(folder: Path, settings: Settings, console: Console) -> None:
    """Draw the montage of a sweep and, if it is resumed, all its pictures again."""
    resumed, drawn = settings.resume == "auto", set()
    last = drawn_pictures(folder).get(STILL) if resumed else None
    own = settings.animation, settings.montage
    if settings.animation.name != "none" and (last is None or (last.own, last.own_montage) != own):
        pictures = montage(folder, effective_animation(settings), settings.montage)
        drawn = {picture.name for picture in pictures}
    if resumed:
        redraw(folder, settings.animation, drawn, console)
    else:
        forget_pictures(folder)


def _report(outcomes: Sequence[Outcome], folder: Path, console: Console) -> None:
    """Print the number of finished members, and a table of the others."""
    good = [one for one in outcomes if one.state in ("finished", "skipped")]
    skipped = sum(one.state == "skipped" for one in outcomes)
    line = f"{len(good)} of {len(outcomes)} members finished"
    line += f" ({skipped} of them before)" if skipped else ""
    console.print(line, highlight=False, markup=False)
    bad = [one for one in outcomes if one not in good]
    if bad:
        table = Table("member", "state", "cause", box=None)
        for one in bad:
            cause = one.error.problem if one.error else ""
            table.add_row(os.path.relpath(one.folder, folder), one.state, escape(cause))
        print_table(table, console)
    if left := sum(one.state in UNDONE for one in outcomes):
        line = f"{left} members remain: repeat the command with hydra.sweep.dir={folder}"
        console.print(f"{line} resume=auto", highlight=False, markup=False, soft_wrap=True)
