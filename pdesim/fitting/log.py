"""The log of a fit: every evaluation, in the order in which it was computed.

Optimisers are deterministic, so a fit is resumed by running its optimisers again with the logged
evaluations: they ask for the same points and continue where the log ends. Numbers are stored in
decimal digits that give the same bits when they are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import check_own_file, read_text, write_text
from pdesim.fitting.residuals import Evaluation
from pdesim.fitting.schedule import Schedule

#: the name of the log in the folder of a fit
LOG = "evaluations.jsonl"
VERSION = 1

Points = Sequence[Sequence[float]]


@dataclass
class Log:
    """The evaluations of a fit, in memory and in a file.

    The first line of the file contains the steps and a fingerprint of the fit; every further line
    contains the evaluations of one batch. A line that a killed process has not completed is
    ignored, so that a batch is either complete or computed again as a whole.

    Args:
        path: the file.
        evaluations: the evaluations by their point.
        refined: evaluations with steps of half the length, by their point.
    """

    path: Path
    evaluations: dict[tuple[float, ...], Evaluation] = field(default_factory=dict)
    refined: dict[tuple[float, ...], Evaluation] = field(default_factory=dict)

    @classmethod
    def create(cls, path: Path, fingerprint: str, schedule: Schedule) -> Log:
        """Write the first line, and return an empty log.

        Raises:
            OSError: if the file cannot be written.
        """
        header = {
            "format_version": VERSION,
            "fit": fingerprint,
            "targets": schedule.targets.tolist(),
            "steps": schedule.steps.tolist(),
        }
        write_text(path, json.dumps(header) + "\n")
        return cls(path)

    @classmethod
    def read(cls, path: Path, fingerprint: str) -> tuple[Log, Schedule]:
        """Read a log and remove its incomplete line, if there is one.

        Raises:
            OutputError: if the file is damaged, or belongs to another fit.
        """
        try:
            lines = read_text(check_own_file(path)).split("\n")
            complete = lines[:-1]  # after the last newline
            header = json.loads(complete[0])
            schedule = Schedule(
                np.array(header["targets"], float), np.array(header["steps"], np.int64)
            )
            rounds = [_read_round(json.loads(line)) for line in complete[1:]]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise OutputError(
                f"{path} is damaged ({type(error).__name__}: {error})", "the log of a fit",
                f"remove {path.name}; the fit then starts again",
            ) from None  # fmt: skip
        if header.get("fit") != fingerprint:
            raise OutputError(
                f"{path} belongs to a fit with other settings or other data",
                "the same settings and data",
                "another folder for a new fit (hydra.run.dir=DIR)",
            )
        if lines[-1]:
            write_text(path, "\n".join([*complete, ""]))
        log = cls(path)
        for found, refined in rounds:
            log._remember(found, refined)
        return log, schedule

    def _remember(self, evaluations: Sequence[Evaluation], refined: bool) -> None:
        known = self.refined if refined else self.evaluations
        known |= {one.places: one for one in evaluations}

    def add(self, evaluations: Sequence[Evaluation], refined: bool = False) -> None:
        """Add the evaluations of a batch, which are on the disk when this returns.

        Args:
            evaluations: the evaluations.
            refined: whether they have steps of half the length.

        Raises:
            OutputError: if the file cannot be written.
        """
        batch = [
            {"at": list(one.places), "factors": {n: f.tolist() for n, f in one.factors.items()}}
            for one in evaluations
        ]
        line = {"refined": refined, "batch": batch}
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written ({error.strerror})",
                hint="check the free space; resume the fit afterwards",
            ) from None
        self._remember(evaluations, refined)


def _read_round(line: Any) -> tuple[list[Evaluation], bool]:
    """Return the evaluations of a line, and whether they have steps of half the length."""
    found = []
    for one in line["batch"]:
        factors = {name: np.array(rows, float) for name, rows in one["factors"].items()}
        found.append(Evaluation(tuple(map(float, one["at"])), factors))
    return found, bool(line["refined"])
