"""Values in the cells that may limit the time step, taken from a state in bands of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import sympy

from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.networks import NetworkValue
from pdesim.model.bands import Band, windows
from pdesim.model.equation import Equation
from pdesim.operators.problem import Problem
from pdesim.steppers.approximate import applied
from pdesim.steppers.samples import DecidingCells


def nodes_of(equation: Equation) -> dict[sympy.Basic, sympy.Symbol]:
    """Return the operators and reductions in the Jacobian, each with a symbol for its value."""
    complete = equation.complete_jacobian
    found = lang.operators_in(complete) | lang.reductions_in(complete)
    # the names contain a space, so that they differ from those of all parameters
    return {
        node: sympy.Symbol(f"value {number}", real=True)
        for number, node in enumerate(sorted(found, key=str))
    }


def needs_complete_state(problem: Problem) -> bool:
    """Whether the linearisation at a state needs the complete state.

    It does if the Jacobian contains reductions or convolutions of the state, or operators that are
    applied to networks, whose rounding depends on the number of cells. Solved fields
    (``equation.solve``) need the complete state, too.
    """
    if problem.equation.constraints:
        return True
    return any(
        node.has(NetworkValue)
        or any(_is_nonlocal(one) for one in node.atoms(lang.AppliedUndef) | {node})
        for node in nodes_of(problem.equation)
    )


def _is_nonlocal(node: sympy.Basic) -> bool:
    return lang.is_reduction(node) or lang.word_of(node) == lang.CONVOLVE


def sample_cells(
    problem: Problem,
    nodes: Mapping[sympy.Basic, sympy.Symbol],
    bands: Iterable[Band],
    times: Sequence[float],
    thorough: bool,
) -> list[tuple[dict[str, Any], int]]:
    """Return the values of all names in the Jacobian in the cells that may limit the time step.

    Args:
        nodes: see :func:`nodes_of`.
        bands: the state in consecutive bands; see :class:`DecidingCells`.
        times: the times.
        thorough: see :class:`DecidingCells`; applies to the first time.

    Returns:
        For each time, the values by name, which are numbers or arrays, and the number of cells.
    """
    jacobian = problem.equation.complete_jacobian.xreplace(dict(nodes))
    samples = [
        _Sample(time, DecidingCells(problem, jacobian, thorough and time == times[0]))
        for time in times
    ]
    halo = max((_reach(node, problem.grid.dimensions) for node in nodes), default=0)
    total = problem.grid.shape[0]
    for first, values, inside in windows(bands, total, halo):
        part = problem
        if values.shape[1] < total:
            rows = slice(first, first + values.shape[1])
            arrays = {name: array[rows] for name, array in problem.arrays.items()}
            grid = problem.grid.part(first, values.shape[1])
            part = replace(problem, grid=grid, mask=None, arrays=arrays)
        for sample in samples:
            names = _names(part, problem.named, nodes, values, sample.time)
            sample.add(part, names, values, inside)
    return [sample.result() for sample in samples]


def _reach(node: sympy.Basic, dimensions: int) -> int:
    """Return the number of neighbouring rows on which the value of an operator depends.

    See :func:`pdesim.steppers.approximate.applied`: derivatives are repeated central differences.
    """
    inner = max((_reach(argument, dimensions) for argument in node.args), default=0)
    if not lang.is_operator(node):
        return inner
    word = lang.word_of(node)
    if word in lang.DERIVATIVES:
        return inner + lang.powers_of(word, dimensions)[-1]
    return inner + 2


def _names(
    problem: Problem,
    named: frozenset[str],
    nodes: Mapping[sympy.Basic, sympy.Symbol],
    state: np.ndarray,
    time: float,
) -> dict[str, Any]:
    """Return the values of all names in the Jacobian on a grid or a part of it."""
    grid = problem.grid
    names: dict[str, Any] = {
        **grid.namespace(grid.coordinates(), named),
        **problem.values,
        "t": time,
        **dict(zip(problem.equation.fields, state, strict=True)),
    }
    evaluate = Evaluator(names, applied=partial(applied, problem))
    for node, symbol in nodes.items():
        names[symbol.name] = np.broadcast_to(evaluate(node), grid.shape)
    return names


@dataclass
class _Sample:
    """Values at one time in the cells that were selected in each band, some of them in vain."""

    time: float
    deciding: DecidingCells
    kept: list[tuple[np.ndarray, dict[str, Any]]] = field(default_factory=list)

    def add(
        self, part: Problem, names: Mapping[str, Any], state: np.ndarray, inside: slice
    ) -> None:
        """Add a band.

        Args:
            part: the problem in the band and its neighbouring rows.
            names: the values by name.
            state: the fields.
            inside: the rows of the band.
        """
        grid, rows = part.grid, part.grid.shape[0]
        if inside != slice(0, rows):
            state = state[:, inside]
            names = {name: _rows(value, rows, inside) for name, value in names.items()}
            first = int(grid.indices(grid.dimensions - 1)[inside.start])
            grid = grid.complete.part(first, inside.stop - inside.start)
        self.deciding.add(grid, names, state)
        before = int(grid.indices(grid.dimensions - 1)[0]) * (grid.cells // grid.shape[0])
        cells = self.deciding.cells
        cells = cells[(cells >= before) & (cells < before + grid.cells)]
        places = np.unravel_index(cells - before, grid.shape)
        values = {
            name: np.broadcast_to(value, grid.shape)[places] if np.ndim(value) else value
            for name, value in names.items()
        }
        self.kept.append((cells, values))

    def result(self) -> tuple[dict[str, Any], int]:
        """Return the values in the cells that are selected after all bands, and their number."""
        cells = self.deciding.cells
        known = np.concatenate([of_band for of_band, _ in self.kept])
        chosen = np.flatnonzero(np.isin(known, cells))
        values = [of_band for _, of_band in self.kept]
        return {
            name: np.concatenate([one[name] for one in values])[chosen] if np.ndim(value) else value
            for name, value in values[0].items()
        }, len(cells)


def _rows(value: Any, rows: int, inside: slice) -> Any:
    """Return some rows of a value that may vary along the axis of the rows."""
    return value[inside] if np.ndim(value) and np.shape(value)[0] == rows else value
