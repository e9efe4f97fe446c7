"""Joining the diagnostics of the parts of a run.

Minima and maxima are exactly those of the complete grid. Integrals are the sums of those of the
parts, means are integrals divided by the volume of all cells outside obstacles, and the L2 norm is
the root of the sum of the squared norms. Their last digits may differ from those of a run in one
process, which adds the values of cells in another order.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Sequence

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import read_lines, replacing
from pdesim.model.grid import build_grid
from pdesim.output.diagnostics import DIGITS, QUANTITIES, complete_rows, time_text
from pdesim.output.join_frames import settings_of
from pdesim.output.part_files import PartFile, fluid_cells
from pdesim.output.run_folder import RunFolder


def join_diagnostics(run: RunFolder, parts: Sequence[PartFile], frames: int) -> list[str]:
    """Write the rows of the parts into the diagnostics of a run, after the rows of earlier frames.

    Row ``i`` of a part's file is that of frame ``i`` of its snapshot file.

    Args:
        run: the folder of the run, which this process has locked.
        parts: the open snapshot files of the parts.
        frames: the number of frames of the run.

    Returns:
        Notes on missing rows, one line each.

    Raises:
        OutputError: if the file cannot be written.
    """
    header = _header(parts)
    if header is None:
        return [f"no diagnostics were joined: {parts[0].run.diagnostics} is missing"]
    first_frame = parts[0].first_frame
    rows = [complete_rows(one.run.diagnostics, len(header), numbered=False) for one in parts]
    times = [time_text(t) for t in parts[0].file["time"][: frames - first_frame].tolist()]
    complete = 0
    for time, *own in zip(times, *rows, strict=False):
        if any(row[1] != time for row in own):
            break
        complete += 1
    cells, volume = _cells(parts)
    joined = []
    for number, of_frame in enumerate(list(zip(*rows, strict=False))[:complete]):
        combined = _combined(of_frame, cells, volume)
        joined.append([str(first_frame + number), times[number], *combined])
    kept = complete_rows(run.diagnostics, len(header))[:first_frame]
    _write(run, [header, *kept, *joined])
    notes, missing = [], len(times) - complete
    if missing:
        notes.append(f"{missing} rows of {run.diagnostics.name} are missing")
    if cells is None:
        notes.append("the means in the diagnostics are nan: the number of cells is unknown")
    return notes


def _header(parts: Sequence[PartFile]) -> list[str] | None:
    """Return the names of the columns; None if a part has no diagnostics."""
    if not all(part.run.diagnostics.is_file() for part in parts):
        return None
    lines = itertools.islice(read_lines(parts[0].run.diagnostics), 1)
    return next(csv.reader(lines), None)


def _cells(parts: Sequence[PartFile]) -> tuple[int | None, float]:
    """Return the number of cells outside obstacles, None if unknown, and the volume of a cell."""
    grid = build_grid(settings_of(parts[0]))
    row_cells = math.prod(grid.shape[1:])
    stored = sum(part.stored_rows for part in parts) * math.prod(
        len(parts[0].file[name]) for name in parts[0].axes[1:]
    )
    counts = [fluid_cells(part, row_cells, stored == grid.cells) for part in parts]
    known = [count for count in counts if count is not None]
    return (sum(known) if len(known) == len(counts) else None), grid.cell_volume


def _combined(rows: Sequence[Sequence[str]], cells: int | None, volume: float) -> list[str]:
    """Return the quantities of all fields for the complete grid, as text.

    Args:
        rows: the rows of all parts for one frame.
        cells: the number of cells outside obstacles; None: unknown, the mean is nan.
        volume: the volume of a cell.
    """
    texts = []
    for start in range(2, len(rows[0]), len(QUANTITIES)):
        values = np.array([_numbers(row[start : start + len(QUANTITIES)]) for row in rows])
        low, high, _, integrals, norms = values.T
        integral = math.fsum(integrals) if np.isfinite(integrals).all() else integrals.sum()
        with np.errstate(over="ignore", invalid="ignore"):
            norm = float(np.sqrt(np.square(norms).sum()))
        mean = float(integral) / (cells * volume) if cells else math.nan
        found = (low.min(), high.max(), mean, integral, norm)
        texts += [f"{float(value):.{DIGITS}g}" for value in found]
    return texts


def _numbers(texts: Sequence[str]) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return [math.nan] * len(texts)


def _write(run: RunFolder, rows: Sequence[Sequence[str]]) -> None:
    path = run.diagnostics
    try:
        with (
            replacing(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows(rows)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from None
