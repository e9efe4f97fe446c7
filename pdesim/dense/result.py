"""The file with the solution of a linear system."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import pdesim
from pdesim.errors import OutputError
from pdesim.files import (
    as_path,
    check_version,
    creating,
    dump_yaml,
    open_hdf5,
    read_attributes,
    reading,
    replacing,
)

#: name of the file in the folder of a solution
SOLUTION = "solution.h5"
FORMAT_VERSION = 1
#: attribute by which a file of this kind is recognised
KIND = "dense linear system"


def write_solution(folder: Path, x: np.ndarray, attributes: Mapping[str, Any], config: Any) -> Path:
    """Write ``solution.h5`` with the dataset ``x``. The file appears when it is complete.

    Args:
        folder: an existing folder.
        x: the solution, shape ``(n,)`` or ``(n, k)``.
        attributes: further attributes of the file.
        config: the settings as plain values.

    Returns:
        The path of the file.

    Raises:
        OutputError: if it cannot be written.
    """
    path = folder / SOLUTION
    try:
        with replacing(path) as temporary, creating(temporary) as file:
            file["x"] = x
            file.attrs.update(attributes)
            file.attrs["kind"], file.attrs["format_version"] = KIND, FORMAT_VERSION
            file.attrs["config"] = dump_yaml(config)
            file.attrs["pdesim_version"] = pdesim.__version__
            for name in ("tensorflow", "numpy", "h5py"):
                file.attrs[f"{name}_version"] = version(name)
            file.attrs["python_version"] = platform.python_version()
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error})") from None
    return path


def find_solution(path: str | Path) -> Path | None:
    """Return the file of a solution, given this file or its folder; None if there is none."""
    path = as_path(path)
    inside = path / SOLUTION if path.is_dir() else path
    return inside if inside.name == SOLUTION and inside.is_file() else None


def describe_solution(path: Path) -> dict[str, Any]:
    """Return what is known about a solution, as plain values.

    Raises:
        OutputError: if the file cannot be read, or is not the file of a solution.
    """
    try:
        with open_hdf5(path) as file, reading(path):
            attributes = read_attributes(file)
            if attributes.get("kind") != KIND or "x" not in file:
                raise OutputError(f"{path} contains no solution of a linear system")
            check_version(path, int(attributes.get("format_version", 1)), FORMAT_VERSION)
            shape = list(file["x"].shape)
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error})") from None
    plain = {
        name: value.item() if hasattr(value, "item") else str(value)
        for name, value in attributes.items()
        if name not in ("kind", "config")
    }
    return {"path": str(path), "x": shape, **plain}
