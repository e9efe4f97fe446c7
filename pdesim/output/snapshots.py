"""``snapshots.h5``: fields over time, in a layout that h5py, xarray and netCDF can read.

The file is written in HDF5's SWMR mode (single writer, multiple readers). The fields of a frame are
written and flushed before the time of the frame. Therefore a reader that uses the length of
``time`` never sees an incomplete frame, and complete frames are not lost if the writer is killed.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    RESERVE,
    abandon,
    changing,
    check_space,
    creating,
    frame_chunks,
    open_hdf5_for_writing,
    replacing,
    write_chunk,
)
from pdesim.model.grid import Grid
from pdesim.model.scalars import scalar_value
from pdesim.output.deflate import Deflater
from pdesim.output.filters import filters, round_mantissa
from pdesim.output.hdf5_errors import reason, translate_errors
from pdesim.output.residuals import create_residuals, store_residuals
from pdesim.output.selection import Selection

log = logging.getLogger("pdesim")

#: increased when the layout of the file changes; files of all earlier versions can be read
FORMAT_VERSION = 1
#: range of HDF5's file format versions: can be read while it is written, by HDF5 1.10 and later
LIBRARY_VERSIONS = ("v110", "v110")
#: largest size of a chunk in bytes; HDF5 allows 4 GiB. Larger frames are split into several chunks
LARGEST_CHUNK = 2**30
#: cells of a frame, as slices of its axes
Cells = tuple[slice, ...]


@dataclass(frozen=True)
class Layout:
    """Contents and format of a snapshot file.

    Args:
        grid: the grid of the run.
        fields: names of all fields of the state.
        selection: the stored part of the state.
        dtype: type of the stored numbers.
        compression: "gzip", "blosc2" or "none".
        keep_bits: number of mantissa bits that are kept; None: all.
        labels, units: attributes ``long_name`` and ``units`` of the fields.
        mask: True inside obstacles, shape ``grid.shape``; None without obstacles.
        solver: attributes of the residuals of a steady problem; None for other problems.
        scalars: names of the scalars, whose fields are the last of a state.
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
    solver: Mapping[str, Any] | None = None
    scalars: tuple[str, ...] = ()

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of the stored fields."""
        return tuple(self.fields[i] for i in self.selection.fields)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that stores one frame of one field."""
        return self.selection.shape(self.grid)


def create_snapshots(path: Path, layout: Layout, attributes: Mapping[str, Any]) -> None:
    """Create a file without frames, atomically.

    Args:
        path: path of the file.
        layout: contents and format of the file.
        attributes: attributes of the file, such as the settings of the run.

    Raises:
        OutputError: if the file cannot be created.
    """
    with creating_snapshots(path, layout, attributes):
        pass


