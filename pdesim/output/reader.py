"""Reading runs back. Needs neither TensorFlow nor Hydra."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import MissingExtraError, OutputError, nearest
from pdesim.files import (
    as_path,
    check_own_file,
    check_stored,
    check_version,
    open_hdf5,
    read_array,
    read_attributes,
    reading,
)
from pdesim.files.hdf5 import MOST_FRAMES, reason
from pdesim.output import lock, snapshots
from pdesim.output.run_folder import SNAPSHOTS, RunFolder

AXES = ("z", "y", "x")
#: coordinates are below this number, and further apart than its inverse
FARTHEST = 1e100


class Snapshots:
    """A snapshot file, open for reading; a context manager.

    ``snapshots["u"]`` is the HDF5 dataset ``(time, ..., x)``; slicing it reads what is asked for.
    Of a file that is being written, ``len`` counts the frames that are whole by now; a field may
    be one longer. ``state`` is "complete", "writing" (a run adds frames), or "truncated" (its
    writer was killed: ``pdesim recover`` repairs it).

    Raises:
        OutputError: if there is no such file, if it cannot be read, refers to other files, or
            claims frames that it does not store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_snapshots(path)
        try:
            self._file = open_hdf5(self.path)
        except OSError as error:
            hint = f"pdesim recover {self.path}" if "truncated file" in str(error) else ""
            raise OutputError(
                f"{self.path} cannot be read ({reason(error)})", "a snapshots.h5", hint
            ) from None
        self.state, self._handles = "complete", {}
        try:
            if self._file.swmr_mode:
                self.state = "writing" if lock.is_held(self.path.parent) else "truncated"
            with reading(self.path):
                check_layout(self._file)
                self._attributes = read_attributes(self._file)
        except OutputError:
            self._file.close()
            raise

    @property
    def recovery_hint(self) -> str:
        """The one line that goes with a file whose writer was killed; else empty."""
        if self.state != "truncated":
            return ""
        return f"the writer of {self.path} was killed: pdesim recover {self.path} mends it"

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the array axes after time, such as ``("y", "x")``."""
        return tuple(name for name in AXES if name in self._file)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for name in self._file if name not in ("time", "mask", *AXES))

    @property
    def times(self) -> np.ndarray:
        with reading(self.path):
            return self._fresh("time")[:]

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self._attributes)

    @property
    def mask(self) -> np.ndarray | None:
        """1 inside obstacles, shaped like a frame; None where there are none."""
        with reading(self.path):
            return read_array(self._file, "mask") if "mask" in self._file else None

    def coordinates(self, axis: str) -> np.ndarray:
        with reading(self.path):
            return self._file[axis][:]

    def __len__(self) -> int:
        return self._fresh("time").shape[0]

    def _fresh(self, name: str) -> h5py.Dataset:
        """A dataset as it is on disk now.

        One handle for each: HDF5 reads wrong chunks after a refresh where there are two.
        """
        if name not in self._handles:
            self._handles[name] = self._file[name]
        data = self._handles[name]
        if self._file.swmr_mode:
            data.refresh()
        return data

    def __getitem__(self, field: str) -> h5py.Dataset:
        if field not in self.fields:
            raise OutputError(f"{self.path} has no field {field!r}", nearest(field, self.fields))
        return self._fresh(field)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def to_xarray(self):
        """Everything as an ``xarray.Dataset`` in memory."""
        try:
            import xarray
        except ImportError:
            raise MissingExtraError("to_xarray()", "xarray", "xarray") from None
        dims = ("time", *self.axes)
        count = len(self)
        return xarray.Dataset(
            {f: (dims, self[f][:count], dict(self[f].attrs)) for f in self.fields},
            coords={
                "time": self.times[:count],
                **{name: self.coordinates(name) for name in self.axes},
            },
            attrs=self.attributes,
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Snapshots:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        shape = " x ".join(f"{len(self.coordinates(a))} {a}" for a in self.axes)
        return f"<Snapshots {self.path}: {', '.join(self.fields)}; {len(self)} frames of {shape}>"


def find_snapshots(path: str | Path) -> Path:
    """The snapshot file of a run folder, or the file itself.

    Raises:
        OutputError: if there is none, or if it is a link to a file outside its folder.
    """
    path = as_path(path)
    inside = RunFolder(path).snapshots
    if inside.is_file():
        return check_own_file(inside)
    if path.is_file():
        return check_own_file(path)
    if path.is_dir():
        raise OutputError(f"{path} contains no {SNAPSHOTS}", "the folder of a run, or a file")
    raise OutputError(f"there is no {path}", "the folder of a run, or a snapshot file")


def _check_coordinates(path: str, name: str, places: np.ndarray) -> None:
    """Cell centres grow, and neither they nor their distances are beyond any physical unit.

    Raises:
        OutputError: naming the axis.
    """
    growing = bool((np.diff(places) > 1 / FARTHEST).all())
    if not growing or not (np.abs(places) < FARTHEST).all():  # nan is less than nothing
        raise OutputError(f"the coordinates {name} in {path} do not grow", "increasing numbers")


def check_layout(file: h5py.File) -> None:
    """Check what all readers rely on: types, shapes that fit together, and sizes.

    ``time`` and the axes are one-dimensional and real; there are at most ``MOST_FRAMES`` frames; a
    mask has the shape of a frame; the frames that ``time`` counts are stored in every field that
    has the shape of the axes.

    Raises:
        OutputError: naming what does not fit.
    """
    path = file.filename
    # files written by hand, in the layout that is documented, have no version
    check_version(path, file.attrs.get("format_version", 1), snapshots.FORMAT_VERSION)
    if not isinstance(file.get("time"), h5py.Dataset):
        raise OutputError(f"{path} holds no snapshots (no dataset 'time')")
    axes = [name for name in AXES if name in file]
    for name in ("time", *axes):
        data = file[name]
        if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.dtype.kind not in "fiu":
            raise OutputError(f"{name} in {path} is no list of real numbers", "a snapshots.h5")
        if name != "time":
            check_stored(data, len(data))
            _check_coordinates(path, name, data[:].astype(np.float64))
    frames, shape = len(file["time"]), tuple(len(file[name]) for name in axes)
    if frames > MOST_FRAMES:
        raise OutputError(f"{path} claims {frames:,} frames", f"at most {MOST_FRAMES:,}")
    check_stored(file["time"], frames)
    if "mask" in file and getattr(file["mask"], "shape", None) != shape:
        raise OutputError(f"the mask in {path} does not have the shape of a frame, {shape}")
    for name in file:
        if not name.isprintable():
            raise OutputError(f"{path} has a dataset named {name!r}", "a name that can be printed")
        data = file[name]
        if name in ("time", "mask", *axes) or not isinstance(data, h5py.Dataset):
            continue
        if data.ndim and data.shape[1:] == shape:
            if data.dtype.kind not in "fiu":
                raise OutputError(f"{name} in {path} has type {data.dtype}", "real numbers")
            check_stored(data, min(frames, len(data)) * math.prod(shape))
