"""Observables and probes: numbers that are recorded during a run, without storing frames.

An observable is a formula whose value is one number for the whole domain, such as ``max(u)`` or
``integral(gradient_squared(u))/2``. A probe records all fields at one point. This module does not
import TensorFlow.
"""

from __future__ import annotations

import itertools
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from pdesim.errors import ConfigError
from pdesim.formula import Evaluator, Scope, compact, parse, separate_reductions
from pdesim.formula.language import TIME
from pdesim.formula.values import Value
from pdesim.model.grid import Grid, place_names
from pdesim.model.scalars import scalar_values
from pdesim.operators.problem import Problem, check_problem, with_nested_derivatives

#: limits of the number of observables and probes
MOST = 64
#: names that no observable or probe can have: dimensions and attributes of ``series.h5``
TAKEN = ("time", "t", "config", "equation")


@dataclass(frozen=True)
class Probe:
    """Multilinear interpolation between cell centres at a point.

    Between the last cell centre and a boundary that is not periodic, the interpolant through the
    last two centres is continued. Next to obstacles, the value is that of the cell of the point.

    Args:
        name: the name of the probe.
        point: the coordinates of the point.
        cells: the indices of cells in the flattened grid.
        weights: the weight of each cell.
    """

    name: str
    point: tuple[float, ...]
    cells: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Observables:
    """The observables and probes of a run.

    Args:
        problem: the problem with the formulas of the observables in place of its right-hand sides.
        names: the names of the observables, in the order of these formulas.
        texts: the formulas as text.
        probes: the probes.
        every: the time between records; None: every step.
        fields: the names of the fields.
    """

    problem: Problem
    names: tuple[str, ...]
    texts: tuple[str, ...]
    probes: tuple[Probe, ...]
    every: float | None
    fields: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all recorded series; the probe ``a`` records ``a_u`` for the field u."""
        probed = (f"{probe.name}_{field}" for probe in self.probes for field in self.fields)
        return (*self.names, *probed)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """A description of each series: its formula, or its field and point."""
        probed = (
            f"{field} at ({', '.join(f'{x:g}' for x in probe.point)})"
            for probe in self.probes
            for field in self.fields
        )
        return (*self.texts, *probed)

    def series(
        self, times: np.ndarray, raw: np.ndarray, parameters: Mapping[str, float]
    ) -> np.ndarray:
        """Return the values of all series, shape ``(times, series)``.

        Args:
            times: shape ``(times,)``.
            raw: the recorded values: the reductions, then all fields at each probe. The shape is
                ``(times, values)``.
        """
        count = len(self.problem.equation.reductions)
        values = numbers(self.problem, times, list(raw[:, :count].T), parameters)
        values = [np.broadcast_to(value, times.shape) for value in values]
        return np.column_stack([*values, raw[:, count:]])


def numbers(
    problem: Problem, time: Any, reductions: Sequence[Any], parameters: Mapping[str, float]
) -> list[Any]:
    """Return the values of the formulas of an observed problem.

    Args:
        problem: the result of :func:`observed_problem`.
        time: one time, or an array of times.
        reductions: the value of each reduction at this time, or at these times.
    """
    pairs = zip(problem.equation.reductions, reductions, strict=True)
    known = {reduction.symbol.name: value for reduction, value in pairs}
    lengths = problem.grid.namespace({}, named=())
    evaluate = Evaluator({**lengths, **parameters, "t": time, **known})
    return [evaluate(formula) for formula in problem.equation.formulas]


def build_observables(
    observe: Mapping[str, object],
    probes: Mapping[str, Sequence[float]],
    every: float | None,
    problem: Problem,
) -> Observables | None:
    """Build the observables and probes from the settings; None if there are none.

    Raises:
        ConfigError: for invalid names, and for probes outside the domain or inside an obstacle.
        FormulaError: for a formula that is invalid, or is not one number for the whole domain.
    """
    if not observe and not probes:
        if every is not None:
            raise ConfigError(
                "observe_every is set, but there is nothing to observe",
                "observe={top: 'max(u)'} or probes={a: [0.2, 0.5]}",
            )
        return None
    fields = problem.equation.fields
    if problem.equation.steady:
        raise ConfigError(
            "a steady problem has no time steps at which observables could be recorded",
            "an equation with rhs, or no observe and probes",
        )
    _check_names(observe, probes, fields)
    texts = {name: " ".join(str(text).split()) for name, text in observe.items()}
    formulas = [parse_number(text, problem, f"observe.{name}") for name, text in texts.items()]
    observed = observed_problem(problem, formulas)
    points = tuple(_probe(name, point, problem) for name, point in probes.items())
    return Observables(observed, tuple(texts), tuple(texts.values()), points, every, fields)


def parse_number(
    text: str, problem: Problem, where: str, more: Mapping[str, sympy.Expr] | None = None
) -> sympy.Basic:
    """Parse a formula whose value is one number for the whole domain, or a condition.

    Reductions remain as nodes.

    Args:
        more: further names that the formula may use, with their expressions.

    Raises:
        FormulaError: if the formula is invalid or varies in space.
    """
    equation, grid = problem.equation, problem.grid
    places = place_names(grid.axes)
    known: dict[str, sympy.Expr] = {name: sympy.Symbol(name, real=True) for name in places}
    known |= grid.metric.places() if grid.metric else {}
    symbols = {name: value for name, value in known.items() if name.startswith("L")}
    reduced: dict[str, Value] = {name: sympy.Symbol(name, real=True) for name in equation.fields}
    reduced |= {name: value for name, value in known.items() if name not in symbols}
    inside = (*equation.fields, *(name for name in places if not name.startswith("L")))
    inside = tuple(name for name in inside if name not in equation.scalars)
    reduced = {name: value for name, value in reduced.items() if name not in equation.scalars}
    varying = frozenset(sympy.Symbol(name, real=True) for name in inside)
    reduced |= equation.composites
    # parameters that are formulas, such as functions of time
    for name, expression in equation.definitions.items():
        place = reduced if expression.free_symbols & varying else symbols
        place[name] = expression
    scope = Scope(
        {
            **symbols,
            "t": TIME,
            **equation.parameter_symbols,
            **scalar_values(equation.scalars),
            **(more or {}),
        },
        grid.axes,
        operators=True,
        reductions=True,
        extensible=True,
        reduced=reduced,
        metric=grid.metric,
        forbidden=dict.fromkeys(
            reduced, "it varies in space; use mean, integral, max or min of it"
        ),
    )
    return compact(parse(text, scope, where), varying)


def observed_problem(problem: Problem, formulas: Sequence[sympy.Expr]) -> Problem:
    """Return a problem whose formulas are those of observables.

    Raises:
        BoundaryError, ConfigError: if the operators in the formulas do not support the boundary
            conditions or the grid; see :func:`pdesim.operators.problem.check_problem`.
    """
    separated, reductions = separate_reductions(formulas)
    equation = replace(problem.equation, formulas=separated, reductions=reductions, constraints={})
    scheme = problem.discretisation
    equation = with_nested_derivatives(equation, problem.boundary, scheme, problem.mask)
    observed = replace(problem, equation=equation)
    check_problem(observed)
    return observed


def _check_names(
    observe: Mapping[str, object], probes: Mapping[str, object], fields: Sequence[str]
) -> None:
    if len(observe) + len(probes) > MOST:
        raise ConfigError(
            f"there are {len(observe) + len(probes)} observables and probes", f"at most {MOST}"
        )
    columns = [*observe, *(f"{probe}_{field}" for probe in probes for field in fields)]
    for name in (*observe, *probes):
        section = "observe" if name in observe else "probes"
        if not name.isidentifier() or keyword.iskeyword(name) or name in TAKEN:
            raise ConfigError(
                f"{section} contains the name {name!r}",
                f"an identifier other than {', '.join(TAKEN)}, such as energy",
            )
    if repeated := {name for name in columns if columns.count(name) > 1}:
        raise ConfigError(
            f"two recorded series have the name {repeated.pop()!r}",
            "different names of observables and probes (a probe p records p_u for the field u)",
        )


def _probe(name: str, point: Sequence[float], problem: Problem) -> Probe:
    grid, periodic = problem.grid, problem.boundary.periodic_axes
    axes = ", ".join(grid.names)
    if len(point) != grid.dimensions:
        raise ConfigError(
            f"probes.{name} is {list(point)}",
            f"{grid.dimensions} coordinates ({axes}) on this {grid.dimensions}-D grid",
        )
    for axis, x in enumerate(point):
        lower, upper = grid.origin[axis], grid.origin[axis] + grid.extent[axis]
        if not lower <= x <= upper:
            raise ConfigError(
                f"probes.{name} is {list(point)}, which lies outside the domain",
                f"{grid.names[axis]} from {lower:g} to {upper:g}",
            )
    pairs = [_along_axis(grid, axis, x, periodic[axis]) for axis, x in enumerate(point)]
    weights: dict[int, float] = {}
    for corner in itertools.product(*pairs):
        index = tuple(cell for cell, _ in reversed(corner))
        flat = int(np.ravel_multi_index(index, grid.shape))
        weights[flat] = weights.get(flat, 0.0) + float(np.prod([w for _, w in corner]))
    if problem.mask is not None and any(problem.mask.solid.ravel()[list(weights)]):
        weights = {_own_cell(name, point, problem): 1.0}
    return Probe(name, tuple(map(float, point)), tuple(weights), tuple(weights.values()))


def _along_axis(grid: Grid, axis: int, x: float, periodic: bool) -> list[tuple[int, float]]:
    """Return the two cells for linear interpolation along an axis, with their weights."""
    points = grid.points[axis]
    if grid.metric is not None and grid.metric.maps[axis] is not None:
        return _between_centres(grid.physical_centres(axis), x)
    place = (x - grid.origin[axis]) / grid.spacing[axis] - 0.5
    lower = int(np.floor(place))
    if not periodic:
        lower = min(max(lower, 0), points - 2)
    share = place - lower
    return [(lower % points, 1.0 - share), ((lower + 1) % points, share)]


def _between_centres(centres: np.ndarray, x: float) -> list[tuple[int, float]]:
    """Return the cells of a stretched axis for linear interpolation, with their weights."""
    lower = int(np.clip(np.searchsorted(centres, x) - 1, 0, len(centres) - 2))
    share = (x - centres[lower]) / (centres[lower + 1] - centres[lower])
    return [(lower, 1.0 - share), (lower + 1, share)]


def _own_cell(name: str, point: Sequence[float], problem: Problem) -> int:
    """Return the flat index of the cell that contains a point; it must not be an obstacle."""
    grid, mask = problem.grid, problem.mask
    faces = (grid.physical_faces(axis) for axis in range(grid.dimensions))
    places = zip(point, faces, grid.points, strict=True)
    cell = [min(max(int(np.searchsorted(f, x, side="right")) - 1, 0), n - 1) for x, f, n in places]
    index = int(np.ravel_multi_index(tuple(cell[::-1]), grid.shape))
    if mask is not None and mask.solid.ravel()[index]:
        raise ConfigError(
            f"probes.{name} is {list(point)}, which lies inside an obstacle (domain.mask)",
            "a point outside the obstacles",
        )
    return index
