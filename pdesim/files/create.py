"""Writing HDF5 to a disk that fills up.

When a write fails, HDF5 keeps what it could not write, and the objects that it belongs to stay open
in the library; Python then ends with a segmentation fault. So HDF5 never sees a failure: new files
are written through Python, which keeps the error and pretends that all went well, and frames are
added to a growing file only while the file system has room for them.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

#: bytes that HDF5 and the file system need besides the data
RESERVE = 2**16


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


def check_space(path: Path, size: int) -> None:
    """Refuse to write where there is no room, as the system itself would, but before HDF5 begins.

    Raises:
        OSError: ``ENOSPC``, if the file system of a file has less room than that many bytes.
    """
    if not hasattr(os, "statvfs"):
        return
    about = os.statvfs(path.parent)
    if about.f_bavail * about.f_frsize < size + RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
