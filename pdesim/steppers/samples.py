"""Selection of the cells that determine the stability limit, from the Jacobian in each cell.

A stability limit from an arbitrary subset of cells would be wrong if a coefficient were large in a
few other cells. All cells are therefore examined for a small number of wave vectors. The cells in
which a measure of the eigenvalues is extreme are then analysed for all wave vectors
(``stability``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from pdesim.formula import language as lang
from pdesim.model.grid import Grid
from pdesim.operators.constraints import eliminated
from pdesim.operators.kernels import extreme_waves, kernel_symbols
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import matrix_values, operator_names, symbol_names

#: number of cells that are evaluated at once, which limits the memory
CHUNK = 2**15
#: number of cells in a band, for states that are not evaluated as a whole
BAND = 2**18
#: number of cells selected for each measure and wave vector
KEPT = 2
#: number of evenly spaced cells that are always selected
SPREAD = 24
#: reactions are slow if their rates are below SLOW times the fastest rate of derivatives and below
#: PER_STEP / dt: they then change a stability limit by less than the safety margin of automatic
#: steps. The rates are evaluated in about CELLS cells
SLOW, PER_STEP, CELLS = 0.2, 0.8, 4096


@dataclass
class DecidingCells:
    """The cells whose Jacobian is extreme in some measure, found in consecutive bands of rows.

    All bands but the last one must have a multiple of :func:`rows_per_chunk` rows, so that the
    result does not depend on the bands.

    Args:
        jacobian: the Jacobian with the derivatives of constraints, whose entries contain operator
            symbols and names of values.
        thorough: whether cells are ranked by eigenvalues. Otherwise they are ranked by the sum of
            the absolute values of all entries, which takes a tenth of the time.
    """

    problem: Problem
    jacobian: sympy.Matrix
    thorough: bool = True
    _best: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)
    #: for each field, the smallest and the largest value and their cells
    _extremes: list[list[tuple[float, int]]] = field(default_factory=list)
    _varies: bool | None = None

    def add(self, part: Grid, names: Mapping[str, Any], state: np.ndarray) -> None:
        """Examine the cells of the next band.

        Args:
            part: the part of the grid.
            names: values by name: numbers, or arrays that broadcast over the part.
            state: the fields, shape ``(fields, *part.shape)``.
        """
        before = int(part.indices(part.dimensions - 1)[0]) * (part.cells // part.shape[0])
        self._add_extremes(state, before)
        if self._varies is None:
            varying = {n for n, value in names.items() if np.size(value) > 1}
            self._varies = bool({s.name for s in self.jacobian.free_symbols} & varying)
        if not self._varies:
            return
        solved, shape = self.problem.equation.solved, self.jacobian.shape
        measures = _measures if self.thorough else _sums
        with np.errstate(all="ignore"):
            for start, chunk in _chunks(part, names):
                for number, symbols in enumerate(self._probes):
                    matrices = matrix_values(self.jacobian, {**chunk, **symbols})
                    matrices = eliminated(matrices.reshape(*shape, -1), solved)
                    for measure, values in enumerate(measures(matrices)):
                        _keep(self._best.setdefault((number, measure), []), values, before + start)

    @cached_property
    def _probes(self) -> list[dict[str, Any]]:
        return _probes(self.problem, self.jacobian)

    def _add_extremes(self, state: np.ndarray, before: int) -> None:
        for number, values in enumerate(state.reshape(len(state), -1)):
            lowest, highest = int(values.argmin()), int(values.argmax())
            found = [(float(values[i]), before + i) for i in (lowest, highest)]
            if number == len(self._extremes):
                self._extremes.append(found)
                continue
            known = self._extremes[number]
            known[0] = found[0] if found[0][0] < known[0][0] else known[0]
            known[1] = found[1] if found[1][0] > known[1][0] else known[1]

    @property
    def cells(self) -> np.ndarray:
        """Flat indices of the selected cells of all bands so far, and of evenly spaced cells."""
        found = {index for pair in self._extremes for _, index in pair}
        found.update(index for largest in self._best.values() for _, index in largest)
        return np.array(sorted({*found, *_even_spread(self.problem.grid)}))


def rows_per_chunk(grid: Grid) -> int:
    """Return the number of rows that are examined at once."""
    return max(1, CHUNK // (grid.cells // grid.shape[0]))


def rows_per_band(grid: Grid) -> int:
    """Return the number of rows in a band of about ``BAND`` cells, a multiple of a chunk."""
    chunk, row = rows_per_chunk(grid), grid.cells // grid.shape[0]
    # a single row would not show which values vary along the axis of the rows
    return chunk * max(1, BAND // (chunk * row), 2 if chunk == 1 else 1)


def sample_spacing(grid: Grid) -> int:
    """Return the spacing of the cells that :func:`reactions_are_slow` examines, along each axis."""
    return max(1, int((grid.cells / CELLS) ** (1 / grid.dimensions)))


def reactions_are_slow(problem: Problem, samples: np.ndarray, dt: float) -> bool:
    """Whether explicit steps of length ``dt`` are limited by derivatives only.

    The stability limit then does not depend on the state. The result is True if the coefficients of
    derivatives depend on neither fields nor time, and if the eigenvalues of the reactions (the
    Jacobian for uniform perturbations) are at most ``PER_STEP / dt``, and at most ``SLOW`` times
    those of the rest of the Jacobian at the steepest waves. This test takes about 1 ms; a new
    stability analysis takes 100 ms on large grids.

    Args:
        samples: the fields in every n-th cell along each axis, ``(fields, ...)``, with n from
            :func:`sample_spacing`.
    """
    jacobian, grid = problem.equation.jacobian, problem.grid
    if problem.equation.constraints or problem.kernels:
        return False
    if problem.stiffness_varies or problem.is_time_dependent or jacobian.has(lang.AppliedUndef):
        return False
    some = (slice(None, None, sample_spacing(grid)),) * grid.dimensions
    names: dict[str, Any] = dict(problem.parameters)
    for name, values in (
        *grid.namespace(grid.coordinates(), problem.named).items(),
        *problem.arrays.items(),
    ):
        here = np.ndim(values) == grid.dimensions
        names[name] = np.broadcast_to(values, grid.shape)[some].reshape(-1) if here else values
    for name, values in zip(problem.equation.fields, samples, strict=True):
        names[name] = values.reshape(-1)
    with np.errstate(all="ignore"):
        uniform, *steep = (
            matrix_values(jacobian, {**names, **symbols}).reshape(*jacobian.shape, -1)
            for symbols in _probes(problem, jacobian)
        )
        reactions = np.abs(_eigenvalues(uniform)).max()
        derivatives = max(np.abs(_eigenvalues(one - uniform)).max() for one in steep)
    return bool(reactions <= min(SLOW * derivatives, PER_STEP / dt))


def _probes(problem: Problem, jacobian: sympy.Matrix) -> list[dict[str, Any]]:
    """Return operator symbols for a uniform perturbation, the shortest wave and the steepest waves.

    The waves for which the symbol of a convolution is extreme are included.
    The steepest waves, those with the largest first derivatives, are included only if the Jacobian
    contains odd derivatives.
    """
    grid, scheme = problem.grid, problem.discretisation
    angles = [np.zeros(grid.dimensions), np.full(grid.dimensions, np.pi)]
    names = operator_names(jacobian)
    odd = any(n % 2 for w in names if w in lang.DERIVATIVES for n in lang.powers_of(w))
    for axis in range(grid.dimensions if odd else 0):
        steepest = np.zeros(grid.dimensions)
        # first differences are largest for waves of four cells, spectral first derivatives just
        # below the Nyquist mode
        steepest[axis] = 0.99 * np.pi if scheme.is_spectral else np.pi / 2
        angles.append(steepest)
    waves = [tuple(angle / np.array(grid.spacing)) for angle in angles]
    kernels, constants = problem.kernels, problem.parameters
    probes = []
    for wave in [*waves, *extreme_waves(kernels, grid, constants)]:
        symbols = kernel_symbols(kernels, grid, constants, [np.array([k]) for k in wave])
        single = {name: values.reshape(()) for name, values in symbols.items()}
        table = scheme.symbols(grid, [np.asarray(k) for k in wave], names)
        probes.append({**symbol_names(table), **single})
    return probes


def _measures(matrices: np.ndarray) -> Iterator[np.ndarray]:
    """Yield quantities whose largest values may limit the time step, each as an array of cells.

    Args:
        matrices: shape ``(fields, fields, cells)``.
    """
    rates = _eigenvalues(np.nan_to_num(matrices))
    size, real = np.abs(rates), rates.real
    yield size.max(axis=0)
    yield real.max(axis=0)
    yield -real.min(axis=0)
    yield np.abs(rates.imag).max(axis=0)
    # explicit Euler is stable for dt up to -2 Re(rate) / |rate|^2
    yield (size**2 / np.where(real < 0, -real, np.inf)).max(axis=0)
    yield np.abs(matrices).sum(axis=(0, 1))


def _sums(matrices: np.ndarray) -> Iterator[np.ndarray]:
    yield np.abs(matrices).sum(axis=(0, 1))


def _eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of small matrices, ``(fields, cells)``.

    For 3 or more fields, bounds from Gershgorin's circles are returned in place of the eigenvalues,
    which suffices to rank cells.
    """
    if len(matrices) == 1:
        return matrices[0]
    if len(matrices) == 2:
        half = (matrices[0, 0] + matrices[1, 1]) / 2
        determinant = matrices[0, 0] * matrices[1, 1] - matrices[0, 1] * matrices[1, 0]
        root = np.sqrt((half**2 - determinant).astype(complex))
        return np.stack([half + root, half - root])
    diagonal = np.stack([matrices[i, i] for i in range(len(matrices))])
    radius = np.abs(matrices).sum(axis=1) - np.abs(diagonal)
    return np.concatenate([diagonal - radius, diagonal + radius, diagonal + 1j * radius])


