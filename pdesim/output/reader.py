"""Reading of snapshot files, which needs neither TensorFlow nor Hydra."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    import xarray

AXES = ("z", "y", "x")
#: upper bound of the magnitude of coordinates; its inverse is the lower bound of their distances
MAX_COORDINATE = 1e100


class Snapshots:
    """A snapshot file, open for reading; a context manager.

    ``snapshots["u"]`` is the HDF5 dataset of field u, of shape ``(time, ..., x)``; slicing this
    dataset reads from the file. ``len(snapshots)`` is the number of complete frames. While a run is
    writing the file, a dataset may have one frame more. ``state`` is "complete", "writing" (a run
    is adding frames) or "truncated" (the run was killed; ``pdesim recover`` repairs the file).

    Args:
        path: the folder of a run, or a snapshot file.

    Raises:
        OutputError: if the file does not exist, cannot be read, refers to other files, or declares
            frames that it does not store.
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
        self.state = "complete"
        self._handles: dict[str, h5py.Dataset] = {}
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
        """A hint on how to repair the file if its writer was killed; otherwise empty."""
        if self.state != "truncated":
            return ""
        return f"the writer of {self.path} was killed: pdesim recover {self.path} repairs it"

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the array axes that follow the time axis, such as ``("y", "x")``."""
        return tuple(name for name in AXES if name in self._file)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the stored fields, in alphabetical order."""
        names = (name for name in self._file if name not in ("time", "mask", *AXES))
        return tuple(name for name in names if isinstance(self._file[name], h5py.Dataset))

    @property
    def times(self) -> np.ndarray:
        """Times of the complete frames, shape ``(frames,)``."""
        with reading(self.path):
            return self._fresh("time")[:]

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file."""
        return dict(self._attributes)

    @property
    def mask(self) -> np.ndarray | None:
        """1 inside obstacles, 0 elsewhere, in the shape of a frame; None without obstacles."""
        with reading(self.path):
            return read_array(self._file, "mask") if "mask" in self._file else None

    def coordinates(self, axis: str) -> np.ndarray:
        """Return the cell centres along an axis, shape ``(n,)``."""
        with reading(self.path):
            return self._file[axis][:]

    def __len__(self) -> int:
        return self._fresh("time").shape[0]

    def _fresh(self, name: str) -> h5py.Dataset:
        """Return a dataset, refreshed from the disk if a run is writing the file.

        Each dataset is opened only once: with two handles, HDF5 reads wrong chunks after a refresh.
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

    def to_xarray(self) -> xarray.Dataset:
        """Read all frames and coordinates into memory, as an ``xarray.Dataset``.

        Raises:
            MissingExtraError: if xarray is not installed.
        """
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
    """Return the path of the snapshot file, given this path or the folder of the run.

    Raises:
        OutputError: if the file does not exist, or is a link to a file outside its folder.
    """
    path = as_path(path)
    inside = RunFolder(path).snapshots
    if inside.is_file():
        return check_own_file(inside)
    if path.is_file():
        return check_own_file(path)
    if path.is_dir():
        raise OutputError(
            f"{path} contains no {SNAPSHOTS}", "the folder of a run, or a snapshot file"
        )
    raise OutputError(f"{path} does not exist", "the folder of a run, or a snapshot file")


def _check_coordinates(path: str, name: str, places: np.ndarray) -> None:
    """Check that cell centres increase, and are neither too large nor too close to each other.

    Raises:
        OutputError: if the cell centres do not satisfy these conditions.
    """
    growing = bool((np.diff(places) > 1 / MAX_COORDINATE).all())
    if not growing or not (np.abs(places) < MAX_COORDINATE).all():  # nan fails every comparison
        raise OutputError(f"the coordinates {name} in {path} do not increase", "increasing numbers")


def check_layout(file: h5py.File) -> None:
    """Check the layout of a snapshot file, which all readers rely on.

    The times and coordinates must be one-dimensional and real. There may be at most ``MOST_FRAMES``
    frames. A mask must have the shape of a frame. Every field whose shape matches the axes must
    store as many frames as ``time`` declares.

    Raises:
        OutputError: if a dataset does not satisfy these conditions. The message names the first
            one.
    """
    path = file.filename
    # files that users have created in the documented layout need not have a version
    check_version(path, file.attrs.get("format_version", 1), snapshots.FORMAT_VERSION)
    if not isinstance(file.get("time"), h5py.Dataset):
        raise OutputError(f"{path} contains no snapshots (no dataset 'time')")
    axes = [name for name in AXES if name in file]
    for name in ("time", *axes):
        data = file[name]
        if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.dtype.kind not in "fiu":
            raise OutputError(f"{name} in {path} is not a list of real numbers", "a snapshots.h5")
        if name != "time":
            check_stored(data, len(data))
            _check_coordinates(path, name, data[:].astype(np.float64))
    frames, shape = len(file["time"]), tuple(len(file[name]) for name in axes)
    if frames > MOST_FRAMES:
        raise OutputError(f"{path} declares {frames:,} frames", f"at most {MOST_FRAMES:,}")
    check_stored(file["time"], frames)
    if not (np.abs(file["time"][:]) < MAX_COORDINATE).all():  # nan compares false
        raise OutputError(f"the times in {path} are not all finite", "finite numbers")
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
