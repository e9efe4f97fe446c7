"""Checks whether a grid resolves the patterns and fronts of an equation, before and after a run.

Before a run the equation is linearised at values of the initial state. If waves of small amplitude
grow, the shortest growing waves determine the width of fronts and spots, and the fastest growing
ones determine the spacing of a pattern (the dispersion relation; Cross, Hohenberg, Rev. Mod. Phys.
65 (1993) 851, doi:10.1103/RevModPhys.65.851). The same is done for waves about uniform steady
states (:mod:`pdesim.analysis.patterns`). After a run, the largest difference between
neighbouring cells is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import sympy

from pdesim.analysis.patterns import pattern_notes
from pdesim.errors import DivergedError, PdesimError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.model.state_summary import MANY_CELLS, even_cells
from pdesim.operators.kernels import kernel_symbols
from pdesim.operators.position_parts import position_parts
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import matrix_values
from pdesim.plan import Plan, build_plan

#: cells per wavelength of the shortest growing wave: the fewest that are enough with stencils, the
#: fewest that are enough with spectral operators, and a number that resolves the wave well.
#: Spectral operators need more than stencils, because they do not damp the shorter waves to which
#: the growing wave transfers energy: Kuramoto-Sivashinsky grows without bound at 4.2 cells
FEWEST_CELLS, SPECTRAL_FEWEST_CELLS, GOOD_CELLS = 3.4, 4.4, 6.0
#: the same numbers for the fastest growing wave of a pattern
FEWEST_PER_WAVE, SPECTRAL_FEWEST, GOOD_PER_WAVE = 6.0, 4.0, 10.0
#: the fewest units in the last place by which positions in neighbouring cells should differ
FEWEST_UNITS = 4.0
#: if the difference between two neighbouring cells exceeds this fraction of a field's range, there
#: is a front less than three cells wide; the shipped equations on 256 cells reach at most 0.35
STEEP = 0.4
#: number of values that are compared at a time
BAND_VALUES = 2**22
#: number of wave numbers that are examined, and the shortest wavelength in cells
WAVES, SHORTEST = 60, 1 / 32
#: growth rates below this fraction of the largest are neglected
SLOW = 0.1
#: growth is unbounded if halving the wavelength increases it by at least this factor, both at the
#: shortest wavelength that is examined and at one shorter by the factor ``FAR``, at which only the
#: highest derivatives matter: a small term -eps*laplacian(laplacian(u)) makes a problem well-posed
UNBOUNDED, FAR = 1.8, 1e3
#: wave numbers at which the growth of short waves on the grid is examined, divided by pi/h
ON_GRID = np.array([0.25, 0.5, 0.7])
_LINEAR = (lang.LAPLACIAN, *lang.DERIVATIVES)


@dataclass(frozen=True)
class Growth:
    """Wavelengths of growing waves at the initial state; None if there is no such wave.

    ``shortest`` is the shortest wavelength whose growth rate exceeds a tenth of the largest one.
    ``pattern`` is the wavelength of the fastest growing wave, if this wave grows at least twice as
    fast as a uniform perturbation.
    """

    shortest: float | None
    pattern: float | None
    #: whether the growth rate increases at least in proportion to the wave number, without bound,
    #: and short waves on the grid grow in the discretised equation, too
    unbounded: bool = False


def notes_before(plan: Plan) -> list[str]:
    """Return notes on cells that are not square, and on growing waves that are not resolved."""
    notes = []
    spacing = plan.grid.spacing
    if max(spacing) > 1.01 * min(spacing):
        notes.append(f"note: cells are {' x '.join(f'{h:.4g}' for h in spacing)}, not square")
    if plan.equation.iterated is not None:
        return notes + precision_notes(plan)
    if plan.equation.steady or plan.resume_from is not None:
        return notes
    growth, cell = growing_waves(plan), max(spacing)
    if growth.unbounded:
        notes.append(f"warning: {_ill_posed(plan)}; the result depends on the grid")
    spectral = plan.problem.discretisation.is_spectral
    fewest = SPECTRAL_FEWEST if spectral else FEWEST_PER_WAVE
    shortest = SPECTRAL_FEWEST_CELLS if spectral else FEWEST_CELLS
    if growth.pattern is not None and growth.pattern < fewest * cell:
        words = "patterns grow with a wavelength of"
        notes.append(_advice(plan, words, growth.pattern, GOOD_PER_WAVE))
    elif growth.shortest is not None and growth.shortest < shortest * cell:
        words = "disturbances grow down to a wavelength of"
        notes.append(_advice(plan, words, growth.shortest, GOOD_CELLS))
    else:  # about steady states, which the values of the initial state may not contain
        start = plan.settings.time.start
        patterns = pattern_notes(plan.problem, plan.state_summary, start)
        notes += [f"note: {text}" for text in patterns]
    return notes


def _ill_posed(plan: Plan) -> str:
    named = {symbol.name for symbol in plan.equation.jacobian.free_symbols}
    given = plan.equation.parameters.items()
    negative = [f"{name} = {value:g}" for name, value in given if value < 0 and name in named]
    cause = f" ({', '.join(negative)})" if negative else ""
    return (
        "the problem is ill-posed at the initial state: the shorter a wave, the faster it "
        f"grows, as with a negative diffusivity{cause}"
    )


def with_cause(error: PdesimError | None, plan: Plan) -> PdesimError | None:
    """Return the error that ended a run, with a hint if the problem of the run is ill-posed.

    The initial state is computed again, because it is not kept in memory during a run.
    """
    if not isinstance(error, DivergedError) or plan.resume_from is not None:
        return error
    try:
        start = build_plan(plan.settings, plan.equation.name, rows=plan.rows)
        if not growing_waves(start).unbounded:
            return error
    except PdesimError:  # such as a file that has been removed since
        return error
    return DivergedError(error.problem, hint=f"{_ill_posed(plan)}; no time step prevents this")


def _advice(plan: Plan, words: str, length: float, good: float) -> str:
    grid = plan.grid
    factor = good * max(grid.spacing) / length
    points = [16 * math.ceil(n * factor / 16) for n in grid.points]
    alike = len(set(points)) == 1 and not isinstance(plan.settings.grid, list)
    cells = str(points[0]) if alike else f"[{','.join(map(str, points))}]"
    extent = [f"{length / factor:.3g}" for length in grid.extent]
    lengths = extent[0] if len(set(extent)) == 1 else f"[{','.join(extent)}]"
    return (
        f"warning: {words} {length:.3g}, which is only {length / max(grid.spacing):.2g} cells: "
        f"fronts and spots may be pinned to the grid; grid={cells} or domain.extent={lengths} "
        f"gives {good:g} cells"
    )


def growing_waves(plan: Plan) -> Growth:
    """Return the wavelengths of waves that grow in the equation linearised at the initial state."""
    problem, grid = plan.problem, plan.grid
    names = _states(plan)
    longest, cell = max(grid.extent), min(grid.spacing)
    wavenumbers = np.geomspace(2 * np.pi / longest, 2 * np.pi / (SHORTEST * cell), WAVES)
    wavenumbers = np.insert(wavenumbers, 0, 0.0)
    half = int(np.abs(wavenumbers - 0.5 * wavenumbers[-1]).argmin())
    ends = wavenumbers[[half, -1]]
    entries = problem.equation.jacobian
    entries = entries.xreplace(dict.fromkeys(entries.atoms(lang.AppliedUndef), 0))
    shortest, patterns, unbounded = [], [], False
    for direction in _directions(entries, grid.dimensions):
        growth = _growth(problem, entries, names, direction, wavenumbers)
        far = _growth(problem, entries, names, direction, FAR * ends)
        short = np.pi * ON_GRID / np.max(np.abs(direction) * grid.spacing)
        on_grid = _growth(problem, entries, names, direction, short, on_grid=True) > 0
        both = _is_unbounded(growth[:, [half, -1]], ends) & _is_unbounded(far, ends)
        unbounded |= bool((both & on_grid.any(axis=1)).any())
        if len(direction[direction != 0]) > 1:
            continue
        largest = growth.max(axis=1)
        # growth that does not decay for short waves has no shortest wavelength
        counts = growth[:, -1] < SLOW * largest
        for row, most in zip(growth[counts], largest[counts], strict=True):
            fastest = wavenumbers[np.flatnonzero(row > SLOW * most)[-1]]
            shortest += [2 * np.pi / fastest] if fastest > 0 else []
            if row.argmax() > 0 and row[0] < 0.5 * most:
                patterns.append(2 * np.pi / wavenumbers[row.argmax()])
    return Growth(min(shortest, default=None), min(patterns, default=None), unbounded)


def _directions(entries: sympy.Matrix, dimensions: int) -> list[np.ndarray]:
    """Return unit vectors along the axes, and along the diagonals if these may differ from them.

    They may differ if there are derivatives along several axes, apart from the Laplacian.
    """
    axes = list(np.eye(dimensions))
    words = {symbol.name.removeprefix("symbol_") for symbol in entries.free_symbols}
    powers = [lang.powers_of(word, dimensions) for word in words if word in lang.DERIVATIVES]
    if np.count_nonzero(np.sum(powers, axis=0)) < 2:
        return axes
    diagonals = [np.array(v, float) for v in product((-1, 0, 1), repeat=dimensions)]
    return axes + [v / np.linalg.norm(v) for v in diagonals if np.count_nonzero(v) > 1]


def _growth(
    problem: Problem,
    entries: sympy.Matrix,
    names: Mapping[str, Any],
    direction: np.ndarray,
    wavenumbers: np.ndarray,
    on_grid: bool = False,
) -> np.ndarray:
    """Return the growth rates, 0 for waves that decay, at each cell: shape ``(cells, waves)``.

    With ``on_grid`` they are those of the discretisation.
    """
    grid = problem.grid
    symbols = [s.name for s in entries.free_symbols if s.name.startswith("symbol_")]
    values = {s: _symbol(s.removeprefix("symbol_"), direction, wavenumbers) for s in symbols}
    if on_grid:
        words = [w for s in symbols if (w := s.removeprefix("symbol_")) in _LINEAR]
        waves = [part * wavenumbers for part in direction]
        found = problem.discretisation.symbols(grid, waves, words)
        values |= {f"symbol_{word}": found[word] for word in words}
    along = [abs(part) * wavenumbers if part else np.zeros(1) for part in direction]
    if np.count_nonzero(direction) == 1:
        convolutions = kernel_symbols(problem.kernels, grid, problem.parameters, along)
    else:  # convolutions with smooth kernels do not contribute to the growth of the shortest waves
        convolutions = {kernel.symbol.name: np.zeros(1) for kernel in problem.kernels}
    # waves shorter than two cells would be confused with longer ones
    resolved = wavenumbers <= np.pi / min(grid.spacing)
    values |= {name: symbol.reshape(-1) * resolved for name, symbol in convolutions.items()}
    with np.errstate(all="ignore"):
        matrices = matrix_values(entries, {**names, **values}, (1, len(wavenumbers)))
    rates = np.linalg.eigvals(np.moveaxis(np.nan_to_num(matrices), (0, 1), (-2, -1)))
    # the rounding error of an eigenvalue is relative to the largest eigenvalue of its matrix
    rounding = 1e-9 * np.abs(rates).max(axis=-1)
    return np.where(rates.real.max(axis=-1) > rounding, rates.real.max(axis=-1), 0.0)


def _is_unbounded(growth: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return for each cell whether growth increases at least in proportion to the wave number.

    Halving the wavelength multiplies the growth rate by 4 for a negative diffusivity, and by 1 for
    reactions alone.

    Args:
        growth: growth rates at two wave numbers, shape ``(cells, 2)``.
        ends: the two wave numbers, up to a factor.
    """
    longer, shorter = growth.T
    with np.errstate(over="ignore"):  # rates beyond the range of floats
        return (shorter * 2 * ends[0] / (UNBOUNDED * ends[1]) > longer) & (shorter > 0)


