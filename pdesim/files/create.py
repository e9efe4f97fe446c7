"""Writing HDF5 files when the disk may become full.

After a failed write, HDF5 retains the unwritten data, and the objects to which they belong remain
open; Python then ends with a segmentation fault. HDF5 is therefore shielded from most failures: new
files are written through a Python object that records the first error but reports success to HDF5,
and frames are appended only while the file system has enough free space. If a write fails
nevertheless (because of a quota, or because another program has filled the disk),
:func:`abandon` closes the file.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from pdesim.files.hdf5 import check_for_writing

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: number of bytes that HDF5 and the file system need in addition to the data
RESERVE = 2**16
#: files that could not be closed; these references prevent Python from closing them again
_UNCLOSED: list[h5py.File] = []


class _Kept(io.FileIO):
    """A file that records its first error instead of raising it, and ignores all later writes."""

    error: OSError | None = None

    def write(self, data) -> int:
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self.error is None and written < len(view):
                written += super().write(view[written:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as error:
            self.error = error
        return size or 0


@contextlib.contextmanager
def creating(path: Path, **options: Any) -> Iterator[h5py.File]:
    """Create an HDF5 file that is closed at the end of the context, even after failed writes.

    Raises:
        OSError: if the file could not be written.
    """
    with _Kept(path, "w+") as stream:
        with h5py.File(stream, "w", **options) as file:
            yield file
        if stream.error is not None:
            raise stream.error


def abandon(file: h5py.File) -> None:
    """Close a file after a failed write. Data that were written earlier remain on the disk.

    When a file is closed, HDF5 repeats failed writes, and a second failure would end Python with a
    segmentation fault. Therefore the file descriptor is first redirected to a file in memory, which
    receives the repeated writes and vanishes when it is closed.
    """
    descriptor = file.id.get_vfd_handle()
    with _file_in_memory() as memory:
        os.dup2(memory, descriptor, inheritable=False)
    try:
        file.close()
    except (OSError, RuntimeError):
        _UNCLOSED.append(file)  # a second attempt, when the object is deleted, would crash


@contextlib.contextmanager
def _file_in_memory() -> Iterator[int]:
    """Yield the descriptor of an unnamed empty file, in memory if the system supports that."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("abandoned")
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryFile() as file:
            yield file.fileno()


@contextlib.contextmanager
def changing(path: Path, size: int, **options: Any) -> Iterator[h5py.File]:
    """Open an existing HDF5 file for changes in place.

    The space is reserved before HDF5 writes, because an incomplete change would make the file
    unreadable. Unused space is released at the end.

    Args:
        path: the file.
        size: an upper bound of the number of bytes by which the file grows.
        options: keyword arguments of ``h5py.File``.

    Raises:
        OSError: if there is not enough space, or the file cannot be written.
        OutputError: see :func:`pdesim.files.hdf5.check_for_writing`.
    """
    check_for_writing(path)
    check_space(path, size)
    _reserve(path, size)
    file = h5py.File(path, "r+", **options)
    try:
        yield file
        file.flush()
    except BaseException:
        abandon(file)
        raise
    file.close()


def _reserve(path: Path, size: int) -> None:
    """Allocate ``size`` bytes at the end of a file. HDF5 later releases unused bytes."""
    if not hasattr(os, "posix_fallocate"):
        return
    with open(path, "r+b") as file:
        end = os.fstat(file.fileno()).st_size
        try:
            os.posix_fallocate(file.fileno(), end, size)
        except OSError as error:
            os.ftruncate(file.fileno(), end)
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise


def check_space(path: Path, size: int) -> None:
    """Check that there is enough free space before HDF5 writes to a file.

    Args:
        path: an existing file.
        size: the number of bytes to be added. ``RESERVE`` additional bytes must be free.

    Raises:
        OSError: ``ENOSPC`` if the file system has less free space; ``EFBIG`` if the file would
            exceed the size limit of the process (``ulimit -f``).
    """
    needed, code = size + RESERVE, None
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and path.stat().st_size + needed > limit:
            code = errno.EFBIG
    if hasattr(os, "statvfs"):
        about = os.statvfs(path.parent)
        if about.f_bavail * about.f_frsize < needed:
            code = errno.ENOSPC
    if code is not None:
        raise OSError(code, os.strerror(code), str(path))
