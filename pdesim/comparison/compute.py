"""The norms of the difference of two runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdesim.comparison.grids import CommonGrid, Transfer, common_grid
from pdesim.comparison.match import common_fields, match_times, without_partner
from pdesim.errors import OutputError
from pdesim.files import reading
from pdesim.output.reader import Snapshots


@dataclass(frozen=True)
class Difference:
    """The difference a - b of a field at one time.

    Attributes:
        time: the time.
        l2: the L2 norm divided by the square root of the volume, which is the root mean square.
        relative_l2: the L2 norm divided by that of b; infinite if b is 0 and a is not.
        l_inf: the largest magnitude.
        equal: whether the stored numbers are equal bit for bit, and on the same grid.
    """

    time: float
    l2: float
    relative_l2: float
    l_inf: float
    equal: bool


@dataclass(frozen=True)
class Comparison:
    """The differences of two runs.

    Attributes:
        paths: the two files.
        points: the numbers of cells of the two files, and those of the comparison, x first.
        interpolated: whether the values were interpolated to another grid.
        fields: field -> its differences, ascending in time.
        only: the fields of one file only, for both files.
        unmatched: the times of frames of one file only, for both files.
        left_out: the number of points that are not compared, because they depend on obstacles.
    """

    paths: tuple[Path, Path]
    points: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    interpolated: bool
    fields: Mapping[str, tuple[Difference, ...]]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    unmatched: tuple[tuple[float, ...], tuple[float, ...]]
    left_out: int

    @property
    def equal(self) -> bool:
        """Whether all compared numbers are equal bit for bit."""
        return all(one.equal for frames in self.fields.values() for one in frames)


def compare(a: str | Path, b: str | Path, field: str | None = None) -> Comparison:
    """Compare the frames of two runs that have the same time.

    Frames on different grids are compared at the cell centres of the coarser one; see
    :mod:`pdesim.comparison.grids`. Cells in obstacles are left out. There is no interpolation in
    time.

    Args:
        a, b: folders of runs, or snapshot files. Relative norms refer to ``b``.
        field: the name of a field; None: all common fields.

    Raises:
        OutputError: if a file cannot be read, or if the runs have no field or no time in common,
            different domains, or different numbers of dimensions.
        MissingExtraError: if a file is compressed by a filter that is not installed.
    """
    with reading(Path(a)), Snapshots(a) as first, reading(Path(b)), Snapshots(b) as second:
        names = common_fields(first, second, field)
        for one in (first, second):
            for name in names:
                one.load_filters(name)
        grid = common_grid(first, second)
        times = [one.frame_times(names) for one in (first, second)]
        pairs = match_times(*times)
        if not pairs:
            raise OutputError(
                f"{first.path} and {second.path} have no frames at the same time",
                "runs with common times of frames",
                "output.every or output.times sets the times of frames; there is no interpolation "
                "in time",
            )
        skipped = _skipped(first, second, grid)
        differences = {
            name: tuple(
                _difference(first, second, name, pair, float(times[0][pair[0]]), grid, skipped)
                for pair in pairs
            )
            for name in names
        }
        indices = list(zip(*pairs, strict=True))
        return Comparison(
            (first.path, second.path),
            (grid.a.points, grid.b.points, grid.points),
            grid.is_interpolated,
            differences,
            (
                tuple(name for name in first.ordered_fields if name not in second.fields),
                tuple(name for name in second.ordered_fields if name not in first.fields),
            ),
            (without_partner(times[0], indices[0]), without_partner(times[1], indices[1])),
            0 if skipped is None else int(skipped.sum()),
        )


def _skipped(a: Snapshots, b: Snapshots, grid: CommonGrid) -> np.ndarray | None:
    """Return the points that depend on cells in obstacles; None if there are none.

    Raises:
        OutputError: if all points do.
    """
    flags = [_flags(a, grid.a), _flags(b, grid.b)]
    found = [one for one in flags if one is not None]
    if not found:
        return None
    skipped = np.logical_or.reduce(found)
    if skipped.all():
        raise OutputError(
            f"all points at which {a.path} and {b.path} could be compared are in or near obstacles"
        )
    return skipped


def _flags(snapshots: Snapshots, transfer: Transfer) -> np.ndarray | None:
    mask = snapshots.mask
    return None if mask is None else transfer.flags(mask)


def _difference(
    a: Snapshots,
    b: Snapshots,
    name: str,
    pair: tuple[int, int],
    time: float,
    grid: CommonGrid,
    skipped: np.ndarray | None,
) -> Difference:
    """Return the difference of a field in two frames.

    Args:
        a, b: the files.
        name: the field.
        pair: the indices of the frames.
        time: their time.
        grid: the grid of the comparison.
        skipped: the points that are left out, or None.
    """
    stored = [one.read_frame(name, index) for one, index in zip((a, b), pair, strict=True)]
    equal = not grid.is_interpolated and stored[0].dtype == stored[1].dtype
    equal = equal and stored[0].tobytes() == stored[1].tobytes()
    with np.errstate(all="ignore"):  # values may be infinite
        first, second = grid.a.values(stored[0]), grid.b.values(stored[1])
        if skipped is not None:
            first, second = first[~skipped], second[~skipped]
        return Difference(time, *norms(first - second, second), equal)


def norms(difference: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """Return the root mean square of a difference, the relative L2 norm, and the largest magnitude.

    Args:
        difference: the difference.
        reference: the values to which the relative norm refers.
    """
    size, scale = _root_mean_square(difference), _root_mean_square(reference)
    relative = size / scale if scale else (0.0 if size == 0 else math.inf)
    return size, relative, float(np.abs(difference).max())


def _root_mean_square(values: np.ndarray) -> float:
    largest = float(np.abs(values).max())
    if largest == 0 or not math.isfinite(largest):
        return largest
    # the squares of very large and very small values are not in the range of float64
    return largest * math.sqrt(float(np.mean((values / largest) ** 2)))
