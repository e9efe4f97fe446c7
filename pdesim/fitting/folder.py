"""The folder of a fit: its settings, its log, its result, and the fitted model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from pdesim.fitting.prepare import Task, write_fields, write_initial
from pdesim.fitting.result import FITTED, RESULT, FitResult
from pdesim.fitting.train import TrainingResult
from pdesim.model.networks import build_networks, write_networks
from pdesim.run.stored_networks import NETWORKS

#: the file with the settings of a fit, from which it is resumed
SETTINGS = "fit_settings.yaml"
#: the file with the picture of a fit
PICTURE = "fit.png"
#: groups of configuration files whose values the file of the fitted model contains
GROUPS = ("boundary", "initial", "operators", "stepper", "device", "output", "animation")
#: sections that are no part of the fitted model
NOT_OF_THE_MODEL = ("data", "fit", "sweep", "workers", "experiment", "montage", "resume", "stop")


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
        with _written(self.path):
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

    def write_result(self, task: Task, result: FitResult | TrainingResult) -> None:
        """Write the estimates, and the fitted model as an equation file.

        Raises:
            OutputError: if a file cannot be written.
        """
        with _written(self.path):
            model = self._model(task, result)
            (self.path / "equation").mkdir(exist_ok=True)
            write_text(self.path / "equation" / f"{FITTED}.yaml", model)
            write_text(self.path / RESULT, dump_yaml(result.as_dict()))

    def _model(self, task: Task, result: FitResult | TrainingResult) -> str:
        """Return the settings of a run of the fitted model, as an equation file."""
        values = copy.deepcopy(task.values)
        if task.from_data:
            values["initial"] = write_initial(task, self.path)
        for key, value in result.parameters.items():
            section, _, name = key.partition(".")
            values[section][name] = value
        if isinstance(result, TrainingResult):
            self._write_arrays(task, result, values)
        values["equation"].setdefault("name", task.equation.rpartition("/")[2])
        start, end = task.settings.time.start, task.settings.time.end
        inside = [float(t) for t in task.observations.times if start < t < end]
        values["output"] |= {"times": inside, "every": None}
        for section in NOT_OF_THE_MODEL:
            values.pop(section, None)
        values = {"defaults": [{f"override /{group}": None} for group in GROUPS]} | values
        about = (
            f"# The model that was fitted to {Path(result.data).name}; to run it:\n"
            f"#   {result.command}\n"
        )
        return f"# @package _global_\n{about}{dump_yaml(values)}"

    def _write_arrays(self, task: Task, result: TrainingResult, values: dict[str, Any]) -> None:
        """Write fitted arrays, and let the settings of the fitted model read them."""
        initial, networks = result.arrays.initial, result.arrays.networks
        if initial:
            values["initial"] = {**values["initial"], **write_fields(task, self.path, initial)}
        if networks:
            path = (self.path / NETWORKS).resolve()
            known = build_networks(values["equation"]["networks"])
            write_networks(path, known | {
                name: replace(known[name], weights=tuple(w)) for name, w in networks.items()
            })  # fmt: skip
            values["equation"]["networks"] = {
                name: {**spec, "weights": str(path)}
                for name, spec in values["equation"]["networks"].items()
            }


@contextmanager
def _written(folder: Path) -> Iterator[None]:
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
