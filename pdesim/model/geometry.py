"""Coordinates other than Cartesian ones on equal cells, from the settings ``domain``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import sympy

from pdesim.errors import ConfigError, nearest
from pdesim.formula import Evaluator, Scope, parse
from pdesim.formula.calculus import derivative
from pdesim.formula.language import AXES
from pdesim.formula.metric import CELL, GEOMETRIES, Metric, axis_symbol

if TYPE_CHECKING:
    from pdesim.model.grid import Grid
    from pdesim.settings import Domain

#: the computational coordinate in formulas of stretched axes, from 0 to 1
S = sympy.Symbol("s", real=True)
#: name -> map of [0, 1] to itself. ``tanh(k)`` has small cells at both ends (Vinokur, J. Comput.
#: Phys. 50 (1983) 215); for ``exp(k)``, the last cell is about e^k times as wide as the first
PRESETS: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "tanh": lambda k: (1 + sympy.tanh(k * (2 * S - 1)) / sympy.tanh(k)) / 2,
    "exp": lambda k: (sympy.exp(k * S) - 1) / (sympy.exp(k) - 1),
}
#: the same for a radius from 0. The maps are odd, so that smooth functions of the radius are smooth
#: functions of s, and cells are small at the outer end or, for ``exp(k)``, at the axis
FROM_AXIS: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "tanh": lambda k: sympy.tanh(k * S) / sympy.tanh(k),
    "exp": lambda k: sympy.sinh(k * S) / sympy.sinh(k),
}
#: largest k; beyond it, the smallest cell is more than 10^8 times smaller than the largest one
STRONGEST = 20.0
EXPECTED = (
    "tanh(k) for small cells at both ends, exp(k) for small cells at the lower end (k > 0) or the "
    "upper end (k < 0), or an increasing formula of s from 0 at s=0 to 1 at s=1"
)
EXPECTED_FROM_AXIS = (
    "tanh(k) for small cells at the outer end, exp(k) for small cells at the axis, or an odd, "
    "increasing formula of s with the value 1 at s=1, such as '(s + s**3)/2'"
)
#: tolerance of the conditions on the ends of a map, a few roundings of its terms
NEAR = 1e-9


def build_metric(domain: Domain, grid: Grid) -> Metric | None:
    """Return the coordinates of a grid; None if they are Cartesian on equal cells.

    Raises:
        ConfigError: for a geometry that does not suit the number of dimensions, a negative radius,
            and for a map of a stretched axis that is not monotone.
        FormulaError: for an invalid formula of a map.
    """
    geometry = domain.geometry
    if geometry == "cartesian" and not domain.stretch:
        return None
    names = GEOMETRIES[geometry][0] if geometry in GEOMETRIES else AXES[: grid.dimensions]
    if len(names) != grid.dimensions:
        cells = "grid=[64]" if len(names) == 1 else "grid=[64,128]"
        raise ConfigError(
            f"domain.geometry={geometry} on a {grid.dimensions}-D grid",
            f"a {len(names)}-D grid, with the axes {', '.join(names)}",
            f"{cells}, or domain.dimensions={len(names)}",
        )
    if geometry in GEOMETRIES and grid.origin[0] < 0:
        raise ConfigError(
            f"the radius begins at {grid.origin[0]:g} (domain.origin)",
            "0 for a domain that contains the axis, or a positive inner radius",
        )
    given: dict[int, str] = {}
    for name, text in domain.stretch.items():
        known = {**dict(zip(AXES, range(len(names)), strict=False))}
        known |= {own: axis for axis, own in enumerate(names)}
        if name not in known:
            raise ConfigError(f"domain.stretch names the axis {name!r}", nearest(name, names))
        if known[name] in given:
            raise ConfigError(f"domain.stretch.{name} is given twice", "each axis once")
        given[known[name]] = str(text)
    maps = tuple(
        _map(given[axis], names[axis], grid, axis, axis == 0 and geometry in GEOMETRIES)
        if axis in given
        else None
        for axis in range(grid.dimensions)
    )
    pairs = zip(grid.origin, grid.extent, strict=True)
    metric = Metric(geometry, maps, tuple(lower + length / 2 for lower, length in pairs))
    return replace(metric, correction=_correction(metric, grid)) if given else metric


def has_axis(grid: Grid) -> bool:
    """Whether the lower end of the first axis is the axis (or the centre) of symmetry."""
    return grid.metric is not None and bool(grid.metric.power) and grid.origin[0] == 0


def _map(text: str, name: str, grid: Grid, axis: int, is_radius: bool) -> sympy.Expr:
    """Return the physical coordinate as a formula of the computational one."""
    where, from_axis = f"domain.stretch.{name}", is_radius and grid.origin[0] == 0
    presets = FROM_AXIS if from_axis else PRESETS
    preset = re.fullmatch(r"\s*(\w+)\s*\(([^s]*)\)\s*", text)
    if preset and preset[1] in PRESETS:
        strength = float(parse(preset[2], Scope({}, ()), where))
        if not 0 < abs(strength) <= STRONGEST:
            raise ConfigError(
                f"{where} is {text}", f"{preset[1]}(k) with |k| from 0 to {STRONGEST:g}, not 0"
            )
        scaled = presets[preset[1]](sympy.Float(abs(strength) if from_axis else strength))
    else:
        scaled = parse(text, Scope({"s": S}, ()), where)
    _check_map(scaled, where, text, grid.points[axis], from_axis)
    fraction = (axis_symbol(axis) - grid.origin[axis]) / grid.extent[axis]
    return grid.origin[axis] + grid.extent[axis] * scaled.xreplace({S: fraction})


def _check_map(scaled: sympy.Expr, where: str, text: str, points: int, from_axis: bool) -> None:
    """Check that a map increases from 0 to 1, half a cell beyond the ends included.

    On a radius from 0, it must be odd.
    """
    expected = EXPECTED_FROM_AXIS if from_axis else EXPECTED
    if not scaled.free_symbols:
        raise ConfigError(f"{where} is {text}", expected)
    with np.errstate(all="ignore"):
        ends = [float(Evaluator({"s": np.float64(s)})(scaled)) for s in (0.0, 1.0)]
        halves = np.arange(-1, 2 * points + 2) / (2 * points)
        shape = halves.shape
        places = np.broadcast_to(Evaluator({"s": halves})(scaled), shape)
        slopes = np.broadcast_to(Evaluator({"s": halves})(derivative(scaled, S)), shape)
    if not np.allclose(ends, (0.0, 1.0), rtol=0, atol=NEAR):
        raise ConfigError(
            f"{where}={text} maps s=0 to {ends[0]:g} and s=1 to {ends[1]:g}", expected
        )
    increases = np.isfinite(slopes).all() and (slopes > 0).all() and (np.diff(places) > 0).all()
    if not increases:
        raise ConfigError(
            f"{where}={text} does not increase everywhere from s=0 to s=1 and half a cell beyond",
            expected,
        )
    if from_axis:
        with np.errstate(all="ignore"):
            mirrored = np.broadcast_to(Evaluator({"s": -halves})(scaled), shape)
        if not np.allclose(mirrored, -places, rtol=0, atol=NEAR):
            raise ConfigError(
                f"{where}={text} is not an odd function of s, so that functions that are smooth at "
                "the axis would not be smooth on the grid",
                expected,
            )


def is_periodic_map(metric: Metric, grid: Grid, axis: int) -> bool:
    """Whether the widths of cells continue smoothly across the ends of an axis."""
    formula, symbol = metric.maps[axis], axis_symbol(axis)
    if formula is None:
        return True
    ends = grid.origin[axis], grid.origin[axis] + grid.extent[axis]
    slopes = [derivative(formula, symbol, times) for times in (1, 2)]
    for times, slope in enumerate(slopes):
        lower, upper = (float(Evaluator({symbol.name: np.float64(x)})(slope)) for x in ends)
        if abs(upper - lower) * grid.extent[axis] ** times > 1e-6:
            return False
    return True


def positions(metric: Metric, axis: int, computational: np.ndarray) -> np.ndarray:
    """Return the physical coordinates of computational ones along an axis."""
    names = {AXES[axis]: computational}
    values = Evaluator(names)(metric.position(axis))
    return np.broadcast_to(values, computational.shape).astype(float)


def scales(metric: Metric, axis: int, computational: np.ndarray) -> np.ndarray:
    """Return the derivatives of the physical by the computational coordinate along an axis."""
    values = Evaluator({AXES[axis]: computational})(metric.scale(axis))
    return np.broadcast_to(values, computational.shape).astype(float)


def face_positions(metric: Metric | None, grid: Grid, axis: int) -> np.ndarray:
    """Return the physical coordinates of the faces of cells along an axis."""
    faces = grid.origin[axis] + np.arange(grid.points[axis] + 1) * grid.spacing[axis]
    return faces if metric is None else positions(metric, axis, faces)


def volumes(metric: Metric, grid: Grid) -> np.ndarray:
    """Return the volumes of all cells, as they count in reductions."""
    names = {**grid.coordinates(), CELL.name: grid.spacing[0]}
    values = Evaluator(names)(metric.cell_volume)
    computational = float(np.prod(grid.spacing))
    return np.broadcast_to(values, grid.shape) * (computational * metric.correction)


def _correction(metric: Metric, grid: Grid) -> float:
    """Return the volume of the domain, divided by the sum of the volumes of cells."""
    ends = [(o, o + length) for o, length in zip(grid.origin, grid.extent, strict=True)]
    sizes = [upper - lower for lower, upper in ends]
    if metric.power:
        lower, upper = ends[0]
        power = metric.power + 1
        factor = float(GEOMETRIES[metric.geometry][2])
        sizes[0] = factor * (upper**power - lower**power) / power
    return float(np.prod(sizes)) / float(volumes(metric, grid).sum())


def physical_flux(metric: Metric, grid: Grid, axis: int, side: int) -> float:
    """Return h on a face: du/dn by the computational coordinate is h times the physical du/dn."""
    face = grid.origin[axis] + side * grid.extent[axis]
    return float(scales(metric, axis, np.array([face]))[0])
