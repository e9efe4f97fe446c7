"""The snapshot files of the parts of a run: their attributes, and reading rows of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import UNREADABLE, chunk_cells
from pdesim.output.hdf5_errors import reason
from pdesim.output.layout import AXES
from pdesim.output.repair import frame_counts, opened
from pdesim.output.run_folder import RunFolder
from pdesim.output.snapshots import Cells

#: attributes of the snapshot file of a part: the rows (number of the part, number of parts, first
#: row, rows, total rows); the number of frames that the run had stored before; and, if there are
#: obstacles, the number of the part's cells outside them
PART, FIRST_FRAME, FLUID_CELLS = "part", "first_frame", "fluid_cells"


def part_attributes(
    rows: Sequence[int], first_frame: int, solid: np.ndarray | None = None
) -> dict[str, Any]:
    """Return the attributes that the snapshot file of a part has in addition to those of a run.

    Args:
        rows: the number of the part, the number of parts, and along the first array axis the index
            of the part's first row, its number of rows, and that of the complete grid.
        first_frame: the number of frames that ``snapshots.h5`` of the run contained when the run
            was started or resumed.
        solid: True inside obstacles, for the rows of the part; None without obstacles.
    """
    cells = {} if solid is None else {FLUID_CELLS: np.int64(np.count_nonzero(~solid))}
    return {PART: np.asarray(rows, np.int64), FIRST_FRAME: np.int64(first_frame), **cells}


@dataclass(frozen=True)
class PartRows:
    """The rows of a part along the first array axis of the complete grid.

    Attributes:
        number: the number of the part.
        count: the number of parts.
        first: the index of the first row.
        rows: the number of rows.
        total: the number of rows of the complete grid.
    """

    number: int
    count: int
    first: int
    rows: int
    total: int

    @property
    def name(self) -> str:
        """The name of the part in messages."""
        return f"part {self.number} of {self.count}"


@dataclass(frozen=True)
class PartFile:
    """The snapshot file of a part, open for reading.

    Attributes:
        run: the folder of the part.
        file: the file.
        place: the rows of the part.
        first_frame: the frame of the run that is the first frame of this file.
        frames: the number of complete frames.
        was_killed: whether its writer was killed, so that the last frames may be unreadable.
    """

    run: RunFolder
    file: h5py.File
    place: PartRows
    first_frame: int
    frames: int
    was_killed: bool

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the snapshot file of the complete run."""
        own = (PART, FIRST_FRAME, FLUID_CELLS)
        return {name: value for name, value in self.file.attrs.items() if name not in own}

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes, in the order of array axes."""
        return tuple(name for name in AXES if name in self.file)

    @property
    def stored_rows(self) -> int:
        """The number of stored rows, which may be zero."""
        return len(self.file[self.axes[0]])


@contextmanager
def open_parts(run: RunFolder) -> Iterator[list[PartFile]]:
    """Open the snapshot files of all parts, also of those whose writers were killed.

    Raises:
        OutputError: if a part is missing or damaged, or if the parts do not belong together.
    """
    with ExitStack() as stack:
        parts = [_open(one, stack) for one in run.part_folders if one.snapshots.is_file()]
        check_present(run, parts[0].place.count if parts else len(run.part_folders))
        _check_together(run, parts)
        yield parts


def check_present(run: RunFolder, count: int) -> None:
    """Check that all parts of a run have a snapshot file.

    Raises:
        OutputError: if one is missing. The message names the first one.
    """
    for number in range(count):
        path = run.part(number).snapshots
        if not path.is_file():
            raise OutputError(
                f"part {number} of {count} of the run in {run.path} is missing (no {path})",
                "a folder for each process that computed the run",
                remove_hint(run),
            )


def remove_hint(run: RunFolder) -> str:
    """Return a hint on how to use a run without its parts."""
    return f"without the folder {run.parts}, the run has only the frames in {run.snapshots}"


def _open(run: RunFolder, stack: ExitStack) -> PartFile:
    try:
        file = stack.enter_context(opened(run.snapshots))
        frames, longest = frame_counts(file)
        place = PartRows(*(int(n) for n in file.attrs[PART]))
        first_frame = int(file.attrs[FIRST_FRAME])
    except (*UNREADABLE, OutputError) as error:
        text = error.problem if isinstance(error, OutputError) else reason(error)
        raise OutputError(
            f"{run.snapshots} cannot be read: {text}",
            "an undamaged snapshot file of a part of a run",
            remove_hint(RunFolder(run.path.parent.parent)),
        ) from None
    was_killed = file.swmr_mode or frames != longest
    return PartFile(run, file, place, first_frame, frames, was_killed)


def _check_together(run: RunFolder, parts: Sequence[PartFile]) -> None:
    """Check that parts are those of one run.

    Raises:
        OutputError: if they are not.
    """
    first, row = parts[0], 0
    for number, part in enumerate(parts):
        place = part.place
        same = (
            (place.number, place.count, place.total, place.first)
            == (number, len(parts), first.place.total, row)
            and place.rows > 0
            and part.first_frame == first.first_frame >= 0
            and part.axes == first.axes
            and str(part.file.attrs.get("config")) == str(first.file.attrs.get("config"))
            and set(part.file) == set(first.file)
        )
        row += place.rows
        if not same:
            raise _not_together(run, part.place)
    if not first.axes or row != first.place.total:
        raise _not_together(run, parts[-1].place)


def _not_together(run: RunFolder, place: PartRows) -> OutputError:
    return OutputError(
        f"{place.name} in {run.parts} does not belong to the same run as the other parts",
        "the folders that the processes of one run have written",
        remove_hint(run),
    )


class UnreadableRows(Exception):
    """Rows of a part that cannot be read.

    Attributes:
        part: the part.
        problem: the dataset and the reason.
    """

    def __init__(self, part: PartFile, problem: str) -> None:
        super().__init__(problem)
        self.part, self.problem = part, problem


@dataclass(frozen=True)
class RowReader:
    """Stored rows of the complete grid, read from the files of all parts.

    Args:
        parts: the parts, in the order of their rows.
    """

    parts: Sequence[PartFile]

    def read(self, name: str, cells: Cells, frame: int | None = None) -> np.ndarray:
        """Return the values of a dataset.

        Args:
            name: the name of the dataset.
            cells: slices of the stored cells of the complete grid, along its array axes.
            frame: the index of the frame in the files of the parts; None for the mask.

        Raises:
            UnreadableRows: if they cannot be read.
        """
        before = () if frame is None else (frame,)
        shape = tuple(one.stop - one.start for one in cells)
        result = np.empty(shape, self.parts[0].file[name].dtype)
        for part, inside, own in self._overlaps(cells[0]):
            try:
                result[inside] = part.file[name][(*before, own, *cells[1:])]
            except UNREADABLE as error:
                raise UnreadableRows(part, f"{name} ({reason(error)})") from None
        return result

    def _overlaps(self, rows: slice) -> Iterator[tuple[PartFile, slice, slice]]:
        """Yield each part with some of these rows: their places in the result and in the part."""
        first = 0
        for part in self.parts:
            begin = max(rows.start, first)
            end = min(rows.stop, first + part.stored_rows)
            if begin < end:
                inside = slice(begin - rows.start, end - rows.start)
                yield part, inside, slice(begin - first, end - first)
            first += part.stored_rows

    def coordinates(self, axis: str) -> np.ndarray:
        """Return the stored coordinates along the first array axis."""
        return np.concatenate([part.file[axis][:] for part in self.parts])


def fluid_cells(part: PartFile, row_cells: int, whole_rows: bool) -> int | None:
    """Return the number of cells of a part outside obstacles; None if it is unknown.

    Args:
        part: the part.
        row_cells: the number of cells of a row.
        whole_rows: whether the file stores all cells of the part.
    """
    if "mask" not in part.file:
        return part.place.rows * row_cells
    attributes: Mapping[str, Any] = part.file.attrs
    if FLUID_CELLS in attributes:
        return int(attributes[FLUID_CELLS])
    if not whole_rows:
        return None
    mask = part.file["mask"]
    return sum(int((mask[cells] == 0).sum()) for cells in chunk_cells(mask.shape, mask.chunks))
