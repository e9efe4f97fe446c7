"""Initial states from arrays, which are stored in the folder of the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.api.run import Run
from pdesim.config.compose import is_given, nested_values
from pdesim.config.override_text import override_text
from pdesim.errors import ConfigError, OutputError
from pdesim.files import creating, replacing
from pdesim.output import Snapshots
from pdesim.run.branch import find_origin

#: the file in the folder of a run that contains its initial state, if it was given as arrays
INITIAL = "initial.h5"
AXES = ("x", "y", "z")
#: smallest number of cells along an axis of a grid; see :mod:`pdesim.settings`
FEWEST_CELLS = 4
#: largest difference of coordinates from equal spacing, in cells
UNEVEN = 1e-3


@dataclass(frozen=True)
class Array:
    """Values of a field on a grid.

    Attributes:
        values: real numbers, x last.
        centres: the cell centres along each axis, ascending and equally spaced, x first; None if
            they are those of the grid.
    """

    values: np.ndarray
    centres: tuple[np.ndarray, ...] | None


@dataclass(frozen=True)
class Space:
    """A grid and its domain, x first; ``extent`` and ``origin`` are None if they are unknown."""

    points: tuple[int, ...]
    extent: tuple[float, ...] | None = None
    origin: tuple[float, ...] | None = None

    def overrides(self, words: Sequence[str]) -> list[str]:
        """Return the settings of the grid and the domain that ``words`` do not contain.

        If ``words`` contain a grid of another number of axes, there are none.
        """
        chosen = nested_values([word for word in words if word.startswith("grid=")]).get("grid")
        if isinstance(chosen, list) and len(chosen) != len(self.points):
            return []
        found: dict[str, Any] = {"domain.dimensions": len(self.points)}
        if chosen is None and not is_given("domain.dimensions", words):
            found = {"grid": list(self.points)}
        if self.extent is not None and self.origin is not None:
            found |= {"domain.extent": list(self.extent), "domain.origin": list(self.origin)}
        return [
            f"{name}={override_text(value)}"
            for name, value in found.items()
            if not is_given(name, words)
        ]


@dataclass(frozen=True)
class Initial:
    """The argument ``initial``.

    Attributes:
        settings: the name of a file of initial states, or formulas; None if there are none.
        arrays: the fields that are given as arrays.
        space: the grid and the domain of these values; None if there are only formulas.
        source: the snapshot file from which the values are read; None if there is none.
        partial: whether fields that the equation does not have are ignored.
        complex_names: the names of complex arrays, whose parts are in ``arrays``.
    """

    settings: Any = None
    arrays: Mapping[str, Array] = field(default_factory=dict)
    space: Space | None = None
    source: Path | None = None
    partial: bool = False
    complex_names: tuple[str, ...] = ()

    def of_fields(self, fields: Sequence[str]) -> Initial:
        """Return the values of these fields, if other values are to be ignored.

        Raises:
            ConfigError: if none of the fields has a value, and for complex arrays of real fields.
        """
        for name in self.complex_names:
            if f"{name}_re" not in fields:
                raise ConfigError(
                    f"the argument initial[{name!r}] is an array of complex numbers, and {name!r} "
                    "is not a complex field",
                    f"real numbers, or an equation with fields: {{{name}: complex}}",
                )
        if not self.partial:
            return self
        formulas = {name: text for name, text in (self.settings or {}).items() if name in fields}
        arrays = {name: array for name, array in self.arrays.items() if name in fields}
        if not formulas and not arrays:
            given = ", ".join([*(self.settings or ()), *self.arrays]) or "no fields"
            raise ConfigError(
                f"the argument initial contains {given}",
                f"a field of the equation: {', '.join(fields)}",
            )
        return replace(self, settings=formulas or None, arrays=arrays)


def read_initial(given: Any) -> Initial:
    """Separate the argument ``initial`` into settings and arrays.

    Args:
        given: the name of a file of initial states; a mapping from fields to formulas, numbers or
            arrays; an ``xarray.Dataset``, or an ``xarray.DataArray`` with the name of a field; or a
            run or its snapshots, whose last frame is used.

    Raises:
        ConfigError: for other values, and for arrays that are not real numbers on a grid.
        OutputError: if a run cannot be read.
    """
    if given is None or isinstance(given, str):
        return Initial(given)
    if isinstance(given, Run | Snapshots):
        folder = given.folder if isinstance(given, Run) else given.path
        origin = find_origin(folder)
        with Snapshots(folder) as snapshots:
            grid = snapshots.computed_grid
        space = None if grid is None else Space(grid.points, grid.extent, grid.origin)
        return Initial(origin.initial(), {}, space, origin.path, True)
    partial = hasattr(given, "data_vars")  # an xarray.Dataset
    if partial:
        # a result of sweep() also contains values without axes
        given = {str(name): given[name] for name in given.data_vars if given[name].dims}
    elif hasattr(given, "dims") and getattr(given, "name", None) is not None:
        given = {str(given.name): given}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"the argument initial is of the type {type(given).__name__}",
            "the name of a file of initial states, a mapping from fields to formulas or arrays "
            "such as {'u': array}, an xarray.Dataset, or a run",
        )
    names = tuple(str(name) for name, value in given.items() if _is_complex(value))
    given = {part: value for name, array in given.items() for part, value in _parts(name, array)}
    arrays = {name: _array(name, value) for name, value in given.items() if _is_array(value)}
    settings = {name: value for name, value in given.items() if name not in arrays}
    space = _space(arrays) if arrays else None
    return Initial(settings or None, arrays, space, None, partial, names)


def _parts(name: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield an array, or the real and the imaginary part of a complex array, with their names."""
    if _is_complex(value):
        yield f"{name}_re", value.real
        yield f"{name}_im", value.imag
    else:
        yield name, value


