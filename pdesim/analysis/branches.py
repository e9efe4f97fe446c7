"""Uniform steady states as functions of a parameter."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pdesim.analysis.criteria import Criterion, sampled_growth
from pdesim.analysis.reactions import Linearisation, Reactions, linearise
from pdesim.analysis.result import Sample
from pdesim.analysis.roots import RootFinder


@dataclass(frozen=True)
class Family:
    """The reactions as a function of one parameter.

    Attributes:
        reactions: the reactions.
        finder: finds their zeros.
        parameter: the name of the parameter.
    """

    reactions: Reactions
    finder: RootFinder
    parameter: str
    _signs: dict = field(default_factory=dict, repr=False)

    @property
    def neutral(self) -> int:
        """The number of eigenvalues for uniform perturbations that are always 0."""
        return self.finder.constraints.neutral

    def at(self, value: float) -> Reactions:
        """Return the reactions for a value of the parameter."""
        return self.reactions.with_value(self.parameter, value)

    def states(self, value: float, known: np.ndarray | None = None) -> np.ndarray:
        """Return all uniform steady states for a value, shape ``(fields, states)``.

        Args:
            known: states for nearby values of the parameter.
        """
        return self.finder.find(self.at(value), known)

    def continued(self, value: float, state: np.ndarray) -> np.ndarray | None:
        """Return the steady state that Newton's method finds from a state; None if it fails.

        Args:
            state: a steady state for a nearby value of the parameter, shape ``(fields,)``.
        """
        found = self.finder.newton(self.at(value), state[:, np.newaxis])
        return found[:, 0] if found.shape[1] else None

    def linearised(self, value: float, state: np.ndarray) -> Linearisation:
        """Return the equation linearised about a state."""
        return linearise(self.at(value), state)

    def named(self, state: np.ndarray) -> dict[str, float]:
        """Return the values of a state by field."""
        return dict(zip(self.reactions.fields, state.tolist(), strict=True))

    def sample(self, value: float, state: np.ndarray) -> Sample:
        """Return the growth rates about a state."""
        linear = self.linearised(value, state)
        uniform, waves = sampled_growth(linear)
        return Sample(float(value), self.named(state), uniform, waves)

    def sign(self, criterion: Criterion, value: float, state: np.ndarray) -> bool:
        """Return whether a criterion is positive about a state; each is evaluated once."""
        key = (criterion.name, value, state.tobytes())
        if key not in self._signs:
            self._signs[key] = criterion.positive(self.linearised(value, state), self.neutral)
        return self._signs[key]


@dataclass(frozen=True)
class Stretch:
    """An interval of the parameter, and the states at its ends that belong together.

    Attributes:
        low, high: the ends of the interval.
        below, above: all states at the ends, shape ``(fields, states)``.
        pairs: indices of states in ``below`` and ``above`` that lie on the same branch.
    """

    low: float
    high: float
    below: np.ndarray
    above: np.ndarray
    pairs: tuple[tuple[int, int], ...]


def build_stretch(
    family: Family, low: float, high: float, below: np.ndarray, above: np.ndarray
) -> Stretch:
    """Return an interval with the pairs of states that are nearest to each other.

    The states at both ends are continued by Newton's method to the other end before they are
    compared.
    """
    if below.shape[1] == above.shape[1] == 1:
        return Stretch(low, high, below, above, ((0, 0),))
    distances = np.full((below.shape[1], above.shape[1]), np.inf)
    scale = family.finder.scale
    for states, others, value, forward in ((below, above, high, True), (above, below, low, False)):
        for number, state in enumerate(states.T):
            moved = family.continued(value, state)
            for other, target in enumerate(others.T):
                size = np.maximum(np.maximum(np.abs(state), np.abs(target)), scale)
                # a state that moves to this one, or else the distance itself
                same = moved is not None and family.finder.same(moved[:, None], target[:, None])[0]
                distance = float((np.abs(state - target) / size).max()) * (0.1 if same else 1.0)
                place = (number, other) if forward else (other, number)
                distances[place] = min(distances[place], distance)
    pairs = []
    while distances.size and np.isfinite(distances).any():
        first, last = divmod(int(distances.argmin()), distances.shape[1])
        pairs.append((first, last))
        distances[first, :] = np.inf
        distances[:, last] = np.inf
    return Stretch(low, high, below, above, tuple(pairs))
