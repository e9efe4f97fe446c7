"""The memory that HDF5 attributes need, determined before they are read.

An attribute of variable length stores the length and the heap address of each element. In a file of
a few kilobytes, a million elements may refer to the same megabyte, and reading the attribute would
create a million copies of this megabyte. HDF5 can compute the total size of datasets, but not of
attributes. This module therefore reads the stored form of each element: 4 bytes for the length, 8
for the address of a heap, and 4 for the index in the heap.

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

#: limit of the bytes in all attributes of a file; the settings of a run take a few thousand
LARGEST = 2**24
#: limit of the number of attributes of one group or dataset
MOST = 10_000
#: assumed size in bytes of an element of variable length if its length cannot be read
_GUESS = 2**12
#: the stored form of an element of variable length, for addresses of 8 bytes as in nearly all files
_STORED = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
_SOFT, _ANY = 1, -1  # values of H5T_pers_t
_ID, _SIZE, _POINTER = ctypes.c_int64, ctypes.c_size_t, ctypes.c_void_p
_CONVERSION = ctypes.CFUNCTYPE(
    ctypes.c_int, _ID, _ID, _POINTER, _SIZE, _SIZE, _SIZE, _POINTER, _POINTER, _ID
)

#: a function that returns the sum of the lengths of an attribute's elements
Lengths = Callable[[h5a.AttrID], int]


def attribute_bytes(item, file: str, lengths: Lengths) -> int:
    """Return the number of bytes that the attributes of a group or dataset need in memory.

    Args:
        item: the open group or dataset.
        file: the name of the file, for errors.
        lengths: the function that :func:`stored_lengths` yields.

    Raises:
        OutputError: if there are more than ``MOST`` attributes, or if the size of an attribute is
            unknown because it has a variable-length type inside another type.
    """
    if h5a.get_num_attrs(item) > MOST:
        raise OutputError(f"a group or dataset of {file} has more than {MOST:,} attributes")
    names: list[bytes] = []
    h5a.iterate(item, names.append)
    total = 0
    for name in names:
        attribute = h5a.open(item, name)
        if attribute.get_space().get_simple_extent_npoints() == 0:
            continue  # h5py raises for the size of an empty attribute, which HDF5 gives as 0
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
        f"the attribute {name.decode('utf-8', 'replace')!r} of {file} has a nested variable-length "
        "type",
        "numbers, strings, or lists of these",
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
    """Yield a function that sums the lengths of an attribute's elements without reading them.

    Within the context, HDF5 can convert elements of variable length to 16 uninterpreted bytes.
    Since h5py has no interface for this, functions of the HDF5 library are called directly. If they
    are not found, every element is assumed to have ``_GUESS`` bytes.
    """
    try:
        library = _library()
    except (OSError, AttributeError):
        yield lambda attribute: _GUESS * _count(attribute)
        return
    raw = h5t.create(h5t.OPAQUE, _STORED.itemsize)

    def keep(source, target, *_) -> int:
        """Leave the stored elements unchanged, and refuse other conversions by the result -1."""
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
            # HDF5 has also registered the conversion for all types that were used, so it must be
            # removed for all types
            library.H5Tunregister(_ANY, b"pdesim", 0, 0, conversion)


def _count(attribute: h5a.AttrID) -> int:
    return int(attribute.get_space().get_simple_extent_npoints())


def _library() -> ctypes.CDLL:
    """Return the HDF5 library that h5py has loaded.

    Raises:
        OSError, AttributeError: if the library or one of its functions is not found.
    """
    library = ctypes.CDLL(h5p.__file__)
    library.H5Tget_size.argtypes, library.H5Tget_size.restype = [_ID], _SIZE
    library.H5Aread.argtypes = [_ID, _ID, _POINTER]
    for function in (library.H5Tregister, library.H5Tunregister):
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, _ID, _ID, _CONVERSION]
    return library
