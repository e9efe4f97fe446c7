"""Errors of HDF5 and of the operating system while a file of a run is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import UNREADABLE
from pdesim.files.hdf5 import reason as files_reason


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Convert errors of HDF5 and of the operating system to OutputError, and add a hint."""
    try:
        yield
    except UNREADABLE as error:
        if "already open for read-only" in str(error):
            raise OutputError(
                f"{path} cannot be written, because this process has opened it for reading",
                hint="close it first (file.close() in h5py, dataset.close() in xarray)",
            ) from None
        if "unable to lock file" in str(error):
            raise OutputError(
                f"{path} cannot be written, because another library or process has opened it",
                hint="close it first (dataset.close() in xarray and netCDF4)",
            ) from None
        raise OutputError(
            f"{path} cannot be written: {reason(error)}; frames written earlier are kept",
            hint="free some disk space, check the permissions, then pdesim resume "
            f"{path.parent}; or use another folder (hydra.run.dir=DIR)",
        ) from None


def reason(error: Exception) -> str:
    """Return the message of the operating system in an HDF5 error, or else the first line."""
    match = re.search(r"error message = '([^']+)'", str(error))
    if match:
        return match.group(1)
    return getattr(error, "strerror", None) or files_reason(error)
