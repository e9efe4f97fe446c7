"""``diagnostics.csv``: extrema, mean and integrals of each field in each frame, in float64."""

from __future__ import annotations

import contextlib
import csv
import itertools
import math
from pathlib import Path

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import read_lines, replacing
from pdesim.model.scalars import scalar_value

QUANTITIES = ("min", "max", "mean", "integral", "l2")
#: number of significant digits of the values
DIGITS = 10
#: the number that represents every number of float64 exactly
EXACT_DIGITS = 17
#: the quantities of a field without cells
NO_CELLS = {"min": math.inf, "max": -math.inf, "mean": math.nan, "integral": 0.0, "l2": 0.0}
#: number of values that are converted to float64 at once, a compromise between calls and memory
BLOCK = 2**18


def diagnose(
    values: np.ndarray,
    cell_volume: float,
    solid: np.ndarray | None = None,
    volumes: np.ndarray | None = None,
) -> dict[str, float]:
    """Return the quantities ``QUANTITIES`` of a field.

    These are the minimum, the maximum, the mean, the integral over the domain, and the L2 norm
    ``sqrt(integral of u**2)``.

    Args:
        values: a frame of one field.
        cell_volume: volume of a cell.
        solid: boolean array of the shape of ``values``, True inside obstacles, which are excluded;
            None if there are no obstacles.
        volumes: the volumes of all cells; None if they are equal.

    Returns:
        The quantities; ``NO_CELLS`` if all cells are inside obstacles.
    """
    if volumes is not None:
        return _diagnose_unequal(values, volumes, solid)
    flat = np.ravel(values) if solid is None else values[~solid]
    if not flat.size:  # in a part of the grid
        return NO_CELLS
    total, squares = _sums(flat)
    return {
        "min": float(flat.min()),
        "max": float(flat.max()),
        "mean": total / flat.size,
        "integral": total * cell_volume,
        "l2": float(np.sqrt(squares * cell_volume)),
    }


def _diagnose_unequal(
    values: np.ndarray, volumes: np.ndarray, solid: np.ndarray | None
) -> dict[str, float]:
    """Return the quantities of a field on cells of unequal volumes."""
    inside = slice(None) if solid is None else ~solid
    flat, weights = values[inside].astype(float).ravel(), volumes[inside].ravel()
    if not flat.size:
        return NO_CELLS
    integral = float((flat * weights).sum())
    with np.errstate(over="ignore"):
        squares = float((flat**2 * weights).sum())
    return {
        "min": float(flat.min()),
        "max": float(flat.max()),
        "mean": integral / float(weights.sum()),
        "integral": integral,
        "l2": float(np.sqrt(squares)),
    }


def _sums(flat: np.ndarray) -> tuple[float, float]:
    """Return the sum of the values and the sum of their squares, both computed in float64.

    The values are converted in blocks, which avoids a copy of the entire array.
    """
    wide, total, squares = np.empty(min(BLOCK, flat.size)), 0.0, 0.0
    for start in range(0, flat.size, BLOCK):
        part = wide[: flat.size - start]
        part[...] = flat[start : start + BLOCK]
        total += float(part.sum())
        # not a dot product, which may start threads that compete with the computation
        with np.errstate(over="ignore"):
            np.multiply(part, part, out=part)
        squares += float(part.sum())
    return total, squares


class DiagnosticsFile:
    """Writer of ``diagnostics.csv``, with one row per frame; each row is flushed immediately.

    Args:
        path: path of the file.
        fields: names of the fields.
        cell_volume: volume of a cell.
        keep: when a run is resumed, the number of existing rows to keep, counted from the first.
        solid: boolean array of the shape of the grid, True inside obstacles, which are excluded;
            None if there are no obstacles.
        scalars: names of the scalars, which have one column each.
        volumes: the volumes of all cells; None if they are equal.
        digits: the number of significant digits; 17 represent every number of float64 exactly.

    Raises:
        OutputError: if the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        fields: tuple[str, ...],
        cell_volume: float,
        keep: int = 0,
        solid: np.ndarray | None = None,
        scalars: tuple[str, ...] = (),
        volumes: np.ndarray | None = None,
        digits: int = DIGITS,
    ) -> None:
        self.scalars, self.digits = scalars, digits
        self.path, self.fields, self.cell_volume, self.solid = path, fields, cell_volume, solid
        self.volumes = volumes
        columns = [f"{field}_{quantity}" for field in fields for quantity in QUANTITIES]
        columns += scalars
        kept = complete_rows(path, len(columns) + 2)[:keep] if keep else []
        self.frames = len(kept)
        try:
            with (
                replacing(path) as temporary,
                temporary.open("w", encoding="utf-8", newline="") as file,
            ):
                csv.writer(file).writerows([["frame", "time", *columns], *kept])
            self._file = path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror})") from None
        self._writer = csv.writer(self._file)

    def write(self, index: int, time: float, state: np.ndarray) -> None:
        """Append the row of a frame.

        Args:
            index: number of the frame.
            time: simulated time.
            state: the fields, shape ``(fields, *grid.shape)``.

        Raises:
            OutputError: if the file cannot be written.
        """
        count, cells = len(self.fields), (self.cell_volume, self.solid, self.volumes)
        rows = (diagnose(values, *cells) for values in state[:count])
        numbers = [row[quantity] for row in rows for quantity in QUANTITIES]
        numbers += [scalar_value(values, self.solid) for values in state[count:]]
        texts = [f"{number:.{self.digits}g}" for number in numbers]
        try:
            self._writer.writerow([index, time_text(time), *texts])
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror})") from None
        self.frames = index + 1

    def close(self) -> None:
        with contextlib.suppress(OSError):  # write has reported a full disk already
            self._file.close()


def time_text(time: float) -> str:
    """Return the time of a frame as it is written."""
    return f"{time:.12g}"


def complete_rows(path: Path, length: int, numbered: bool = True) -> list[list[str]]:
    """Return the rows up to the first incomplete or missing row.

    Args:
        path: the file, which need not exist.
        length: the number of columns.
        numbered: whether the rows must have the numbers 0, 1, 2, ...
    """
    if not path.is_file():
        return []
    complete = []
    with contextlib.suppress(csv.Error):  # such as a field of too many characters
        for number, row in enumerate(csv.reader(itertools.islice(read_lines(path), 1, None))):
            if len(row) != length or (numbered and row[0] != str(number)):
                break
            complete.append(row)
    return complete
