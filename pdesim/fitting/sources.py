"""Data files: frames of fields, in one of several layouts.

Source of the layouts: :mod:`pdesim.export.well`, :mod:`pdesim.export.pdebench`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import ConfigError, OutputError
from pdesim.files import as_path, memory, open_hdf5, read_array, reading
from pdesim.files.hdf5 import reason
from pdesim.formula.language import AXES
from pdesim.model.grid import Grid
from pdesim.output import Snapshots

#: what a data file may be, for errors
FORMATS = (
    "a snapshots.h5, the folder of a run, a file of The Well or PDEBench, or .npz with the arrays "
    "time and one per field"
)
#: names of the times, and of cells that are observed or not, in NumPy files
TIME, OBSERVED, MASK = ("time", "times", "t"), "observed", "mask"


@dataclass(frozen=True)
class Source:
    """An open data file.

    Args:
        path: the file.
        times: the times of all frames; None if the file contains none.
        frames: the number of frames.
        read: field -> a function that returns the frame with an index, x last.
        centres: the cell centres along each axis, x first; None if the file contains none.
        grid: the grid of the run that wrote the file, of which frames may be only a part.
        mask: whether each cell is observed, in the shape of a frame; None: all cells are.
        config: the settings of the run that wrote the file.
        unnamed: whether the file does not name its fields.
    """

    path: Path
    times: np.ndarray | None
    frames: int
    read: Mapping[str, Callable[[int], np.ndarray]]
    centres: tuple[np.ndarray, ...] | None = None
    grid: Grid | None = None
    mask: np.ndarray | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    unnamed: bool = False


@contextmanager
def open_source(name: str, trajectory: int) -> Iterator[Source]:
    """Open a data file.

    Args:
        name: the file, or the folder of a run.
        trajectory: the index of the trajectory, for files with several.

    Raises:
        OutputError: if the file does not exist, is damaged, or has an unknown layout.
        ConfigError: if there is no such trajectory.
    """
    path = as_path(name)
    if not path.exists():
        raise OutputError(f"there are no data in {path}: no such file", FORMATS)
    if path.suffix.lower() in (".npz", ".npy"):
        _check_single(path, trajectory)
        yield _numpy(path)
        return
    if path.is_dir():
        layout = "pdesim"
    else:
        try:
            file = open_hdf5(path.resolve())
        except OSError as error:
            raise OutputError(f"{path} cannot be read ({reason(error)})", FORMATS) from None
        with file, reading(path):
            layout = _layout(file)
            if layout in _READERS:
                yield _READERS[layout](path, file, trajectory)
                return
    if layout != "pdesim":
        raise OutputError(f"{path} has no known layout", FORMATS)
    _check_single(path, trajectory)
    with Snapshots(path) as snapshots:
        yield _snapshots(snapshots)


def _layout(file: h5py.File) -> str:
    if "t0_fields" in file:
        return "well"
    if "t-coordinate" in file:
        return "tensor"
    if "time" in file and any(axis in file for axis in AXES):
        return "pdesim"
    return "groups" if _groups(file) else ""


def _groups(file: h5py.File) -> list[str]:
    return sorted(n for n in file if n.isdecimal() and "data" in file[n] and "grid" in file[n])


def _check_trajectory(path: Path, trajectory: int, count: int) -> None:
    if trajectory >= count:
        raise ConfigError(
            f"data.trajectory is {trajectory}, but {path} has {count}", f"from 0 to {count - 1}"
        )


def _check_single(path: Path, trajectory: int) -> None:
    _check_trajectory(path, trajectory, 1)


def _snapshots(snapshots: Snapshots) -> Source:
    fields = snapshots.checked_fields()
    count = snapshots.frame_count(fields)
    axes, mask = snapshots.axes[::-1], snapshots.mask
    for name in fields:
        snapshots.load_filters(name)
    return Source(
        snapshots.path,
        snapshots.frame_times(fields),
        count,
        {name: _frame_reader(snapshots, name) for name in fields},
        tuple(snapshots.coordinates(axis).astype(float) for axis in axes),
        snapshots.computed_grid,
        None if mask is None else mask < 0.5,
        snapshots.config,
    )


def _frame_reader(snapshots: Snapshots, name: str) -> Callable[[int], np.ndarray]:
    return lambda frame: snapshots.read_frame(name, frame).astype(float)


def _well(path: Path, file: h5py.File, trajectory: int) -> Source:
    """Return a file of The Well: fields are ``(trajectory, time, x[, y[, z]][, component])``."""
    dimensions = file["dimensions"]
    times = np.asarray(dimensions["time"], float)
    axes = [axis for axis in AXES if axis in dimensions]
    read: dict[str, Callable[[int], np.ndarray]] = {}
    for name, data in file["t0_fields"].items():
        if isinstance(data, h5py.Dataset) and data.ndim == 2 + len(axes):
            _check_trajectory(path, trajectory, data.shape[0])
            read[name] = _hdf5_reader(data, trajectory, slice(None))
    for name, data in file.get("t1_fields", {}).items():
        if isinstance(data, h5py.Dataset) and data.ndim == 3 + len(axes):
            _check_trajectory(path, trajectory, data.shape[0])
            for number, axis in enumerate(axes):
                read[f"{name}_{axis}"] = _hdf5_reader(data, trajectory, (..., number))
    centres = tuple(np.asarray(dimensions[axis], float) for axis in axes)
    if any(one.ndim != 1 for one in (times, *centres)):
        raise OutputError(
            f"the coordinates in {path} vary between the trajectories", "one grid and one time axis"
        )
    return Source(path, times, len(times), read, centres)


def _hdf5_reader(data: h5py.Dataset, trajectory: int, part: Any) -> Callable[[int], np.ndarray]:
    """Return a reader of frames that are stored with x as the first axis."""
    return lambda frame: np.asarray(data[trajectory, frame], float)[part].T


def _tensor(path: Path, file: h5py.File, trajectory: int) -> Source:
    """Return a file of PDEBench with ``tensor (trajectory, t, x)``, or a dataset per field."""
    axes = [axis for axis in AXES if f"{axis}-coordinate" in file]
    names = [n for n, d in file.items() if isinstance(d, h5py.Dataset) and d.ndim == 2 + len(axes)]
    read, frames = {}, 0
    for name in names:
        _check_trajectory(path, trajectory, file[name].shape[0])
        read[name] = _hdf5_reader(file[name], trajectory, slice(None))
        frames = file[name].shape[1]
    times = read_array(file, "t-coordinate").astype(float)
    centres = tuple(read_array(file, f"{axis}-coordinate").astype(float) for axis in axes)
    return Source(
        path, times[:frames], min(frames, len(times)), read, centres, unnamed=names == ["tensor"]
    )


def _grouped(path: Path, file: h5py.File, trajectory: int) -> Source:
    """Return a file of PDEBench with a group per trajectory: ``0000/data (t, .., x, channel)``."""
    groups = _groups(file)
    _check_trajectory(path, trajectory, len(groups))
    group = file[groups[trajectory]]
    data = group["data"]
    axes = [axis for axis in AXES if axis in group["grid"]][: data.ndim - 2]
    given = group.attrs.get("fields")
    names = [str(n) for n in given] if given is not None else []
    unnamed = len(names) != data.shape[-1]
    if unnamed:
        names = [f"channel{number}" for number in range(data.shape[-1])]
    times = np.asarray(group["grid/t"], float)[: len(data)]
    return Source(
        path,
        times,
        min(len(times), len(data)),
        {name: _channel_reader(data, number) for number, name in enumerate(names)},
        tuple(np.asarray(group[f"grid/{axis}"], float) for axis in axes),
        unnamed=unnamed,
    )


def _channel_reader(data: h5py.Dataset, number: int) -> Callable[[int], np.ndarray]:
    return lambda frame: np.asarray(data[frame, ..., number], float)


_READERS: Mapping[str, Callable[[Path, h5py.File, int], Source]] = {
    "well": _well,
    "tensor": _tensor,
    "groups": _grouped,
}


def _numpy(path: Path) -> Source:
    """Return a NumPy file.

    ``.npz`` contains ``time`` and an array ``(time, ..., x)`` per field; optionally the cell
    centres ``x``, ``y``, ``z``, and ``observed`` (where cells are observed) or ``mask`` (where they
    are not), in the shape of a frame or of a field. Texts are ignored. ``.npy`` contains the only
    field.
    """
    try:
        if path.suffix.lower() == ".npz":
            _check_archive(path)
            with np.load(path, allow_pickle=False) as loaded:
                arrays = dict(loaded)
        else:
            arrays = {"field": np.load(path, mmap_mode="r", allow_pickle=False)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise OutputError(f"{path} cannot be read ({reason(error)})", FORMATS) from None
    time = next((name for name in TIME if name in arrays), None)
    times = None if time is None else np.asarray(arrays[time])
    coordinates = [axis for axis in AXES if axis in arrays and arrays[axis].ndim == 1]
    read: dict[str, Callable[[int], np.ndarray]] = {}
    frames = None
    for name, values in arrays.items():
        if name in (time, OBSERVED, MASK, *coordinates) or values.dtype.kind in "SU":
            continue
        if values.dtype.kind not in "fiub" or not 2 <= values.ndim <= 4:
            raise OutputError(
                f"{name} in {path} has the shape {values.shape} and the type {values.dtype}",
                "real numbers, (time, y, x) in 2-D",
            )
        if frames is not None and len(values) != frames:
            raise OutputError(
                f"{name} in {path} has {len(values)} frames, another field {frames}",
                "as many frames of every field",
            )
        frames, read[name] = len(values), _array_reader(values)
    if times is not None and (times.dtype.kind not in "fiu" or times.shape != (frames,)):
        raise OutputError(
            f"{time} in {path} has the shape {times.shape}, but there are {frames or 0} frames",
            "a time for each frame",
        )
    mask = arrays.get(OBSERVED)
    if mask is None and MASK in arrays:
        mask = arrays[MASK] == 0
    centres = tuple(arrays[axis].astype(float) for axis in coordinates) or None
    return Source(
        path,
        None if times is None else times.astype(float),
        frames or 0,
        read,
        centres,
        mask=None if mask is None else np.asarray(mask) != 0,
        unnamed=path.suffix.lower() == ".npy",
    )


def _check_archive(path: Path) -> None:
    """Check that the arrays of an ``.npz`` file fit into memory; a small file may declare any size.

    Raises:
        OutputError: if they do not.
    """
    with zipfile.ZipFile(path) as archive:
        check_size(sum(info.file_size for info in archive.infolist()), f"the arrays of {path}")


def check_size(size: float, about: str) -> None:
    """Check that data fit into half of the memory.

    Raises:
        OutputError: if they do not.
    """
    if size > 0.5 * memory():
        raise OutputError(
            f"{about} take {size / 2**30:.3g} GiB, more than half of the memory",
            "fewer frames: data.every=10, or data.times=[...]",
        )


def _array_reader(values: np.ndarray) -> Callable[[int], np.ndarray]:
    return lambda frame: values[frame].astype(float)
