"""``snapshots.h5``: fields over time, in a layout that h5py, xarray and netCDF readers know.

Written in SWMR mode: a frame is its fields, flushed, and then its time, so a reader that trusts
the length of ``time`` never sees half a frame, and a killed writer loses none that it finished.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    RESERVE,
    UNREADABLE,
    abandon,
    changing,
    check_space,
    creating,
    open_hdf5_for_writing,
    replacing,
)
from pdesim.files.hdf5 import reason as files_reason
from pdesim.model.grid import Grid
from pdesim.output.deflate import Deflater
from pdesim.output.filters import filters, round_mantissa
from pdesim.output.selection import Selection

log = logging.getLogger("pdesim")

#: raised whenever the layout of the file changes; files of every version are read
FORMAT_VERSION = 1
#: readable by HDF5 1.10 and later, and able to be read while written
LIBRARY_VERSIONS = ("v110", "v110")
#: HDF5 holds chunks below 4 GiB; a larger frame is cut along its first axes
LARGEST_CHUNK = 2**30


@dataclass(frozen=True)
class Layout:
    """What a snapshot file holds, and how.

    ``fields`` are all fields of the state, ``selection`` says what is stored of them; ``labels``
    and ``units`` give ``long_name`` and ``units`` per field; ``mask`` is True inside obstacles.
    """

    grid: Grid
    fields: tuple[str, ...]
    selection: Selection
    dtype: np.dtype
    compression: str = "gzip"
    keep_bits: int | None = None
    labels: Mapping[str, str] | None = None
    units: Mapping[str, str] | None = None
    mask: np.ndarray | None = None

    @property
    def stored(self) -> tuple[str, ...]:
        return tuple(self.fields[i] for i in self.selection.fields)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array shape of one stored frame."""
        return self.selection.shape(self.grid)


def create_snapshots(path: Path, layout: Layout, attributes: Mapping[str, Any]) -> None:
    """Make a file without frames; it appears under its name as a whole, or not at all.

    Raises:
        OutputError: if it cannot be created.
    """
    compression = filters(layout.compression)
    with (
        translate_errors(path),
        replacing(path) as temporary,
        creating(temporary, libver=LIBRARY_VERSIONS) as file,
    ):
        file.attrs.update(attributes)
        _create_axes(file, layout)
        for field in layout.stored:
            _create_field(file, layout, field, compression)
        if layout.mask is not None:
            _create_mask(file, layout)


