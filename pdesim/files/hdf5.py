"""Opening HDF5 files that may be damaged, growing, or made to lead elsewhere.

An HDF5 file can make its reader open other files, and its writer write into them: through soft and
external links, external storage and virtual datasets. A file that has any of these is refused
before anything of it is read, and so is a small one whose parts would take a lot of memory.
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

#: what h5py raises for files that are damaged, beside OSError
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError,
              IndexError, AttributeError)  # fmt: skip
#: groups, datasets and links of a file; a snapshot file has about ten
MOST_OBJECTS = 10_000
#: frames of a file: their times take 256 MiB
MOST_FRAMES = 2**25
#: deflate makes at most 1032 bytes of one (zlib.net/zlib_tech.html), LZF 88
DEFLATE_RATIO = 1032
#: bytes that may be claimed without being stored: chunks that nobody wrote yet
UNSTORED = 2**20
#: bytes of a chunk that is larger than all numbers of its dataset
LARGEST_CHUNK = 2**24
#: filters that leave the size of a chunk as it is, and those that make few bytes of many: of HDF5
#: and h5py, and the registered numbers of blosc, lz4, bitshuffle, zstd and blosc2
_KEEPING = {h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
_BOUNDED = {h5z.FILTER_DEFLATE, h5z.FILTER_LZF}
_PACKING = _BOUNDED | {h5z.FILTER_SZIP, h5z.FILTER_NBIT, h5z.FILTER_SCALEOFFSET,
                       32001, 32004, 32008, 32015, 32026}  # fmt: skip
#: how often HDF5 reads metadata whose checksum is wrong, because a writer may be changing it. The
#: waits between double from 1 ns: 24 attempts take 17 ms, HDF5's own 100 longer than anybody lives
_ATTEMPTS = 24


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever h5py raises for a damaged file into one message.

    Raises:
        OutputError: naming the file and what HDF5 says.
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
    """The first line of what HDF5 says; the name of the exception where it says nothing."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text.splitlines() or [""])[0] or type(error).__name__


def open_hdf5(path: Path) -> h5py.File:
    """Open for reading, also while it is written (SWMR) or after its writer was killed.

    Raises:
        OSError: if it is no readable HDF5 file.
        OutputError: if it is a link that leaves its folder, or leads to other files.
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
    """Refuse to change a file that leads to other files, or that is one under another name.

    Raises:
        OSError: if it is no HDF5 file.
        OutputError: if it is a link, has a second name, or leads to other files.
    """
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        raise OutputError(
            f"{path} is a link, or has another name elsewhere; nothing was written",
            "a regular file with one name, so that no other file changes",
        )
    open_hdf5(path).close()


def open_hdf5_for_writing(path: Path, **options: Any) -> h5py.File:
    """Open for reading and writing a file that leads to no other file.

    Raises:
        OSError: if it is no HDF5 file, or cannot be written.
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
    except UNREADABLE as error:  # h5py raises RuntimeError and others for damaged headers
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
    """Call H5Pset_metadata_read_attempts, which h5py does not offer, where it can be found."""
    with contextlib.suppress(OSError, AttributeError):
        function = ctypes.CDLL(h5p.__file__).H5Pset_metadata_read_attempts
        function.argtypes, function.restype = [ctypes.c_int64, ctypes.c_uint], ctypes.c_int
        function(access.id, _ATTEMPTS)


