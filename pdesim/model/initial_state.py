"""The initial state of a run: complete, or the rows of one process and a summary of all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pdesim.model.bands import Band
from pdesim.model.grid import Grid
from pdesim.model.state_summary import BandSummary, StateSummary


@dataclass
class InitialState:
    """The initial state at the run's precision.

    To save memory, it is released after it has been copied to the device.

    Attributes:
        values: the values on the complete grid or in the rows of a plan; None after the release.
        summary: the summary of the complete state, if ``values`` is a part of it.
    """

    values: np.ndarray | None
    summary: StateSummary | None = None

    def release(self) -> None:
        self.values = None


@dataclass
class KeptRows:
    """Collects some rows, a summary and the largest values of a state from its bands.

    Args:
        grid: the complete grid.
        fields: the number of fields.
        rows: the rows that are kept (indices along the first array axis).
        dtype: the type in which they are kept, to which the summary refers.
        solid: True inside obstacles, for the complete grid; None without obstacles.
    """

    grid: Grid
    fields: int
    rows: slice
    dtype: np.dtype
    solid: np.ndarray | None = None
    #: the largest absolute value of each field in float64, in all bands so far
    largest: np.ndarray = field(init=False)
    _values: np.ndarray = field(init=False)
    _summary: BandSummary = field(init=False)
    _bands: Iterator[Band] = field(init=False)

    def __post_init__(self) -> None:
        self.largest = np.zeros(self.fields)
        rows = self.rows.stop - self.rows.start
        self._values = np.empty((self.fields, rows, *self.grid.shape[1:]), self.dtype)
        self._summary = BandSummary(self.grid, self.fields, self.dtype, self.solid)

    def collect(self, bands: Iterable[Band]) -> Iterator[Band]:
        """Return an iterator over float64 bands from which everything is collected.

        The state is evaluated only once: whoever needs it, such as the analysis of stability, takes
        the bands from this iterator.
        """
        self._bands = self._collected(bands)
        return self._bands

    def _collected(self, bands: Iterable[Band]) -> Iterator[Band]:
        for first, values in bands:
            rounded = values.astype(self.dtype, copy=False)
            self._summary.add(first, rounded)
            flat = values.reshape(self.fields, -1)
            self.largest = np.maximum(self.largest, [np.abs(one).max() for one in flat])
            start = max(first, self.rows.start)
            stop = min(first + values.shape[1], self.rows.stop)
            if start < stop:
                place = slice(start - self.rows.start, stop - self.rows.start)
                self._values[:, place] = rounded[:, start - first : stop - first]
            yield first, values

    def result(self) -> InitialState:
        """Return the rows with the summary, after the bands that nobody has taken."""
        for _ in self._bands:
            pass
        return InitialState(self._values, self._summary.result())


def check_rows(rows: slice, grid: Grid) -> None:
    """Check that rows lie in a grid.

    Raises:
        ValueError: if they do not, or if there are none.
    """
    total, plain = grid.shape[0], rows.step in (None, 1)
    bounds = isinstance(rows.start, int) and isinstance(rows.stop, int)
    if not (plain and bounds and 0 <= rows.start < rows.stop <= total):
        raise ValueError(f"rows are {rows}; expected: slice(first, end) with 0 <= first < end <= "
                         f"{total}")  # fmt: skip