def _states(plan: Plan) -> dict[str, Any]:
    """Return fields, coordinates and parameters at selected cells, as columns.

    These are the cells with extreme values, and cells at equal intervals.
    """
    problem, grid, initial = plan.problem, plan.grid, plan.state_summary
    cells = np.unique([*even_cells(MANY_CELLS, grid.cells), *initial.extremes])
    places: dict[str, Any] = {**grid.namespace(grid.coordinates_of(cells), problem.named)}
    places |= {name: values.reshape(-1)[cells] for name, values in problem.arrays.items()}
    names = {name: v[:, np.newaxis] if np.ndim(v) else v for name, v in places.items()}
    names |= {**problem.parameters, "t": plan.settings.time.start}
    values = initial.at(cells).astype(float)
    return names | dict(zip(plan.equation.fields, values[..., np.newaxis], strict=True))


def _symbol(word: str, direction: np.ndarray, wavenumbers: np.ndarray) -> np.ndarray:
    """Return the Fourier symbol of an operator for waves in a direction, a unit vector.

    Other operators than the Laplacian and derivatives have the symbol 0.
    """
    if word == lang.LAPLACIAN:
        return -(wavenumbers**2)
    if word not in _LINEAR:
        return np.zeros_like(wavenumbers)
    powers = lang.powers_of(word, len(direction))
    return np.prod(
        [(1j * part * wavenumbers) ** p for part, p in zip(direction, powers, strict=True)], axis=0
    )


