"""A run as the exporters read it: its metadata at once, its frames one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError, PdesimError
from pdesim.files import UNREADABLE, reading
from pdesim.model.grid import Grid, square_extents
from pdesim.output import Snapshots
from pdesim.output.metadata import (
    field_names,
    frame_count,
    load_filters,
    read_config,
    read_parameters,
    read_walls,
)


@dataclass(frozen=True)
class Source:
    """A snapshot file: its metadata, and access to its frames.

    The array axes of a frame are those of ``axes``, x last.
    """

    path: Path
    fields: tuple[str, ...]
    axes: tuple[str, ...]
    coordinates: Mapping[str, np.ndarray]
    times: np.ndarray
    #: field -> the type of its arrays in :meth:`frames`, float32 or float64
    dtypes: Mapping[str, np.dtype]
    #: field -> its number of stored frames; one more than times while a frame is being written
    lengths: Mapping[str, int]
    #: field -> its ``units`` and ``long_name``
    labels: Mapping[str, Mapping[str, str]]
    attributes: Mapping[str, Any]
    config: Mapping[str, Any]
    #: 1 inside obstacles; None without obstacles
    mask: np.ndarray | None

    @property
    def name(self) -> str:
        return str(self.attributes.get("equation_name", "")) or self.path.stem

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.coordinates[axis]) for axis in self.axes)

    @property
    def parameters(self) -> dict[str, float]:
        """The numeric parameters of the equation."""
        return {k: v for k, v in read_parameters(self.config).items() if not isinstance(v, str)}

    @property
    def boundary_kinds(self) -> dict[str, dict[str, tuple[str, str]]]:
        return read_walls(self.attributes)

    @property
    def grid(self) -> Grid | None:
        """The computational grid, from the settings. The stored grid may be only a part of it.

        The result is None if the settings do not describe a grid with the stored axes.
        """

        def each(value: Any) -> tuple:
            return tuple(value) if isinstance(value, list) else (value,) * len(self.axes)

        try:
            domain = self.config["domain"]
            points = tuple(int(n) for n in each(self.config["grid"]))
            extent = domain["extent"]
            lengths = extent if isinstance(extent, list) else square_extents(points, extent)
            grid = Grid(
                points,
                tuple(float(length) for length in lengths),
                tuple(float(coordinate) for coordinate in each(domain["origin"])),
            )
        except (PdesimError, KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
            return None
        return grid if set(grid.axes) == set(self.axes) else None

    def spacing(self, axis: str) -> float:
        """The distance between stored points; for a single point, the spacing of :attr:`grid`."""
        centres, grid = self.coordinates[axis], self.grid
        if len(centres) > 1:
            return float(centres[-1] - centres[0]) / (len(centres) - 1)
        return grid.spacing[grid.axes.index(axis)] if grid else 1.0

    def lower(self, axis: str) -> float:
        """The coordinate of the lower face of the first cell."""
        return float(self.coordinates[axis][0]) - self.spacing(axis) / 2

    def frames(
        self, fields: Sequence[str] | None = None
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield the number and the arrays of each frame, one frame at a time.

        Args:
            fields: the fields to read; None: all fields.

        Raises:
            OutputError: if a frame cannot be read.
        """
        names = self.fields if fields is None else fields
        with Snapshots(self.path) as snapshots:
            for index in range(len(self.times)):
                yield index, {name: self._read(snapshots, name, index) for name in names}

    def _read(self, snapshots: Snapshots, name: str, index: int) -> np.ndarray:
        try:
            return snapshots[name][index].astype(self.dtypes[name], copy=False)
        except UNREADABLE as error:
            raise OutputError(
                f"frame {index} of {name} in {self.path} cannot be read ({error})"
            ) from None


def read_source(path: Path) -> Source:
    """Read the metadata of a snapshot file.

    Raises:
        OutputError: if the file is unreadable, is not a snapshot file, or has no frames.
        MissingExtraError: if the file's compression needs a package that is not installed.
    """
    with reading(path), Snapshots(path) as snapshots:
        fields = field_names(snapshots)
        count = frame_count(snapshots, fields)
        for name in fields:
            load_filters(snapshots[name], snapshots.path)
        return Source(
            path=snapshots.path,
            fields=fields,
            axes=snapshots.axes,
            coordinates={axis: snapshots.coordinates(axis) for axis in snapshots.axes},
            times=np.asarray(snapshots.times[:count], dtype=np.float64),
            dtypes={name: _plain(snapshots[name].dtype) for name in fields},
            lengths={name: len(snapshots[name]) for name in fields},
            labels={
                name: {
                    key: str(snapshots[name].attrs.get(key, default))
                    for key, default in (("units", "1"), ("long_name", name))
                }
                for name in fields
            },
            attributes=snapshots.attributes,
            config=read_config(snapshots.attributes),
            mask=snapshots.mask,
        )


def _plain(dtype: np.dtype) -> np.dtype:
    """The exported type, float64 or float32, since many tools cannot read half precision."""
    return np.dtype(np.float64) if dtype.itemsize >= 8 else np.dtype(np.float32)


def check_compatible(sources: Sequence[Source]) -> None:
    """Check that the runs can be stored as trajectories of one data set.

    Raises:
        OutputError: if two runs differ in a property that all trajectories share. The message names
            both runs and the property.
    """
    first = sources[0]
    for other in sources[1:]:
        properties: tuple[tuple[str, object, object], ...] = (
            ("equation", first.name, other.name),
            ("fields", first.fields, other.fields),
            ("formulas", _text(first, "equation"), _text(other, "equation")),
            ("axes", first.axes, other.axes),
            ("grid", first.shape, other.shape),
            ("number of frames", len(first.times), len(other.times)),
            ("boundary", first.boundary_kinds, other.boundary_kinds),
        )
        for property_name, one, two in properties:
            if one != two:
                raise _differ(first, other, property_name, f"{one} and {two}")
        for axis in first.axes:
            x, y = first.coordinates[axis], other.coordinates[axis]
            if not np.allclose(x, y, rtol=1e-9, atol=1e-9 * first.spacing(axis)):
                raise _differ(first, other, f"coordinates {axis}", f"{x[0]:g} and {y[0]:g} ..")
        if not np.allclose(first.times, other.times, rtol=1e-9, atol=1e-12):
            worst = int(np.abs(first.times - other.times).argmax())
            difference = f"frame {worst} at {first.times[worst]:g} and {other.times[worst]:g}"
            raise _differ(first, other, "times", difference)
        if not np.array_equal(_array(first.mask), _array(other.mask)):
            raise _differ(first, other, "obstacles", "two masks")


def _differ(first: Source, other: Source, property_name: str, difference: str) -> OutputError:
    return OutputError(
        f"{first.path} and {other.path} differ in their {property_name}: {difference}",
        "runs with the same equation, grid and frame times, as trajectories of one file",
        "export each run separately",
    )


def _text(source: Source, name: str) -> str:
    return str(source.attributes.get(name, ""))


def _array(mask: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if mask is None else mask
