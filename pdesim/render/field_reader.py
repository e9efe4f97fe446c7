"""Reads one field of a snapshot file, or a formula of its fields, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from pdesim.errors import OutputError, clip
from pdesim.files import UNREADABLE, open_hdf5, read_array, read_attributes, reading
from pdesim.files.hdf5 import reason
from pdesim.output.metadata import listed_fields, load_filters
from pdesim.output.reader import check_layout
from pdesim.render.quantity import MEAN, Quantity, build_quantity
from pdesim.render.text import LONGEST

_AXES = ("z", "y", "x")
_NOT_FIELDS = {"time", "mask", *_AXES}


@dataclass(frozen=True)
class Axis:
    """A coordinate axis: name, unit ("" if dimensionless), and cell centres of shape ``(n,)``."""

    name: str
    unit: str
    centres: np.ndarray

    @property
    def spacing(self) -> float:
        n = len(self.centres)
        return float(self.centres[-1] - self.centres[0]) / (n - 1) if n > 1 else 1.0

    @property
    def lower(self) -> float:
        """The coordinate of the lower face of the first cell."""
        return float(self.centres[0]) - self.spacing / 2

    @property
    def upper(self) -> float:
        """The coordinate of the upper face of the last cell."""
        return float(self.centres[-1]) + self.spacing / 2


@dataclass(frozen=True)
class FieldReader:
    """Reads the frames of a quantity as arrays to draw, of shape ``(nx,)`` or ``(ny, nx)``.

    For a 3-D field, the arrays contain the values in the plane with index ``plane`` along
    ``depth``.
    """

    path: Path
    quantity: Quantity
    long_name: str
    unit: str
    equation: str
    time_unit: str
    times: np.ndarray
    axes: tuple[Axis, ...]  # (x,) or (y, x)
    plane: int | None
    depth: Axis | None
    #: the datasets of the fields that the quantity needs, in the order of ``quantity.fields``
    datasets: tuple[h5py.Dataset, ...]
    #: 1 inside obstacles, with the shape of a stored frame; None without obstacles
    mask: np.ndarray | None = None

    @property
    def field(self) -> str:
        """The name of the field, or the formula."""
        return self.quantity.text

    def values(self, frame: int) -> np.ndarray:
        """The values of a frame as floats, shape ``(nx,)`` or ``(ny, nx)`` with y ascending.

        Inside obstacles, the values are NaN.

        Raises:
            OutputError: if the frame cannot be read.
        """
        return self.read(frame)[0]

    def read(self, frame: int) -> tuple[np.ndarray, float | None]:
        """The result of :meth:`values`, and the absolute rounding error of a formula.

        The rounding error is estimated from the largest field in the formula, since the difference
        of nearly equal fields has the rounding error of these fields. It is None for a plain field.
        """
        if self.quantity.expression is None:
            return self._without_obstacles(self._read_floats(self.datasets[0], frame, False)), None
        names, roundoff, shape = self._coordinates() | {"t": float(self.times[frame])}, 0.0, ()
        for field, dataset in zip(self.quantity.fields, self.datasets, strict=True):
            averaged = field in self.quantity.means
            values = self._read_floats(dataset, frame, averaged)
            if averaged:
                names[f"{field}{MEAN}"] = self._mean(values)
                values = values if self.plane is None else values[self.plane]
            names[field], shape = values, values.shape
            size = np.abs(values).max(initial=0.0, where=np.isfinite(values))
            roundoff = max(roundoff, float(np.finfo(values.dtype).eps * size))
        return self._without_obstacles(self.quantity.evaluate(names, shape)), roundoff

    def _read_floats(self, dataset: h5py.Dataset, frame: int, all_planes: bool) -> np.ndarray:
        """A frame of a field as floats; for a 3-D field, only the plane to draw or all planes."""
        try:
            values = dataset[frame if all_planes or self.plane is None else (frame, self.plane)]
        except UNREADABLE as error:
            raise OutputError(
                f"frame {frame} of {dataset.name[1:]} in {self.path} cannot be read: {error}"
            ) from None
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        return values

    def _mean(self, values: np.ndarray) -> float:
        """The mean over all stored cells outside obstacles."""
        outside = True if self.mask is None else self.mask == 0
        with np.errstate(all="ignore"):
            return float(values.mean(dtype=np.float64, where=outside)) if np.any(outside) else 0.0

    def _without_obstacles(self, values: np.ndarray) -> np.ndarray:
        if self.mask is None:
            return values
        mask = self.mask if self.plane is None else self.mask[self.plane]
        return np.where(mask > 0, np.nan, values)

    def _coordinates(self) -> dict[str, object]:
        """A mapping from the names of axes to coordinates that broadcast over a frame."""
        coordinates: dict[str, object] = {}
        for number, axis in enumerate(reversed(self.axes)):
            coordinates[axis.name] = axis.centres.reshape(-1, *[1] * number)
        if self.depth is not None:
            coordinates[self.depth.name] = float(self.depth.centres[self.plane])
        return coordinates

    def refreshed(self) -> FieldReader:
        """A new reader that includes the frames added to the file since this reader was opened."""
        file = self.datasets[0].file
        for data in (file["time"], *self.datasets):
            data.refresh()
        return replace(self, times=_times(file, self.datasets, self.path))


@contextmanager
def open_field(path: Path, field: str | None, slice_: float) -> Iterator[FieldReader]:
    """Open a snapshot file for drawing.

    Args:
        path: the snapshot file.
        field: the name of a field or a formula of fields; None: the first field.
        slice_: for a 3-D field, the position of the plane to draw, as a fraction of the depth.

    Raises:
        OutputError: if the file is missing, unreadable, not a snapshot file, or has no frames.
        ConfigError: if the file has no such field.
        FormulaError: if the formula cannot be parsed.
        MissingExtraError: if the compression needs a package that is not installed.
    """
    with _open(path) as file:
        with reading(path):
            reader = _describe(path, file, field, slice_)
        yield reader


def _describe(path: Path, file: h5py.File, field: str | None, slice_: float) -> FieldReader:
    quantity = _choose(file, field, path)
    datasets = tuple(file[name] for name in quantity.fields)
    for dataset in datasets:
        load_filters(dataset, path)
    axes = list(_axes(file, datasets[0], path))
    times = _times(file, datasets, path)
    plane = depth = None
    if len(axes) == 3:
        depth, *axes = axes
        plane = min(int(slice_ * len(depth.centres)), len(depth.centres) - 1)
    plain = quantity.expression is None
    return FieldReader(
        path=path,
        quantity=quantity,
        long_name=(_text(datasets[0], "long_name") if plain else "") or quantity.text,
        unit=_unit(datasets[0]) if plain else "",
        equation=_text(file, "equation_title") or _text(file, "equation_name"),
        time_unit=_unit(file["time"]),
        times=times,
        axes=tuple(axes),
        plane=plane,
        depth=depth,
        datasets=datasets,
        mask=read_array(file, "mask") if "mask" in file else None,
    )


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise OutputError(f"no such file: {path}", "a run folder or a snapshots.h5 file")
    try:
        file = open_hdf5(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {reason(error)}", "an HDF5 file") from None
    try:
        with reading(path):
            if "time" in file:
                check_layout(file)
    except OutputError:
        file.close()
        raise
    return file


def _choose(file: h5py.File, field: str | None, path: Path) -> Quantity:
    fields = [
        name
        for name, item in file.items()
        if name not in _NOT_FIELDS and isinstance(item, h5py.Dataset)
    ]
    if not fields or "time" not in file:
        raise OutputError(f"{path} contains no fields over time", "a snapshots.h5 file of a run")
    if field is not None:
        return build_quantity(field, fields, [name for name in reversed(_AXES) if name in file])
    # HDF5 lists datasets by name; the attribute lists the fields in the order of the equation
    first = next(iter(listed_fields(file.attrs)), fields[0])
    first = first if first in fields else fields[0]
    return Quantity(first, (first,))


def _times(file: h5py.File, datasets: Sequence[h5py.Dataset], path: Path) -> np.ndarray:
    # a run that stopped between writing a field and its time leaves the field one frame longer
    count = min(len(file["time"]), *map(len, datasets))
    if count == 0:
        raise OutputError(f"{path} has no frames yet")
    return np.asarray(file["time"][:count], dtype=np.float64)


def _axes(file: h5py.File, dataset: h5py.Dataset, path: Path) -> tuple[Axis, ...]:
    names = _AXES[len(_AXES) - (dataset.ndim - 1) :] if 2 <= dataset.ndim <= 4 else ()
    known = [name for name in names if name in file]
    expected = tuple(len(file[name]) for name in known)
    if not names or len(known) < len(names) or expected != dataset.shape[1:]:
        raise OutputError(
            f"the shape {dataset.shape} of {dataset.name[1:]} in {path} does not match its axes",
            f"(time, {', '.join(names or _AXES)}), and coordinates of each axis in the root group",
        )
    return tuple(Axis(name, _unit(file[name]), file[name][:]) for name in known)


def _text(item: h5py.File | h5py.Dataset, name: str) -> str:
    return clip(str(read_attributes(item).get(name, "")), LONGEST)


def _unit(dataset: h5py.Dataset) -> str:
    unit = _text(dataset, "units").strip()
    return "" if unit == "1" else unit