def precision_notes(plan: Plan) -> list[str]:
    """Return a note if the precision does not distinguish neighbouring cells of an iterated map.

    It compares the parts of the formulas that depend on position, such as ``cx + x/zoom``, in
    neighbouring cells. Their difference should be several units in the last place.
    """
    precision = plan.settings.device.precision
    problem, grid = plan.problem, plan.grid
    names = {**grid.namespace(grid.coordinates(), problem.named), **problem.parameters, "t": 0.0}
    for part in position_parts(problem, plan.equation.formulas).values():
        values = np.asarray(Evaluator(names)(part), float)
        for axis in range(values.ndim):
            steps = np.abs(np.diff(values, axis=axis))
            steps = steps[steps > 0]
            rounding = np.finfo(precision).eps * np.abs(values).max()
            if steps.size and np.median(steps) < FEWEST_UNITS * rounding:
                hint = "; device.precision=float64" if precision == "float32" else ""
                return [
                    f"note: {precision} does not distinguish neighbouring cells: {part} changes by "
                    f"{np.median(steps):.1e} from cell to cell{hint}"
                ]
    return []


def note_after(plan: Plan, state: np.ndarray) -> str | None:
    """Return a warning if a field has fronts that are only one or two cells wide; otherwise None.

    Args:
        plan: the plan of the run.
        state: the final fields, shape ``(fields, *grid.shape)``.
    """
    solid = None if plan.problem.mask is None else plan.problem.mask.solid
    equation = plan.equation
    if equation.iterated is not None or equation.noise:
        return None
    steps = {
        name: steepest(state[number], solid)
        for number, name in enumerate(equation.fields)
        # a field whose equation has no derivatives may have jumps, which need no resolution
        if lang.operators_in(equation.formulas[number])
    }
    name = max(steps, key=steps.__getitem__, default=None)
    if name is None or not steps[name] > STEEP:
        return None
    return (
        f"warning: {name} changes by {steps[name]:.0%} of its range between neighbouring cells: "
        "its fronts are not resolved; use more cells, or let pdesim converge estimate the error"
    )


def steepest(values: np.ndarray, solid: np.ndarray | None = None) -> float:
    """Return the largest difference between neighbouring cells, divided by the field's range.

    The result is 0 for a field that is uniform up to rounding. Cells where ``solid`` is True are
    left out.
    """
    low, high, largest = np.inf, -np.inf, 0.0
    count = max(1, BAND_VALUES * len(values) // values.size)
    for first in range(0, len(values), count):
        rows = slice(first, first + count + 1)  # with the first row of the next band
        part = values[rows]
        free = np.ones(part.shape, bool) if solid is None else ~solid[rows]
        kept = part[free].astype(float)
        low = np.minimum(low, kept.min(initial=np.inf))
        high = np.maximum(high, kept.max(initial=-np.inf))
        for axis in range(values.ndim):
            both = np.moveaxis(free, axis, 0)
            both = both[1:] & both[:-1]
            step = np.abs(np.diff(np.moveaxis(part, axis, 0), axis=0))[both]
            largest = max(largest, float(step.max(initial=0.0)))
    spread, size = float(high - low), float(max(abs(low), abs(high)))
    if not spread > 1e-4 * size:
        return 0.0
    return largest / spread
