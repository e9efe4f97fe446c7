"""Opening HDF5 files that may be damaged, still being written, or malicious.

An HDF5 file may contain soft and external links, datasets in external storage, and virtual
datasets. These make a reader open other files, and a writer change other files. Files that contain
any of these are refused before data are read. Small files whose contents would take a large amount
of memory are also refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5l, h5o, h5p, h5z

from pdesim.errors import OutputError, printable
from pdesim.files.attributes import LARGEST as LARGEST_ATTRIBUTES
from pdesim.files.attributes import attribute_bytes, stored_lengths
from pdesim.files.folder import check_own_file
from pdesim.files.heaps import check_heaps
from pdesim.files.readers import release

#: exceptions that h5py raises for damaged files
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError,
              IndexError, AttributeError)  # fmt: skip
#: limit of the number of groups, datasets and links of a file; a snapshot file has about ten
MOST_OBJECTS = 10_000
#: limit of the number of frames of a file; their times take 256 MiB
MOST_FRAMES = 2**25
#: highest compression ratio of deflate (zlib.net/zlib_tech.html); LZF reaches 88
DEFLATE_RATIO = 1032
#: largest number of bytes of a dataset that may be in chunks that were never written
UNSTORED = 2**20
#: largest number of bytes of a chunk that is larger than its dataset
LARGEST_CHUNK = 2**24
# filters that preserve the size of a chunk, filters with a bounded compression ratio, and all known
# compression filters; the numbers are those of blosc, lz4, bitshuffle, zstd and blosc2
_KEEPING = {h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
_BOUNDED = {h5z.FILTER_DEFLATE, h5z.FILTER_LZF}
_PACKING = _BOUNDED | {h5z.FILTER_SZIP, h5z.FILTER_NBIT, h5z.FILTER_SCALEOFFSET,
                       32001, 32004, 32008, 32015, 32026}  # fmt: skip
#: number of attempts of HDF5 to read metadata with a wrong checksum, since a writer may be changing
#: the metadata. The waiting time begins with 1 ns and is doubled after every attempt: 24 attempts
#: take 17 ms, while the default of 100 attempts would never end
_ATTEMPTS = 24


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert exceptions of h5py for damaged files to OutputError.

    Raises:
        OutputError: with the name of the file and the message of HDF5.
    """
    try:
        yield
    except OutputError:
        raise
    except UNREADABLE as error:
        raise OutputError(
            f"{path} cannot be read: {reason(error)}", "an undamaged HDF5 file"
        ) from None


def reason(error: Exception) -> str:
    """Return the first line of an exception's message, or the exception's name if it has none."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text.splitlines() or [""])[0] or type(error).__name__


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, even while it is being written or after its writer was killed.

    Raises:
        OSError: if the file is not a readable HDF5 file.
        OutputError: if the file is a link to a file outside its folder, refers to other files, or
            would need much more memory than the size of the file.
    """
    check_heaps(check_own_file(path))
    file = _open(path)
    try:
        _check_contained(file)
    except OutputError:
        file.close()
        raise
    except UNREADABLE as error:
        file.close()
        raise OSError(reason(error)) from None
    return file


def check_for_writing(path: Path) -> None:
    """Check that writing to a file changes no other file.

    Raises:
        OSError: if it is not an HDF5 file.
        OutputError: if it is a link, has a second name (hard link), or refers to other files.
    """
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        raise OutputError(
            f"{path} is not a regular file or has several hard links; nothing was written",
            "a regular file with one hard link, so that no other file is changed",
        )
    release(path)
    open_hdf5(path).close()


def open_hdf5_for_writing(path: Path, **options: Any) -> h5py.File:
    """Open a file for reading and writing after :func:`check_for_writing`.

    Raises:
        OSError: if it is not an HDF5 file, or cannot be written.
        OutputError: see :func:`check_for_writing`.
    """
    check_for_writing(path)
    return h5py.File(path, "r+", **options)


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "already open for write" not in str(error):
            raise
    except UNREADABLE as error:  # for damaged headers
        raise OSError(reason(error)) from None
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    _limit_attempts(access)
    flags = h5f.ACC_RDONLY | h5f.ACC_SWMR_READ
    try:
        return h5py.File(h5f.open(str(path).encode(), flags, fapl=access))
    except UNREADABLE as error:
        raise OSError(reason(error)) from None


