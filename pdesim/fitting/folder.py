"""The folder of a fit: its settings, its log, and its result.

This module imports neither TensorFlow nor Hydra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdesim.errors import OutputError
from pdesim.files import (
    check_creatable,
    check_own_file,
    dump_yaml,
    load_yaml,
    read_text,
    write_text,
)
from pdesim.fitting.log import LOG
from pdesim.fitting.result import RESULT

if TYPE_CHECKING:
    from pdesim.fitting.prepare import Task

#: the file with the settings of a fit, from which it is resumed
SETTINGS = "fit_settings.yaml"
#: the file with the picture of a fit
PICTURE = "fit.png"


@dataclass(frozen=True)
class FitFolder:
    """The files of a fit.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def contains_fit(self) -> bool:
        return (self.path / SETTINGS).is_file()

    @property
    def log(self) -> Path:
        return self.path / LOG

    def check_new(self, setting: str = "hydra.run.dir") -> None:
        """Check that the folder can be created, and contains no fit.

        Raises:
            OutputError: if it cannot be created, or contains a fit.
        """
        check_creatable(self.path, setting)
        if self.contains_fit:
            raise OutputError(
                f"{self.path} already contains a fit; nothing was overwritten",
                hint=f"use another folder ({setting}=DIR), or pdesim resume {self.path}",
            )

    def write_settings(self, task: Task) -> None:
        """Write the settings of a fit.

        Raises:
            OutputError: if the file cannot be written.
        """
        with writing_into(self.path):
            write_text(
                self.path / SETTINGS,
                dump_yaml({"equation_name": task.equation, "settings": task.values}),
            )

    def read_settings(self) -> tuple[dict[str, Any], str]:
        """Return the settings of a fit and the name of its equation.

        Raises:
            OutputError: if the folder contains no fit, or the file is damaged.
        """
        path = self.path / SETTINGS
        if not path.is_file():
            raise OutputError(f"{self.path} contains no fit (no {SETTINGS})", "the folder of a fit")
        found = load_yaml(read_text(check_own_file(path)))
        if not isinstance(found, Mapping) or not isinstance(found.get("settings"), dict):
            raise OutputError(f"{path} is damaged", "the settings of a fit")
        return found["settings"], str(found.get("equation_name", "custom"))

    def read_result(self) -> dict[str, Any]:
        """Return the stored result of a fit.

        Raises:
            OutputError: if the fit has not ended, or the file is damaged.
        """
        path = self.path / RESULT
        if not path.is_file():
            raise OutputError(
                f"the fit in {self.path} has not ended", hint=f"pdesim resume {self.path}"
            )
        found = load_yaml(read_text(check_own_file(path)))
        if not isinstance(found, dict):
            raise OutputError(f"{path} is damaged", "the result of a fit")
        return found


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Convert errors of the operating system.

    Raises:
        OutputError: if a file in the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error})",
            hint="check the free space and the permissions",
        ) from None
