"""The grid on which the frames of two files are compared.

Frames on different grids of the same domain are compared at the cell centres of the coarser grid,
to which the values on the finer grid are interpolated, axis by axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.errors import OutputError
from pdesim.model.grid import equal_steps
from pdesim.model.resampling import interpolate, interpolation_uses_any
from pdesim.output.metadata import read_boundary_kinds
from pdesim.output.reader import Snapshots

#: largest difference of coordinates that are considered equal, as a fraction of the domain
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Transfer:
    """The transfer of the values of one file to the grid of the comparison.

    Attributes:
        points: the number of stored cells along each axis, x first.
        positions: for each axis, x first, the points of the comparison in cells of the file; see
            :func:`pdesim.model.resampling.interpolate`. None if both grids are the same.
        periodic: whether the stored values can be continued periodically along each axis.
        many: whether the values were computed with spectral operators.
    """

    points: tuple[int, ...]
    positions: tuple[np.ndarray, ...] | None
    periodic: tuple[bool, ...]
    many: bool

    def values(self, frame: np.ndarray) -> np.ndarray:
        """Return the values of a frame on the grid of the comparison, as float64."""
        frame = frame.astype(np.float64)
        if self.positions is None:
            return frame
        return interpolate(frame, self.positions, self.periodic, self.many)

    def flags(self, mask: np.ndarray) -> np.ndarray:
        """Return the points of the comparison that depend on cells that are not 0 in a mask."""
        if self.positions is None:
            return mask != 0
        return interpolation_uses_any(mask != 0, self.positions, self.periodic, self.many)


@dataclass(frozen=True)
class CommonGrid:
    """The grid of a comparison.

    Attributes:
        points: the number of points along each axis, x first.
        a, b: the transfers of the two files.
    """

    points: tuple[int, ...]
    a: Transfer
    b: Transfer

    @property
    def is_interpolated(self) -> bool:
        """Whether values are interpolated."""
        return self.a.positions is not None or self.b.positions is not None


@dataclass(frozen=True)
class _Line:
    """The cells of a file along one axis.

    Attributes:
        centres: the stored cell centres.
        spacing: the distance of neighbouring stored centres.
        bounds: the ends of the domain.
        periodic: whether the axis is periodic, and stored over its whole length.
    """

    centres: np.ndarray
    spacing: float
    bounds: tuple[float, float]
    periodic: bool

    def positions(self, points: np.ndarray) -> np.ndarray:
        """Return coordinates in cells; the centre of cell i has the position i + 1/2."""
        places = (points - self.centres[0]) / self.spacing + 0.5
        if not equal_steps(self.centres):
            places = np.interp(points, self.centres, np.arange(len(self.centres)) + 0.5)
        halves = np.round(2 * places) / 2  # centres and faces, without rounding errors
        return np.where(np.abs(places - halves) < TOLERANCE * len(self.centres), halves, places)


def common_grid(a: Snapshots, b: Snapshots) -> CommonGrid:
    """Return the grid on which two files are compared.

    Args:
        a, b: the files.

    Raises:
        OutputError: if the numbers of dimensions or the extents of the domains differ, or if one
            file does not store the part of the domain in which the points of the comparison are.
    """
    if set(a.axes) != set(b.axes):
        dimensions = " and ".join(f"{len(one.axes)}-D in {one.path}" for one in (a, b))
        raise OutputError(f"the frames are {dimensions}", "runs in the same number of dimensions")
    names = a.axes[::-1]
    lines = [[_line(one, name) for name in names] for one in (a, b)]
    targets = []
    for name, first, second in zip(names, *lines, strict=True):
        _check_bounds(name, first, second, (a, b))
        targets.append(max(first, second, key=lambda line: line.spacing))
    same = all(_are_equal(first, second) for first, second in zip(*lines, strict=True))
    transfers = []
    for one, own in zip((a, b), lines, strict=True):
        positions = None
        if not same:
            for name, line, target in zip(names, own, targets, strict=True):
                _check_covered(name, line, target, one)
            positions = tuple(
                line.positions(target.centres) for line, target in zip(own, targets, strict=True)
            )
            if all(_are_equal(line, target) for line, target in zip(own, targets, strict=True)):
                positions = None
        transfers.append(
            Transfer(
                tuple(len(line.centres) for line in own),
                positions,
                tuple(line.periodic for line in own),
                _is_spectral(one),
            )
        )
    points = tuple(len(target.centres) for target in targets)
    return CommonGrid(points, *transfers)


def _line(snapshots: Snapshots, name: str) -> _Line:
    """Return the cells of a file along an axis."""
    grid = snapshots.computed_grid
    cells = snapshots.axis(name)
    bounds = (cells.lower, cells.upper)
    spacing = cells.spacing
    if grid is not None:
        number = grid.names.index(name)
        bounds = (grid.origin[number], grid.origin[number] + grid.extent[number])
        spacing = snapshots.axis(name, grid.spacing[number]).spacing
    kinds = read_boundary_kinds(snapshots.attributes)
    wraps = bool(kinds) and all(pair.get(name, ("",))[0] == "periodic" for pair in kinds.values())
    length = bounds[1] - bounds[0]
    whole = abs(len(cells.centres) * spacing - length) < TOLERANCE * length
    return _Line(cells.centres.astype(np.float64), spacing, bounds, wraps and whole)


def _are_equal(one: _Line, other: _Line) -> bool:
    same = len(one.centres) == len(other.centres)
    near = TOLERANCE * one.spacing
    return same and bool(np.abs(one.centres - other.centres).max() <= near)


def _check_bounds(
    name: str, first: _Line, second: _Line, files: tuple[Snapshots, Snapshots]
) -> None:
    """Check that the domains of two files have the same ends along an axis."""
    length = first.bounds[1] - first.bounds[0]
    apart = (abs(p - q) for p, q in zip(first.bounds, second.bounds, strict=True))
    if max(apart) > TOLERANCE * length:
        ranges = " and ".join(
            f"from {line.bounds[0]:g} to {line.bounds[1]:g} in {one.path}"
            for line, one in zip((first, second), files, strict=True)
        )
        raise OutputError(f"{name} extends {ranges}", "runs in the same domain")


def _check_covered(name: str, line: _Line, target: _Line, snapshots: Snapshots) -> None:
    """Check that all points of the comparison are in the part of the domain that a file stores."""
    if line.periodic:
        return
    reach = line.spacing * (0.5 + TOLERANCE * len(line.centres))
    lower, upper = line.centres[0] - reach, line.centres[-1] + reach
    if target.centres[0] < lower or target.centres[-1] > upper:
        raise OutputError(
            f"{snapshots.path} stores {name} from {lower:g} to {upper:g} only, and the other file "
            f"from {target.centres[0]:g} to {target.centres[-1]:g}",
            "runs that store the same part of the domain (output.region)",
        )


def _is_spectral(snapshots: Snapshots) -> bool:
    operators = snapshots.config.get("operators")
    return isinstance(operators, dict) and operators.get("name") == "spectral"