@contextmanager
def creating_snapshots(
    path: Path, layout: Layout, attributes: Mapping[str, Any]
) -> Iterator[h5py.File]:
    """Yield the file of :func:`create_snapshots` while it is created, so that data can be added.

    Raises:
        OutputError: if the file cannot be created.
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
        for name in layout.scalars:
            _create_scalar(file, layout, name)
        if layout.mask is not None:
            solid = layout.mask[layout.selection.cells].astype(np.uint8)
            create_mask(file, layout.grid, layout.shape)[...] = solid
        if layout.solver is not None:
            create_residuals(file, layout.solver)
        yield file


def update_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Change the attributes of a file whose values differ from the given ones.

    No process may have the file open for writing.

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
    for axis, name in enumerate(layout.grid.names):
        centres = layout.selection.coordinates(layout.grid, axis)
        coordinate = file.create_dataset(name, data=centres)
        coordinate.make_scale(name)
        coordinate.attrs.update({"units": "1", "long_name": name, "axis": name.upper()})


def _create_field(file: h5py.File, layout: Layout, field: str, compression: dict) -> None:
    data = file.create_dataset(
        field,
        shape=(0, *layout.shape),
        # the rows of a part of the grid may all lie outside the stored region; HDF5 allows no
        # chunks of size 0, and no chunks that are longer than an axis of fixed length
        maxshape=(None, *(n or None for n in layout.shape)),
        chunks=_chunk(layout.shape, layout.dtype.itemsize),
        dtype=layout.dtype,
        **compression,
    )
    _describe(data, layout, field)
    if layout.keep_bits is not None:
        # the attribute by which the netCDF library denotes this kind of rounding
        data.attrs["_QuantizeBitRoundNumberOfSignificantBits"] = np.int32(layout.keep_bits)
    for number, name in enumerate(("time", *reversed(layout.grid.names))):
        data.dims[number].attach_scale(file[name])


def _create_scalar(file: h5py.File, layout: Layout, name: str) -> None:
    data = file.create_dataset(
        name, shape=(0,), maxshape=(None,), chunks=(1024,), dtype=layout.dtype
    )
    _describe(data, layout, name)
    data.dims[0].attach_scale(file["time"])


def _describe(data: h5py.Dataset, layout: Layout, name: str) -> None:
    data.attrs["units"] = (layout.units or {}).get(name, "1")
    data.attrs["long_name"] = (layout.labels or {}).get(name, name)


def create_mask(file: h5py.File, grid: Grid, shape: tuple[int, ...]) -> h5py.Dataset:
    """Create the mask: 1 inside obstacles, 0 elsewhere.

    Args:
        file: the file, which contains the axes.
        grid: the grid of the run.
        shape: the shape of a stored frame.

    Returns:
        The dataset, of zeros.
    """
    data = file.create_dataset("mask", shape=shape, dtype=np.uint8, compression="gzip")
    data.attrs.update({"units": "1", "long_name": "1 inside obstacles"})
    for number, name in enumerate(reversed(grid.names)):
        data.dims[number].attach_scale(file[name])
    return data


def _chunk(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the shape of a chunk: one frame or, if that is too large, an equal part of a frame."""
    chunk = [max(1, n) for n in shape]
    for axis in range(len(shape)):
        while np.prod(chunk, dtype=float) * itemsize > LARGEST_CHUNK and chunk[axis] > 1:
            chunk[axis] = -(-chunk[axis] // 2)
    return (1, *chunk)


def _padded(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of a chunk, with zeros where the chunk reaches beyond its dataset."""
    if values.shape == shape:
        return values
    chunk = np.zeros(shape, values.dtype)
    chunk[tuple(slice(n) for n in values.shape)] = values
    return chunk


class SnapshotWriter:
    """Appends frames to a file of :func:`create_snapshots`, which other processes may be reading.

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
        self._datasets = {
            name: self._file[name] for name in (*layout.stored, *layout.scalars, "time")
        }
        self._abandoned = False
        self._deflaters = {name: Deflater() for name in layout.stored}
        self._frame_bytes = len(layout.stored) * math.prod(layout.shape) * layout.dtype.itemsize
        #: field -> the time of the first frame with a value beyond the range of the stored type
        self.overflows: dict[str, float] = {}

    @property
    def frames(self) -> int:
        """Number of complete frames."""
        return self._datasets["time"].shape[0]

    def write(self, time: float, state: np.ndarray) -> None:
        """Append a frame.

        Args:
            time: simulated time.
            state: the fields, shape ``(fields, *grid.shape)``.

        Raises:
            OutputError: if the frame cannot be written. The file is then closed.
        """
        frame, layout = self.frames, self.layout
        with self._adding(self._frame_bytes):
            for field, number in zip(layout.stored, layout.selection.fields, strict=True):
                values = self._cast(field, time, state[number][layout.selection.cells])
                self._append(field, frame, values.__getitem__)
            for number, name in enumerate(layout.scalars, len(state) - len(layout.scalars)):
                value = scalar_value(state[number], layout.mask)
                self._append_number(name, frame, self._cast(name, time, np.array([value])))
            self._append_number("time", frame, np.array([time]))

    def write_chunks(self, time: float, read: Callable[[str, Cells], np.ndarray]) -> None:
        """Append a frame without scalars that is read chunk by chunk.

        Args:
            time: simulated time.
            read: returns the stored values of a field in some cells, given as slices of the axes
                of a stored frame.

        Raises:
            OutputError: if the frame cannot be read or written. The file is then closed.
        """
        frame = self.frames
        with self._adding(self._frame_bytes):
            for field in self.layout.stored:
                self._append(field, frame, partial(read, field))
            self._append_number("time", frame, np.array([time]))

    def write_residuals(self, values: np.ndarray) -> None:
        """Store the residuals of a steady problem.

        Args:
            values: shape ``(n,)``.

        Raises:
            OutputError: if they cannot be written. The file is then closed.
        """
        with self._adding(2 * values.nbytes):
            store_residuals(self._file, values.tolist())

    @contextmanager
    def _adding(self, size: int) -> Iterator[None]:
        """Check the free space for ``size`` bytes, and close the file if they cannot be written."""
        try:
            with translate_errors(self.path):
                # frames are counted without compression: an upper bound, which is useful as closing
                # the file needs space, too
                check_space(self.path, size)
                yield
        except OutputError:
            self._abandon()
            raise

    def _cast(self, field: str, time: float, values: np.ndarray) -> np.ndarray:
        """Convert values to the stored type; values beyond its range become infinite."""
        dtype = self.layout.dtype
        try:
            with np.errstate(over="raise"):
                return np.ascontiguousarray(values, dtype=dtype)
        except FloatingPointError:
            if field not in self.overflows:
                self.overflows[field] = time
                log.warning(
                    "%s exceeds the range of %s at t = %g: such values are stored as infinity",
                    field,
                    dtype,
                    time,
                )
            with np.errstate(over="ignore"):
                return np.ascontiguousarray(values, dtype=dtype)

    def _append(self, field: str, frame: int, read: Callable[[Cells], np.ndarray]) -> None:
        data, layout = self._datasets[field], self.layout
        # the low-level interface of h5py is used here and in _append_number, because the high-level
        # one takes several times longer
        data.id.set_extent((frame + 1, *layout.shape))
        for cells in frame_chunks(data):
            values = read(cells)
            if layout.keep_bits is not None:
                values = round_mantissa(values, layout.keep_bits)
            if layout.compression == "gzip":
                # write_chunk bypasses HDF5's own filters, which are several times slower
                octets = self._deflaters[field](_padded(values, data.chunks[1:]))
                write_chunk(data, (frame, *(one.start for one in cells)), octets)
            else:
                data[(frame, *cells)] = values
        data.flush()

    def _append_number(self, name: str, frame: int, value: np.ndarray) -> None:
        data = self._datasets[name]
        data.id.set_extent((frame + 1,))
        space = data.id.get_space()
        space.select_hyperslab((frame,), (1,))
        data.id.write(h5py.h5s.create_simple((1,)), space, value)
        data.flush()

    def sync(self) -> None:
        """Wait until all frames are on the disk.

        Raises:
            OutputError: if that fails. Some file systems report a full disk only at this point.
        """
        with translate_errors(self.path):
            os.fsync(self._file.id.get_vfd_handle())

    def close(self) -> None:
        """Close the file, unless a failed write has closed it already.

        Raises:
            OutputError: if the remaining data cannot be written.
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
