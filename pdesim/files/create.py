"""Writing HDF5 to a disk that fills up.

When a write fails, HDF5 keeps what it could not write, and the objects that it belongs to stay
open in the library; Python then ends with a segmentation fault. So HDF5 sees as few failures as
possible: new files are written through Python, which keeps the error and pretends that all went
well, and frames are added to a growing file only while the file system has room for them. A write
may fail all the same (a quota, another program that took the room): such a file is abandoned.
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
    resource = None

#: bytes that HDF5 and the file system need besides the data
RESERVE = 2**16
#: files that could not be closed; they stay open until the process ends
_UNCLOSED: list[h5py.File] = []


class _Kept(io.FileIO):
    """A file that keeps its first error instead of raising it; later writes do nothing."""

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
    """A new HDF5 file, closed at the end whether its contents could be written or not.

    Raises:
        OSError: if it cannot be written.
    """
    with _Kept(path, "w+") as stream:
        with h5py.File(stream, "w", **options) as file:
            yield file
        if stream.error is not None:
            raise stream.error


def abandon(file: h5py.File) -> None:
    """Close a file after a failed write, leaving on the disk what was written before.

    HDF5 writes what it holds again when its objects are closed, and a second failure ends Python
    with a segmentation fault. So a file in memory takes the place of the real one under its
    descriptor: it gets the blocks that could not be written, and disappears when it is closed.
    """
    descriptor = file.id.get_vfd_handle()
    with _file_in_memory() as memory:
        os.dup2(memory, descriptor, inheritable=False)
    try:
        file.close()
    except (OSError, RuntimeError):
        _UNCLOSED.append(file)  # closing it once more, as Python would, is what crashes


@contextlib.contextmanager
def _file_in_memory() -> Iterator[int]:
    """The descriptor of an empty file without a name, in memory where the system has such files."""
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
    """An existing HDF5 file, opened for changes in place that take at most ``size`` bytes.

    The room is taken before HDF5 writes anything, since a change that is written by half would
    make the file unreadable; what is not needed of it is given back at the end.

    Raises:
        OSError: if there is no room, or the file cannot be written.
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
    """Extend a file by ``size`` stored bytes; HDF5 removes those that it does not use."""
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
    """Refuse to write where there is no room, as the system itself would, but before HDF5 begins.

    Args:
        path: of an existing file.
        size: bytes to be added to it; ``RESERVE`` more have to be free.

    Raises:
        OSError: ``ENOSPC``, if its file system has less room; ``EFBIG``, if the file would exceed
            the size that the process may give to files (``ulimit -f``).
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