def _keep(largest: list[tuple[float, int]], values: np.ndarray, start: int) -> None:
    """Update the list of the largest values with those of a chunk.

    Args:
        largest: pairs (value, flat index of the cell).
        start: the flat index of the first cell of the chunk.
    """
    values = np.broadcast_to(np.nan_to_num(values, nan=-np.inf), values.shape)
    count = min(KEPT, values.size)
    top = np.argpartition(values, -count)[-count:]
    largest.extend((float(values[i]), int(start + i)) for i in top)
    largest.sort(reverse=True)
    del largest[KEPT:]


def _chunks(grid: Grid, names: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield chunks of the values by name, each with the flat index of its first cell.

    A chunk is a range of indices along the first array axis.
    """
    rows, row, step = grid.shape[0], grid.cells // grid.shape[0], rows_per_chunk(grid)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        part = {}
        for name, value in names.items():
            if np.ndim(value) == grid.dimensions:
                inside = value[first : first + count] if value.shape[0] == rows else value
                value = np.broadcast_to(inside, (count, *grid.shape[1:])).reshape(-1)
            part[name] = value
        yield first * row, part


def _even_spread(grid: Grid) -> Sequence[int]:
    return np.linspace(0, grid.cells - 1, SPREAD).astype(int).tolist()
