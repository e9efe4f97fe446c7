"""Execution of jobs that share a compiled program: from their plans to their files.

A single run is a batch of one job. :class:`Options` determine what differs between a single run and
the members of a sweep, such as the lines on the console.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from pdesim.engine.device import Placement, start_tensorflow
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.hosts import hosts_of
from pdesim.engine.memory import check_batch_memory
from pdesim.engine.startup import start_for
from pdesim.errors import PdesimError
from pdesim.render.background import PREWARM_CELL_UPDATES, BackgroundRenderer, draw
from pdesim.run.batch import Batch
from pdesim.run.files import write_paraview_description
from pdesim.run.job import Job, Outcome, outcome_of
from pdesim.run.on_hosts import execute_on_hosts, no_hosts_error
from pdesim.run.options import Options
from pdesim.run.pictures import picture_settings, redraw_others
from pdesim.run.preflight import check_alone
from pdesim.run.steady import draw_residuals
from pdesim.run.stopping import StopRequests, stop_requests

if TYPE_CHECKING:
    pass

log = logging.getLogger("pdesim")

#: a run reports for how long it has waited for the disk if this exceeds this number of seconds
NOTABLE_WAIT_SECONDS = 0.5


def execute_single(job: Job, console: Console, options: Options) -> None:
    """Compute a single run.

    Raises:
        PdesimError: the error that ended the run. The frames computed before the error are on the
            disk, and ``status.json`` contains the error.
    """
    check_alone(job.plan)
    hosts = hosts_of(job.plan.settings.device)
    if hosts is None:
        (outcome,) = execute([job], console, options)
    else:
        outcome = execute_on_hosts(job, hosts, console, options)
    if outcome.error is not None:
        raise outcome.error


def execute(
    jobs: Sequence[Job], console: Console, options: Options, stop: StopRequests | None = None
) -> list[Outcome]:
    """Compute jobs that share a compiled program, and write their files.

    If the fields of one job become infinite, or its files cannot be written, only this job fails.
    After a request to stop, the remaining jobs write a checkpoint and end as "interrupted".

    Args:
        jobs: the jobs; at least one.
        console: the console for notes and progress.
        options: see :class:`Options`.
        stop: requests to stop that concern the entire sweep. None: stop after a signal, or after
            ``time.wall_limit`` of the first job.

    Returns:
        The outcomes, in the order of the jobs.
    """
    began, first = time.time(), jobs[0]
    limit = first.plan.settings.time.wall_limit
    animation = picture_settings(first)
    if not options.pictures:
        animation = animation.model_copy(update={"name": "none"})
    with BackgroundRenderer(first.folder, animation, first.plan.times) as renderer:
        if first.plan.steps_left * first.plan.grid.cells >= PREWARM_CELL_UPDATES:
            renderer.prewarm()  # in parallel to the import of TensorFlow, which uses only one core
        with stop_requests(limit) if stop is None else contextlib.nullcontext(stop) as requests:
            try:
                if first.plan.settings.device.hosts is not None:
                    raise no_hosts_error()
                check_distributed(first.plan, in_batch=not options.detailed)
                placement = _start(jobs, options.owns_process)
                check_batch_memory([job.plan for job in jobs], placement)
            except PdesimError as error:
                return [outcome_of(job, error) for job in jobs]
            batch = Batch(placement, console, options, requests, renderer, began)
            outcomes = batch.execute(jobs)
        unsolved = first.plan.is_steady and outcomes[0].error is not None
        for run in batch.runs if not unsolved else ():
            write_paraview_description(run.job.folder)
        if first.plan.is_steady and animation.name != "none":
            draw_residuals(first.folder, first.plan)
        drawn = outcomes[0].error is None and renderer.finish()
    if batch.runs and not drawn and not unsolved and outcomes[0].state != "interrupted":
        draw(first.folder, animation, console)
    if options.pictures and outcomes[0].state == "finished":
        redraw_others(first, console)
    return outcomes


def _start(jobs: Sequence[Job], owns_process: bool) -> Placement:
    plans = [job.plan for job in jobs]
    return start_for(plans) if owns_process else start_tensorflow(plans[0].settings.device)
