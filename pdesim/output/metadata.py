"""Metadata of a snapshot file: settings, parameters, boundary conditions, order of the fields.

A file may lack metadata. Missing entries are then left out of the results.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import MissingExtraError, OutputError
from pdesim.files import as_path, load_yaml, read_text
from pdesim.model.equation import KEYS
from pdesim.output.reader import Snapshots, find_snapshots
from pdesim.output.run_folder import RunFolder

#: limit of the characters in the attribute ``boundary``. A condition takes about 40 characters, and
#: an equation has at most 64 fields on three axes
LONGEST_BOUNDARY = 2**16
#: a condition in the attribute ``boundary``, such as ``'u.x': ['dirichlet', 'neumann']``
_PAIR = r"'(\w+)\.([xyz])':\s*[\[(]'(\w+)',\s*'(\w+)'[\])]"
_PAIRS = re.compile(rf"\s*\{{\s*{_PAIR}(?:,\s*{_PAIR})*\s*\}}\s*".replace("'", "['\"]"))
_ONE_PAIR = re.compile(_PAIR.replace("'", "['\"]"))


def find_runs(path: str | Path) -> tuple[Path, ...]:
    """Return the snapshot files of one run, or of all runs in a sweep's folder.

    Args:
        path: the folder of a run, a snapshot file, or a folder whose sub-folders are runs. The runs
            are sorted by the numbers in their names, 2 before 10.

    Raises:
        OutputError: if there is no run.
    """
    path = as_path(path)
    if path.is_dir() and not RunFolder(path).snapshots.is_file():
        inside = [RunFolder(child).snapshots for child in path.iterdir()]
        files = [file for file in inside if file.is_file()]
        if files:
            return tuple(sorted(files, key=lambda file: natural_order(file.parent.name)))
    return (find_snapshots(path),)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names by the numbers in them: ``run2`` before ``run10``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def read_config(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings stored in the attribute ``config``, an empty mapping if it is missing."""
    try:
        values = load_yaml(str(attributes.get("config", "")))
    except OutputError:
        return {}
    return values if isinstance(values, dict) else {}


def read_yaml(path: Path) -> Any:
    """Return the contents of a YAML file; None if it is missing or cannot be read."""
    try:
        return load_yaml(read_text(path))
    except OutputError:
        return None


def run_state(snapshots: Snapshots, status: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the state of a run and its error, from its snapshots and from ``status.json``.

    If a run is killed, its ``status.json`` still says "running". The lock of the folder shows
    whether the process still exists.

    Args:
        snapshots: the open snapshot file.
        status: entries of ``status.json``.
    """
    state, error = str(status.get("state", "unknown")), status.get("error")
    if snapshots.state == "writing":
        return "running", None
    if snapshots.state == "truncated":
        return "killed", snapshots.recovery_hint
    if state == "running":
        return "killed", f"pdesim resume {snapshots.path.parent} continues it"
    return state, error


def read_parameters(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the parameters of the equation: numbers, or formulas as text."""
    equation = config.get("equation")
    if not isinstance(equation, Mapping):
        return {}
    return {
        str(key): value
        for key, value in equation.items()
        if key not in KEYS and isinstance(value, int | float | str) and not isinstance(value, bool)
    }


def read_walls(attributes: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the kinds of boundary conditions, such as ``{"u": {"x": ("dirichlet", "neumann")}}``.

    The kind at the lower boundary comes first. The result is empty if the attribute ``boundary`` is
    missing, has another form, or has more than ``LONGEST_BOUNDARY`` characters.
    """
    text = str(attributes.get("boundary", ""))
    walls: dict[str, dict[str, tuple[str, str]]] = {}
    if len(text) > LONGEST_BOUNDARY or not _PAIRS.fullmatch(text):
        return walls
    for field, axis, lower, upper in _ONE_PAIR.findall(text):
        walls.setdefault(field, {})[axis] = (lower, upper)
    return walls


def field_names(snapshots: Snapshots) -> tuple[str, ...]:
    """Return the names of the stored fields, in the order of the equation.

    Raises:
        OutputError: if there is no field, or if the shape of a field is not ``(time, ..., x)``.
    """
    stored = [name for name in snapshots.fields if isinstance(snapshots[name], h5py.Dataset)]
    listed = listed_fields(snapshots.attributes)
    if not stored or not snapshots.axes:
        raise OutputError(
            f"{snapshots.path} contains no time-dependent fields", "the snapshots.h5 of a run"
        )
    shape = tuple(len(snapshots.coordinates(axis)) for axis in snapshots.axes)
    for name in stored:
        if snapshots[name].shape[1:] != shape or snapshots[name].ndim == 0:
            raise OutputError(
                f"{name} in {snapshots.path} has shape {snapshots[name].shape}",
                f"(time, {', '.join(snapshots.axes)}), here (time, {str(shape)[1:]}",
            )
    return tuple(sorted(stored, key=lambda n: listed.index(n) if n in listed else len(listed)))


def listed_fields(attributes: Mapping[str, Any]) -> list[str]:
    """Return the names in the attribute ``fields``: the stored fields in the equation's order."""
    return [str(name) for name in np.ravel(attributes.get("fields", ()))]


def frame_count(snapshots: Snapshots, fields: tuple[str, ...]) -> int:
    """Return the number of complete frames, for which the time and all fields are stored.

    Raises:
        OutputError: if there is no complete frame.
    """
    count = min(len(snapshots), *(snapshots[name].shape[0] for name in fields))
    if count == 0:
        raise OutputError(f"{snapshots.path} has no frames yet")
    return count


def load_filters(dataset: h5py.Dataset, path: Path) -> None:
    """Import hdf5plugin if HDF5 itself cannot decompress a dataset.

    Raises:
        MissingExtraError: if hdf5plugin is needed and not installed.
    """
    plan = dataset.id.get_create_plist()
    codes = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if all(h5py.h5z.filter_avail(code) for code in codes):
        return
    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        raise MissingExtraError(f"the compression of {path}", "hdf5plugin", "blosc2") from None