def update_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Change root attributes where they differ; only possible before anyone writes frames.

    Raises:
        OutputError: if the file cannot be written.
    """
    size = RESERVE + sum(len(str(value)) for value in attributes.values())
    with translate_errors(path), changing(path, size, libver=LIBRARY_VERSIONS) as file:
        for name, value in attributes.items():
            if file.attrs.get(name) != value:
                file.attrs[name] = value


def _create_axes(file: h5py.File, layout: Layout) -> None:
    time = file.create_dataset("time", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="f8")
    time.make_scale("time")
    time.attrs.update({"units": "1", "long_name": "time"})
    for axis, name in enumerate(layout.grid.axes):
        centres = layout.selection.coordinates(layout.grid, axis)
        coordinate = file.create_dataset(name, data=centres)
        coordinate.make_scale(name)
        coordinate.attrs.update({"units": "1", "long_name": name, "axis": name.upper()})


def _create_field(file: h5py.File, layout: Layout, field: str, compression: dict) -> None:
    data = file.create_dataset(
        field,
        shape=(0, *layout.shape),
        maxshape=(None, *layout.shape),
        chunks=_chunk(layout.shape, layout.dtype.itemsize),
        dtype=layout.dtype,
        **compression,
    )
    data.attrs["units"] = (layout.units or {}).get(field, "1")
    data.attrs["long_name"] = (layout.labels or {}).get(field, field)
    if layout.keep_bits is not None:
        # the name that the netCDF library gives to this rounding
        data.attrs["_QuantizeBitRoundNumberOfSignificantBits"] = np.int32(layout.keep_bits)
    for number, name in enumerate(("time", *reversed(layout.grid.axes))):
        data.dims[number].attach_scale(file[name])


def _create_mask(file: h5py.File, layout: Layout) -> None:
    solid = layout.mask[layout.selection.cells].astype(np.uint8)
    data = file.create_dataset("mask", data=solid, compression="gzip")
    data.attrs.update({"units": "1", "long_name": "1 inside obstacles"})
    for number, name in enumerate(reversed(layout.grid.axes)):
        data.dims[number].attach_scale(file[name])


def _chunk(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """One frame, or an even part of it where that is too much for a chunk."""
    chunk = list(shape)
    for axis in range(len(shape)):
        while np.prod(chunk, dtype=float) * itemsize > LARGEST_CHUNK and chunk[axis] > 1:
            chunk[axis] = -(-chunk[axis] // 2)
    return (1, *chunk)


class SnapshotWriter:
    """Appends frames to a file of :func:`create_snapshots`, which readers may watch meanwhile.

    Raises:
        OutputError: if the file cannot be opened or written.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        with translate_errors(path):
            check_space(path, 0)
            self._file = open_hdf5_for_writing(path, libver=LIBRARY_VERSIONS)
            try:
                self._file.swmr_mode = True
            except (OSError, RuntimeError, ValueError):
                abandon(self._file)
                raise
        self._datasets = {name: self._file[name] for name in (*layout.stored, "time")}
        self._abandoned = False
        self._deflaters = {name: Deflater() for name in layout.stored}
        self._frame_bytes = len(layout.stored) * math.prod(layout.shape) * layout.dtype.itemsize
        #: per field, the time of the first frame with a value that the stored type cannot hold
        self.overflows: dict[str, float] = {}

    @property
    def frames(self) -> int:
        return self._datasets["time"].shape[0]

    def write(self, time: float, state: np.ndarray) -> None:
        """Append one frame; ``state`` has shape ``(fields, *grid.shape)``."""
        frame, layout = self.frames, self.layout
        try:
            with translate_errors(self.path):
                # compressed frames are smaller; what is left of the room lets the file be closed
                check_space(self.path, self._frame_bytes)
                for field, number in zip(layout.stored, layout.selection.fields, strict=True):
                    values = state[number][layout.selection.cells]
                    self._append(field, frame, self._cast(field, time, values))
                self._stamp(frame, time)
        except OutputError:
            self._abandon()
            raise

    def _cast(self, field: str, time: float, values: np.ndarray) -> np.ndarray:
        """Values in the stored type; those beyond its range become infinite, which is noted."""
        dtype = self.layout.dtype
        try:
            with np.errstate(over="raise"):
                return np.ascontiguousarray(values, dtype=dtype)
        except FloatingPointError:
            if field not in self.overflows:
                self.overflows[field] = time
                log.warning(
                    "%s exceeds the range of %s at t = %g: stored as infinity", field, dtype, time
                )
            with np.errstate(over="ignore"):
                return np.ascontiguousarray(values, dtype=dtype)

    def _append(self, field: str, frame: int, values: np.ndarray) -> None:
        data, layout = self._datasets[field], self.layout
        if layout.keep_bits is not None:
            values = round_mantissa(values, layout.keep_bits)
        # h5py's own words for this, and for what _stamp does, take several times longer
        data.id.set_extent((frame + 1, *values.shape))
        if layout.compression == "gzip" and data.chunks[1:] == values.shape:
            # beside HDF5's own filters, which are several times slower
            chunk = self._deflaters[field](values)
            data.id.write_direct_chunk((frame, *[0] * values.ndim), chunk)
        else:
            data[frame] = values
        data.flush()

    def _stamp(self, frame: int, time: float) -> None:
        stamps = self._datasets["time"]
        stamps.id.set_extent((frame + 1,))
        place = stamps.id.get_space()
        place.select_hyperslab((frame,), (1,))
        stamps.id.write(h5py.h5s.create_simple((1,)), place, np.array([time]))
        stamps.flush()

    def sync(self) -> None:
        """Ask the system to put all frames on the disk itself.

        Raises:
            OutputError: if the system could not; some report a full disk only here.
        """
        with translate_errors(self.path):
            os.fsync(self._file.id.get_vfd_handle())

    def close(self) -> None:
        """Close the file; after a failed write it is closed already.

        Raises:
            OutputError: if the end of the file cannot be written.
        """
        if self._abandoned:
            return
        try:
            self._file.flush()
        except (OSError, RuntimeError) as error:
            self._abandon()
            raise OutputError(f"{self.path} cannot be closed ({reason(error)})") from None
        self._file.close()

    def _abandon(self) -> None:
        if not self._abandoned:
            self._abandoned = True
            abandon(self._file)


@contextmanager
def translate_errors(path: Path):
    """HDF5's and the system's complaints as one line."""
    try:
        yield
    except UNREADABLE as error:
        raise OutputError(
            f"{path} cannot be written: {reason(error)}; the frames written before are kept",
            hint="room on the disk and the right to write, then pdesim resume "
            f"{path.parent}, or another place (hydra.run.dir=DIR)",
        ) from None


def reason(error: Exception) -> str:
    """The system's words out of HDF5's chain of messages."""
    found = re.search(r"error message = '([^']+)'", str(error))
    if found:
        return found.group(1)
    return getattr(error, "strerror", None) or files_reason(error)
