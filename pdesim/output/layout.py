"""The layout of snapshot files, and a check of this layout."""

from __future__ import annotations

import math

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import check_stored, check_version
from pdesim.files.hdf5 import MOST_FRAMES
from pdesim.output import snapshots

#: names of the axes, in the order of array axes
AXES = ("z", "y", "x", "r")
#: upper bound of the magnitude of coordinates; its inverse is the lower bound of their distances
MAX_COORDINATE = 1e100


def _check_coordinates(path: str, name: str, places: np.ndarray) -> None:
    """Check that cell centres increase, and are neither too large nor too close to each other.

    Raises:
        OutputError: if the cell centres do not satisfy these conditions.
    """
    growing = bool((np.diff(places) > 1 / MAX_COORDINATE).all())
    if not growing or not (np.abs(places) < MAX_COORDINATE).all():  # nan fails every comparison
        raise OutputError(f"the coordinates {name} in {path} do not increase", "increasing numbers")


def is_series(data: object) -> bool:
    """Whether an object of a file contains one real number for each frame: a scalar over time."""
    return isinstance(data, h5py.Dataset) and data.ndim == 1 and data.dtype.kind in "fiu"


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
        if is_series(data):
            check_stored(data, len(data))
        if data.ndim and data.shape[1:] == shape:
            if data.dtype.kind not in "fiu":
                raise OutputError(f"{name} in {path} has type {data.dtype}", "real numbers")
            check_stored(data, min(frames, len(data)) * math.prod(shape))
