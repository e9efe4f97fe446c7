"""What analyses before a run need of an initial state, taken from the state or from its bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pdesim.model.grid import Grid

#: numbers of evenly spaced cells whose values analyses use: as starts of Newton's method, and for
#: the growth of waves
FEW_CELLS, MANY_CELLS = 24, 300
#: number of values whose sum NumPy computes; a power of two above 128, the number from which NumPy
#: divides a sum
LEAF = 2**16


@dataclass(frozen=True)
class StateSummary:
    """Values of a state in selected cells, and measures of each field.

    Attributes:
        size: the number of cells of the grid.
        cells: flat indices of the selected cells, ascending: evenly spaced ones, and those with
            extreme values.
        values: the values there, shape ``(fields, cells)``.
        lowest, highest: for each field, the cell of its smallest and its largest value.
        largest: the largest absolute value of each field.
        means: the mean of each field over the cells outside obstacles.
    """

    size: int
    cells: np.ndarray
    values: np.ndarray
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    largest: np.ndarray
    means: tuple[float, ...]

    @property
    def evenly_spaced(self) -> np.ndarray:
        """Flat indices of ``FEW_CELLS`` selected cells, evenly spaced."""
        return even_cells(FEW_CELLS, self.size)

    @property
    def extremes(self) -> list[int]:
        """For each field in turn, the cells of its smallest and its largest value."""
        pairs = zip(self.lowest, self.highest, strict=True)
        return [cell for pair in pairs for cell in pair]

    def at(self, cells: np.ndarray | list[int]) -> np.ndarray:
        """Return the values in some of the selected cells, shape ``(fields, cells)``."""
        return self.values[:, np.searchsorted(self.cells, cells)]


def even_cells(count: int, cells: int) -> np.ndarray:
    """Return flat indices of evenly spaced cells."""
    return np.linspace(0, cells - 1, count).astype(int)


def summarise(state: np.ndarray, solid: np.ndarray | None = None) -> StateSummary:
    """Summarise a complete state.

    Args:
        state: shape ``(fields, *grid.shape)``.
        solid: True inside obstacles; None without obstacles.
    """
    flat = state.reshape(len(state), -1)
    lowest = tuple(int(one.argmin()) for one in flat)
    highest = tuple(int(one.argmax()) for one in flat)
    cells = _selected(flat.shape[1], lowest, highest)
    free = ... if solid is None else ~solid
    means = tuple(float(one[free].mean()) for one in state)
    largest = np.abs(flat).max(axis=1)
    return StateSummary(flat.shape[1], cells, flat[:, cells], lowest, highest, largest, means)


def _selected(cells: int, lowest: tuple[int, ...], highest: tuple[int, ...]) -> np.ndarray:
    even = (even_cells(count, cells) for count in (FEW_CELLS, MANY_CELLS))
    return np.unique(np.concatenate([*even, lowest, highest]).astype(int))


@dataclass
class BandSummary:
    """Summarises a state from its bands, bit for bit like :func:`summarise`.

    Args:
        grid: the complete grid.
        fields: the number of fields.
        dtype: the type of the values.
        solid: True inside obstacles, for the complete grid; None without obstacles.
    """

    grid: Grid
    fields: int
    dtype: np.dtype
    solid: np.ndarray | None = None
    _means: list[PairwiseMean] = field(default_factory=list)
    #: the smallest value of each field and its cell, and the largest one
    _lowest: list[tuple[float, int]] = field(default_factory=list)
    _highest: list[tuple[float, int]] = field(default_factory=list)
    _kept: dict[int, np.ndarray] = field(default_factory=dict)
    _largest: np.ndarray | None = None

    def __post_init__(self) -> None:
        free = self.grid.cells
        free -= 0 if self.solid is None else int(np.count_nonzero(self.solid))
        self._means = [PairwiseMean(free, self.dtype) for _ in range(self.fields)]
        self._lowest = [(np.inf, 0)] * self.fields
        self._highest = [(-np.inf, 0)] * self.fields

    def add(self, first: int, values: np.ndarray) -> None:
        """Add the next band, whose values are finite and have the type ``dtype``."""
        row = self.grid.cells // self.grid.shape[0]
        before, flat = first * row, values.reshape(self.fields, -1)
        free = ... if self.solid is None else ~self.solid[first : first + values.shape[1]]
        chosen = set(self._even[(self._even >= before) & (self._even < before + flat.shape[1])])
        for number, one in enumerate(flat):
            low, high = int(one.argmin()), int(one.argmax())
            if one[low] < self._lowest[number][0]:
                self._lowest[number] = float(one[low]), before + low
            if one[high] > self._highest[number][0]:
                self._highest[number] = float(one[high]), before + high
            chosen |= {before + low, before + high}
            self._means[number].add(values[number][free].reshape(-1))
        for cell in chosen:
            self._kept[int(cell)] = flat[:, cell - before].copy()
        largest = np.abs(flat).max(axis=1)
        known = self._largest
        self._largest = largest if known is None else np.maximum(known, largest)

    @cached_property
    def _even(self) -> np.ndarray:
        return _selected(self.grid.cells, (), ())

    def result(self) -> StateSummary:
        """Return the summary, after all bands have been added."""
        lowest = tuple(cell for _, cell in self._lowest)
        highest = tuple(cell for _, cell in self._highest)
        cells = _selected(self.grid.cells, lowest, highest)
        values = np.stack([self._kept[int(cell)] for cell in cells], axis=1)
        largest = np.zeros(self.fields, self.dtype) if self._largest is None else self._largest
        means = tuple(mean.result() for mean in self._means)
        size = self.grid.cells
        return StateSummary(size, cells, values, lowest, highest, largest, means)


@dataclass
class PairwiseMean:
    """The mean of a sequence that is given in pieces, bit for bit as ``numpy.mean`` computes it.

    NumPy adds n values pairwise (``pairwise_sum`` in ``loops_utils.h.src``): if n > 128, the sum of
    the first ``n//2 - n//2 % 8`` values and that of the others are added. Sums of up to ``LEAF``
    values are left to NumPy.

    Args:
        count: the number of all values.
        dtype: their type, in which they are added.
    """

    count: int
    dtype: np.dtype
    _sums: list[np.floating] = field(default_factory=list)
    _waiting: list[np.ndarray] = field(default_factory=list)
    _leaves: Iterator[int] = field(init=False)
    #: the number of values that are added next; 0 after the last ones
    _next: int = field(init=False)

    def __post_init__(self) -> None:
        self._leaves = _leaves(self.count)
        self._next = next(self._leaves)

    def add(self, values: np.ndarray) -> None:
        """Add the next values, a 1-D array."""
        self._waiting.append(values)
        if sum(map(len, self._waiting)) < self._next:
            self._waiting[-1] = values.copy()  # the array may be part of a larger one
            return
        joined, start = np.concatenate(self._waiting), 0
        while self._next and len(joined) - start >= self._next:
            self._sums.append(np.add.reduce(joined[start : start + self._next]))
            start += self._next
            self._next = next(self._leaves, 0)
        self._waiting = [joined[start:].copy()]

    def result(self) -> float:
        """Return the mean, after all values have been added."""
        if self.count == 0:
            return np.nan
        sums = iter(self._sums)

        def total(count: int) -> np.floating:
            if count <= LEAF:
                return next(sums)
            return total(_half(count)) + total(count - _half(count))

        with np.errstate(all="ignore"):
            return float(self.dtype.type(total(self.count) / np.intp(self.count)))


def _leaves(count: int) -> Iterator[int]:
    """Yield the numbers of values that NumPy adds at once, in their order."""
    if count <= LEAF:
        yield count
    else:
        yield from _leaves(_half(count))
        yield from _leaves(count - _half(count))


def _half(count: int) -> int:
    """Return the number of values in the first of two sums."""
    half = count // 2
    return half - half % 8
