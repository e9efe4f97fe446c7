"""The folder of a run: the names of its files, the status file, and whether there is a run."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdesim.errors import OutputError
from pdesim.files import check_version, read_text, write_text
from pdesim.files.folder import PARTS
from pdesim.output import status

log = logging.getLogger("pdesim")

SNAPSHOTS = "snapshots.h5"
CHECKPOINT = "checkpoint.h5"
PREVIOUS_CHECKPOINT = "checkpoint.previous.h5"
STATUS = "status.json"
DIAGNOSTICS = "diagnostics.csv"
SERIES = "series.h5"
RESIDUAL_PLOT = "residual.png"
LOG = "pdesim.log"
#: folder in which Hydra stores the configuration
HYDRA = ".hydra"


@dataclass(frozen=True)
class RunFolder:
    """Paths and status of one run; the folder need not exist.

    Args:
        path: path of the folder.
    """

    path: Path

    @property
    def snapshots(self) -> Path:
        return self.path / SNAPSHOTS

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def previous_checkpoint(self) -> Path:
        return self.path / PREVIOUS_CHECKPOINT

    @property
    def status(self) -> Path:
        return self.path / STATUS

    @property
    def diagnostics(self) -> Path:
        return self.path / DIAGNOSTICS

    @property
    def series(self) -> Path:
        """The observables and probes over time; exists only if there are any."""
        return self.path / SERIES

    @property
    def residual_plot(self) -> Path:
        """The residuals of a steady problem; exists only for solvers with iterations."""
        return self.path / RESIDUAL_PLOT

    @property
    def log(self) -> Path:
        return self.path / LOG

    @property
    def parts(self) -> Path:
        """The folder of the parts of a run that several processes compute."""
        return self.path / PARTS

    def part(self, number: int) -> RunFolder:
        """Return the folder of the files of one process; see :mod:`pdesim.output.parts`."""
        return RunFolder(self.parts / str(number))

    @property
    def part_folders(self) -> list[RunFolder]:
        """The existing folders of parts, in the order of their numbers."""
        try:
            numbers = [int(one.name) for one in self.parts.iterdir() if one.name.isdecimal()]
        except OSError:
            return []
        return [self.part(number) for number in sorted(numbers)]

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / HYDRA / "config.yaml"

    @property
    def overrides(self) -> Path:
        """The settings that were given on the command line."""
        return self.path / HYDRA / "overrides.yaml"

    @property
    def contains_run(self) -> bool:
        """Whether the folder contains a snapshot file, which may be incomplete, or parts of it."""
        return self.snapshots.exists() or bool(self.part_folders)

    @property
    def contains_traces(self) -> bool:
        """Whether a run was started in this folder, even if it failed before its first frame."""
        return self.path.is_dir() and any(
            (self.path / name).exists() for name in (SNAPSHOTS, STATUS, HYDRA, PARTS)
        )

    def check_overwrite(self, overwrite: bool, setting: str = "hydra.run.dir") -> None:
        """Check that a new run would not overwrite another one without permission.

        Args:
            overwrite: value of ``output.overwrite``.
            setting: name of the setting that chooses the folder, for the hint.

        Raises:
            OutputError: if the folder contains a run and ``overwrite`` is false.
            OSError: if the folder cannot be examined.
        """
        if self.contains_run and not overwrite:
            raise OutputError(
                f"{self.path} already contains a run; nothing was overwritten",
                hint=f"use another folder ({setting}=...), output.overwrite=true or resume=auto",
            )

    def read_status(self) -> dict[str, Any]:
        """Return the entries of ``status.json`` that have valid types.

        Raises:
            OutputError: if the file is missing or cannot be read.
        """
        try:
            values = json.loads(read_text(self.status))
        except (ValueError, RecursionError) as error:
            raise OutputError(f"{self.status} cannot be read ({error})") from None
        if not isinstance(values, dict):
            raise OutputError(f"{self.status} cannot be read (it contains no JSON object)")
        check_version(self.status, values.get("format_version", 1), status.FORMAT_VERSION)
        return status.valid_entries(values)

    def read_status_or_empty(self) -> dict[str, Any]:
        """Return the entries of ``status.json``, none if the file is missing or unreadable."""
        try:
            return self.read_status()
        except OutputError:
            return {}

    def write_status(self, **values: Any) -> None:
        """Replace ``status.json`` atomically, so that readers never see an incomplete file.

        If the file cannot be written, for example because the disk is full, a warning is logged and
        the old file is kept. No error is raised, since a full disk is reported when frames are
        written.
        """
        values = {"format_version": status.FORMAT_VERSION} | values
        try:
            write_text(self.status, json.dumps(values, indent=2, allow_nan=False) + "\n")
        except OSError as error:
            log.warning("%s was not written: %s", STATUS, error)
