"""Initial states from arrays, which are stored in the folder of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError
from pdesim.files import creating, replacing
from pdesim.output import Snapshots
from pdesim.run.branch import find_origin

#: the file in the folder of a run that contains its initial state, if it was given as arrays
INITIAL = "initial.h5"
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Array:
    """Values of a field on a grid.

    Attributes:
        values: real numbers, x last.
        centres: the cell centres along each axis, x first; None if they are those of the grid.
    """

    values: np.ndarray
    centres: tuple[np.ndarray, ...] | None


def split_initial(given: Any) -> tuple[Any, dict[str, Array]]:
    """Separate the argument ``initial`` into settings and arrays.

    Args:
        given: the name of a file of initial states, a mapping from fields to formulas, numbers or
            arrays, an ``xarray.Dataset``, or a run or its snapshots, whose last frame is used.

    Returns:
        The settings, None if there are none; and an array for each field that has one.

    Raises:
        ConfigError: for arrays that are not real numbers on a grid.
        OutputError: if a run cannot be read.
    """
    folder = getattr(given, "folder", None)
    if isinstance(given, Snapshots):
        folder = given.path
    if folder is not None:
        return find_origin(folder).initial(), {}
    if hasattr(given, "data_vars"):  # an xarray.Dataset
        given = {str(name): given[name] for name in given.data_vars}
    if not isinstance(given, Mapping):
        return given, {}
    arrays = {name: _array(name, value) for name, value in given.items() if _is_array(value)}
    settings = {name: value for name, value in given.items() if name not in arrays}
    return settings or None, arrays


def _is_array(value: Any) -> bool:
    return hasattr(value, "dims") or (hasattr(value, "shape") and len(value.shape) > 0)


def _array(name: str, given: Any) -> Array:
    """Return the values and coordinates of a NumPy or xarray array.

    Raises:
        ConfigError: if it is not an array of finite real numbers with one to three axes.
    """
    where = f"the argument initial[{name!r}]"
    if not re.fullmatch(r"[^\W\d]\w*", str(name)):
        raise ConfigError(f"{where} does not name a field", "the name of a field")
    centres = None
    if hasattr(given, "dims"):
        given, centres = _from_xarray(where, given)
    values = np.asarray(given)
    if values.dtype.kind not in "fiub" or not 1 <= values.ndim <= 3:
        raise ConfigError(
            f"{where} has the shape {values.shape} and the type {values.dtype}",
            "real numbers on the grid, (y, x) in 2-D",
        )
    if not np.isfinite(values).all():
        raise ConfigError(f"{where} contains infinite or undefined values", "finite numbers")
    return Array(values.astype(float), centres)


def _from_xarray(where: str, given: Any) -> tuple[Any, tuple[np.ndarray, ...] | None]:
    single = {dim: 0 for dim in given.dims if dim not in AXES and given.sizes[dim] == 1}
    given = given.isel(single)
    axes = AXES[: len(given.dims)]
    if set(given.dims) != set(axes):
        raise ConfigError(
            f"{where} has the dimensions {', '.join(map(str, given.dims))}",
            f"{', '.join(reversed(axes))}",
            "one time of a series: .isel(time=-1)" if "time" in given.dims else "",
        )
    given = given.transpose(*reversed(axes))
    if not all(axis in given.coords for axis in axes):
        return given.values, None
    return given.values, tuple(np.asarray(given.coords[axis], float) for axis in axes)


def grid_of(arrays: Mapping[str, Array]) -> list[int]:
    """Return the setting ``grid`` for arrays, ``[nx, ny]`` in 2-D."""
    return list(next(iter(arrays.values())).values.shape[::-1])


def check_shapes(arrays: Mapping[str, Array], shape: tuple[int, ...]) -> None:
    """Check that arrays without coordinates have the shape of the grid.

    Raises:
        ConfigError: for the first array that has not.
    """
    for name, array in arrays.items():
        if array.centres is None and array.values.shape != shape:
            raise ConfigError(
                f"the argument initial[{name!r}] has the shape {array.values.shape}",
                f"{shape}, the shape of the grid; or an xarray.DataArray with coordinates, "
                "which is interpolated",
            )


def write_initial(folder: Path, arrays: Mapping[str, Array]) -> dict[str, str]:
    """Write arrays into the folder of a run, and return the formulas of the initial state.

    Raises:
        OutputError: if the file cannot be written.
    """
    formulas = {}
    for name, array in arrays.items():
        # a file for each field, since arrays may have different coordinates
        file_name = INITIAL if len(arrays) == 1 else f"{Path(INITIAL).stem}_{name}.h5"
        path = folder / file_name
        with replacing(path) as temporary, creating(temporary) as file:
            file[name] = array.values
            for axis, centres in zip(AXES, array.centres or (), strict=False):
                file[axis] = centres
        formulas[name] = f"snapshot({str(path.resolve())!r}, {name!r})"
    return formulas
