"""The members of a sweep, computed in this process: batches, single runs, pictures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from pdesim.engine.device import Placement, start_tensorflow
from pdesim.errors import InterruptedRun, PdesimError
from pdesim.render.background import draw, effective_animation
from pdesim.run.execute import describe_to_paraview, execute
from pdesim.run.progress import Share
from pdesim.run.stopping import StopRequests
from pdesim.sweep.members import Batch, Member, Outcome, batches


def settle(
    prepared: Sequence[Member | Outcome], console: Console
) -> tuple[list[Outcome], list[Member]]:
    """What is decided before anything is computed, and the members that wait for it."""
    outcomes = [one for one in prepared if isinstance(one, Outcome)]
    waiting = []
    for one in prepared:
        if isinstance(one, Member):
            for note in one.notes:
                console.print(
                    f"{one.folder}: {note}", highlight=False, markup=False, soft_wrap=True
                )
            if one.plan is None:
                outcomes.append(Outcome(one.number, one.folder, "skipped"))
            else:
                waiting.append(one)
    return outcomes, waiting


def compute(waiting: Sequence[Member], console: Console, stop: StopRequests) -> list[Outcome]:
    """Batch after batch, then the pictures; after a request to stop nothing more is begun."""
    if not waiting:
        return []
    outcomes = []
    try:
        placement = start_tensorflow(waiting[0].plan.settings.device)
    except PdesimError as error:
        return [Outcome(m.number, m.folder, "failed", error) for m in waiting]
    for batch in batches(waiting, placement.is_gpu):
        if stop.reason is not None:
            outcomes += [_not_started(member, stop) for member in batch.members]
            continue
        share = _share(len(outcomes), len(batch.members), len(waiting))
        if batch.alone:
            outcomes.append(_run_alone(batch.members[0], console, stop, share))
        else:
            outcomes += _run_together(batch, placement, console, stop, share)
    if stop.reason is None:
        _draw(waiting, outcomes, console)
    return outcomes


def _share(before: int, size: int, total: int) -> Share:
    told = f"{before} of {total} members done, " if size < total else ""
    return Share(before / total, size / total, told)


def _not_started(member: Member, stop: StopRequests) -> Outcome:
    why, code = stop.reason
    return Outcome(member.number, member.folder, "not started", InterruptedRun(why, exit_code=code))


def _run_together(
    batch: Batch,
    placement: Placement,
    console: Console,
    stop: StopRequests,
    share: Share,
) -> list[Outcome]:
    from pdesim.sweep.batch import run_batch  # imports TensorFlow, which has started quietly now

    try:
        return run_batch(batch.members, placement, console, stop, share)
    except PdesimError as error:
        return [Outcome(m.number, m.folder, "failed", error) for m in batch.members]


def _run_alone(member: Member, console: Console, stop: StopRequests, share: Share) -> Outcome:
    state, error = "finished", None
    try:
        execute(
            member.plan, member.folder, member.config_yaml, console,
            goes_on=member.goes_on, pictures=False, stop=stop, share=share,
        )  # fmt: skip
    except PdesimError as problem:
        error = problem
        state = "interrupted" if isinstance(problem, InterruptedRun) else "failed"
    return Outcome(member.number, member.folder, state, error)


def _draw(waiting: Sequence[Member], outcomes: Sequence[Outcome], console: Console) -> None:
    """After all computing: what is drawn can be drawn again, what is computed should not wait."""
    finished = {one.number for one in outcomes if one.state == "finished"}
    with console.status("drawing") as status:
        for member in waiting:
            if member.number in finished:
                status.update(f"drawing {member.folder}")
                describe_to_paraview(member.folder)
                draw(member.folder, effective_animation(member.plan.settings), console)
