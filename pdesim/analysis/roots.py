"""Uniform steady states: the zeros of the reactions, by Newton's method from many starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.analysis.constraints import Constraints
from pdesim.analysis.eliminate import Elimination
from pdesim.analysis.reactions import Reactions
from pdesim.model.state_summary import StateSummary

#: number of random starts for up to 3 fields, for up to 8 fields, and for more
STARTS = {3: 300, 8: 120, 64: 30}
#: decades of the random starts around the size of the initial state
DECADES = 3.0
ITERATIONS = 60
#: a zero is accepted if the last step is below this fraction of it, or if f is below this fraction
#: of its terms
STEP, RESIDUAL = 1e-9, 1e-12
#: zeros that differ by less than this, relative to their size, are the same
SAME = 1e-5


@dataclass(frozen=True)
class RootFinder:
    """Finds the uniform steady states of a problem.

    Attributes:
        constraints: combinations of the fields that the initial state determines.
        targets: their values, shape ``(rows of constraints,)``.
        elimination: candidates for polynomial reactions, or None.
        starts: states from which Newton's method starts, shape ``(fields, starts)``.
        scale: the size of each field, shape ``(fields,)``.
    """

    constraints: Constraints
    targets: np.ndarray
    elimination: Elimination | None
    starts: np.ndarray
    scale: np.ndarray

    def find(self, reactions: Reactions, known: np.ndarray | None = None) -> np.ndarray:
        """Return all uniform steady states that are found, sorted by the first field.

        Args:
            reactions: the reactions.
            known: states for nearby parameters, shape ``(fields, states)``.

        Returns:
            Shape ``(fields, states)``.
        """
        starts = [] if known is None else [known]
        exact = None
        if self.elimination is not None and not len(self.constraints.rows):
            exact = self.elimination.candidates(reactions.names)
        starts.append(self.starts if exact is None else exact)
        return self.distinct(self.newton(reactions, np.concatenate(starts, axis=1)))

    def newton(self, reactions: Reactions, states: np.ndarray) -> np.ndarray:
        """Return the limits of Newton's method from several states, without those that fail.

        With constraints the system has more equations than unknowns, and is solved in the sense of
        least squares. The shape of the argument and of the result is ``(fields, states)``.
        """
        states, rows = states.astype(float), self.constraints.rows
        step = np.full(states.shape, np.inf)
        with np.errstate(all="ignore"):
            for _ in range(ITERATIONS):
                if not states.size:
                    return states
                f, slopes = reactions.rates(states), reactions.slopes(states)
                if len(rows):
                    f = np.concatenate([f, rows @ states - self.targets[:, np.newaxis]])
                    wide = np.broadcast_to(rows, (states.shape[1], *rows.shape))
                    slopes = np.concatenate([slopes, wide], axis=1)
                finite = np.isfinite(f).all(0) & np.isfinite(slopes).all((1, 2))
                states = states[:, finite]
                step = _solve(slopes[finite], f[:, finite].T).T
                states = states - step
                if (np.abs(step) <= 1e-13 * self._sizes(states)).all():
                    break
            accepted = self._accepted(reactions, states, step)
        return states[:, accepted]

    def _accepted(self, reactions: Reactions, states: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return which states are zeros up to rounding."""
        f = np.abs(reactions.rates(states))
        rounding = RESIDUAL * reactions.term_sizes(states)
        # where f has a double zero, steps shrink slowly, but f is as small as its rounding error
        size = self._sizes(states)
        settled = np.abs(step) <= STEP * size
        slopes = np.abs(reactions.slopes(states))
        small = f <= rounding + np.einsum("sij,js->is", slopes, STEP * size)
        rest = self.constraints.rows @ states - self.targets[:, np.newaxis]
        held = np.abs(rest) <= 1e-8 * (np.abs(self.constraints.rows) @ size)
        return np.isfinite(f).all(0) & ((f <= rounding) | (settled & small)).all(0) & held.all(0)

    def _sizes(self, states: np.ndarray) -> np.ndarray:
        """Return the sizes to which errors of states are compared."""
        return np.maximum(np.abs(states), 1e-3 * self.scale[:, np.newaxis])

    def distinct(self, states: np.ndarray) -> np.ndarray:
        """Return the states without repetitions, sorted by the first field."""
        rest, kept = states[:, np.lexsort(states[::-1])], []
        while rest.size:
            kept.append(rest[:, 0])
            rest = rest[:, ~self.same(rest, rest[:, :1])]
        return np.array(kept).reshape(-1, len(states)).T

    def same(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return whether states differ by rounding only.

        The shapes of the arguments, ``(fields, states)``, are broadcast.
        """
        size = np.maximum(self._sizes(one), self._sizes(other))
        return (np.abs(one - other) <= SAME * size).all(axis=0)


def _solve(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Solve many small systems, in the sense of least squares if they are not regular.

    Args:
        matrices: shape ``(systems, equations, unknowns)``.
        vectors: shape ``(systems, equations)``.
    """
    if matrices.shape[1] == matrices.shape[2]:
        try:
            return np.linalg.solve(matrices, vectors[..., np.newaxis])[..., 0]
        except np.linalg.LinAlgError:
            pass
    try:
        return (np.linalg.pinv(matrices, rcond=1e-13) @ vectors[..., np.newaxis])[..., 0]
    except np.linalg.LinAlgError:  # a singular value decomposition that does not converge
        return np.full((len(matrices), matrices.shape[2]), np.nan)


def random_starts(initial: StateSummary, elsewhere: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return starts for Newton's method, and the size of each field.

    They are values of the initial state, and random states of both signs whose sizes cover
    ``DECADES`` decades on both sides of that of the initial state and of 1.

    Args:
        initial: values of the initial state.
        elsewhere: further states, shape ``(fields, states)``.
    """
    size = len(initial.values)
    some, extremes = initial.at(initial.evenly_spaced), initial.at(initial.extremes)
    scale = np.where(initial.largest > 0, initial.largest, 1.0)
    count = next(n for most, n in STARTS.items() if size <= most)
    draw = np.random.default_rng(0)
    sizes = 10.0 ** draw.uniform(-DECADES, DECADES, (size, count))
    sizes[:, ::2] *= scale[:, np.newaxis]
    signs = np.where(draw.random((size, count)) < 0.3, -1.0, 1.0)
    return np.concatenate([elsewhere, some, extremes, signs * sizes], axis=1), scale
