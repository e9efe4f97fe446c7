"""Observations: the frames of a data file, and where their values are on the grid of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, nearest
from pdesim.fitting.settings import DataSettings
from pdesim.fitting.sources import Source, check_size, open_source
from pdesim.model.grid import Grid
from pdesim.model.stored_frames import TOLERANCE

#: times whose distance is below this fraction of the duration of the data are equal; The Well and
#: PDEBench store times in single precision
TOGETHER = 1e-6


@dataclass(frozen=True)
class Observations:
    """Values of fields at some times and cells.

    Args:
        path: the data file, as it was given.
        times: the times of the frames, ascending, shape ``(frames,)``.
        values: field of the equation -> its values, ``(frames, *shape)``; NaN where nothing was
            observed.
        centres: the cell centres along each axis, x first; None if they are unknown.
        grid: the grid of the run that wrote the data; None if it is unknown.
        config: the settings of that run.
        obstacles: whether each cell is in an obstacle of that run, in the shape of a frame; None
            if there are no obstacles.
        cells: for each array axis, the indices of the observed cells on the grid of the fitted
            runs; empty until :func:`place_on_grid`.
    """

    path: str
    times: np.ndarray
    values: Mapping[str, np.ndarray]
    centres: tuple[np.ndarray, ...] | None
    grid: Grid | None
    config: Mapping[str, Any]
    obstacles: np.ndarray | None = None
    cells: tuple[np.ndarray, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a frame."""
        return next(iter(self.values.values())).shape[1:]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.values)

    def select(self, state: np.ndarray) -> np.ndarray:
        """Return the values of a field of a run in the cells of the data."""
        return state[np.ix_(*self.cells)]

    def is_complete(
        self, frame: int, fields: Sequence[str], grid: Grid, with_obstacles: bool
    ) -> bool:
        """Whether a frame has the values of all fields in all cells of a grid.

        Args:
            with_obstacles: whether the runs have obstacles, inside which no values are needed.
        """
        if set(self.values) != set(fields) or self.shape != grid.shape:
            return False
        needless = self.obstacles if with_obstacles and self.obstacles is not None else False
        return all(
            bool((np.isfinite(values[frame]) | needless).all()) for values in self.values.values()
        )

    @property
    def digest(self) -> str:
        """A digest of the times and values, which identifies the data."""
        found = hashlib.sha256(np.ascontiguousarray(self.times).tobytes())
        for name, values in self.values.items():
            found.update(name.encode())
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()


def read_observations(data: DataSettings, fields: Sequence[str]) -> Observations:
    """Read the observations that the settings select.

    Args:
        data: the section ``data``.
        fields: the fields of the equation.

    Raises:
        OutputError: if the file cannot be read.
        ConfigError: for unknown fields, missing times, and data without any finite value.
    """
    assert data.file is not None
    with open_source(data.file, data.trajectory) as source:
        names = _names(data, source, fields)
        times, frames = _frames(data, source)
        values = {name: _read(source, names[name], frames) for name in names}
    shapes = {name: array.shape[1:] for name, array in values.items()}
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ConfigError(f"the fields of {data.file} have different shapes: {text}", "one shape")
    obstacles = None if source.mask is None or not source.config else ~source.mask
    return _checked(
        Observations(
            data.file, times, values, source.centres, source.grid, source.config, obstacles
        )
    )


def _names(data: DataSettings, source: Source, fields: Sequence[str]) -> dict[str, str]:
    """Return field of the equation -> its name in the file."""
    stored = tuple(source.read)
    given = data.fields
    if given is None:
        if source.unnamed:
            return _assigned(stored, fields, data)
        chosen = {name: name for name in stored if name in fields}
        if not chosen:
            raise ConfigError(
                f"{data.file} has none of the fields of this equation ({', '.join(fields)})",
                f"available: {', '.join(stored) or 'nothing'}",
                f"data.fields={{{fields[0]}: NAME IN THE FILE}}",
            )
        return {name: name for name in fields if name in chosen}
    if isinstance(given, list):
        if not given:
            raise ConfigError("data.fields is empty", f"some of {', '.join(fields)}")
        given = _assigned(stored, given, data) if source.unnamed else {n: n for n in given}
    for name, stored_name in given.items():
        if name not in fields:
            raise ConfigError(
                f"data.fields contains {name!r}, which is no field of this equation",
                nearest(name, fields),
            )
        if stored_name not in source.read:
            raise ConfigError(
                f"{data.file} has no field {stored_name!r}", nearest(stored_name, stored)
            )
    return {name: given[name] for name in fields if name in given}


def _assigned(stored: Sequence[str], fields: Sequence[str], data: DataSettings) -> dict[str, str]:
    """Return the fields of a file that does not name them, in the order of the file."""
    if len(stored) != len(fields):
        raise ConfigError(
            f"{data.file} does not name its {len(stored)} field{'s'[: len(stored) > 1]}, and the "
            f"equation has {len(fields)}",
            f"a name for each, in the order of the file: data.fields=[{', '.join(fields)}]",
        )
    return dict(zip(fields, stored, strict=True))


