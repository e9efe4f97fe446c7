"""The result of a fit on the disk, and the fitted model as an equation file."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from pdesim.files import dump_yaml, write_text
from pdesim.fitting.folder import writing_into
from pdesim.fitting.prepare import Task, write_fields, write_initial
from pdesim.fitting.result import FITTED, RESULT, FitResult
from pdesim.fitting.train import TrainingResult
from pdesim.model.networks import build_networks, write_networks
from pdesim.run.stored_networks import NETWORKS

#: groups of configuration files whose values the file of the fitted model contains
GROUPS = ("boundary", "initial", "operators", "stepper", "device", "output", "animation")
#: sections that are no part of the fitted model
NOT_OF_THE_MODEL = ("data", "fit", "sweep", "workers", "experiment", "montage", "resume", "stop")


def write_result(folder: Path, task: Task, result: FitResult | TrainingResult) -> None:
    """Write the estimates, and the fitted model as an equation file.

    Raises:
        OutputError: if a file cannot be written.
    """
    with writing_into(folder):
        model = _model(folder, task, result)
        (folder / "equation").mkdir(exist_ok=True)
        write_text(folder / "equation" / f"{FITTED}.yaml", model)
        write_text(folder / RESULT, dump_yaml(result.as_dict()))


def _model(folder: Path, task: Task, result: FitResult | TrainingResult) -> str:
    """Return the settings of a run of the fitted model, as an equation file."""
    values = copy.deepcopy(task.values)
    if task.from_data:
        values["initial"] = write_initial(task, folder)
    for key, value in result.parameters.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    if isinstance(result, TrainingResult):
        _write_arrays(folder, task, result, values)
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


def _write_arrays(folder: Path, task: Task, result: TrainingResult, values: dict[str, Any]) -> None:
    """Write fitted arrays, and let the settings of the fitted model read them."""
    initial, networks = result.arrays.initial, result.arrays.networks
    if initial:
        values["initial"] = {**values["initial"], **write_fields(task, folder, initial)}
    if networks:
        path = (folder / NETWORKS).resolve()
        known = build_networks(values["equation"]["networks"])
        write_networks(path, known | {
            name: replace(known[name], weights=tuple(w)) for name, w in networks.items()
        })  # fmt: skip
        values["equation"]["networks"] = {
            name: {**spec, "weights": str(path)}
            for name, spec in values["equation"]["networks"].items()
        }