def _limit_attempts(access: h5p.PropFAID) -> None:
    """Limit the attempts to read metadata, if H5Pset_metadata_read_attempts is found.

    The function is called in the HDF5 library directly, since h5py has no interface for it.
    """
    with contextlib.suppress(OSError, AttributeError):
        function = ctypes.CDLL(h5p.__file__).H5Pset_metadata_read_attempts
        function.argtypes, function.restype = [ctypes.c_int64, ctypes.c_uint], ctypes.c_int
        function(access.id, _ATTEMPTS)


def _check_contained(file: h5py.File) -> None:
    """Check all links, datasets and attributes of a file without following references.

    Raises:
        OutputError: for references to other files, and for chunks, filters and attributes that may
            need much more memory than the size of the file.
    """
    name = str(file.filename)
    waiting, seen, count, attributes = [(file.id, "")], set(), 0, 0
    with stored_lengths() as lengths:
        while waiting:
            item, place = waiting.pop()
            attributes += attribute_bytes(item, name, lengths)
            if attributes > LARGEST_ATTRIBUTES:
                raise OutputError(
                    f"the attributes of {name} take more than {LARGEST_ATTRIBUTES:,} bytes"
                )
            if isinstance(item, h5d.DatasetID):
                _check_dataset(item, name, place)
                continue
            for key in item:
                count += 1
                inside = f"{place}/{key.decode('utf-8', 'replace')}"
                if count > MOST_OBJECTS:
                    raise OutputError(f"{name} has more than {MOST_OBJECTS:,} objects")
                if item.links.get_info(key).type != h5l.TYPE_HARD:
                    raise _refers_elsewhere(name, inside, "a link")
                about = h5o.get_info(item, key)
                if (about.fileno, about.addr) in seen:
                    continue
                seen.add((about.fileno, about.addr))
                if about.type in (h5o.TYPE_GROUP, h5o.TYPE_DATASET):
                    waiting.append((h5o.open(item, key), inside))


def _check_dataset(data: h5d.DatasetID, name: str, place: str) -> None:
    plist = data.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL:
        raise _refers_elsewhere(name, place, "a virtual dataset")
    if plist.get_external_count():
        raise _refers_elsewhere(name, place, "a dataset in external storage")
    filters = _filters(plist)
    packing = [code for code in filters if code not in _KEEPING]
    if len(packing) > 1 or len(set(filters)) < len(filters) or not _PACKING.issuperset(packing):
        raise OutputError(
            f"{place} in {name} has the filters {filters}",
            "at most one known compression filter, besides shuffle and fletcher32",
            f"if you trust the file, copy its data: h5repack -f GZIP=4 {name} NEW",
        )
    if plist.get_layout() == h5d.CHUNKED:
        bytes_each = data.get_type().get_size()
        values = math.prod(max(1, n) for n in data.shape)
        chunk = math.prod(plist.get_chunk()) * bytes_each
        if chunk > max(LARGEST_CHUNK, values * bytes_each):
            raise OutputError(
                f"the chunks of {place} in {name} take {chunk:,} bytes each, "
                f"much more than the shape {data.shape} of this dataset needs",
                "chunks that are not larger than their dataset",
            )


def _filters(plist: h5p.PropDCID) -> list[int]:
    return [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]


