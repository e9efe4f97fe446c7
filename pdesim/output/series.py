"""``series.h5``: observables and probes over time, in a layout that h5py and xarray can read.

Like ``snapshots.h5``, the file is written in HDF5's SWMR mode, and the times of new records are
written after their values. Readers can use the length of ``time``, and records are not lost if the
writer is killed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    UNREADABLE,
    abandon,
    creating,
    open_hdf5,
    open_hdf5_for_writing,
    replacing,
)
from pdesim.output import lock
from pdesim.output.hdf5_errors import reason, translate_errors
from pdesim.output.snapshots import LIBRARY_VERSIONS

#: number of records in a chunk of the file
CHUNK = 4096


class SeriesWriter:
    """Appends records to a file of series, which other processes may be reading.

    Args:
        path: path of the file.
        series: name of each series -> its description.
        attributes: attributes of the file.
        keep: when a run is resumed, the time before which existing records are kept; None: a new
            file without records.

    Raises:
        OutputError: if the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        series: Mapping[str, str],
        attributes: Mapping[str, Any],
        keep: float | None = None,
    ) -> None:
        self.path, self.names = path, tuple(series)
        times, values = _kept(path, self.names, keep)
        with (
            translate_errors(path),
            replacing(path) as temporary,
            creating(temporary, libver=LIBRARY_VERSIONS) as file,
        ):
            _create(file, series, attributes, times, values)
        with translate_errors(path):
            self._file = open_hdf5_for_writing(path, libver=LIBRARY_VERSIONS)
            try:
                self._file.swmr_mode = True
            except (OSError, RuntimeError, ValueError):
                abandon(self._file)
                raise
        self._closed = False

    def append(self, times: np.ndarray, values: np.ndarray) -> None:
        """Append records.

        Args:
            times: shape ``(records,)``.
            values: shape ``(records, series)``.

        Raises:
            OutputError: if the records cannot be written. The file is then closed.
        """
        try:
            with translate_errors(self.path):
                for number, name in enumerate(self.names):
                    _extend(self._file[name], values[:, number])
                _extend(self._file["time"], times)
        except OutputError:
            self._closed = True
            abandon(self._file)
            raise

    def sync(self) -> None:
        """Wait until all records are on the disk.

        Raises:
            OutputError: if that fails.
        """
        with translate_errors(self.path):
            os.fsync(self._file.id.get_vfd_handle())

    def close(self) -> None:
        """Close the file, unless a failed write has closed it already."""
        if not self._closed:
            self._closed = True
            with translate_errors(self.path):
                self._file.close()


def read_series(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, str]]:
    """Return the times, the values of each series, and the description of each series.

    The file may be incomplete because its writer was killed, or is still writing.

    Raises:
        OutputError: if the file is missing or cannot be read.
    """
    try:
        with open_hdf5(path) as file:
            count = len(file["time"])
            names = [name for name in file if name != "time"]
            count = min([count, *(len(file[name]) for name in names)])
            values = {name: np.asarray(file[name][:count], float) for name in names}
            about = {name: str(file[name].attrs.get("long_name", name)) for name in names}
            return np.asarray(file["time"][:count], float), values, about
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise OutputError(f"{path} cannot be read: {reason(error)}") from None


def recover_series(path: Path) -> int | None:
    """Repair a file whose writer was killed, so that other programs can open it.

    Returns:
        The number of its records; None if there is no file, or if it is complete already.

    Raises:
        OutputError: if the file cannot be read or replaced, or if a run is writing it now.
    """
    if not path.is_file():
        return None
    try:
        with open_hdf5(path) as file:
            lengths, attributes = {len(file[name]) for name in file}, dict(file.attrs)
            if not file.swmr_mode and len(lengths) == 1:
                return None
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise OutputError(f"{path} cannot be read: {reason(error)}") from None
    if lock.is_held(path.parent):
        raise OutputError(
            f"a run is writing {path} now; nothing was changed", hint="wait until the run ends"
        )
    with lock.hold(path.parent):
        times, _, about = read_series(path)
        SeriesWriter(path, about, attributes, keep=np.inf).close()
    return len(times)


def _kept(
    path: Path, names: Sequence[str], keep: float | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the records of an earlier part of the run; none if the file is not usable."""
    nothing = np.empty(0), {name: np.empty(0) for name in names}
    if keep is None or not path.exists():
        return nothing
    try:
        times, values, _ = read_series(path)
    except OutputError:
        return nothing
    if set(values) != set(names):
        return nothing
    before = times < keep
    return times[before], {name: values[name][before] for name in names}


def _create(
    file: h5py.File,
    series: Mapping[str, str],
    attributes: Mapping[str, Any],
    times: np.ndarray,
    values: Mapping[str, np.ndarray],
) -> None:
    file.attrs.update(attributes)
    growing: dict[str, Any] = {"maxshape": (None,), "chunks": (CHUNK,), "dtype": "f8"}
    time = file.create_dataset("time", data=times, **growing)
    time.make_scale("time")
    time.attrs.update({"units": "1", "long_name": "time"})
    for name, description in series.items():
        data = file.create_dataset(name, data=values[name], **growing)
        data.attrs.update({"units": "1", "long_name": description})
        data.dims[0].attach_scale(time)


def _extend(data: h5py.Dataset, values: np.ndarray) -> None:
    before = len(data)
    data.resize((before + len(values),))
    data[before:] = values
    data.flush()
