"""Frames of other runs as initial states: transfer of stored values to another grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdesim import files
from pdesim.errors import OutputError
from pdesim.files import StoredFrame
from pdesim.model.grid import Grid, equal_steps
from pdesim.model.resampling import StoredRows, cells_used, interpolate

#: largest difference of coordinates that are considered equal, in cells
TOLERANCE = 1e-3


def read_on_grid(
    path: str,
    field: str,
    time: float | None,
    grid: Grid,
    periodic: Sequence[bool],
    rows: slice | None = None,
) -> np.ndarray:
    """Read a stored frame and return it on a grid, or on some rows of it.

    If the grid differs from that of the frame, the values are interpolated by polynomials along
    each axis (:func:`pdesim.model.resampling.interpolate`). Beyond the domain of the frame, values
    are repeated along periodic axes, and those of the nearest cell are used along other axes.

    Args:
        path, field, time: see :func:`pdesim.files.read_frame`.
        grid: the grid.
        periodic: whether each axis of the grid is periodic, x first.
        rows: the rows of the grid (indices along the first array axis) whose values are returned;
            None for all. Only the rows of the file that they depend on are read.

    Returns:
        An array of the shape of the grid, or of its rows.

    Raises:
        OutputError: if the numbers of dimensions differ, if values would have to be interpolated
            next to obstacles, or if the file contains no coordinates and has another shape.
    """
    name, periodic = f"{field!r} in {path}", periodic[: grid.dimensions]
    if rows is None:
        frame = files.read_frame(path, field, time)
        places = _transfer(frame, grid, periodic, name)
        return frame.values if places is None else interpolate(frame.values, places, periodic)
    frame = files.read_frame(path, field, time, np.arange(0))
    places = _transfer(frame, grid, periodic, name)
    if places is None:
        return files.read_frame(path, field, time, np.arange(rows.start, rows.stop)).values
    places[-1] = places[-1][rows]
    needed = StoredRows(cells_used(frame.shape[0], places[-1], periodic[-1]), frame.shape[0])
    values = files.read_frame(path, field, time, needed.indices).values
    return interpolate(values, places, periodic, stored=needed)


def _transfer(
    frame: StoredFrame, grid: Grid, periodic: Sequence[bool], name: str
) -> list[np.ndarray] | None:
    """Return the cell centres of the grid in cells of a frame, x first; None if they are equal."""
    shape = frame.shape
    if len(shape) != grid.dimensions:
        raise OutputError(
            f"{name} is {len(shape)}-D, but the grid is {grid.dimensions}-D",
            f"a grid of {len(shape)} dimensions" if 1 <= len(shape) <= 3 else "1 to 3 dimensions",
        )
    if frame.centres is None or min(shape) < 2:
        if shape != grid.shape:
            raise OutputError(
                f"{name} has the shape {shape}",
                f"the shape {grid.shape} of the grid; or a file with coordinates",
            )
        return None
    if has_cells(frame.centres, grid):
        return None
    places = [_places(frame.centres[axis], grid, axis) for axis in range(grid.dimensions)]
    if frame.obstacles:
        raise OutputError(
            f"{name} cannot be interpolated to another grid, because the run contains obstacles",
            "the grid and the domain of that run",
        )
    for axis, place in enumerate(places):
        cells = shape[-1 - axis]
        places[axis] = place % cells if periodic[axis] else np.clip(place, 0.5, cells - 0.5)
    return places


def has_cells(centres: Sequence[np.ndarray], grid: Grid) -> bool:
    """Whether a frame with these cell centres, x first, has the cells of a grid."""
    if tuple(map(len, centres)) != grid.points or min(grid.points) < 2:
        return False
    return all(
        np.allclose(_places(one, grid, axis), np.arange(len(one)) + 0.5, rtol=0, atol=TOLERANCE)
        for axis, one in enumerate(centres)
    )


def _places(centres: np.ndarray, grid: Grid, axis: int) -> np.ndarray:
    """Return the cell centres of the grid in cells of the frame, whose first centre is at 1/2."""
    spacing = (centres[-1] - centres[0]) / (len(centres) - 1)
    if not equal_steps(centres):
        numbers = np.arange(len(centres)) + 0.5
        return np.interp(grid.physical_centres(axis), centres, numbers)
    return (grid.physical_centres(axis) - centres[0]) / spacing + 0.5
