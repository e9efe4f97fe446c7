"""The size of attributes in memory, before any is read.

An attribute of variable length stores a length and a place in a heap for each of its elements. A
file of a few kilobytes may let a million of them name one place that holds a megabyte, and who
reads the attribute gets as many copies. HDF5 tells such a sum for datasets only, so the lengths are
read here as they are stored: 4 bytes of length, 8 of address, and 4 of number in the heap.

Source: HDF5 File Format Specification 3.0, VIII.B, "Disk Format: Level 4 - Variable-length Data".
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator

import numpy as np
from h5py import h5a, h5p, h5t
from h5py._objects import phil

from pdesim.errors import OutputError

#: bytes of all attributes of a file together; all settings of a run take some thousands
LARGEST = 2**24
#: attributes of one group or dataset
MOST = 10_000
#: what an element of variable length counts for where its length cannot be read
_GUESS = 2**12
#: such an element as it is stored, where addresses take 8 bytes as in nearly all files
_STORED = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
_SOFT, _ANY = 1, -1  # of H5T_pers_t
_ID, _SIZE, _POINTER = ctypes.c_int64, ctypes.c_size_t, ctypes.c_void_p
_CONVERSION = ctypes.CFUNCTYPE(
    ctypes.c_int, _ID, _ID, _POINTER, _SIZE, _SIZE, _SIZE, _POINTER, _POINTER, _ID
)

#: the sum of the lengths of an attribute's elements
Lengths = Callable[[h5a.AttrID], int]


def attribute_bytes(item, file: str, lengths: Lengths) -> int:
    """Bytes that the attributes of an open group or dataset take in memory.

    Args:
        file: its name, for messages.

    Raises:
        OutputError: if there are more than ``MOST``, or one is of a type whose size in memory is
            not known before it is read: a variable length inside another type.
    """
    if h5a.get_num_attrs(item) > MOST:
        raise OutputError(f"{file} has more than {MOST:,} attributes in one place")
    names: list[bytes] = []
    h5a.iterate(item, names.append)
    total = 0
    for name in names:
        attribute = h5a.open(item, name)
        kind = attribute.get_type()
        total += attribute.get_storage_size()
        if _varies(kind):
            base = kind.get_super() if isinstance(kind, h5t.TypeVlenID) else None
            if base is not None and _has_parts_that_vary(base):
                raise _of_unknown_size(file, name)
            total += lengths(attribute) * (base.get_size() if base is not None else 1)
        elif _has_parts_that_vary(kind):
            raise _of_unknown_size(file, name)
    return total


def _of_unknown_size(file: str, name: bytes) -> OutputError:
    return OutputError(
        f"the attribute {name.decode('utf-8', 'replace')!r} of {file} has parts of variable length "
        "inside another type",
        "attributes that are numbers, texts, or lists of these",
    )


def _varies(kind: h5t.TypeID) -> bool:
    text = isinstance(kind, h5t.TypeStringID)
    return kind.is_variable_str() if text else isinstance(kind, h5t.TypeVlenID)


def _has_parts_that_vary(kind: h5t.TypeID) -> bool:
    if isinstance(kind, h5t.TypeCompoundID):
        members = range(kind.get_nmembers())
        return any(_has_parts_that_vary(kind.get_member_type(number)) for number in members)
    if isinstance(kind, h5t.TypeArrayID):
        return _has_parts_that_vary(kind.get_super())
    return _varies(kind)


@contextlib.contextmanager
def stored_lengths() -> Iterator[Lengths]:
    """A function that sums the lengths of an attribute's elements without reading the elements.

    For the time of the block, HDF5 gets a conversion of its own types of variable length into 16
    uninterpreted bytes, which h5py does not offer. Where the library's functions cannot be found,
    every element counts for ``_GUESS`` bytes.
    """
    try:
        library = _library()
    except (OSError, AttributeError):
        yield lambda attribute: _GUESS * _count(attribute)
        return
    raw = h5t.create(h5t.OPAQUE, _STORED.itemsize)

    def keep(source, target, *_) -> int:
        """Leave elements as they are stored; refuse all conversions but those asked for here."""
        sizes = library.H5Tget_size(source), library.H5Tget_size(target)
        return 0 if sizes == (_STORED.itemsize, _STORED.itemsize) else -1

    conversion = _CONVERSION(keep)
    kinds = [h5t.py_create(h5t.string_dtype(), logical=True), h5t.vlen_create(h5t.NATIVE_INT8)]

    def read(attribute: h5a.AttrID) -> int:
        elements = np.zeros(_count(attribute), _STORED)
        with phil:
            status = library.H5Aread(attribute.id, raw.id, elements.ctypes.data)
        if status < 0:
            raise OSError("the lengths of an attribute cannot be read")
        return int(elements["length"].sum(dtype=np.uint64))

    with phil:
        for kind in kinds:
            library.H5Tregister(_SOFT, b"pdesim", kind.id, raw.id, conversion)
    try:
        yield read
    finally:
        with phil:
            # from any type to any: HDF5 also keeps it for the types that it was used for
            library.H5Tunregister(_ANY, b"pdesim", 0, 0, conversion)


def _count(attribute: h5a.AttrID) -> int:
    return int(attribute.get_space().get_simple_extent_npoints())


def _library() -> ctypes.CDLL:
    """The HDF5 library that h5py has loaded.

    Raises:
        OSError, AttributeError: if its functions cannot be found.
    """
    library = ctypes.CDLL(h5p.__file__)
    library.H5Tget_size.argtypes, library.H5Tget_size.restype = [_ID], _SIZE
    library.H5Aread.argtypes = [_ID, _ID, _POINTER]
    for function in (library.H5Tregister, library.H5Tunregister):
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, _ID, _ID, _CONVERSION]
    return library
