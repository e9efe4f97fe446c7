"""``snapshots.h5``: fields over time, in a layout that h5py, xarray and netCDF readers know.

Written in SWMR mode: a frame is its fields, flushed, and then its time, so a reader that trusts
the length of ``time`` never sees half a frame, and a killed writer loses none that it finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import MissingExtraError, OutputError
from pdesim.grid import Grid

FILE = "snapshots.h5"
#: readable by HDF5 1.10 and later, and able to be read while written
LIBRARY_VERSIONS = ("v110", "v110")


class SnapshotWriter:
    """Creates the file and appends frames.

    Args:
        path: must not exist, unless ``overwrite``.
        fields: dataset names.
        attributes: root attributes (text and numbers).
        labels, units: ``long_name`` and ``units`` per field.
        dtype: on disk.
        mask: 1 inside obstacles, stored as a dataset over the axes.

    Raises:
        OutputError: if the file exists or cannot be created.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        fields: tuple[str, ...],
        attributes: Mapping[str, Any],
        *,
        labels: Mapping[str, str],
        units: Mapping[str, str],
        dtype: np.dtype,
        compression: str = "gzip",
        overwrite: bool = False,
        mask: np.ndarray | None = None,
    ) -> None:
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} holds a run already; nothing was overwritten",
                cure="another folder (hydra.run.dir=...), or output.overwrite=true",
            )
        filters = _filters(compression)
        try:
            self._file = h5py.File(path, "w", libver=LIBRARY_VERSIONS)
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error})") from None
        self.fields = fields
        self._file.attrs.update(attributes)
        self._create_axes(grid)
        for field in fields:
            data = self._file.create_dataset(
                field,
                shape=(0, *grid.shape),
                maxshape=(None, *grid.shape),
                chunks=(1, *grid.shape),
                dtype=dtype,
                **filters,
            )
            data.attrs["units"] = units.get(field, "1")
            data.attrs["long_name"] = labels.get(field, field)
            for number, name in enumerate(("time", *reversed(grid.axes))):
                data.dims[number].attach_scale(self._file[name])
        if mask is not None:
            self._create_mask(grid, mask)
        self._file.swmr_mode = True

    def _create_axes(self, grid: Grid) -> None:
        time = self._file.create_dataset(
            "time", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="f8"
        )
        time.make_scale("time")
        time.attrs.update({"units": "1", "long_name": "time"})
        for axis, name in enumerate(grid.axes):
            coordinate = self._file.create_dataset(name, data=grid.centres(axis))
            coordinate.make_scale(name)
            coordinate.attrs.update({"units": "1", "long_name": name, "axis": name.upper()})

    def _create_mask(self, grid: Grid, mask: np.ndarray) -> None:
        data = self._file.create_dataset("mask", data=mask.astype(np.uint8), compression="gzip")
        data.attrs.update({"units": "1", "long_name": "1 inside obstacles"})
        for number, name in enumerate(reversed(grid.axes)):
            data.dims[number].attach_scale(self._file[name])

    def write(self, time: float, state: np.ndarray) -> None:
        """Append one frame; ``state`` has shape ``(fields, *grid.shape)``."""
        frame = self._file["time"].shape[0]
        for field, values in zip(self.fields, state, strict=True):
            data = self._file[field]
            data.resize(frame + 1, axis=0)
            data[frame] = values
            data.flush()
        stamps = self._file["time"]
        stamps.resize(frame + 1, axis=0)
        stamps[frame] = time
        stamps.flush()

    def close(self) -> None:
        self._file.close()


def _filters(compression: str) -> dict[str, Any]:
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    try:
        import hdf5plugin
    except ImportError:
        raise MissingExtraError("output.compression=blosc2", "hdf5plugin", "blosc2") from None
    return dict(hdf5plugin.Blosc2(cname="zstd", clevel=3, filters=hdf5plugin.Blosc2.SHUFFLE))
