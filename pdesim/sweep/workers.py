"""Workers elsewhere: other processes and machines, each with many members of a sweep.

An engine is a function that carries :func:`compute_part` out somewhere, once for every part, and
yields what comes back as it comes: outcomes, or the exception that ended a worker. Parts and
outcomes are plain data; results go to the sweep's folder, which all workers have to see.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rich.console import Console

from pdesim.errors import ConfigError, InterruptedRun, MissingExtraError, PdesimError
from pdesim.output import RunFolder
from pdesim.run.job import Outcome
from pdesim.run.stopping import Owner, StopRequests, stop_requests
from pdesim.settings import Workers
from pdesim.sweep.compose import Composer
from pdesim.sweep.compute import compute, sort_prepared
from pdesim.sweep.members import Member, prepare_member, program_of

#: while it lies in a sweep's folder, all workers stop
STOP = ".stop"
#: seconds between looks at workers that cannot call back
PATIENCE = 1.0


@dataclass(frozen=True)
class Part:
    """What one worker computes: ``jobs`` are numbers and overrides of members.

    ``owner`` is the process that waits for the worker; without it, nobody would tell the worker to
    stop, and a restarted sweep would find its members being written.
    """

    jobs: tuple[tuple[int, tuple[str, ...]], ...]
    folder: Path
    config_dir: str | None
    directory: Path
    wall_limit: float | None
    owner: Owner | None = None


Results = Iterator[list[Outcome] | Exception]


def compute_part(part: Part) -> list[Outcome]:
    """A worker's work: plan its members and compute them, batch after batch."""
    os.chdir(part.directory)  # formulas may name files
    console, compose = Console(stderr=True, quiet=True), Composer(part.config_dir, trusted=True)
    with stop_requests(part.wall_limit, part.folder / STOP, part.owner) as stop:
        prepared = [
            prepare_member(number, part.folder / str(number), words, compose)
            for number, words in part.jobs
        ]
        outcomes, waiting = sort_prepared(prepared, console)
        return outcomes + compute(waiting, console, stop)


def compute_elsewhere(
    waiting: Sequence[Member],
    folder: Path,
    config_dir: str | None,
    workers: Workers,
    wall_limit: float | None,
    console: Console,
) -> list[Outcome]:
    """Compute members with ``workers.n`` workers, a part of the sweep each.

    A worker that is lost takes no other with it: its members have the state that their files tell.

    Raises:
        MissingExtraError: if the engine is not installed.
        ConfigError: if it refuses its options.
    """
    own = None if config_dir is None else str(Path(config_dir).resolve())
    # jobs of a cluster are meant to survive the shell that submitted them
    owner = None if workers.name == "submitit_slurm" else Owner.current()
    parts = [
        Part(tuple((m.number, m.overrides) for m in members), folder.resolve(), own, Path.cwd(),
             wall_limit, owner)
        for members in divide(waiting, workers.n)
    ]  # fmt: skip
    stop_file, found, lost = folder / STOP, {}, []
    stop_file.unlink(missing_ok=True)
    told = f"{len(parts)} workers ({workers.name})"
    try:
        with stop_requests(None, stop_file) as stop, console.status(told) as status:
            for result in ENGINES[workers.name](parts, folder.resolve(), workers):
                if isinstance(result, Exception):
                    lost.append(f"{type(result).__name__}: {result}")
                else:
                    found |= {one.number: one for one in result}
                status.update(f"{told}: {len(found)} of {len(waiting)} members done")
    finally:
        stop_file.unlink(missing_ok=True)
    missing = [_as_left(m, lost) for m in waiting if m.number not in found]
    return [*(_as_asked(one, stop) for one in found.values()), *missing]


def _as_asked(outcome: Outcome, stop: StopRequests) -> Outcome:
    """With the signal that this process caught; workers learn only that there was one."""
    if not (stop.caught and isinstance(outcome.error, InterruptedRun)):
        return outcome
    why, code = stop.reason
    return replace(outcome, error=InterruptedRun(why, exit_code=code))


def divide(members: Sequence[Member], count: int) -> list[list[Member]]:
    """At most ``count`` parts of nearly equal size, members of one program side by side."""
    ordered = sorted(members, key=lambda member: (program_of(member), member.number))
    count = min(count, len(ordered))
    ends = [len(ordered) * n // count for n in range(count + 1)]
    return [ordered[begin:end] for begin, end in itertools.pairwise(ends)]


def _as_left(member: Member, lost: Sequence[str]) -> Outcome:
    """How a member ended whose worker told nothing."""
    if RunFolder(member.folder).read_status_or_empty().get("state") == "finished":
        return Outcome(member.number, member.folder, "finished")
    why = lost[0].splitlines()[0] if lost else "it told nothing"
    error = PdesimError(f"its worker was lost: {why}")
    return Outcome(member.number, member.folder, "failed", error)


def _joblib(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
    """Processes on this machine. https://joblib.readthedocs.io"""
    joblib = _installed("joblib", workers)
    with _refusals(workers):
        pool = joblib.Parallel(
            n_jobs=len(parts), return_as="generator_unordered", **workers.options
        )
    try:
        yield from pool(joblib.delayed(compute_part)(part) for part in parts)
    except Exception as error:
        yield error


def _submitit(cluster: str) -> Callable[..., Results]:
    """Jobs of their own on this machine, or of Slurm. https://github.com/facebookincubator/submitit"""

    def engine(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
        submitit = _installed("submitit", workers)
        with _refusals(workers):
            executor = submitit.AutoExecutor(folder / ".submitit", cluster=cluster)
            executor.update_parameters(**workers.options)
            jobs = executor.map_array(compute_part, parts)
        while jobs:
            for job in [job for job in jobs if job.done()]:
                jobs.remove(job)
                yield _result(job.result)
            time.sleep(PATIENCE)

    return engine


def _ray(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
    """Tasks on a Ray cluster; RAY_ADDRESS says where, else one on this machine. https://docs.ray.io"""
    ray = _installed("ray", workers)
    with _refusals(workers):
        ray.init(ignore_reinit_error=True, log_to_driver=False)
        task = ray.remote(compute_part)
        jobs = [task.options(**workers.options).remote(part) for part in parts]
    while jobs:
        done, jobs = ray.wait(jobs, timeout=PATIENCE)
        for job in done:
            yield _result(lambda job=job: ray.get(job))


ENGINES: Mapping[str, Callable[[Sequence[Part], Path, Workers], Results]] = {
    "joblib": _joblib,
    "submitit_local": _submitit("local"),
    "submitit_slurm": _submitit("slurm"),
    "ray": _ray,
}


def _installed(package: str, workers: Workers) -> ModuleType:
    try:
        return import_module(package)
    except ImportError:
        raise MissingExtraError(f"workers={workers.name}", package, package) from None


@contextmanager
def _refusals(workers: Workers) -> Iterator[None]:
    """Whatever an engine says of its options is the user's to read, on one screen."""
    try:
        yield
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"workers={workers.name} cannot start: {first}",
            hint="other workers.options, or workers=local",
        ) from None


def _result(get: Callable[[], list[Outcome]]) -> list[Outcome] | Exception:
    try:
        return get()
    except Exception as error:
        return error
