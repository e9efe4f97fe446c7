"""Quantities that the reactions do not change, and directions in which they do not vary.

If a combination c.f vanishes for every state, the mean of c.u does not change while walls are
impermeable: a conserved quantity (c = 1 for the heat equation, and for Cahn-Hilliard). If f does
not change along a direction d, a uniform shift of a steady state along d is a steady state, too.
Both leave steady states undetermined; the initial state determines them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.analysis.reactions import Reactions

#: number of random states at which the reactions are compared
POINTS = 48
#: singular values below this fraction of the largest are rounding errors
RELATIVE = 1e-10


@dataclass(frozen=True)
class Constraints:
    """Combinations of the fields whose values follow from the initial state.

    Attributes:
        conserved: shape ``(combinations, fields)``, rows c with c.f(u) = 0 for all u.
        invariant: shape ``(directions, fields)``, rows d with f(u + d) = f(u) for all u.
    """

    conserved: np.ndarray
    invariant: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The combinations that the initial state determines, shape ``(rows, fields)``.

        They are the conserved ones, and those invariant directions along which no conserved
        combination changes.
        """
        if not len(self.conserved) or not len(self.invariant):
            return np.concatenate([self.conserved, self.invariant])
        mixtures = _null_space(self.conserved @ self.invariant.T)
        return np.concatenate([self.conserved, mixtures @ self.invariant])

    @property
    def neutral(self) -> int:
        """The number of eigenvalues of df/du that are 0 at every state."""
        return max(len(self.conserved), len(self.invariant))


def build_constraints(reactions: Reactions) -> Constraints:
    """Find the constraints from the values of f and df/du at random states."""
    draw = np.random.default_rng(0)
    size = reactions.size
    states = draw.standard_normal((size, POINTS)) * 10.0 ** draw.uniform(-1, 1, (size, POINTS))
    states[:, ::2] = np.abs(states[:, ::2])  # logarithms and roots need positive values
    with np.errstate(all="ignore"):
        rates, slopes = reactions.rates(states).T, reactions.slopes(states)
    finite = np.isfinite(rates).all(1) & np.isfinite(slopes).all((1, 2))
    if finite.sum() < size + 2:
        return Constraints(np.zeros((0, size)), np.zeros((0, size)))
    return Constraints(_null_space(rates[finite]), _null_space(slopes[finite].reshape(-1, size)))


def _null_space(rows: np.ndarray) -> np.ndarray:
    """Return a basis of the vectors v with ``rows @ v = 0``, in rows without negative sums."""
    columns = np.abs(rows).max(axis=0)
    scale = np.where(columns > 0, columns, 1.0)
    rows = rows / scale
    lengths = np.abs(rows).max(axis=1, keepdims=True)
    rows = (rows / np.where(lengths > 0, lengths, 1.0))[lengths[:, 0] > 0]
    size = rows.shape[1]
    if not len(rows):
        return np.eye(size)
    _, values, vectors = np.linalg.svd(np.concatenate([rows, np.zeros((size, size))]))
    basis = vectors[values < RELATIVE * values[0]] / scale
    basis = _reduced(basis)
    return basis / np.abs(basis).max(axis=1, keepdims=True, initial=1e-300)


def _reduced(basis: np.ndarray) -> np.ndarray:
    """Return the reduced row echelon form, which has as many zeros as possible."""
    basis = basis.copy()
    row = 0
    for column in range(basis.shape[1]):
        if row == len(basis):
            break
        pivot = row + int(np.abs(basis[row:, column]).argmax())
        if abs(basis[pivot, column]) <= 1e-8 * np.abs(basis[row:]).max():
            continue
        basis[[row, pivot]] = basis[[pivot, row]]
        basis[row] /= basis[row, column]
        for other in range(len(basis)):
            if other != row:
                basis[other] -= basis[other, column] * basis[row]
        row += 1
    basis[np.abs(basis) < 1e-8] = 0.0
    return basis
