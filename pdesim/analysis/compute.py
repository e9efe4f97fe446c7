"""The linear stability analysis of a problem."""

from __future__ import annotations

import numpy as np

from pdesim.analysis.classify import classify
from pdesim.analysis.growth import Survey, directions, frequencies, survey, without_rounding
from pdesim.analysis.modes import Admissible, build_admissible, fastest_admissible
from pdesim.analysis.patterns import resolution_notes, wave
from pdesim.analysis.reactions import Linearisation, build_reactions, linearise
from pdesim.analysis.result import Analysis, Curve, State, Wave
from pdesim.analysis.states import States, find_states, wall_notes
from pdesim.model.boundary_conditions import Boundary
from pdesim.operators.coordinates import refuse
from pdesim.operators.problem import Problem

#: number of points of a curve, and of waves in a table
CURVE_POINTS, TABLE_WAVES = 241, 12


def analyze_problem(problem: Problem, state: np.ndarray, time: float = 0.0) -> Analysis:
    """Analyse the uniform states of a problem.

    Args:
        problem: the problem.
        state: the initial state, shape ``(fields, *grid.shape)``.
        time: the time at which coefficients that depend on time are evaluated.

    Raises:
        ConfigError: see :func:`pdesim.analysis.reactions.build_reactions`.
    """
    refuse(problem.grid, "pdesim analyze")
    reactions = build_reactions(problem, time)
    states, admissible = find_states(reactions, state), build_admissible(problem)
    found = [
        analyze_state(linearise(reactions, values), admissible, states)
        for values in states.values.T
    ]
    notes = [*states.notes, *_notes(problem, states, time), *admissible.notes]
    for one in found:
        notes += resolution_notes(problem, one.text, one.pattern, one.band, one.admissible.growth)
    return Analysis(
        equation=problem.equation.name,
        parameters=dict(problem.parameters),
        boundary=_boundary(problem.boundary),
        points=problem.grid.points,
        extent=problem.grid.extent,
        states=tuple(found),
        notes=tuple(dict.fromkeys(notes)),
    )


def _boundary(boundary: Boundary) -> tuple[str, ...]:
    """Return the boundary conditions along each axis in words."""
    texts = []
    for axis in range(len(boundary.walls[0])):
        kinds = (side.name for field in boundary.walls for side in field[axis])
        texts.append("/".join(dict.fromkeys(kinds)))
    return tuple(texts)


def _notes(problem: Problem, states: States, time: float) -> list[str]:
    """Return notes on what the analysis assumes."""
    notes = []
    if problem.equation.is_time_dependent:
        notes.append(f"coefficients depend on time: they are evaluated at time.start, t = {time:g}")
    if not states.values.size:
        notes.append(
            "no uniform steady state was found: the reactions have no common zero, or none near "
            "the values that were tried"
        )
    notes += wall_notes(problem, states.values)
    return notes


def analyze_state(linear: Linearisation, admissible: Admissible, states: States) -> State:
    """Analyse the growth of perturbations of one uniform state."""
    reactions = linear.reactions
    dimensions = reactions.problem.grid.dimensions
    zero = np.zeros(dimensions)
    uniform = linear.eigenvalues(zero[:, np.newaxis])[0]
    surveys = [survey(linear, direction) for direction in directions(linear)]
    best = max(surveys, key=lambda s: s.fastest.growth if s.fastest else -np.inf)
    kind = classify(uniform, states.finder.constraints.neutral, surveys)
    target, pattern = zero, None
    if best.fastest is not None:
        target = best.direction * best.fastest.wavenumber
        pattern = wave(linear, target)
        if pattern.growth <= min(0.0, float(uniform[0].real)):
            target, pattern = zero, None
    if kind == "short-wave":
        target = best.direction * np.pi / min(reactions.problem.grid.spacing)
    fitting = fastest_admissible(linear, admissible, target)
    return State(
        values=dict(zip(reactions.fields, linear.values.tolist(), strict=True)),
        kind=kind,
        eigenvalues=tuple(complex(rate) for rate in uniform),
        uniform=wave(linear, zero),
        pattern=pattern,
        band=best.band,
        admissible=wave(linear, fitting),
        numbers=_numbers(linear, admissible, best),
        modes=_modes(linear, admissible, best),
        curve=_curve(linear, best),
    )


def _axis(best: Survey) -> int:
    """Return the axis nearest to the direction of the fastest growing wave."""
    return int(np.abs(best.direction).argmax())


def _numbers(linear: Linearisation, admissible: Admissible, best: Survey) -> np.ndarray:
    """Return the wave numbers along an axis that fit into the domain, up to those of the curve."""
    numbers = admissible.axes[_axis(best)]
    inside = numbers[numbers <= _highest(linear, best)]
    return inside if len(inside) >= TABLE_WAVES else numbers[:TABLE_WAVES]


def _modes(linear: Linearisation, admissible: Admissible, best: Survey) -> tuple[Wave, ...]:
    """Return some of the waves along an axis that fit into the domain."""
    numbers = _numbers(linear, admissible, best)
    chosen = np.unique(np.linspace(0, len(numbers) - 1, TABLE_WAVES).astype(int))
    if best.fastest is not None and len(numbers) > TABLE_WAVES:
        nearest = int(np.abs(numbers - best.fastest.wavenumber).argmin())
        chosen[int(np.abs(chosen - nearest).argmin())] = nearest
    unit = np.eye(len(admissible.axes))[_axis(best)]
    return tuple(wave(linear, unit * k) for k in numbers[np.unique(chosen)])


def _highest(linear: Linearisation, best: Survey) -> float:
    """Return the largest wave number of a curve, which shows the band or maximum of growth."""
    grid = linear.reactions.problem.grid
    shortest, longest = np.pi / min(grid.spacing), 2 * np.pi / max(grid.extent)
    if best.band is not None and np.isfinite(best.band[1]):
        high = 1.4 * best.band[1]
    elif best.short_waves:
        high = shortest
    elif best.fastest is not None:
        high = 2.5 * best.fastest.wavenumber
    else:
        # no maximum: up to the wave that decays at twice the rate of uniform perturbations
        samples = np.geomspace(longest / 10, shortest, 200)
        rates = without_rounding(linear.eigenvalues(best.direction[:, np.newaxis] * samples))
        start = without_rounding(linear.eigenvalues(np.zeros((grid.dimensions, 1))))[0]
        fast = samples[rates < start - 2 * abs(start)]
        high = float(fast[0]) if start and len(fast) else 8 * longest
    return max(high, 3 * longest)


def _curve(linear: Linearisation, best: Survey) -> Curve:
    grid = linear.reactions.problem.grid
    wavenumbers = np.linspace(0, _highest(linear, best), CURVE_POINTS)
    waves = best.direction[:, np.newaxis] * wavenumbers
    rates, on_grid = linear.eigenvalues(waves), linear.eigenvalues(waves, on_grid=True)
    spacing = np.array(grid.spacing)[:, np.newaxis]
    too_short = (np.abs(waves) * spacing > np.pi * (1 + 1e-9)).any(axis=0)
    growth_on_grid = np.where(too_short, np.nan, without_rounding(on_grid))
    return Curve(wavenumbers, without_rounding(rates), frequencies(rates), growth_on_grid)
