"""A run as the exporters read it: its metadata at once, its frames one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import reading
from pdesim.model.grid import Grid
from pdesim.output import Snapshots
from pdesim.output.axis import Axis
from pdesim.output.metadata import read_boundary_kinds, read_parameters


@dataclass(frozen=True)
class Source:
    """A snapshot file: its metadata, and access to its frames."""

    path: Path
    fields: tuple[str, ...]
    #: name -> axis, in the order of array axes, x last
    axes: Mapping[str, Axis]
    times: np.ndarray
    #: field -> the type of its arrays in :meth:`frames`, float32 or float64
    dtypes: Mapping[str, np.dtype]
    #: field -> its number of stored frames; one more than times while a frame is being written
    lengths: Mapping[str, int]
    #: field -> its ``units`` and ``long_name``
    labels: Mapping[str, Mapping[str, str]]
    attributes: Mapping[str, Any]
    config: Mapping[str, Any]
    #: the grid of the run, of which frames may be only a part; None if it is unknown
    computed_grid: Grid | None
    #: 1 inside obstacles; None without obstacles
    mask: np.ndarray | None
    #: scalar -> its values, ``(T,)``, and its ``units`` and ``long_name``
    scalars: Mapping[str, tuple[np.ndarray, Mapping[str, str]]]

    @property
    def name(self) -> str:
        return str(self.attributes.get("equation_name", "")) or self.path.stem

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.centres) for axis in self.axes.values())

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """The cell centres of each axis."""
        return {name: axis.centres for name, axis in self.axes.items()}

    @property
    def parameters(self) -> dict[str, float]:
        """The numeric parameters of the equation."""
        return {k: v for k, v in read_parameters(self.config).items() if not isinstance(v, str)}

    @property
    def boundary_kinds(self) -> dict[str, dict[str, tuple[str, str]]]:
        return read_boundary_kinds(self.attributes)

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
                frame = {
                    name: snapshots.read_frame(name, index).astype(self.dtypes[name], copy=False)
                    for name in names
                }
                yield index, frame


def read_source(path: Path) -> Source:
    """Read the metadata of a snapshot file.

    Raises:
        OutputError: if the file is unreadable, is not a snapshot file, or has no frames.
        MissingExtraError: if the file's compression needs a package that is not installed.
    """
    with reading(path), Snapshots(path) as snapshots:
        fields = snapshots.checked_fields()
        times = snapshots.frame_times(fields)
        for name in fields:
            snapshots.load_filters(name)
        grid = snapshots.computed_grid
        size = dict(zip(grid.names, grid.spacing, strict=True)) if grid else {}
        labels = {name: snapshots.attributes_of(name) for name in (*fields, *snapshots.scalars)}
        described = {
            name: {
                key: str(found.get(key, default))
                for key, default in (("units", "1"), ("long_name", name))
            }
            for name, found in labels.items()
        }
        return Source(
            path=snapshots.path,
            fields=fields,
            axes={name: snapshots.axis(name, size.get(name, 1.0)) for name in snapshots.axes},
            times=times,
            dtypes={name: _plain(snapshots[name].dtype) for name in fields},
            lengths={name: len(snapshots[name]) for name in fields},
            labels={name: described[name] for name in fields},
            attributes=snapshots.attributes,
            config=snapshots.config,
            computed_grid=grid,
            mask=snapshots.mask,
            scalars={
                name: (
                    snapshots.scalar(name).astype(_plain(snapshots[name].dtype))[: len(times)],
                    described[name],
                )
                for name in snapshots.scalars
            },
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
            ("axes", tuple(first.axes), tuple(other.axes)),
            ("grid", first.shape, other.shape),
            ("number of frames", len(first.times), len(other.times)),
            ("boundary", first.boundary_kinds, other.boundary_kinds),
        )
        for property_name, one, two in properties:
            if one != two:
                raise _differ(first, other, property_name, f"{one} and {two}")
        for name, axis in first.axes.items():
            x, y = axis.centres, other.axes[name].centres
            if not np.allclose(x, y, rtol=1e-9, atol=1e-9 * axis.spacing):
                raise _differ(first, other, f"coordinates {name}", f"{x[0]:g} and {y[0]:g} ..")
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
