"""Parts of a grid for several devices, and the problems on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import sympy

from pdesim.formula import language as lang
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class Part:
    """The rows of one device: indices along the first axis of arrays.

    Attributes:
        first: the index of the first row.
        rows: the number of rows, without ghost rows.
        before, after: the numbers of ghost rows below the first row and above the last row; 0 at
            the boundary of the domain.
        total: the number of rows of the complete grid.
    """

    first: int
    rows: int
    before: int
    after: int
    total: int

    @property
    def own(self) -> slice:
        """The rows of the device in an array of the complete grid."""
        return slice(self.first, self.first + self.rows)

    @property
    def interior(self) -> slice:
        """The rows of the device in an array with ghost rows."""
        return slice(self.before, self.before + self.rows)

    @cached_property
    def extended(self) -> np.ndarray:
        """The indices of all rows, with ghost rows."""
        rows = self.before + self.rows + self.after
        return (np.arange(rows) + self.first - self.before) % self.total


def divided(total: int, count: int) -> list[range]:
    """Divide indices into ranges whose lengths differ by at most one."""
    bounds = [number * total // count for number in range(count + 1)]
    return [range(*pair) for pair in pairwise(bounds)]


def divide(rows: int, count: int, ghosts: int, periodic: bool) -> list[Part]:
    """Divide rows into parts whose sizes differ by at most one row.

    Args:
        rows: the number of rows of the grid.
        count: the number of parts.
        ghosts: the number of ghost rows on each side.
        periodic: whether the first part is a neighbour of the last one.
    """
    parts = []
    for number, own in enumerate(divided(rows, count)):
        below = ghosts if periodic or number > 0 else 0
        above = ghosts if periodic or number < count - 1 else 0
        parts.append(Part(own.start, len(own), below, above, rows))
    return parts


def rows_per_step(problem: Problem, depth: int) -> int:
    """Return the number of ghost rows that one step makes invalid on each side.

    Args:
        depth: the number of chained right-hand sides in a step.
    """
    return max(1, depth * reach(problem))


def reach(problem: Problem) -> int:
    """Return the largest distance of cells whose values a right-hand side or its noise reads.

    The distances of nested operators add up. The noise of a flux reads the amplitudes and the
    increments of the neighbouring cells as well.
    """
    scheme, dimensions = problem.discretisation, problem.grid.dimensions
    formulas, noise = problem.equation.all_formulas, problem.equation.noise
    every = (*formulas, *noise.amplitudes)
    operators = {node for formula in every for node in lang.operators_in(formula)}

    def of(node: sympy.Basic) -> int:
        inner = max(map(of, node.args), default=0)
        return inner + (scheme.reach(lang.word_of(node), dimensions) if node in operators else 0)

    of_noise = [of(term.amplitude) + term.is_flux for term in noise.terms]
    return max([problem.halo, *map(of, formulas), *of_noise])


def part_of(problem: Problem, part: Part) -> Problem:
    """Return the problem on the rows of a part, with ghost rows.

    It has the boundary conditions of the complete problem. At the ends where it continues, they
    give ghost rows other values than their neighbours have; these ghost rows are not used.
    """
    rows = part.extended
    first = part.first - part.before
    mask = problem.mask
    return replace(
        problem,
        grid=problem.grid.part(first, len(rows)),
        mask=None if mask is None else replace(mask, solid=mask.solid[rows]),
        arrays={name: values[rows] for name, values in problem.arrays.items()},
    )


def joined(parts: Sequence[np.ndarray], dimensions: int) -> np.ndarray:
    """Return an array of the complete grid from those of all parts."""
    return np.concatenate(parts, axis=-dimensions)
