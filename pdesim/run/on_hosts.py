"""A run whose grid several processes share, usually on several hosts.

Each process advances its own rows and writes them into ``parts/NUMBER`` in the folder of the run.
At the end, the first process joins the parts into the files of an ordinary run
(:mod:`pdesim.output.parts`), and draws its pictures.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

import pdesim
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.hosts import Hosts
from pdesim.engine.memory import check_device_memory
from pdesim.engine.startup import start_for
from pdesim.errors import DeviceError, LostHostError, OutputError, PdesimError
from pdesim.files import dump_yaml, load_yaml
from pdesim.output import RunFolder, Snapshots
from pdesim.output.parts import has_parts, join_parts
from pdesim.render.background import draw
from pdesim.run.agreement import Agreement
from pdesim.run.batch import Batch
from pdesim.run.files import write_paraview_description
from pdesim.run.job import Job, JobPart, Outcome, outcome_of
from pdesim.run.options import Options
from pdesim.run.pictures import picture_settings, redraw_others
from pdesim.run.stopping import stop_requests

#: the time in seconds that a process waits until the first one has joined the files of an
#: interrupted run
JOIN_SECONDS, POLL_SECONDS = 120.0, 0.2


def execute_on_hosts(job: Job, hosts: Hosts, console: Console, options: Options) -> Outcome:
    """Compute the part of a run that belongs to this process, and write its files.

    Args:
        job: the job of the complete run.
        hosts: the processes, all of which must call this function.
        console: the console for notes and progress, which only the first process uses.
        options: see :class:`Options`.
    """
    if not hosts.is_first:
        console = Console(stderr=True, quiet=True)
    try:
        return _execute(job, hosts, console, options)
    except PdesimError as error:
        return outcome_of(job, error)


def _execute(job: Job, hosts: Hosts, console: Console, options: Options) -> Outcome:
    began = time.time()
    if not options.allows_hosts:
        raise no_hosts_error()
    check_distributed(job.plan)
    # these modules need TensorFlow, which must not be imported before its threads are configured
    placement = start_for([job.plan], lambda: _connect(hosts))
    from pdesim.engine.distributed.processes import ProcessCommunicator

    check_device_memory([job.plan], placement)
    last_axis = job.plan.grid.dimensions - 1
    ring = job.plan.problem.boundary.is_periodic(last_axis)
    agreement = Agreement(ProcessCommunicator(hosts, ring))
    job = _shared_job(job, agreement)
    with stop_requests(job.plan.settings.time.wall_limit) as requests:
        batch = Batch(placement, console, options, requests, None, began, agreement)
        (outcome,) = batch.execute([job])
    error = outcome.error
    folder = job.folder if hosts.is_first else job.folder.parent.parent
    if isinstance(error, OutputError):  # the others end when the connection to this process is lost
        hint = error.hint.replace(str(job.files.path), str(folder))
        return outcome_of(job, OutputError(error.problem, error.expected, hint))
    try:
        if isinstance(error, LostHostError):
            raise error
        agreement.wait()  # all processes have closed their files
    except LostHostError as lost:
        return outcome_of(job, LostHostError(lost.problem, hint=_remedy(folder, hosts)))
    if hosts.is_first:
        _finish(job, outcome, console)
    with contextlib.suppress(LostHostError):  # a process that has finished may end earlier
        agreement.wait()
    return outcome


def _remedy(folder: Path, hosts: Hosts) -> str:
    """Return how a run is continued whose connection to a process was lost, as a hint."""
    run = RunFolder(folder)
    parts = (run.part(number).snapshots.exists() for number in range(hosts.count))
    if run.snapshots.exists() or all(parts):
        return f"pdesim resume {folder}   continues the run from its last checkpoint"
    return "the run has no frames: start all processes again, with output.overwrite=true"


def no_hosts_error() -> DeviceError:
    """Return the error for other runs than single ones that are started from the command line."""
    return DeviceError(
        "device.hosts does not apply to sweeps, branches, runs that are computed again, and runs "
        "that are started from Python",
        "pdesim SETTINGS or pdesim resume RUN",
        "the members of a sweep can be computed on several hosts by workers=ray or "
        "workers=submitit_slurm",
    )


def wait_until_joined(folder: Path, seconds: float = JOIN_SECONDS) -> None:
    """Wait until the first process has joined the files of a run that is to be resumed.

    Raises:
        LostHostError: if it has not done so within ``seconds``.
    """
    end = time.monotonic() + seconds
    while has_parts(folder):
        if time.monotonic() > end:
            raise LostHostError(
                f"the files in {RunFolder(folder).parts} were not joined within {seconds:g} "
                "seconds",
                "process 0 of device.hosts, started with the same command, which joins them",
            )
        time.sleep(POLL_SECONDS)


def _connect(hosts: Hosts) -> None:
    from pdesim.engine.distributed.processes import connect

    connect(hosts)


def _finish(job: Job, outcome: Outcome, console: Console) -> None:
    """Join the files of all processes, and draw the pictures of a finished run."""
    join_parts(job.folder)
    write_paraview_description(job.folder)
    if outcome.state != "interrupted":
        draw(job.folder, picture_settings(job), console)
    if outcome.state == "finished":
        redraw_others(job, console)


def _shared_job(job: Job, agreement: Agreement) -> Job:
    """Return the job of this process, with the folder of the first process.

    Raises:
        DeviceError: if another process has other settings or another version of a program.
        OutputError: if this process cannot see the folder of the first one.
    """
    from pdesim.engine.distributed.division import decompose

    processes = agreement.communicator
    assert processes is not None
    config_yaml = without_hosts(job.config_yaml)
    _check_equal(processes.gather_text(_identity(job, config_yaml)), processes.hosts)
    run = RunFolder(job.folder)
    frames = stored_frames(run) if job.resume and processes.rank == 0 else 0
    described = json.dumps([str(job.folder.resolve()), frames])
    folder, frames = json.loads(processes.gather_text(described)[0])
    if not Path(folder).is_dir():
        raise OutputError(
            f"the folder of the run, {folder}, does not exist on this host",
            "a folder that all hosts share under the same path",
        )
    part = decompose(job.plan, processes.size)[0][processes.rank]
    place = RunFolder(Path(folder)).part(processes.rank).path
    return replace(
        job,
        folder=job.folder if processes.rank == 0 else place,
        config_yaml=config_yaml,
        part=JobPart(place, processes.rank, processes.size, part.first, part.rows, frames),
    )


def without_hosts(config_yaml: str) -> str:
    """Return settings without the addresses, which are not those of a later process."""
    values = load_yaml(config_yaml)
    values["device"] = {**values.get("device", {}), "hosts": None, "host": None}
    return dump_yaml(values)


def stored_frames(run: RunFolder) -> int:
    """Return the number of frames of a run that is resumed."""
    with Snapshots(run.snapshots) as snapshots:
        return len(snapshots.times)


def _identity(job: Job, config_yaml: str) -> str:
    """Return what must be equal in all processes, as JSON."""
    settings = {k: v for k, v in load_yaml(config_yaml).items() if k != "label"}
    since = job.plan.resume_from
    return json.dumps(
        {
            "pdesim": pdesim.__version__,
            "TensorFlow": version("tensorflow"),
            "NumPy": version("numpy"),
            "settings": settings,
            "checkpoint": None if since is None else [since.steps, since.time],
        },
        sort_keys=True,
    )


def _check_equal(texts: list[str], hosts: Hosts) -> None:
    """Check that all processes have the same settings and the same versions.

    Raises:
        DeviceError: if not. The message names the first difference.
    """
    first = json.loads(texts[0])
    for address, text in zip(hosts.addresses, texts, strict=True):
        other = json.loads(text)
        for name, value in first.items():
            if other[name] == value:
                continue
            if name == "settings":
                name, value, other[name] = _difference(value, other[name])
            raise DeviceError(
                f"the processes differ: {name} is {other[name]} at {address} and {value} at "
                f"{hosts.addresses[0]}",
                "the same settings, the same files and the same versions for all processes",
            )


def _difference(first: dict, other: dict) -> tuple[str, object, object]:
    """Return the name of a setting that differs, and both values."""
    for section in sorted(first.keys() | other.keys()):
        one, two = first.get(section), other.get(section)
        if one == two:
            continue
        if isinstance(one, dict) and isinstance(two, dict):
            name, *_ = found = _difference(one, two)
            return f"{section}.{name}", found[1], found[2]
        return section, one, two
    return "settings", first, other