def _refers_elsewhere(name: str, place: str, kind: str) -> OutputError:
    return OutputError(
        f"{name} refers to other files: {place} is {kind}; nothing was read",
        "a file that contains all its data, without links and virtual datasets",
        f"if you trust the file, copy its data: h5repack -l CHUNK {name} NEW",
    )


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset; names with ``/`` contain those of its groups.

    Raises:
        OutputError: if there is no dataset of this name.
    """
    # a name that begins with / or contains . or .. is a path and not a name
    if {"", ".", ".."} & {*name.split("/")} or not isinstance(file.get(name), h5py.Dataset):
        raise OutputError(f"{file.filename} has no dataset {name!r}")
    return file[name]


def read_array(
    file: h5py.File,
    name: str,
    frame: int | None = None,
    shape: tuple[int, ...] | None = None,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Read a dataset of real or complex numbers, or one frame of it, or some of its rows.

    Args:
        file: the open file.
        name: the name of the dataset.
        frame: the index along the first axis; None reads the entire dataset.
        shape: the expected shape of the dataset or the frame; None: any shape.
        rows: the rows that are returned (ascending indices along the first axis of the dataset or
            the frame); None returns all.

    Raises:
        OutputError: see :func:`dataset`; also for other types and shapes, and for arrays that
            declare more data than are stored (:func:`check_stored`).
    """
    data = array_dataset(file, name, frame, shape)
    if rows is not None and data.ndim > (frame is not None):
        return _read_rows(data, () if frame is None else (frame,), rows)
    return data[()] if frame is None else data[frame]


def array_dataset(
    file: h5py.File,
    name: str,
    frame: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> h5py.Dataset:
    """Return a dataset of real or complex numbers after the checks of :func:`read_array`."""
    data = dataset(file, name)
    found = data.shape if frame is None or data.shape is None else data.shape[1:]
    if data.dtype.kind not in "fiuc" or found is None or len(found) > 6:
        raise OutputError(
            f"the dataset {name!r} of {file.filename} has type {data.dtype} and shape {data.shape}",
            "an array of numbers",
        )
    if shape is not None and found != shape:
        raise OutputError(
            f"{name!r} in {file.filename} has the shape {found}", f"the shape {shape}"
        )
    check_stored(data, math.prod(found))
    return data


def _read_rows(data: h5py.Dataset, place: tuple[int, ...], rows: np.ndarray) -> np.ndarray:
    """Return some rows of a dataset. Rows that are far from one another are read separately.

    Args:
        place: the indices along the axes before that of the rows.
        rows: ascending indices.
    """
    groups = np.split(rows, np.flatnonzero(np.diff(rows) > max(1, len(rows))) + 1)
    parts = []
    for group in groups:
        first, end = (int(group[0]), int(group[-1]) + 1) if len(group) else (0, 0)
        values = data[(*place, slice(first, end))]
        parts.append(values if len(group) == end - first else values[group - first])
    return np.concatenate(parts)


def check_stored(data: h5py.Dataset, values: int) -> None:
    """Check that the declared size of a dataset is possible, given the number of stored bytes.

    A file of a few kilobytes can declare any shape, because chunks that were never written take no
    space in the file, but are filled in when they are read. Deflate compresses at most by a factor
    of 1032. Since several chunks may refer to the same bytes, at most the size of the file is
    counted as stored. Other filters have no largest compression ratio: blosc2 stores a constant
    chunk of any size in about 100 bytes. With such filters, all chunks must have been written.

    Args:
        data: the dataset.
        values: the declared number of values, such as frames times cells.

    Raises:
        OutputError: if the declared size is too large.
    """
    claimed = values * data.dtype.itemsize
    stored = min(data.id.get_storage_size(), data.file.id.get_filesize())
    possible = DEFLATE_RATIO * stored
    if not (_KEEPING | _BOUNDED).issuperset(_filters(data.id.get_create_plist())):
        possible = data.id.get_num_chunks() * math.prod(data.chunks) * data.dtype.itemsize
    if claimed > possible + UNSTORED:
        raise OutputError(
            f"{data.name[1:]} in {data.file.filename} declares {claimed:,} bytes, "
            f"but only {stored:,} bytes are stored",
            f"at most {possible:,} bytes, the most that the stored data can contain",
        )


#: attributes of the dimension scales of HDF5
_OF_AXES = ("CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST")


def read_attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """Return a mapping from names to attributes, with control characters in texts replaced.

    Attributes by which HDF5 attaches axes are left out; their references could not be copied.
    """
    names = (name for name in item.attrs if name not in _OF_AXES)
    return {printable(name): _readable(item.attrs[name]) for name in names}


def _readable(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return printable(value) if isinstance(value, str) else value
