"""Waves that fit into the domain: their wave numbers follow from the boundary conditions.

On a periodic axis of length L they are 2 pi n / L, for antiperiodic fields pi (2 n + 1) / L,
between two walls of the same kind pi n / L (n from 0 for Neumann, from 1 for Dirichlet conditions),
and between a Neumann and a Dirichlet wall pi (n + 1/2) / L.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.analysis.growth import without_rounding
from pdesim.analysis.reactions import Linearisation
from pdesim.operators.modes import BASES, Modes
from pdesim.operators.problem import Problem

#: largest number of wave vectors that are compared, and of those whose rates are computed
MOST_COMPARED, MOST_COMPUTED = 2_000_000, 3000
#: largest number of wave numbers along an axis if directions differ, by the number of dimensions
ALONG_AXIS = {1: 4000, 2: 160, 3: 28}


@dataclass(frozen=True)
class Admissible:
    """The wave numbers that fit into the domain, up to the shortest waves on the grid.

    Attributes:
        bases: the basis along each axis (:data:`pdesim.operators.modes.BASES`), or ``odd-fourier``
            for antiperiodic fields.
        axes: the wave numbers along each axis, ascending and not negative.
        notes: reasons why these waves are only approximately solutions.
    """

    bases: tuple[str, ...]
    axes: tuple[np.ndarray, ...]
    notes: tuple[str, ...]


def build_admissible(problem: Problem) -> Admissible:
    """Return the wave numbers that the boundary conditions allow."""
    bases, notes = [], []
    for axis, name in enumerate(problem.grid.axes):
        pairs = {tuple(side.kind for side in field[axis]) for field in problem.boundary.walls}
        known = [BASES[pair] for pair in pairs if pair in BASES]
        seconds = [w for field in problem.boundary.walls for w in field[axis] if w.has_second]
        if len(pairs) == len(known) == 1 and all(w.repeats for w in seconds):
            bases.append(known[0])
            continue
        if pairs == {("antiperiodic", "antiperiodic")}:
            bases.append("odd-fourier")
            continue
        bases.append("cosine")
        notes.append(
            f"no sine or cosine waves satisfy the boundary conditions along {name}; wave numbers "
            f"pi*n/L{name} are used, which is approximately correct for waves much shorter than "
            "the domain"
        )
    if problem.mask is not None:
        notes.append("obstacles are ignored: the waves are those of a domain without them")
    joined = ("fourier" if basis == "odd-fourier" else basis for basis in bases)
    odd = Modes(problem.grid, tuple(joined)).odd_operators
    used = {s.name.removeprefix("symbol_") for s in problem.equation.jacobian.free_symbols}
    if used & odd:
        notes.append(
            "odd derivatives along an axis with walls: the waves reflect at the walls, which the "
            "analysis ignores"
        )
    grid = problem.grid
    axes = tuple(_along(b, grid.points[a], grid.extent[a]) for a, b in enumerate(bases))
    return Admissible(tuple(bases), axes, tuple(notes))


def _along(basis: str, points: int, length: float) -> np.ndarray:
    if basis == "fourier":
        return 2 * np.pi * np.arange(points // 2 + 1) / length
    if basis == "odd-fourier":
        return np.pi * np.arange(1, points + 1, 2) / length
    offset = {"cosine": 0.0, "sine": 1.0}.get(basis, 0.5)
    return np.pi * (np.arange(points) + offset) / length


def fastest_admissible(
    linear: Linearisation, admissible: Admissible, target: np.ndarray
) -> np.ndarray:
    """Return the wave vector that grows fastest among those that fit into the domain.

    Args:
        linear: the linearised equation.
        admissible: the wave numbers that fit.
        target: the wave vector that grows fastest in an infinite domain, shape ``(dimensions,)``.
            Only wave vectors near it and the longest ones are examined.

    Returns:
        Shape ``(dimensions,)``. Of wave vectors with equal growth rates, the shortest, and of
        these the one with the largest component along x.
    """
    if linear.is_isotropic:
        waves = _near_length(admissible, float(np.linalg.norm(target)))
    else:
        waves = _near_vector(admissible, target)
    growth = without_rounding(linear.eigenvalues(waves))
    best = growth.max()
    # the same wave number in another direction differs by rounding
    equal = np.flatnonzero(growth >= best - 1e-9 * np.abs(growth).max())
    lengths = np.sqrt((waves[:, equal] ** 2).sum(axis=0))
    lengths = np.round(lengths / max(lengths.max(), 1e-300), 9)
    order = np.lexsort((*(-component for component in waves[::-1, equal]), lengths))
    return waves[:, equal[order[0]]] + 0.0


def _near_length(admissible: Admissible, length: float) -> np.ndarray:
    """Return the wave vectors whose lengths are nearest to a length, and the shortest ones."""
    axes = list(admissible.axes)
    for axis in range(len(axes) - 1, 0, -1):
        if np.prod([float(len(k)) for k in axes]) > MOST_COMPARED:
            rest = np.prod([float(len(k)) for k in axes[:axis]])
            axes[axis] = axes[axis][: max(1, int(MOST_COMPARED / rest))]
    mesh = np.array([part.ravel() for part in np.meshgrid(*axes, indexing="ij")])
    lengths = np.sqrt((mesh**2).sum(axis=0))
    shortest = np.argpartition(lengths, min(8, len(lengths) - 1))[:9]
    distance = np.abs(lengths - length)
    if len(distance) > MOST_COMPUTED:
        nearest = np.argpartition(distance, MOST_COMPUTED)[:MOST_COMPUTED]
    else:
        nearest = np.arange(len(distance))
    return mesh[:, np.unique(np.concatenate([nearest, shortest]))]


def _near_vector(admissible: Admissible, target: np.ndarray) -> np.ndarray:
    """Return the wave vectors whose components are nearest to those of a vector, and long ones."""
    axes = []
    for axis, numbers in enumerate(admissible.axes):
        most = ALONG_AXIS[len(target)]
        near = numbers[np.argsort(np.abs(numbers - abs(target[axis])), kind="stable")[:most]]
        numbers = np.unique(np.concatenate([near, numbers[:3]]))
        # for real fields, half of the wave vectors suffice
        axes.append(np.unique(np.concatenate([numbers, -numbers])) if axis else numbers)
    return np.array([part.ravel() for part in np.meshgrid(*axes, indexing="ij")])
