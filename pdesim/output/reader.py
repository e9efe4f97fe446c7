"""Finding, opening, checking and reading snapshot files, without TensorFlow and Hydra."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pdesim.errors import MissingExtraError, OutputError, nearest
from pdesim.files import (
    UNREADABLE,
    open_hdf5,
    read_array,
    read_attributes,
    reading,
    register,
)
from pdesim.files.hdf5 import reason
from pdesim.model.grid import Grid
from pdesim.output import lock
from pdesim.output.axis import Axis
from pdesim.output.find import find_snapshots
from pdesim.output.layout import AXES, check_layout, is_series
from pdesim.output.metadata import listed, listed_fields, read_config, read_grid
from pdesim.output.run_folder import RunFolder

if TYPE_CHECKING:
    import xarray


class Snapshots:
    """A snapshot file, open for reading; a context manager.

    If this process resumes the run, the file is closed for writing and opened again when it is
    used. Datasets that were obtained before are closed then.

    ``snapshots["u"]`` is the HDF5 dataset of field u, of shape ``(time, ..., x)``; slicing this
    dataset reads from the file. ``len(snapshots)`` is the number of complete frames. While a run is
    writing the file, a dataset may have one frame more. ``state`` is "complete", "writing" (a run
    is adding frames) or "truncated" (the run was killed; ``pdesim recover`` repairs the file).

    Args:
        path: the folder of a run, or a snapshot file.

    Raises:
        OutputError: if the file does not exist, cannot be read, refers to other files, or declares
            frames that it does not store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_snapshots(path)
        self._handles: dict[str, h5py.Dataset] = {}
        self._closed = False
        self._open_file: h5py.File | None = None
        self.state = "complete"
        try:
            if self._file.swmr_mode:
                self.state = "writing" if lock.is_held(self.path.parent) else "truncated"
            with reading(self.path):
                check_layout(self._file)
                self._attributes = read_attributes(self._file)
                self._axes = tuple(name for name in AXES if name in self._file)
                scalars = listed(self._attributes, "scalars")
                self._scalars = tuple(n for n in scalars if is_series(self._file.get(n)))
                others = {"time", "mask", *AXES, *self._scalars}
                names = (name for name in self._file if name not in others)
                self._fields = tuple(n for n in names if isinstance(self._file[n], h5py.Dataset))
        except OutputError:
            self.close()
            raise

    @property
    def _file(self) -> h5py.File:
        """The file, which is opened again if it was closed by :meth:`release`."""
        if self._open_file is None:
            if self._closed:
                raise OutputError(f"{self.path} was closed", hint="open it again: pdesim.open")
            try:
                self._open_file = open_hdf5(self.path)
            except OSError as error:
                hint = f"pdesim recover {self.path}" if "truncated file" in str(error) else ""
                raise OutputError(
                    f"{self.path} cannot be read ({reason(error)})", "a snapshots.h5", hint
                ) from None
            register(self.path, self)
        return self._open_file

    def release(self) -> None:
        """Close the file for now, so that this process can write it; it is opened when needed."""
        self._handles.clear()
        if self._open_file is not None:
            self._open_file.close()
            self._open_file = None

    @property
    def recovery_hint(self) -> str:
        """A hint on how to repair the file if its writer was killed; otherwise empty."""
        if self.state != "truncated":
            return ""
        return f"the writer of {self.path} was killed: pdesim recover {self.path} repairs it"

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the array axes that follow the time axis, such as ``("y", "x")``."""
        return self._axes

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the stored fields, in alphabetical order."""
        return self._fields

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the scalars, of which one number is stored for each frame."""
        return self._scalars

    def scalar(self, name: str) -> np.ndarray:
        """Return the values of a scalar in the complete frames, shape ``(frames,)``."""
        with reading(self.path):
            return self._fresh(name)[: len(self)]

    @property
    def ordered_fields(self) -> tuple[str, ...]:
        """Names of the stored fields, in the order of the equation.

        Raises:
            OutputError: if there is no field, or no axis.
        """
        if not self.fields or not self.axes:
            raise OutputError(
                f"{self.path} contains no time-dependent fields", "the snapshots.h5 of a run"
            )
        listed = listed_fields(self._attributes)
        return tuple(
            sorted(self._fields, key=lambda n: listed.index(n) if n in listed else len(listed))
        )

    @property
    def times(self) -> np.ndarray:
        """Times of the complete frames, shape ``(frames,)``."""
        with reading(self.path):
            return self._fresh("time")[:]

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file."""
        return dict(self._attributes)

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the run; empty if the file does not contain them."""
        return read_config(self._attributes)

    @property
    def computed_grid(self) -> Grid | None:
        """The grid of the run, of which frames may be only a part; None if it is unknown."""
        return read_grid(self.config, self.axes)

    @property
    def mask(self) -> np.ndarray | None:
        """1 inside obstacles, 0 elsewhere, in the shape of a frame; None without obstacles."""
        with reading(self.path):
            return read_array(self._file, "mask") if "mask" in self._file else None

    def coordinates(self, axis: str) -> np.ndarray:
        """Return the cell centres along an axis, shape ``(n,)``."""
        with reading(self.path):
            return self._file[axis][:]

    def axis(self, name: str, single_spacing: float = 1.0) -> Axis:
        """Return an axis with its unit, cell centres, spacing and faces.

        Args:
            name: the name of the axis.
            single_spacing: the cell size if there is only one cell.
        """
        return Axis(name, self.unit_of(name), self.coordinates(name), single_spacing)

    def axes_of(self, field: str) -> tuple[Axis, ...]:
        """Return the axes of the frames of a field, x last.

        Raises:
            OutputError: if the shape of the field is not ``(time, ..., x)``.
        """
        frame_axes = self[field].ndim - 1
        names = self.axes if "r" in self.axes else AXES[:3]
        return self._matching_axes(field, names[-frame_axes:] if 1 <= frame_axes <= 3 else names)

    def _matching_axes(self, field: str, names: Sequence[str]) -> tuple[Axis, ...]:
        """Return the named axes, if the shape of the field matches them."""
        data, axes = self[field], tuple(self.axis(name) for name in names if name in self.axes)
        shape = tuple(len(axis.centres) for axis in axes)
        if len(axes) < len(names) or data.ndim == 0 or data.shape[1:] != shape:
            missing = [name for name in names if name not in self.axes]
            here = f"the file has no {missing[0]}" if missing else f"here (time, {str(shape)[1:]}"
            raise OutputError(
                f"{field} in {self.path} has shape {data.shape}",
                f"(time, {', '.join(names)}), {here}",
            )
        return axes

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Return the attributes of a field, an axis, or ``time``."""
        with reading(self.path):
            return read_attributes(self._handle(name))

    def unit_of(self, name: str) -> str:
        """Return the unit of a field, an axis, or ``time``; empty if it is dimensionless."""
        unit = str(self.attributes_of(name).get("units", "")).strip()
        return "" if unit == "1" else unit

    def checked_fields(self) -> tuple[str, ...]:
        """Return the fields in the order of the equation, if all of them have the same axes.

        Raises:
            OutputError: if there is no field, or if the shape of a field is not ``(time, ..., x)``.
        """
        fields = self.ordered_fields
        for name in fields:
            self._matching_axes(name, self.axes)
        return fields

    def frame_count(self, fields: Sequence[str]) -> int:
        """Return the number of complete frames, of which the time and these fields are stored.

        A run that stopped between writing a field and its time leaves the field one frame longer.

        Raises:
            OutputError: if there is no complete frame.
        """
        count = min(len(self), *(self[name].shape[0] for name in fields))
        if count == 0:
            raise self._without_frames()
        return count

    def check_frames(self) -> None:
        """Check that there is a frame.

        Raises:
            OutputError: if there is none, because the run has just started, or was killed before.
        """
        if not len(self):
            raise self._without_frames()

    def _without_frames(self) -> OutputError:
        problem, folder = f"{self.path} has no frames yet", self.path.parent
        if lock.is_held(folder):
            return OutputError(problem, hint="wait until the run has stored its first frame")
        if not RunFolder(folder).status.is_file():
            return OutputError(problem)
        return OutputError(
            f"{problem}: the run was stopped before its first frame",
            hint=f"pdesim resume {folder}   computes it",
        )

    def frame_times(self, fields: Sequence[str]) -> np.ndarray:
        """Return the times of the complete frames of these fields, as float64."""
        return np.asarray(self.times[: self.frame_count(fields)], dtype=np.float64)

    def read_frame(self, field: str, frame: int, plane: int | None = None) -> np.ndarray:
        """Read a frame of a field, or one of its planes.

        Args:
            field: the name of the field.
            frame: the index of the frame.
            plane: an index along the first axis of the frame; None: the entire frame.

        Raises:
            OutputError: if the frame cannot be read.
        """
        data = self._handle(field)
        if frame >= len(data):  # a run may have added it
            data = self._fresh(field)
        try:
            return data[frame if plane is None else (frame, plane)]
        except UNREADABLE as error:
            raise OutputError(
                f"frame {frame} of {field} in {self.path} cannot be read ({reason(error)})"
            ) from None

    def load_filters(self, field: str) -> None:
        """Import hdf5plugin if HDF5 itself cannot decompress a field.

        Raises:
            MissingExtraError: if hdf5plugin is needed and not installed.
        """
        plan = self._handle(field).id.get_create_plist()
        codes = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
        if all(h5py.h5z.filter_avail(code) for code in codes):
            return
        try:
            importlib.import_module("hdf5plugin")
        except ImportError:
            raise MissingExtraError(
                f"the compression of {self.path}", "hdf5plugin", "blosc2"
            ) from None

    def run_state(self, status: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the state of the run and its error, from this file and from ``status.json``.

        If a run is killed, its ``status.json`` still says "running". The lock of the folder shows
        whether the process still exists.

        Args:
            status: entries of ``status.json``.
        """
        state, error = str(status.get("state", "unknown")), status.get("error")
        if self.state == "writing":
            return "running", None
        if self.state == "truncated":
            return "killed", self.recovery_hint
        if state == "running":
            return "killed", f"pdesim resume {self.path.parent} continues it"
        return state, error

    def __len__(self) -> int:
        return self._fresh("time").shape[0]

    def _handle(self, name: str) -> h5py.Dataset:
        """Return a dataset as it was when it was last refreshed.

        Each dataset is opened only once: with two handles, HDF5 reads wrong chunks after a refresh.
        """
        if name not in self._handles:
            self._handles[name] = self._file[name]
        return self._handles[name]

    def _fresh(self, name: str) -> h5py.Dataset:
        """Return a dataset, refreshed from the disk if a run is writing the file."""
        data = self._handle(name)
        if self._file.swmr_mode:
            data.refresh()
        return data

    def __getitem__(self, field: str) -> h5py.Dataset:
        if field not in (*self.fields, *self.scalars):
            raise OutputError(f"{self.path} has no field {field!r}", nearest(field, self.fields))
        return self._fresh(field)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def to_xarray(self) -> xarray.Dataset:
        """Read all frames and coordinates into memory, as an ``xarray.Dataset``.

        Raises:
            MissingExtraError: if xarray is not installed.
        """
        try:
            import xarray
        except ImportError:
            raise MissingExtraError("to_xarray()", "xarray", "xarray") from None
        dims = ("time", *self.axes)
        count = len(self)
        return xarray.Dataset(
            {
                **{f: (dims, self[f][:count], self.attributes_of(f)) for f in self.fields},
                **{s: ("time", self.scalar(s), self.attributes_of(s)) for s in self.scalars},
            },
            coords={
                "time": self.times[:count],
                **{name: self.coordinates(name) for name in self.axes},
            },
            attrs=self.attributes,
        )

    def close(self) -> None:
        """Close the file for good."""
        self._closed = True
        self.release()

    def __enter__(self) -> Snapshots:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Snapshots], tuple[Path]]:
        # another process opens the file itself
        return type(self), (self.path,)

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        from pdesim.output.reader_table import table  # only notebooks need it

        return table(self)

    def __repr__(self) -> str:
        if self._closed:
            return f"<Snapshots {self.path}: closed>"
        shape = " x ".join(f"{len(self.coordinates(a))} {a}" for a in self.axes)
        return f"<Snapshots {self.path}: {', '.join(self.fields)}; {len(self)} frames of {shape}>"
