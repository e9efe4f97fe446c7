"""The uniform states about which an equation is linearised, and the reason for each choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from pdesim.analysis.constraints import Constraints, build_constraints
from pdesim.analysis.eliminate import build_elimination
from pdesim.analysis.reactions import Reactions
from pdesim.analysis.roots import RootFinder, random_starts
from pdesim.formula import Evaluator
from pdesim.model.state_summary import StateSummary, summarise
from pdesim.operators.problem import Problem

#: more uniform steady states than this are taken for points of a line of states
MOST_STATES = 24


@dataclass(frozen=True)
class States:
    """Uniform states and the way in which they were found.

    Attributes:
        values: shape ``(fields, states)``.
        finder: finds the states for other parameters.
        drift: the rates of change of the fields, if the state is uniform but not steady; None for
            steady states.
        notes: statements about the choice of the states.
    """

    values: np.ndarray
    finder: RootFinder
    drift: np.ndarray | None
    notes: tuple[str, ...]


def find_states(
    reactions: Reactions, state: np.ndarray | StateSummary, exact: bool = True
) -> States:
    """Return the uniform steady states of a problem.

    If a line or plane of states is steady, as for the heat equation, the one with the mean of the
    initial state, or the nearest one, is returned. If no state is steady and all change at the same
    constant rate, as for the Kuramoto-Sivashinsky equation, it is the mean of the initial state.

    Args:
        state: the initial state, shape ``(fields, *grid.shape)``, or its summary.
        exact: whether polynomials are eliminated, which finds all states but may take 0.1 s.
    """
    constraints = build_constraints(reactions)
    if isinstance(state, np.ndarray):
        mask = reactions.problem.mask
        state = summarise(state, None if mask is None else mask.solid)
    means, sources = _means(reactions.problem, state)
    starts, scale = random_starts(state, means[:, np.newaxis])
    targets = constraints.rows @ means
    eliminates = exact and not len(constraints.rows)
    elimination = build_elimination(reactions) if eliminates else None
    finder = RootFinder(constraints, targets, elimination, starts, scale)
    values = finder.find(reactions)
    notes = _constraint_notes(constraints, targets, reactions, sources)
    if values.shape[1] > MOST_STATES:
        distance = np.abs(values - means[:, np.newaxis]) / scale[:, np.newaxis]
        values = values[:, [int(distance.max(axis=0).argmin())]]
        notes.append(
            f"more than {MOST_STATES} uniform steady states were found, which probably form a "
            "line; the one nearest to the mean of the initial state is analysed"
        )
    if values.size or len(constraints.invariant) < reactions.size:
        return States(values, finder, None, tuple(notes) if values.size else ())
    drift = reactions.rates(means[:, np.newaxis])[:, 0]
    rates = ", ".join(f"d{f}/dt = {r:.4g}" for f, r in zip(reactions.fields, drift, strict=True))
    note = (
        f"no uniform state is steady: all of them change at the rate {rates}; the equation is "
        f"linearised about {_sources(sources)}"
    )
    return States(means[:, np.newaxis], finder, drift, (note,))


def _means(problem: Problem, initial: StateSummary) -> tuple[np.ndarray, list[str]]:
    """Return a uniform value for each field, and its source.

    It is the value at the walls, if there are Dirichlet conditions with one constant value,
    otherwise the mean of the initial state.
    """
    means, sources = [], []
    evaluate = Evaluator(problem.parameters)
    for number, walls in enumerate(problem.boundary.walls):
        sides = [side for pair in walls for side in pair if side.kind == "dirichlet"]
        known = {str(symbol) for side in sides for symbol in side.value.free_symbols}
        values = (
            {float(evaluate(side.value)) for side in sides}
            if known <= set(problem.parameters)
            else set()
        )
        if len(values) == 1:
            means.append(values.pop())
            sources.append("the value at the walls")
        else:
            means.append(initial.means[number])
            sources.append("the mean of the initial state")
    return np.array(means), sources


def _sources(sources: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(sources))


def _constraint_notes(
    constraints: Constraints, targets: np.ndarray, reactions: Reactions, sources: Sequence[str]
) -> list[str]:
    """Return a note on each combination of fields whose value follows from the initial state."""
    notes, known = [], set()
    for number, row in enumerate(constraints.rows):
        text = combination(row, reactions.fields)
        if text in known:
            continue
        known.add(text)
        used = [s for s, factor in zip(sources, row, strict=True) if factor]
        why = (
            f"the reactions conserve {text}"
            if number < len(constraints.conserved)
            else f"the reactions do not depend on {text}"
        )
        notes.append(
            f"{why}, so that they do not determine it: {text} = {targets[number]:.4g}, "
            f"{_sources(used)}, is used"
        )
    return notes


def combination(row: np.ndarray, fields: Sequence[str]) -> str:
    """Return a linear combination of fields as text, such as ``u + 2*v``."""
    text = ""
    for factor, name in zip(row, fields, strict=True):
        if factor == 0:
            continue
        sign = " - " if factor < 0 else " + "
        number = "" if abs(abs(factor) - 1) < 1e-9 else f"{abs(factor):.4g}*"
        text += f"{sign if text else sign.strip('+ ')}{number}{name}"
    return text


def wall_notes(problem: Problem, states: np.ndarray) -> list[str]:
    """Return a note if uniform states do not satisfy the boundary conditions.

    Args:
        states: shape ``(fields, states)``.
    """
    failing = [values for values in states.T if not satisfies_walls(problem, values)]
    if not failing:
        return []
    texts = (
        ", ".join(f"{f} = {v:.4g}" for f, v in zip(problem.equation.fields, values, strict=True))
        for values in failing
    )
    return [
        f"{'; '.join(texts)} does not satisfy the boundary conditions: the analysis applies to the "
        "interior, away from boundary layers"
    ]


def satisfies_walls(problem: Problem, values: np.ndarray) -> bool:
    """Return whether a uniform state satisfies the boundary conditions.

    A uniform state satisfies ``a*u + b*du/dn = value`` if ``a*u = value``. An antiperiodic field is
    uniform only if it is 0.

    Args:
        values: the state, shape ``(fields,)``.
    """
    names = {**problem.parameters, **dict(zip(problem.equation.fields, values, strict=False))}
    evaluate = Evaluator(names)
    for value, walls in zip(values, problem.boundary.walls, strict=True):
        for side in (side for pair in walls for side in pair if side.kind != "periodic"):
            a = 1.0 if side.kind == "antiperiodic" else sympy.sympify(side.a)
            wanted = a * sympy.Float(float(value)) - side.value
            if not {str(s) for s in wanted.free_symbols} <= set(names):
                return False
            if abs(float(evaluate(wanted))) > 1e-6 * max(1.0, abs(value)):
                return False
    return True