def _is_complex(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "c"


def _is_array(value: Any) -> bool:
    shaped = hasattr(value, "shape") and len(value.shape) > 0
    if isinstance(value, list | tuple) and any(isinstance(part, str) for part in value):
        return False  # the formulas of a vector
    return isinstance(value, list | tuple) or hasattr(value, "dims") or shaped


def _array(name: Any, given: Any) -> Array:
    """Return the values and coordinates of a NumPy or xarray array, or of nested lists.

    Raises:
        ConfigError: if it is not an array of finite real numbers with one to three axes.
    """
    where = f"the argument initial[{name!r}]"
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(f"{where} does not name a field", "the name of a field")
    centres = None
    if hasattr(given, "dims"):
        given, centres = _from_xarray(where, given)
    if np.ma.is_masked(given):
        raise ConfigError(f"{where} contains masked values", "values in all cells")
    try:
        values = np.asarray(given)
    except ValueError:  # lists of different lengths
        raise ConfigError(f"{where} is not an array", "rows of equal length") from None
    if values.dtype.kind not in "fiub" or not 1 <= values.ndim <= 3:
        raise ConfigError(
            f"{where} has the shape {values.shape} and the type {values.dtype}",
            "real numbers on the grid, (y, x) in 2-D",
        )
    if not np.isfinite(values).all():
        raise ConfigError(f"{where} contains infinite or undefined values", "finite numbers")
    values = values.astype(float)
    if centres is not None:
        for axis, points in enumerate(centres):
            if points[0] > points[-1]:
                values = np.flip(values, -1 - axis)
        centres = tuple(np.sort(points) for points in centres)
    return Array(values, centres)


def _from_xarray(where: str, given: Any) -> tuple[Any, tuple[np.ndarray, ...] | None]:
    """Return the values, x last, and the cell centres, None if an axis has no coordinates."""
    single = {dim: 0 for dim in given.dims if dim not in AXES and given.sizes[dim] == 1}
    given = given.isel(single)
    axes = AXES[: len(given.dims)]
    if set(given.dims) != set(axes) or not axes:
        rest = [dim for dim in given.dims if dim not in AXES]
        raise ConfigError(
            f"{where} has the dimensions ({', '.join(map(str, given.dims))})",
            "(y, x) in 2-D, (z, y, x) in 3-D",
            f"one value of {rest[0]}: .isel({rest[0]}=-1)" if rest else "",
        )
    given = given.transpose(*reversed(axes))
    if not all(axis in given.coords for axis in axes) or min(given.shape) < 2:
        return given.values, None
    return given.values, tuple(_centres(where, axis, given.coords[axis].values) for axis in axes)


def _centres(where: str, axis: str, given: np.ndarray) -> np.ndarray:
    """Return the coordinates along an axis.

    Raises:
        ConfigError: if they are not equally spaced numbers.
    """
    if given.dtype.kind in "fiu":
        steps = np.diff(given.astype(float))
        mean = steps.mean()
        if np.isfinite(steps).all() and mean and np.abs(steps / mean - 1).max() <= UNEVEN:
            return given.astype(float)
    raise ConfigError(
        f"the coordinates of {where} along {axis} are not equally spaced",
        "cell centres at equal distances",
        f"interpolate them first: .interp({axis}=numpy.linspace(...))",
    )


def _space(arrays: Mapping[str, Array]) -> Space:
    """Return the grid of the first array, and the domain of the first one with coordinates.

    Raises:
        ConfigError: if an array has an axis without values.
    """
    for name, array in arrays.items():
        if not array.values.size:
            raise ConfigError(
                f"the argument initial[{name!r}] has the shape {array.values.shape}",
                f"at least {FEWEST_CELLS} cells along each axis",
            )
    points = next(iter(arrays.values())).values.shape[::-1]
    for array in arrays.values():
        if array.centres is not None and len(array.centres) == len(points):
            extent, origin = zip(*map(_interval, array.centres), strict=True)
            return Space(points, extent, origin)
    return Space(points)


def _interval(centres: np.ndarray) -> tuple[float, float]:
    """Return the extent and the origin of an axis, without the rounding errors of its centres."""
    spacing = (centres[-1] - centres[0]) / (len(centres) - 1)
    extent = float(f"{spacing * len(centres):.12g}")
    digits = 12 - round(np.log10(extent))
    return extent, round(float(centres[0] - extent / len(centres) / 2), digits)


def check_shapes(arrays: Mapping[str, Array], shape: tuple[int, ...]) -> None:
    """Check that arrays have the shape of the grid or, with coordinates, as many axes.

    Raises:
        ConfigError: for the first array that has not.
    """
    for name, array in arrays.items():
        given = array.values.shape
        if len(given) != len(shape) or (array.centres is None and given != shape):
            raise ConfigError(
                f"the argument initial[{name!r}] has the shape {given}",
                f"{shape}, the shape of the grid; or an xarray.DataArray with coordinates and "
                f"{len(shape)} dimensions, which is interpolated",
            )


def write_arrays(folder: Path, arrays: Mapping[str, Array]) -> dict[str, Path]:
    """Write arrays into a folder, and return the file of each field.

    Raises:
        OSError: if a file cannot be written.
    """
    files = {}
    for name, array in arrays.items():
        # a file for each field, since arrays may have different coordinates
        file_name = INITIAL if len(arrays) == 1 else f"{Path(INITIAL).stem}_{name}.h5"
        files[name] = folder / file_name
        with creating(files[name]) as file:
            file[name] = array.values
            for axis, centres in zip(AXES, array.centres or (), strict=False):
                file[axis] = centres
    return files


def move_files(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Move files into the folder of a run, and return their new paths.

    Raises:
        OutputError: if a file cannot be written. Then none is left in the folder.
    """
    moved: dict[str, Path] = {}
    try:
        for name, path in files.items():
            with replacing(folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
            moved[name] = folder / path.name
    except OSError as error:
        for path in moved.values():
            path.unlink(missing_ok=True)
        raise OutputError(
            f"the folder {folder} cannot be written to ({error.strerror})",
            hint="folder=DIR with a folder that you may write to",
        ) from None
    return moved


def formulas_of(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the formula of each field that is stored in a file."""
    return {name: f"snapshot({str(path.resolve())!r}, {name!r})" for name, path in files.items()}
