"""A job, which is a run to be computed, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pdesim.errors import InterruptedRun, PdesimError
from pdesim.plan import Plan


@dataclass(frozen=True)
class Job:
    """A run to be computed.

    Args:
        plan: the plan, or the rest of one.
        folder: folder of the run's files; created if it is missing.
        config_yaml: the resolved configuration, stored with the frames.
        resume: append to the frames that the folder contains.
        number: number of the member in its sweep; 0 for a single run.
    """

    plan: Plan
    folder: Path
    config_yaml: str
    resume: bool = False
    number: int = 0


@dataclass(frozen=True)
class Outcome:
    """State in which a job ended.

    Args:
        state: "finished", "failed", "interrupted", "not started" (the sweep was stopped before), or
            "skipped" (the run was finished before).
        error: the cause, where the state is not "finished" or "skipped".
        notes: lines for the user, printed before the sweep starts.
    """

    number: int
    folder: Path
    state: str
    error: PdesimError | None = None
    notes: tuple[str, ...] = ()


def state_of(error: PdesimError | None) -> str:
    """Return the state of a job that ended with this error."""
    if error is None:
        return "finished"
    return "interrupted" if isinstance(error, InterruptedRun) else "failed"


def outcome_of(job: Job, error: PdesimError | None) -> Outcome:
    """Return the outcome of a job that was started."""
    return Outcome(job.number, job.folder, state_of(error), error)
