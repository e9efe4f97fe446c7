"""Growing waves compared with the cells of the grid and the size of the domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdesim.analysis.classify import PATTERNS, classify
from pdesim.analysis.growth import directions, frequencies, survey, without_rounding
from pdesim.analysis.modes import build_admissible, fastest_admissible
from pdesim.analysis.reactions import Linearisation, build_reactions, linearise
from pdesim.analysis.result import Wave
from pdesim.analysis.states import find_states
from pdesim.errors import ConfigError
from pdesim.model.state_summary import StateSummary
from pdesim.operators.problem import Problem

#: the fewest cells per wavelength that are enough for a growing wave, with stencils and with
#: spectral operators, whose error is far smaller
ENOUGH_CELLS, SPECTRAL_CELLS = 8.0, 4.0
#: largest number of fields for which states are sought before a run
MOST_FIELDS = 4
#: largest number of states that are examined before a run
MOST_STATES = 6


def wave(linear: Linearisation, vector: np.ndarray) -> Wave:
    """Return the growth rate, frequency and size of a wave."""
    grid = linear.reactions.problem.grid
    rates = linear.eigenvalues(vector[:, np.newaxis])
    length = float(np.linalg.norm(vector))
    size = 2 * np.pi / length if length else np.inf
    fits_grid = bool((np.abs(vector) * grid.spacing <= np.pi * (1 + 1e-9)).all())
    on_grid = linear.eigenvalues(vector[:, np.newaxis], on_grid=True) if fits_grid else None
    return Wave(
        vector=tuple(vector.tolist()),
        growth=float(without_rounding(rates)[0]),
        frequency=float(frequencies(rates)[0]),
        growth_on_grid=None if on_grid is None else float(without_rounding(on_grid)[0]),
        cells=size / max(grid.spacing),
        fits=tuple(extent / size for extent in grid.extent),
        counts=tuple(
            float(abs(k) * extent / (2 * np.pi))
            for k, extent in zip(vector, grid.extent, strict=True)
        ),
    )


def pattern_notes(problem: Problem, state: np.ndarray | StateSummary, time: float) -> list[str]:
    """Return notes on patterns about uniform steady states that do not suit grid or domain.

    This takes about 0.05 s. The result is empty for problems to which the analysis does not apply.

    Args:
        problem: the problem.
        state: the initial state, shape ``(fields, *grid.shape)``, or its summary.
        time: the time at which coefficients that depend on time are evaluated.
    """
    if len(problem.equation.fields) > MOST_FIELDS:
        return []
    try:
        reactions = build_reactions(problem, time)
    except ConfigError:  # coefficients that depend on position
        return []
    states, notes = find_states(reactions, state, exact=False), []
    for values in states.values.T[:MOST_STATES]:
        linear = linearise(reactions, values)
        surveys = [survey(linear, direction) for direction in directions(linear)]
        best = max(surveys, key=lambda s: s.fastest.growth if s.fastest else -np.inf)
        uniform = linear.eigenvalues(np.zeros((problem.grid.dimensions, 1)))[0]
        kind = classify(uniform, states.finder.constraints.neutral, surveys)
        if kind in PATTERNS and best.fastest is not None:
            target = best.direction * best.fastest.wavenumber
            fitting = wave(linear, fastest_admissible(linear, build_admissible(problem), target))
            pairs = zip(reactions.fields, values, strict=True)
            text = ", ".join(f"{field} = {value:.4g}" for field, value in pairs)
            pattern = wave(linear, target)
            notes += resolution_notes(problem, text, pattern, best.band, fitting.growth)
    return notes


def resolution_notes(
    problem: Problem,
    text: str,
    pattern: Wave | None,
    band: tuple[float, float] | None,
    admissible: float,
) -> list[str]:
    """Return notes on growing waves that are too short for the grid or too long for the domain.

    Args:
        problem: the problem.
        text: the uniform state in words.
        pattern: the fastest growing wave.
        band: the lowest and highest wave number of growing waves.
        admissible: the largest growth rate of the waves that fit into the domain.
    """
    if pattern is None or pattern.growth <= 0:
        return []
    notes, extent = [], problem.grid.extent
    enough = SPECTRAL_CELLS if problem.discretisation.is_spectral else ENOUGH_CELLS
    where = f"about the uniform state {text}, waves of length {pattern.wavelength:.4g}"
    if pattern.cells < enough:
        factor = enough / pattern.cells
        points = _joined([16 * int(np.ceil(n * factor / 16)) for n in problem.grid.points])
        notes.append(
            f"{where} grow fastest, which is only {pattern.cells:.2g} cells; grid={points} gives "
            f"at least {enough:g} cells"
        )
    if admissible <= 0 and band is not None:
        size = " x ".join(f"{length:.4g}" for length in extent)
        notes.append(f"{where} grow, but no growing wave fits into the domain of {size}")
    return notes


def _joined(numbers: Sequence[int]) -> str:
    if len(set(numbers)) == 1 and len(numbers) > 1:
        return str(numbers[0])
    return f"[{','.join(map(str, numbers))}]"
