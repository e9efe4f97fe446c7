"""Selection of the cells that determine the stability limit, from the Jacobian in each cell.

A stability limit from an arbitrary subset of cells would be wrong if a coefficient were large in a
few other cells. All cells are therefore examined for a small number of wave vectors. The cells in
which a measure of the eigenvalues is extreme are then analysed for all wave vectors
(``stability``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
#: number of cells selected for each measure and wave vector
KEPT = 2
#: number of evenly spaced cells that are always selected
SPREAD = 24
#: reactions are slow if their rates are below SLOW times the fastest rate of derivatives and below
#: PER_STEP / dt: they then change a stability limit by less than the safety margin of automatic
#: steps. The rates are evaluated in about CELLS cells
SLOW, PER_STEP, CELLS = 0.2, 0.8, 4096


def deciding_cells(
    problem: Problem,
    jacobian: sympy.Matrix,
    names: Mapping[str, Any],
    state: np.ndarray,
    thorough: bool = True,
) -> np.ndarray:
    """Return flat indices of the cells whose Jacobian is extreme in some measure.

    Args:
        jacobian: the Jacobian with the derivatives of constraints, whose entries contain operator
            symbols and the keys of ``names``.
        names: values by name: numbers, or arrays that broadcast over the grid.
        state: shape ``(fields, *grid.shape)``.
        thorough: whether cells are ranked by eigenvalues. Otherwise they are ranked by the sum of
            the absolute values of all entries, which takes a tenth of the time.
    """
    grid, solved = problem.grid, problem.equation.solved
    selected = {*_extremes_of_fields(state), *_even_spread(grid)}
    varying = {n for n, value in names.items() if np.size(value) > 1}
    if not {symbol.name for symbol in jacobian.free_symbols} & varying:
        return np.array(sorted(selected))
    probes = _probes(problem, jacobian)
    measures = _measures if thorough else _sums
    best: dict[tuple[int, int], list[tuple[float, int]]] = {}
    with np.errstate(all="ignore"):
        for start, part in _chunks(grid, names):
            for number, symbols in enumerate(probes):
                matrices = matrix_values(jacobian, {**part, **symbols}).reshape(*jacobian.shape, -1)
                matrices = eliminated(matrices, solved)
                for measure, values in enumerate(measures(matrices)):
                    _keep(best.setdefault((number, measure), []), values, start)
    selected.update(index for largest in best.values() for _, index in largest)
    return np.array(sorted(selected))


def reactions_are_slow(problem: Problem, state: np.ndarray, dt: float) -> bool:
    """Whether explicit steps of length ``dt`` are limited by derivatives only.

    The stability limit then does not depend on the state. The result is True if the coefficients of
    derivatives depend on neither fields nor time, and if the eigenvalues of the reactions (the
    Jacobian for uniform perturbations) are at most ``PER_STEP / dt``, and at most ``SLOW`` times
    those of the rest of the Jacobian at the steepest waves. This test takes about 1 ms; a new
    stability analysis takes 100 ms on large grids.

    Args:
        state: shape ``(fields, *grid.shape)``.
    """
    jacobian, grid = problem.equation.jacobian, problem.grid
    if problem.equation.constraints or problem.kernels:
        return False
    if problem.stiffness_varies or problem.is_time_dependent or jacobian.has(lang.AppliedUndef):
        return False
    step = max(1, int((grid.cells / CELLS) ** (1 / grid.dimensions)))
    some = (slice(None, None, step),) * grid.dimensions
    names: dict[str, Any] = dict(problem.parameters)
    for name, values in (
        *grid.namespace(grid.coordinates(), problem.named).items(),
        *problem.arrays.items(),
        *zip(problem.equation.fields, state, strict=True),
    ):
        here = np.ndim(values) == grid.dimensions
        names[name] = np.broadcast_to(values, grid.shape)[some].reshape(-1) if here else values
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
    rows, row = grid.shape[0], grid.cells // grid.shape[0]
    step = max(1, CHUNK // row)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        part = {}
        for name, value in names.items():
            if np.ndim(value) == grid.dimensions:
                inside = value[first : first + count] if value.shape[0] == rows else value
                value = np.broadcast_to(inside, (count, *grid.shape[1:])).reshape(-1)
            part[name] = value
        yield first * row, part


def _extremes_of_fields(state: np.ndarray) -> list[int]:
    flat = state.reshape(len(state), -1)
    return [int(index) for field in flat for index in (field.argmin(), field.argmax())]


def _even_spread(grid: Grid) -> Sequence[int]:
    return np.linspace(0, grid.cells - 1, SPREAD).astype(int).tolist()
