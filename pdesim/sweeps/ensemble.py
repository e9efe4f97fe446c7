"""Ensembles: the mean and the variance over the members of a sweep, without storing the members.

The folder ``ensemble`` of the sweep has the files of a run, whose fields are ``u_mean`` and
``u_variance``. Its file ``moments.h5`` contains the moments of all members so far, so that a sweep
that was stopped goes on with the members that are missing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from pdesim.engine.device import Placement, start_tensorflow
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.errors import ConfigError, InterruptedRun, OutputError, PdesimError
from pdesim.files import load_yaml, make_folder
from pdesim.output import Layout, RunFolder, SnapshotWriter, create_snapshots, fingerprint
from pdesim.output.moments import BatchMoments, Moments, MomentsFile
from pdesim.plan import Plan, build_plan
from pdesim.render import render
from pdesim.render.background import effective_animation
from pdesim.run.files import file_attributes, write_paraview_description
from pdesim.run.job import Outcome, outcome_of
from pdesim.run.progress import SweepProgress, progress_display
from pdesim.run.stopping import StopRequests, stop_requests
from pdesim.settings import Settings
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.members import Batch, Member, batches

if TYPE_CHECKING:
    from pdesim.engine.blocks import Progress

FOLDER, SUMS, BATCH = "ensemble", "moments.h5", "batch.h5"


def compute_ensemble(
    jobs: Sequence[Sequence[str]], folder: Path, compose: Composer, console: Console
) -> list[Outcome]:
    """Compute all members of a sweep, and store their moments in ``folder/ensemble/``.

    Raises:
        ConfigError: for members whose moments cannot be computed.
        OutputError: if the files cannot be written, would overwrite another run, or contain other
            members.
    """
    members = _planned(jobs, folder, compose, console)
    first, run = members[0], RunFolder(folder / FOLDER)
    settings = first.plan.settings
    sums = MomentsFile(run.path / SUMS)
    if settings.resume != "auto":
        run.check_overwrite(settings.output.overwrite, "hydra.sweep.dir")
        sums.path.unlink(missing_ok=True)
    make_folder(run.path)
    began, done = time.time(), set(sums.members())
    if others := done - {_name(member) for member in members}:
        raise OutputError(
            f"{run.path} contains {len(others)} members with other settings than this sweep",
            "the sweep that was stopped, with the same members or more",
            "another hydra.sweep.dir, or resume=never output.overwrite=true",
        )
    waiting = [member for member in members if _name(member) not in done]
    outcomes = [Outcome(one.number, one.folder, "skipped") for one in members if _name(one) in done]
    with stop_requests(settings.time.wall_limit) as stop:
        outcomes += _compute(waiting, sums, len(done), len(members), console, stop)
    if sums.members():
        _store(first, sums)
        console.print(f"{run.path}", highlight=False, markup=False, soft_wrap=True)
        run.write_status(
            state="interrupted" if stop.reason else "finished",
            equation=first.plan.equation.name,
            members=len(sums.members()),
            seconds=round(time.time() - began, 3),
        )
    return outcomes


def _planned(
    jobs: Sequence[Sequence[str]], folder: Path, compose: Composer, console: Console
) -> list[Member]:
    """Return the members of an ensemble.

    Raises:
        ConfigError: if they have different fields, grids or frames, or cannot be part of one.
    """
    members = []
    with console.status("planning") as status:
        for number, overrides in enumerate(jobs):
            status.update(f"planning {number + 1} of {len(jobs)}")
            composed = compose(overrides)
            plan = build_plan(composed.settings, composed.equation)
            words = tuple(overrides)
            members.append(
                Member(plan, folder / str(number), composed.yaml, number=number, overrides=words)
            )
    _check_settings(members[0].plan)
    form = _form(members[0].plan)
    for member in members:
        if _form(member.plan) != form:
            raise ConfigError(
                f"output.ensemble: members 0 and {member.number} differ in their fields, their "
                "cells or their frames",
                "members that differ in seeds, parameters, boundary values and initial states",
            )
    return members


def _form(plan: Plan) -> tuple:
    return plan.equation.fields, plan.grid, plan.times.tobytes()


def _check_settings(plan: Plan) -> None:
    if plan.is_steady:
        raise ConfigError("output.ensemble needs runs in time", "an equation with equation.rhs")
    if plan.stops is not None:
        raise ConfigError(
            "output.ensemble needs members that run to time.end",
            "no stop condition",
            "stop.when=null stop.steady=null stop.frames=null",
        )
    if not plan.settings.workers.is_this_process:
        raise ConfigError(
            f"output.ensemble does not support workers={plan.settings.workers.name} with "
            f"workers.n={plan.settings.workers.n}",
            "workers=local workers.n=1, which computes members in batches",
        )


def _name(member: Member) -> str:
    """Return a digest of everything that determines the frames of a member."""
    settings = fingerprint(load_yaml(member.config_yaml)).encode()
    return hashlib.sha256(settings + member.plan.times.tobytes()).hexdigest()


def _compute(
    waiting: Sequence[Member],
    sums: MomentsFile,
    done: int,
    total: int,
    console: Console,
    stop: StopRequests,
) -> list[Outcome]:
    """Compute members batch by batch, and add the moments of each batch to the sums."""
    outcomes: list[Outcome] = []
    if not waiting:
        return outcomes
    placement = start_tensorflow(waiting[0].plan.settings.device)
    for batch in batches(waiting, placement):
        share = SweepProgress(
            (done + len(outcomes)) / total,
            len(batch.members) / total,
            f"{done + len(outcomes)} of {total} members done, ",
        )
        try:
            if stop.reason is not None:
                raise InterruptedRun(stop.reason[0], exit_code=stop.reason[1])
            outcomes += _compute_batch(batch, sums, placement, console, stop, share)
        except InterruptedRun as request:
            outcomes += [Outcome(m.number, m.folder, "not started", request) for m in batch.members]
    return outcomes


def _compute_batch(
    batch: Batch,
    sums: MomentsFile,
    placement: Placement,
    console: Console,
    stop: StopRequests,
    share: SweepProgress,
) -> list[Outcome]:
    """Compute a batch, whose failed members are left out from the frame at which they failed."""
    from pdesim.engine.distributed.simulation import build_simulation

    plans = [member.plan for member in batch.members]
    plan = plans[0]
    check_distributed(plan, in_batch=not batch.alone)
    simulation = build_simulation(plans, placement, measures=False, together=batch.together)
    file = BatchMoments(sums.path.with_name(BATCH), len(plan.times))
    file.create((len(plan.equation.fields), *plan.grid.shape))
    label = f"{plan.equation.name} x {len(batch.members)}"
    display = progress_display(console, label, plan.times[0], plan.end, plan.grid.cells, share)
    try:
        with display as update:

            def report(progress: Progress) -> None:
                update(progress.steps, progress.time, progress.seconds)
                stop.check(progress.time)

            for frame in simulation.frames(report):
                states = frame.state if len(batch.members) > 1 else frame.state[np.newaxis]
                kept = [n for n in range(len(batch.members)) if n not in simulation.failures]
                file.store(frame.index, Moments.of(states[kept]))
    except InterruptedRun:
        raise
    except PdesimError:
        if len(simulation.failures) < len(batch.members):
            raise
    else:
        sums.add(file, [_name(member) for member in batch.members])
    finally:
        file.path.unlink(missing_ok=True)
    return [
        outcome_of(member, simulation.failures.get(index))
        for index, member in enumerate(batch.members)
    ]


def _store(member: Member, sums: MomentsFile) -> None:
    """Write the snapshots of the ensemble, the description for ParaView, and the picture."""
    plan, run = member.plan, RunFolder(sums.path.parent)
    layout = _layout(plan)
    attributes = file_attributes(plan, layout, member.config_yaml)
    attributes |= {
        "title": f"{attributes['title']} ({len(sums.members())} members)",
        "ensemble_members": len(sums.members()),
    }
    create_snapshots(run.snapshots, layout, attributes)
    writer = SnapshotWriter(run.snapshots, layout)
    for index, instant in enumerate(plan.times):
        moments = sums.read(index)
        parts = {"mean": moments.mean, "variance": moments.variance()}
        chosen = [parts[kind] for kind in plan.settings.output.ensemble or ()]
        count = len(plan.equation.distributed)  # scalars follow the fields of all moments
        state = [part[:count] for part in chosen] + [part[count:] for part in chosen]
        writer.write(float(instant), np.concatenate(state))
    writer.close()
    write_paraview_description(run.path)
    _draw(plan.settings, run.path, plan.equation.fields)


def _layout(plan: Plan) -> Layout:
    """Return the contents of the snapshots: for each moment, that of every stored field."""
    kinds, names = plan.settings.output.ensemble or (), plan.equation.fields
    fields, scalars = plan.equation.distributed, plan.equation.scalars
    chosen = tuple(
        number * len(fields) + field
        for number in range(len(kinds))
        for field in plan.selection.fields
    )
    labels = {
        f"{name}_{kind}": f"{kind} of {plan.equation.labels.get(name, name)}"
        for kind in kinds
        for name in names
    }
    units = {
        f"{name}_{kind}": unit if kind == "mean" else f"({unit})^2"
        for name, unit in plan.equation.units.items()
        for kind in kinds
    }
    settings = plan.settings
    return Layout(
        plan.grid,
        tuple(f"{name}_{kind}" for kind in kinds for name in fields),
        replace(plan.selection, fields=chosen),
        np.dtype(settings.output.dtype or settings.device.precision),
        settings.output.compression,
        settings.output.keep_bits,
        labels,
        units,
        None if plan.problem.mask is None else plan.problem.mask.solid,
        scalars=tuple(f"{name}_{kind}" for kind in kinds for name in scalars),
    )


def _draw(settings: Settings, folder: Path, fields: Sequence[str]) -> None:
    """Draw the first moment of the field that pictures of members show."""
    animation = effective_animation(settings)
    field, kind = animation.field, (settings.output.ensemble or ["mean"])[0]
    shown = f"{field}_{kind}" if field in fields else None
    if animation.name != "none":
        render(RunFolder(folder).snapshots, animation.model_copy(update={"field": shown}))
