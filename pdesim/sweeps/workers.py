"""Workers: other processes and machines that compute parts of a sweep.

An engine is a function that calls :func:`compute_part` in a worker for every part of the sweep. It
yields the results as they arrive: the outcomes of a part, or the exception that ended a worker.
Parts and outcomes are plain data, which can be sent between processes. All workers must be able to
write into the folder of the sweep.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

from rich.console import Console

from pdesim.engine.gpu import gpus_of_workers, use_gpu
from pdesim.errors import ConfigError, InterruptedRun, MissingExtraError, PdesimError
from pdesim.output import RunFolder
from pdesim.run.job import Outcome
from pdesim.run.stopping import Owner, StopRequests, stop_requests
from pdesim.settings import Workers
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.compute import compute, sort_prepared
from pdesim.sweeps.members import Member, prepare_member, program_of

#: file in a sweep's folder whose existence stops all workers
STOP = ".stop"
#: seconds between checks whether workers have finished, if the engine does not send a notice
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Part:
    """The part of a sweep that one worker computes.

    Args:
        jobs: the number and the overrides of each member.
        folder: folder of the sweep.
        config_dir: folder of the user's configuration files.
        directory: working directory; formulas may name files relative to this directory.
        wall_limit: limit of wall-clock time in seconds; None: unlimited.
        owner: the process that waits for the worker. The worker stops when this process has ended,
            because otherwise the sweep could not be restarted: its files would still be written.
        gpu: the GPU of the worker, as in ``CUDA_VISIBLE_DEVICES``; None: all that are visible.
    """

    jobs: tuple[tuple[int, tuple[str, ...]], ...]
    folder: Path
    config_dir: str | None
    directory: Path
    wall_limit: float | None
    owner: Owner | None = None
    gpu: str | None = None


Results = Iterator[list[Outcome] | Exception]


def compute_part(part: Part) -> list[Outcome]:
    """Plan and compute the members of a part. This function is called in the worker."""
    os.chdir(part.directory)
    use_gpu(part.gpu)  # before TensorFlow starts
    console, compose = Console(stderr=True, quiet=True), Composer(part.config_dir, trusted=True)
    with stop_requests(part.wall_limit, part.folder / STOP, part.owner) as stop:
        prepared = [
            prepare_member(number, part.folder / str(number), words, compose)
            for number, words in part.jobs
        ]
        outcomes, members = sort_prepared(prepared, console)
        return outcomes + compute(members, console, stop)


def compute_elsewhere(
    waiting: Sequence[Member],
    folder: Path,
    config_dir: str | None,
    workers: Workers,
    wall_limit: float | None,
    console: Console,
) -> list[Outcome]:
    """Compute members with at most ``workers.n`` workers, each of which computes a part.

    Workers on this machine have a GPU each if there are several. Clusters assign GPUs themselves.
    If a worker is lost, the others continue. The outcomes of the lost worker's members are read
    from their files.

    Args:
        waiting: the members to compute.
        folder: folder of the sweep.
        config_dir: folder of the user's configuration files.
        workers: the settings of the workers.
        wall_limit: limit of wall-clock time in seconds; None: unlimited.
        console: the console for the progress display.

    Raises:
        MissingExtraError: if the engine is not installed.
        ConfigError: if the engine does not accept its options.
    """
    config_path = None if config_dir is None else str(Path(config_dir).resolve())
    # jobs on a cluster continue when the process that has submitted them ends
    owner = None if workers.name == "submitit_slurm" else Owner.current()
    shares = divide(waiting, workers.n)
    on_this_machine = workers.name in ON_THIS_MACHINE
    gpus = gpus_of_workers(len(shares)) if on_this_machine else [None] * len(shares)
    parts = [
        Part(tuple((m.number, m.overrides) for m in members), folder.resolve(), config_path,
             Path.cwd(), wall_limit, owner, gpu)
        for members, gpu in zip(shares, gpus, strict=True)
    ]  # fmt: skip
    stop_file, lost = folder / STOP, list[str]()
    done: dict[int, Outcome] = {}
    stop_file.unlink(missing_ok=True)
    label = f"{len(parts)} workers ({workers.name})"
    try:
        with stop_requests(None, stop_file) as stop, console.status(label) as status:
            for result in ENGINES[workers.name](parts, folder.resolve(), workers):
                if isinstance(result, Exception):
                    lost.append(f"{type(result).__name__}: {result}")
                else:
                    done |= {one.number: one for one in result}
                status.update(f"{label}: {len(done)} of {len(waiting)} members done")
    finally:
        stop_file.unlink(missing_ok=True)
    missing = [_outcome_from_files(m, lost) for m in waiting if m.number not in done]
    return [*(_with_signal(one, stop) for one in done.values()), *missing]


def _with_signal(outcome: Outcome, stop: StopRequests) -> Outcome:
    """Return the outcome with an error that names the signal, which workers do not know."""
    if not (stop.caught and stop.reason and isinstance(outcome.error, InterruptedRun)):
        return outcome
    message, code = stop.reason
    return replace(outcome, error=InterruptedRun(message, exit_code=code))


def divide(members: Sequence[Member], count: int) -> list[list[Member]]:
    """Divide members into at most ``count`` parts of nearly equal size.

    Members that share a program are assigned to the same part if possible.
    """
    ordered = sorted(members, key=lambda member: (program_of(member), member.number))
    count = min(count, len(ordered))
    ends = [len(ordered) * n // count for n in range(count + 1)]
    return [ordered[begin:end] for begin, end in itertools.pairwise(ends)]


def _outcome_from_files(member: Member, lost: Sequence[str]) -> Outcome:
    """Return the outcome of a member whose worker has not returned an outcome."""
    if RunFolder(member.folder).read_status_or_empty().get("state") == "finished":
        return Outcome(member.number, member.folder, "finished")
    cause = lost[0].splitlines()[0] if lost else "no result was returned"
    error = PdesimError(f"the worker of this member was lost: {cause}")
    return Outcome(member.number, member.folder, "failed", error)


def _local(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
    """Use processes on this machine, each of which computes one part and has its own pool.

    A pool of several processes would end all of them when one is lost.
    """
    context = get_context("spawn")  # TensorFlow must not be forked
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, mp_context=context)) for _ in parts]
        jobs = [pool.submit(compute_part, part) for pool, part in zip(pools, parts, strict=True)]
        for job in as_completed(jobs):
            yield _result(job.result)


def _joblib(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
    """Use processes on this machine. https://joblib.readthedocs.io"""
    joblib = _installed("joblib", workers)
    with _option_errors(workers):
        pool = joblib.Parallel(
            n_jobs=len(parts), return_as="generator_unordered", **workers.options
        )
    try:
        yield from pool(joblib.delayed(compute_part)(part) for part in parts)
    except Exception as error:
        yield error


