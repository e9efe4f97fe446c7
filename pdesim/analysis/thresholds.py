"""Thresholds of stability over one parameter.

The number of uniform steady states changes at saddle-node and pitchfork bifurcations. Along a
branch of states, the signs of several functions are compared (:mod:`pdesim.analysis.criteria`).
Sign changes between neighbouring values of the parameter are bisected. Thresholds are those of an
infinite domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pdesim.analysis.branches import Family, Stretch, build_stretch
from pdesim.analysis.criteria import CRITERIA, Criterion
from pdesim.analysis.reactions import build_reactions
from pdesim.analysis.result import Threshold, Thresholds
from pdesim.analysis.states import MOST_STATES, find_states
from pdesim.errors import ConfigError, nearest
from pdesim.operators.problem import Problem

#: number of values of the parameter between which sign changes are sought
VALUES = 81
#: the shift of these values within the interval, relative to their distance
SHIFT = 0.387
#: intervals that span more than this factor are divided geometrically
GEOMETRIC = 100.0
#: number of bisections
HALVINGS = 48
#: thresholds of the same kind that differ by less than this fraction of the interval are the same
SAME = 1e-7


@dataclass(frozen=True)
class Over:
    """A parameter and an interval, such as ``equation.B=1..5``."""

    parameter: str
    low: float
    high: float

    @property
    def values(self) -> np.ndarray:
        """The values of the parameter that are examined, ascending.

        They are shifted within the interval, because thresholds are often round numbers, and states
        that merge are difficult to count at the threshold itself.
        """
        places = (np.arange(VALUES) + SHIFT) / (VALUES - 1)
        places = np.clip([0.0, *places[:-2], 1.0], 0.0, 1.0)
        if self.low > 0 and self.high > GEOMETRIC * self.low:
            return self.low * (self.high / self.low) ** places
        return self.low + (self.high - self.low) * places


def parse_over(text: str) -> Over:
    """Read ``equation.NAME=LOW..HIGH``.

    Raises:
        ConfigError: for any other text, and for an interval that is empty or not finite.
    """
    expected = "equation.NAME=LOW..HIGH with numbers LOW < HIGH, such as equation.B=1..5"
    match = isinstance(text, str) and re.fullmatch(
        r"\s*equation\.(\w+)\s*=\s*(\S+?)\s*\.\.\s*(\S+)\s*", text
    )
    try:
        ends = [float(end) for end in match.groups()[1:]] if match else []
    except ValueError:
        ends = []
    if not match or not np.isfinite(ends).all() or len(ends) < 2 or not ends[0] < ends[1]:
        raise ConfigError(f"--over got {str(text)[:200]!r}", expected)
    return Over(match.group(1), *ends)


def find_thresholds(problem: Problem, state: np.ndarray, time: float, over: Over) -> Thresholds:
    """Return the thresholds over one parameter, ascending.

    Args:
        problem: the problem; the parameter must be a number in it.
        state: the initial state, shape ``(fields, *grid.shape)``.
        time: see :func:`pdesim.analysis.reactions.build_reactions`.
        over: the parameter and the interval.

    Raises:
        ConfigError: if no formula uses the parameter, and if steady states form a line.
    """
    reactions = build_reactions(problem, time)
    symbols = {s.name for f in problem.equation.formulas for s in f.free_symbols}
    used = sorted(symbols & set(problem.parameters))
    if over.parameter not in used:
        raise ConfigError(
            f"--over names equation.{over.parameter}, which no formula of the right-hand side uses",
            nearest(over.parameter, used),
        )
    # for the first value, so that reactions that vanish elsewhere are not taken for constraints
    reactions = reactions.with_value(over.parameter, float(over.values[VALUES // 3]))
    states = find_states(reactions, state)
    family = Family(reactions, states.finder, over.parameter)
    values, found = over.values, []
    drift = states.values if states.drift is not None else None
    known = [drift if drift is not None else family.states(value) for value in values]
    if max(states.shape[1] for states in known) > MOST_STATES:
        raise ConfigError(
            f"more than {MOST_STATES} uniform steady states were found for some values of "
            f"equation.{over.parameter}, which probably form a line",
            "an equation with separate steady states",
        )
    for n, value in enumerate(values):
        around = known[max(0, n - 1) : n + 2]
        if drift is None and len({states.shape[1] for states in around}) > 1:
            # states may have been missed at one value but not at its neighbours
            known[n] = family.states(value, np.concatenate(around, axis=1))
    for n in range(len(values) - 1):
        for part, fold in _split_at_folds(family, values[n], values[n + 1], known[n], known[n + 1]):
            found += [fold] if fold else []
            found += _crossings(family, part)
    distinct = _distinct(found, SAME * (over.high - over.low))
    samples = tuple(
        family.sample(value, state)
        for value, states in zip(values, known, strict=True)
        for state in states.T
    )
    return Thresholds(over.parameter, over.low, over.high, distinct, samples)


def _split_at_folds(
    family: Family, low: float, high: float, below: np.ndarray, above: np.ndarray
) -> Iterator[tuple[Stretch, Threshold | None]]:
    """Yield intervals in which the number of states is constant, and the folds between them."""
    if below.shape[1] == above.shape[1]:
        yield build_stretch(family, low, high, below, above), None
        return
    start, end, states, others = low, high, below, above
    for _ in range(HALVINGS):
        middle = 0.5 * (start + end)
        inside = family.states(middle, np.concatenate([states, others], axis=1))
        if inside.shape[1] == below.shape[1]:
            start, states = middle, inside
        else:
            end, others = middle, inside
    # states that are about to merge are nearly equal; a little away, they can be told apart
    away = 1e-6 * (high - low)
    inner, outer = max(low, start - away), min(high, end + away)
    near, far = family.states(inner, states), family.states(outer, others)
    fold = _fold(family, 0.5 * (start + end), (inner, near), (outer, far))
    yield build_stretch(family, low, inner, below, near), fold
    if far.shape[1] != above.shape[1] and outer < high:
        yield from _split_at_folds(family, outer, high, far, above)
    else:
        yield build_stretch(family, outer, high, far, above), None


def _fold(
    family: Family,
    value: float,
    before: tuple[float, np.ndarray],
    after: tuple[float, np.ndarray],
) -> Threshold:
    """Return the threshold at which the number of states changes.

    Args:
        value: the value of the parameter.
        before, after: a value a little below and above, with all states there.
    """
    counts = (before[1].shape[1], after[1].shape[1])
    (start, more), (end, fewer) = (before, after) if counts[0] > counts[1] else (after, before)
    stretch = build_stretch(family, start, end, more, fewer)
    lost = more[:, [n for n in range(more.shape[1]) if n not in {a for a, _ in stretch.pairs}]]
    place = lost.mean(axis=1)
    # two states that leave a third one on both sides
    apart = np.abs(lost - place[:, np.newaxis]).max()
    nearest = np.abs(fewer - place[:, np.newaxis]).max(axis=0).min(initial=np.inf)
    kind = "pitchfork" if lost.shape[1] == 2 and nearest < 0.1 * apart else "saddle-node"
    return Threshold(float(value), kind, family.named(place), 0.0, 0.0, counts)


def _crossings(family: Family, stretch: Stretch) -> list[Threshold]:
    """Return the thresholds of all branches in an interval."""
    found = []
    for first, last in stretch.pairs:
        ends = [(stretch.low, stretch.below[:, first]), (stretch.high, stretch.above[:, last])]
        for criterion in CRITERIA:
            low, high = (family.sign(criterion, *end) for end in ends)
            if low != high:
                threshold = _bisect(family, criterion, ends, stretch.below.shape[1])
                found += [threshold] if threshold is not None else []
    return found


def _bisect(
    family: Family, criterion: Criterion, ends: list[tuple[float, np.ndarray]], count: int
) -> Threshold | None:
    """Return the threshold at which a criterion changes its sign; None if it is none of its kind.

    Args:
        ends: the values of the parameter at the ends of an interval, with the states of a branch.
        count: the number of states in the interval.
    """
    (low, below), (high, above) = ends
    start = family.sign(criterion, low, below)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        state = family.continued(middle, 0.5 * (below + above))
        if state is None:
            return None
        if family.sign(criterion, middle, state) == start:
            low, below = middle, state
        else:
            high, above = middle, state
    value = 0.5 * (low + high)
    state = family.continued(value, 0.5 * (below + above))
    if state is None:
        return None
    found = criterion.describe(family.linearised(value, state), family.neutral)
    if found is None:
        return None
    kind, wavenumber, frequency = found
    named = family.named(state)
    return Threshold(float(value), kind, named, wavenumber, frequency, (count, count))


def _joined(found: list[Threshold], width: float) -> list[Threshold]:
    """Return the thresholds with changes of the number of states at nearly one value joined."""
    folds = sorted((t for t in found if t.states[0] != t.states[1]), key=lambda t: t.value)
    joined: list[Threshold] = []
    for fold in folds:
        last = joined[-1] if joined else None
        if last and fold.value - last.value <= width and last.states[1] == fold.states[0]:
            value, states = 0.5 * (last.value + fold.value), (last.states[0], fold.states[1])
            joined[-1] = replace(fold, value=value, states=states)
        else:
            joined.append(fold)
    others = [t for t in found if t.states[0] == t.states[1]]
    return others + [t for t in joined if t.states[0] != t.states[1]]


def _distinct(found: list[Threshold], width: float) -> tuple[Threshold, ...]:
    """Return the thresholds without repetitions, ascending.

    Where the number of states changes, an eigenvalue is 0, too, which is not repeated.
    """
    folds = [t.value for t in found if t.states[0] != t.states[1]]
    kept: list[Threshold] = []
    found, tiny = _joined(found, 10 * width), 1e-6 * width
    found = [replace(t, value=0.0) if abs(t.value) < tiny else t for t in found]
    for one in sorted(found, key=lambda t: (t.value, t.kind)):
        at_fold = any(abs(one.value - value) <= 1e3 * width for value in folds)
        if one.kind == "zero eigenvalue" and at_fold:
            continue
        same = [t for t in kept if t.kind == one.kind and abs(t.value - one.value) <= width]
        if not any(np.allclose(list(t.state.values()), list(one.state.values())) for t in same):
            kept.append(one)
    return tuple(kept)
