"""Computation of a sweep's members in this process, in batches, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from pdesim.engine.device import start_tensorflow
from pdesim.errors import InterruptedRun, PdesimError
from pdesim.render.background import draw
from pdesim.run.execute import Options, execute
from pdesim.run.job import Outcome, outcome_of
from pdesim.run.pictures import picture_settings, redraw_others
from pdesim.run.progress import SweepProgress
from pdesim.run.stopping import StopRequests
from pdesim.sweeps.members import Member, batches


def sort_prepared(
    prepared: Sequence[Member | Outcome], console: Console
) -> tuple[list[Outcome], list[Member]]:
    """Separate members that need no computation, whose outcome is known, from the others.

    The notes on all members are printed.
    """
    for one in prepared:
        for note in one.notes:
            console.print(f"{one.folder}: {note}", highlight=False, markup=False, soft_wrap=True)
    outcomes = [one for one in prepared if isinstance(one, Outcome)]
    return outcomes, [one for one in prepared if isinstance(one, Member)]


def compute(
    members: Sequence[Member],
    console: Console,
    stop: StopRequests,
    done: int = 0,
    total: int | None = None,
) -> list[Outcome]:
    """Compute members batch by batch, and then draw the pictures of all finished members.

    After a request to stop, no further batch is started, and no picture is drawn.

    Args:
        members: the members.
        console: the console for notes and progress.
        stop: requests to stop.
        done: number of members that were done before, for the progress.
        total: number of all members, for the progress; None: those that are computed here.
    """
    total = len(members) if total is None else total
    if not members:
        return []
    outcomes: list[Outcome] = []
    try:
        placement = start_tensorflow(members[0].plan.settings.device)
    except PdesimError as error:
        return [outcome_of(member, error) for member in members]
    for batch in batches(members, placement):
        if stop.reason is not None:
            outcomes += [_not_started(member, stop.reason) for member in batch.members]
            continue
        options = Options(
            detailed=batch.alone,
            pictures=False,
            together=batch.together,
            progress=_progress(done + len(outcomes), len(batch.members), total),
        )
        outcomes += execute(batch.members, console, options, stop)
    if stop.reason is None:
        _draw(members, outcomes, console)
    return outcomes


def _progress(before: int, size: int, total: int) -> SweepProgress:
    prefix = f"{before} of {total} members done, " if size < total else ""
    return SweepProgress(before / total, size / total, prefix)


def _not_started(member: Member, reason: tuple[str, int]) -> Outcome:
    message, code = reason
    error = InterruptedRun(message, exit_code=code)
    return Outcome(member.number, member.folder, "not started", error)


def _draw(members: Sequence[Member], outcomes: Sequence[Outcome], console: Console) -> None:
    """Draw the pictures of the finished members."""
    finished = {one.number for one in outcomes if one.state == "finished"}
    with console.status("drawing") as status:
        for member in members:
            if member.number in finished:
                status.update(f"drawing {member.folder}")
                draw(member.folder, picture_settings(member), console)
                redraw_others(member, console)
