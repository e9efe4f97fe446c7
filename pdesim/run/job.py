"""Jobs (runs to be computed) and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdesim.errors import InterruptedRun, PdesimError
from pdesim.output import RunFolder
from pdesim.plan import Plan


@dataclass(frozen=True)
class JobPart:
    """The part of a run that one of several processes computes.

    Args:
        folder: the folder of the frames and checkpoints of the part.
        number, count: the number of the part, and the number of parts.
        first, rows: the first row and the number of rows, along the first array axis.
        first_frame: the number of frames that the run had stored when it was started or resumed.
    """

    folder: Path
    number: int
    count: int
    first: int
    rows: int
    first_frame: int


@dataclass(frozen=True)
class Job:
    """A run to be computed.

    Args:
        plan: the plan of the run or, to resume a run, of its remaining part.
        folder: folder of the run's files, which is created if it is missing.
        config_yaml: the resolved configuration as YAML text, which is stored with the frames.
        resume: whether to append to the frames in the folder.
        number: number of the member in its sweep; 0 for a single run.
        attributes: further attributes of the snapshot file of a new run.
        part: the part of the grid that this process computes; None: the complete grid.
    """

    plan: Plan
    folder: Path
    config_yaml: str
    resume: bool = False
    number: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    part: JobPart | None = None

    @property
    def files(self) -> RunFolder:
        """The folder of the frames and checkpoints."""
        run = RunFolder(self.folder)
        return run if self.part is None else RunFolder(self.part.folder)

    @property
    def is_first_part(self) -> bool:
        """Whether this process writes what concerns the complete run, such as the observables."""
        return self.part is None or self.part.number == 0


@dataclass(frozen=True)
class Outcome:
    """The state in which a job ended.

    Args:
        number: number of the member in its sweep; 0 for a single run.
        folder: folder of the run's files.
        state: "finished", "failed", "interrupted", "not started" (the sweep was stopped before this
            member started), or "skipped" (the run was already finished).
        error: the cause of the state; None if the state is "finished" or "skipped".
        notes: messages for the user, which are printed before the sweep starts.
    """

    number: int
    folder: Path
    state: str
    error: PdesimError | None = None
    notes: tuple[str, ...] = ()


def state_of(error: PdesimError | None) -> str:
    """Return the state of a job that ended with this error; None means without an error."""
    if error is None:
        return "finished"
    return "interrupted" if isinstance(error, InterruptedRun) else "failed"


def outcome_of(job: Job, error: PdesimError | None) -> Outcome:
    """Return the outcome of a job that was started and ended with this error, or without one."""
    return Outcome(job.number, job.folder, state_of(error), error)
