"""Repair of a snapshot file whose writer was killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    UNREADABLE,
    check_folder,
    check_stored,
    clear_name,
    creating,
    frame_chunks,
    open_hdf5,
    read_chunk,
    replacing,
    write_chunk,
)
from pdesim.output import lock
from pdesim.output.hdf5_errors import reason
from pdesim.output.layout import check_layout
from pdesim.output.snapshots import LIBRARY_VERSIONS

#: attributes that attach datasets to dimension scales; h5py creates them again in the copy
_SCALE_ATTRIBUTES = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME")


@dataclass(frozen=True)
class Recovered:
    """A complete snapshot file.

    Attributes:
        path: path of the file.
        frames: number of frames.
        changed: whether the file was damaged and has been repaired.
    """

    path: Path
    frames: int
    changed: bool


def repair(path: Path, locked: bool = False) -> Recovered:
    """Repair a snapshot file whose writer was killed, without losing a complete frame.

    The frames that all datasets contain are copied chunk by chunk, while the file is open in SWMR
    mode. The copy is read and compared with the original before it replaces the original.

    Args:
        path: the snapshot file.
        locked: whether this process has locked the folder.

    Raises:
        OutputError: if a run is writing the file, or if the file cannot be read or copied.
    """
    check_folder(path.parent)
    try:
        with open_hdf5(path) as file:
            check_layout(file)
            frames, longest = frame_counts(file)
            if frames == longest and not file.swmr_mode:
                return Recovered(path, frames, changed=False)
    except UNREADABLE:
        pass
    if not locked and lock.is_held(path.parent):
        raise OutputError(
            f"a run is writing {path} now; nothing was changed", hint="wait until the run ends"
        )
    try:
        lock_of_folder = contextlib.nullcontext() if locked else lock.hold(path.parent)
        with lock_of_folder, replacing(path, sync=True) as copy:
            frames = _copy(path, copy)
    except UNREADABLE as error:
        raise OutputError(
            f"{path} cannot be recovered: {reason(error)}; the file was not changed",
            "a snapshots.h5 that a run has written, and enough space for a copy",
        ) from None
    return Recovered(path, frames, changed=True)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    If its end is missing because the disk was full, a copy padded with zeros is opened instead.
    """
    padded = path.with_name(f".{path.name}.padded")
    try:
        try:
            file = open_hdf5(path)
        except OSError as error:
            end = re.search(r"truncated file: .*stored_eof = (\d+)", str(error))
            if end is None:
                raise
            clear_name(padded)
            shutil.copyfile(path, padded)
            os.truncate(padded, int(end.group(1)))
            file = open_hdf5(padded)
        with file:
            check_layout(file)
            yield file
    finally:
        padded.unlink(missing_ok=True)


def _copy(path: Path, target: Path) -> int:
    with opened(path) as source:
        _check_copied(source)
        frames = _readable(source, frame_counts(source)[0])
        with creating(target, libver=LIBRARY_VERSIONS) as copy:
            copy.attrs.update(source.attrs)
            for name in _datasets(source):
                _copy_dataset(source[name], copy, frames)
            _attach_scales(source, copy)
        with h5py.File(target, "r") as copy:
            for name in _datasets(source):
                _compare(source[name], copy[name], frames)
    return frames


def _datasets(file: h5py.File) -> list[str]:
    return [name for name in file if isinstance(file[name], h5py.Dataset)]


def _check_copied(file: h5py.File) -> None:
    """Check that all datasets consist of numbers, and store all data that they declare.

    Raises:
        OutputError: if this is not the case. The message names the first such dataset.
    """
    for name in _datasets(file):
        data = file[name]
        if data.shape is None or data.dtype.kind not in "fiu":
            raise OutputError(f"{name} in {file.filename} has type {data.dtype}", "real numbers")
        check_stored(data, data.size)


def _grows(data: h5py.Dataset) -> bool:
    return data.maxshape[:1] == (None,)


def frame_counts(file: h5py.File) -> tuple[int, int]:
    """Return the smallest and the largest number of frames in a time-dependent dataset."""
    lengths = [len(file[name]) for name in _datasets(file) if _grows(file[name])]
    if "time" not in file or not lengths:
        raise OutputError(f"{file.filename} contains no snapshots (no dataset 'time')")
    return min(lengths), max(lengths)


def _readable(file: h5py.File, frames: int) -> int:
    """Return the number of frames before the first one that cannot be decoded in some dataset."""
    growing = [file[name] for name in _datasets(file) if _grows(file[name])]
    for frame in range(frames):
        try:
            for data in growing:
                _read_frame(data, frame)
        except UNREADABLE:
            return frame
    return frames


def _read_frame(data: h5py.Dataset, frame: int) -> None:
    """Read a frame, one chunk at a time, so that large frames take little memory."""
    if data.ndim == 1:
        data[frame]
    else:
        for cells in frame_chunks(data):
            data[(frame, *cells)]


def _copy_dataset(data: h5py.Dataset, copy: h5py.File, frames: int) -> None:
    shape = (frames, *data.shape[1:]) if _grows(data) else data.shape
    properties = data.id.get_create_plist().copy()
    space = h5py.h5s.create_simple(shape, tuple(s or h5py.h5s.UNLIMITED for s in data.maxshape))
    name = data.name.strip("/")
    new = h5py.Dataset(
        h5py.h5d.create(copy.id, name.encode(), data.id.get_type(), space, dcpl=properties)
    )
    new.attrs.update(
        {key: value for key, value in data.attrs.items() if key not in _SCALE_ATTRIBUTES}
    )
    if data.ndim <= 1 or not _grows(data):
        new[...] = data[:frames] if _grows(data) else data[()]
        return
    for start in _chunks(new):
        mask, octets = read_chunk(data, start)
        write_chunk(new, start, octets, mask)


def _chunks(data: h5py.Dataset) -> Iterator[tuple[int, ...]]:
    """Yield the index of the first element of each chunk."""
    counts = [-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True)]
    for indices in np.ndindex(*counts):
        yield tuple(int(i * c) for i, c in zip(indices, data.chunks, strict=True))


def _attach_scales(source: h5py.File, copy: h5py.File) -> None:
    for name in _datasets(source):
        if source[name].is_scale:
            copy[name].make_scale(name)
    for name in _datasets(source):
        for number, dimension in enumerate(source[name].dims):
            for scale in dimension.values():
                copy[name].dims[number].attach_scale(copy[scale.name])


def _compare(data: h5py.Dataset, new: h5py.Dataset, frames: int) -> None:
    """Check that a copied dataset equals the original byte for byte.

    Raises:
        OSError: if they differ.
    """
    if new.ndim > 1 and _grows(new):
        same = all(read_chunk(data, start) == read_chunk(new, start) for start in _chunks(new))
    else:
        same = np.array_equal(data[:frames] if _grows(data) else data[()], new[()])
    if not same:
        raise OSError(f"the copy of {data.name} differs from the original")