def _check_contained(file: h5py.File) -> None:
    """Walk over all links and datasets without following any that leave the file.

    Raises:
        OutputError: naming the first that does; also for chunks, filters and attributes that take
            much more memory than the file.
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
                    raise _leads_elsewhere(name, inside, "a link")
                about = h5o.get_info(item, key)
                if (about.fileno, about.addr) in seen:
                    continue
                seen.add((about.fileno, about.addr))
                if about.type in (h5o.TYPE_GROUP, h5o.TYPE_DATASET):
                    waiting.append((h5o.open(item, key), inside))


def _check_dataset(data: h5d.DatasetID, name: str, place: str) -> None:
    plist = data.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL:
        raise _leads_elsewhere(name, place, "a virtual dataset")
    if plist.get_external_count():
        raise _leads_elsewhere(name, place, "a dataset in external storage")
    filters = _filters(plist)
    packing = [code for code in filters if code not in _KEEPING]
    if len(packing) > 1 or len(set(filters)) < len(filters) or not _PACKING.issuperset(packing):
        raise OutputError(
            f"{place} in {name} has the filters {filters}",
            "one compression that is known, with shuffle and Fletcher's checksum",
            f"a copy of the data, such as: h5repack -f GZIP=4 {name} NEW, if you trust the file",
        )
    if plist.get_layout() == h5d.CHUNKED:
        bytes_each = data.get_type().get_size()
        numbers = math.prod(max(1, n) for n in data.shape)
        chunk = math.prod(plist.get_chunk()) * bytes_each
        if chunk > max(LARGEST_CHUNK, numbers * bytes_each):
            raise OutputError(
                f"the chunks of {place} in {name} take {chunk:,} bytes each, "
                f"of which its shape {data.shape} uses few",
                "chunks that are not larger than their dataset",
            )


def _filters(plist: h5p.PropDCID) -> list[int]:
    return [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]


def _leads_elsewhere(name: str, place: str, kind: str) -> OutputError:
    return OutputError(
        f"{name} refers to other files: {place} is {kind}; nothing was read",
        "a file without links and virtual datasets, whose numbers lie in the file itself",
        f"a copy of the data, such as: h5repack -l CHUNK {name} NEW, if you trust the file",
    )


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset of the root group.

    Raises:
        OutputError: if there is none.
    """
    if "/" in name or name not in file or not isinstance(file[name], h5py.Dataset):
        raise OutputError(f"{file.filename} holds no dataset {name!r} in its root group")
    return file[name]


def read_array(
    file: h5py.File,
    name: str,
    frame: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """A dataset of real or complex numbers, or one frame of it.

    Args:
        shape: what the array has to be like.

    Raises:
        OutputError: see :func:`dataset`; also for other types and shapes, and for arrays that are
            larger than what is stored of them, or than this machine's memory.
    """
    data = dataset(file, name)
    found = data.shape if frame is None or data.shape is None else data.shape[1:]
    if data.dtype.kind not in "fiuc" or found is None or len(found) > 6:
        raise OutputError(
            f"the dataset {name!r} of {file.filename} has type {data.dtype} and shape {data.shape}",
            "an array of numbers",
        )
    if shape is not None and found != shape:
        raise OutputError(
            f"{name!r} in {file.filename} holds an array of shape {found}", f"the shape {shape}"
        )
    check_stored(data, math.prod(found))
    return data[()] if frame is None else data[frame]


def check_stored(data: h5py.Dataset, numbers: int) -> None:
    """Refuse a dataset that claims many more numbers than its file can hold.

    A file of a few kilobytes may claim any shape: parts that nobody wrote take no room, and are
    made up in memory by who reads them. What is stored, even compressed by deflate, is a lower
    bound of the claim divided by 1032. Several chunks may claim the same bytes of the file, so no
    more than its size counts as stored. Other filters have no such bound (blosc2 stores a constant
    chunk of any size in some 100 bytes); of these every claimed chunk must have been written.

    Args:
        numbers: how many are claimed, such as frames times cells.

    Raises:
        OutputError: with both sizes.
    """
    claimed = numbers * data.dtype.itemsize
    stored = min(data.id.get_storage_size(), data.file.id.get_filesize())
    possible = DEFLATE_RATIO * stored
    if not (_KEEPING | _BOUNDED).issuperset(_filters(data.id.get_create_plist())):
        possible = data.id.get_num_chunks() * math.prod(data.chunks) * data.dtype.itemsize
    if claimed > possible + UNSTORED:
        raise OutputError(
            f"{data.name[1:]} in {data.file.filename} claims {claimed:,} bytes, "
            f"of which {stored:,} are stored",
            f"a dataset that was written; what is stored can make {possible:,} bytes at most",
        )


def read_attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """All attributes by name, texts without control characters."""
    return {printable(name): _readable(value) for name, value in item.attrs.items()}


def _readable(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return printable(value) if isinstance(value, str) else value