def _submitit(cluster: str) -> Callable[..., Results]:
    """Return an engine that uses processes on this machine, or jobs of Slurm.

    https://github.com/facebookincubator/submitit
    """

    def engine(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
        submitit = _installed("submitit", workers)
        with _option_errors(workers):
            executor = submitit.AutoExecutor(folder / ".submitit", cluster=cluster)
            executor.update_parameters(**workers.options)
            jobs = executor.map_array(compute_part, parts)
        while jobs:
            for job in [job for job in jobs if job.done()]:
                jobs.remove(job)
                yield _result(job.result)
            time.sleep(POLL_SECONDS)

    return engine


def _ray(parts: Sequence[Part], folder: Path, workers: Workers) -> Results:
    """Use tasks on the Ray cluster at RAY_ADDRESS, or on this machine. https://docs.ray.io"""
    ray = _installed("ray", workers)
    with _option_errors(workers):
        ray.init(ignore_reinit_error=True, log_to_driver=False)
        task = ray.remote(compute_part)
        jobs = [task.options(**workers.options).remote(part) for part in parts]
    while jobs:
        done, jobs = ray.wait(jobs, timeout=POLL_SECONDS)
        for job in done:
            yield _result(partial(ray.get, job))


ENGINES: Mapping[str, Callable[[Sequence[Part], Path, Workers], Results]] = {
    "local": _local,
    "joblib": _joblib,
    "submitit_local": _submitit("local"),
    "submitit_slurm": _submitit("slurm"),
    "ray": _ray,
}
#: engines whose workers share the GPUs of this machine
ON_THIS_MACHINE = ("local", "joblib", "submitit_local")


def _installed(package: str, workers: Workers) -> ModuleType:
    try:
        return import_module(package)
    except ImportError:
        raise MissingExtraError(f"workers={workers.name}", package, package) from None


@contextmanager
def _option_errors(workers: Workers) -> Iterator[None]:
    """Convert errors during the start of an engine to ConfigError with the first line of each."""
    try:
        yield
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"workers={workers.name} cannot start: {first}",
            hint="use other workers.options, or workers=local",
        ) from None


def _result(get: Callable[[], list[Outcome]]) -> list[Outcome] | Exception:
    try:
        return get()
    except Exception as error:
        return error