def _frames(data: DataSettings, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return the times and the indices of the frames that are used.

    Raises:
        ConfigError: if times are missing, not ascending, or not in the file.
    """
    if source.frames == 0:
        raise ConfigError(f"{data.file} contains no frames", "at least one frame")
    times, wanted = source.times, data.times
    if times is None:
        if wanted is None or len(wanted) != source.frames:
            raise ConfigError(
                f"{data.file} contains no times for its {source.frames} frames",
                "a time for each frame: data.times=[0, 1, ...] or 'linspace(0, 10, 11)'",
            )
        times, wanted = np.array(wanted, dtype=float), None
    times = times[: source.frames]
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ConfigError(f"the times of {data.file} are not ascending", "ascending finite times")
    frames = np.arange(len(times))
    if wanted is not None:
        near = TOGETHER * max(float(np.ptp(times)), np.abs(times).max() * TOGETHER, 1e-300)
        frames = np.array([int(np.abs(times - time).argmin()) for time in wanted], dtype=int)
        for time, frame in zip(wanted, frames, strict=True):
            if abs(times[frame] - time) > near:
                raise ConfigError(
                    f"data.times contains {time:g}, but {data.file} has no frame at this time; the "
                    f"nearest is at {times[frame]:g}",
                    f"times of frames, from {times[0]:g} to {times[-1]:g}",
                )
        frames = np.unique(frames)
    frames = frames[:: data.every]
    return times[frames], frames


def _read(source: Source, name: str, frames: np.ndarray) -> np.ndarray:
    """Return the frames of a field, with NaN where cells are not observed."""
    first = source.read[name](int(frames[0]))
    # the frames, and as much for the comparison with runs
    check_size(2 * first.nbytes * len(frames), f"{len(frames)} frames of {name} in {source.path}")
    values = np.stack([first, *(source.read[name](int(frame)) for frame in frames[1:])])
    mask = source.mask
    if mask is not None:
        if mask.shape not in (values.shape[1:], (source.frames, *values.shape[1:])):
            raise ConfigError(
                f"the mask of {source.path} has the shape {mask.shape}",
                f"{values.shape[1:]}, that of a frame of {name}",
            )
        observed = mask if mask.ndim == values.ndim - 1 else mask[frames]
        values = np.where(observed, values, np.nan)
    return values


def _checked(found: Observations) -> Observations:
    """Check that each field has finite values, and that none is infinite."""
    for name, values in found.values.items():
        if np.isinf(values).any():
            raise ConfigError(
                f"{name} in {found.path} contains infinite values",
                "numbers, and NaN where nothing was observed",
            )
        if np.isnan(values).all():
            raise ConfigError(
                f"{name} in {found.path} is NaN everywhere", "some observed values",
                "data.fields=[...] selects other fields",
            )  # fmt: skip
    return found


def place_on_grid(data: Observations, grid: Grid) -> Observations:
    """Return observations whose cells are known on a grid.

    Each cell of the data must be a cell of the grid: the data may be a part of the grid, or every
    n-th of its cells.

    Raises:
        ConfigError: if the grids differ.
    """
    given = "x".join(map(str, data.shape[::-1]))
    points = "x".join(map(str, grid.points))
    if len(data.shape) != grid.dimensions:
        raise ConfigError(
            f"{data.path} is {len(data.shape)}-D, but the grid is {grid.dimensions}-D ({points})",
            f"grid=[{given.replace('x', ', ')}]",
        )
    if data.centres is None:
        if data.shape != grid.shape:
            raise ConfigError(
                f"the frames of {data.path} have the shape {data.shape}, those of this grid "
                f"({points}) {grid.shape}",
                f"grid=[{given.replace('x', ', ')}], or data with the coordinates of their cells",
            )
        return replace(data, cells=tuple(np.arange(n) for n in grid.shape))
    cells = []
    for axis, (name, centres) in enumerate(zip(grid.axes, data.centres, strict=False)):
        position = (centres - grid.origin[axis]) / grid.spacing[axis] - 0.5
        index = np.round(position)
        inside = (index >= 0) & (index < grid.points[axis])
        if len(centres) != data.shape[-1 - axis]:
            raise ConfigError(
                f"{data.path} has {len(centres)} coordinates {name} for {data.shape[-1 - axis]} "
                "cells",
                "a coordinate for each cell",
            )
        if not inside.all() or np.abs(position - index).max() > TOLERANCE * 10:
            first, last = grid.centres(axis)[[0, -1]]
            raise ConfigError(
                f"{data.path} has cells at {name} = {centres[0]:.6g} to {centres[-1]:.6g} "
                f"({len(centres)}), the grid at {first:.6g} to {last:.6g} ({grid.points[axis]})",
                "data in cells of the grid",
                "without grid= and domain.extent=, the grid is that of the data",
            )
        cells.append(index.astype(int))
    return replace(data, cells=tuple(cells[::-1]))
