"""One field of a snapshot file, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.files import open_hdf5
from pdesim.output.facts import load_filters

_AXES = ("z", "y", "x")
_NOT_FIELDS = {"time", "mask", *_AXES}


@dataclass(frozen=True)
class Axis:
    """A coordinate: its name, its unit ("" for none) and its cell centres, shape ``(n,)``."""

    name: str
    unit: str
    centres: np.ndarray

    @property
    def spacing(self) -> float:
        n = len(self.centres)
        return float(self.centres[-1] - self.centres[0]) / (n - 1) if n > 1 else 1.0

    @property
    def lower(self) -> float:
        """The face of the first cell."""
        return float(self.centres[0]) - self.spacing / 2

    @property
    def upper(self) -> float:
        """The face of the last cell."""
        return float(self.centres[-1]) + self.spacing / 2


@dataclass(frozen=True)
class Snapshots:
    """A field over time, as it is drawn: ``(T, nx)`` or ``(T, ny, nx)``.

    Of a 3-D field one plane is drawn: ``plane`` is its index along the axis ``depth``.
    """

    path: Path
    field: str
    long_name: str
    unit: str
    equation: str
    time_unit: str
    times: np.ndarray
    axes: tuple[Axis, ...]  # (x,) or (y, x)
    plane: int | None
    depth: Axis | None
    dataset: h5py.Dataset
    #: 1 inside obstacles, shaped like ``values``; None where there are none
    mask: np.ndarray | None = None

    def values(self, frame: int) -> np.ndarray:
        """Frame ``frame`` as floats, shape ``(nx,)`` or ``(ny, nx)``, rows by growing y.

        Cells inside obstacles are NaN.

        Raises:
            OutputError: the file is damaged there.
        """
        place = frame if self.plane is None else (frame, self.plane)
        try:
            values = self.dataset[place]
        except OSError as error:
            raise OutputError(
                f"frame {frame} of {self.field} in {self.path} cannot be read: {error}"
            ) from None
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        return values if self.mask is None else np.where(self.mask > 0, np.nan, values)

    def renewed(self) -> Snapshots:
        """With the frames that a run has added meanwhile; for files opened while they grow."""
        file = self.dataset.file
        for data in (file["time"], self.dataset):
            data.refresh()
        return replace(self, times=_times(file, self.dataset, self.path))


@contextmanager
def open_snapshots(path: Path, field: str | None, slice_: float) -> Iterator[Snapshots]:
    """Open a snapshot file for drawing; ``field=None`` is the first field.

    Raises:
        OutputError: the file is missing, unreadable, not a snapshot file, or has no frames.
        ConfigError: it has no such field.
        MissingExtraError: its compression needs a package that is not installed.
    """
    with _open(path) as file:
        name = _choose(file, field, path)
        dataset = file[name]
        load_filters(dataset, path)
        axes = _axes(file, dataset, path)
        times = _times(file, dataset, path)
        plane = depth = None
        if len(axes) == 3:
            depth, *axes = axes
            plane = min(int(slice_ * len(depth.centres)), len(depth.centres) - 1)
        yield Snapshots(
            path=path,
            field=name,
            long_name=_text(dataset, "long_name") or name,
            unit=_unit(dataset),
            equation=_text(file, "equation_title") or _text(file, "equation_name"),
            time_unit=_unit(file["time"]),
            times=times,
            axes=tuple(axes),
            plane=plane,
            depth=depth,
            dataset=dataset,
            mask=file["mask"][() if plane is None else plane] if "mask" in file else None,
        )


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise OutputError(f"there is no file {path}", "a run folder or a snapshots.h5 file")
    try:
        return open_hdf5(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error}", "an HDF5 file") from None


def _choose(file: h5py.File, field: str | None, path: Path) -> str:
    fields = [
        name
        for name, item in file.items()
        if name not in _NOT_FIELDS and isinstance(item, h5py.Dataset)
    ]
    if not fields or "time" not in file:
        raise OutputError(f"{path} holds no fields over time", "a snapshots.h5 file of a run")
    if field is not None and field not in fields:
        raise ConfigError(f"animation.field is {field!r}", nearest(field, fields))
    # listed by name otherwise; the writer says which field its equation begins with
    first = next(iter(file.attrs.get("fields", ())), fields[0])
    return field or (first if first in fields else fields[0])


def _times(file: h5py.File, dataset: h5py.Dataset, path: Path) -> np.ndarray:
    # a run that was cut off between a field and its time leaves one of them a frame longer
    count = min(len(file["time"]), len(dataset))
    if count == 0:
        raise OutputError(f"{path} has no frames yet")
    return np.asarray(file["time"][:count], dtype=np.float64)


def _axes(file: h5py.File, dataset: h5py.Dataset, path: Path) -> tuple[Axis, ...]:
    names = _AXES[len(_AXES) - (dataset.ndim - 1) :] if 2 <= dataset.ndim <= 4 else ()
    known = [name for name in names if name in file]
    expected = tuple(len(file[name]) for name in known)
    if not names or len(known) < len(names) or expected != dataset.shape[1:]:
        raise OutputError(
            f"{dataset.name[1:]} in {path} has shape {dataset.shape}, and its axes do not fit",
            f"(time, {', '.join(names or _AXES)}) with one root dataset per axis",
        )
    return tuple(Axis(name, _unit(file[name]), file[name][:]) for name in known)


def _text(item: h5py.File | h5py.Dataset, name: str) -> str:
    value = item.attrs.get(name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _unit(dataset: h5py.Dataset) -> str:
    unit = _text(dataset, "units").strip()
    return "" if unit == "1" else unit
