"""Boundary conditions in computational coordinates, and those on an axis of symmetry.

Settings state the derivative by the physical distance from a face. In the computational coordinate,
``du/dn`` is ``h`` times as large, with the scale h of the axis on the face.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import sympy

from pdesim.errors import BoundaryError
from pdesim.formula.language import AXES
from pdesim.model.boundary_conditions import JOINED, BoundaryCondition
from pdesim.model.geometry import has_axis, is_periodic_map, physical_flux
from pdesim.model.grid import Grid

Walls = tuple[tuple[tuple[BoundaryCondition, BoundaryCondition], ...], ...]
_Settings = TypeVar("_Settings", bound=Mapping)


def renamed(spec: _Settings, fields: Sequence[str], grid: Grid) -> _Settings | dict:
    """Return the settings ``boundary`` with the axes x, y, z in place of the names of the axes.

    Raises:
        BoundaryError: for an axis with two names that are both given.
    """
    names = {n: a for n, a in zip(grid.names, AXES, strict=False) if n != a}
    if not names:
        return spec
    result: dict = {}
    for key, value in spec.items():
        new = names.get(key, key)
        if new in result or (new != key and new in spec):
            raise BoundaryError(f"boundary has {key} and {new}, the same axis", "each axis once")
        is_field = key in fields and isinstance(value, Mapping)
        result[new] = renamed(value, (), grid) if is_field else value
    return result


def in_coordinates(
    walls: Walls, spec: Mapping, fields: Sequence[str], grid: Grid, odd: Collection[str]
) -> Walls:
    """Return the conditions of all fields in the computational coordinates of a grid.

    Args:
        walls: ``walls[field][axis]`` is the pair (lower, upper), in physical coordinates.
        spec: the settings ``boundary``.
        odd: the fields that are odd about an axis of symmetry, the radial components of vectors.

    Raises:
        BoundaryError: for a condition on an axis of symmetry that differs from the one that holds
            there; for a periodic radius; for a periodic axis on which the widths of cells do not
            continue smoothly; and for second conditions.
    """
    metric = grid.metric
    if metric is None:
        return walls
    result = []
    for name, per_axis in zip(fields, walls, strict=True):
        pairs = []
        for axis, (lower, upper) in enumerate(per_axis):
            place = grid.names[axis]
            if upper.kind in JOINED and axis == 0 and metric.power:
                raise BoundaryError(
                    f"boundary.{place} is {upper.kind}, but {place} is a radius",
                    "dirichlet, neumann or robin",
                    f"boundary=neumann, or boundary.{place}.upper=neumann",
                )
            if upper.kind in JOINED and not is_periodic_map(metric, grid, axis):
                raise BoundaryError(
                    f"boundary.{place} is {upper.kind}, but domain.stretch.{place} does not "
                    "continue smoothly across its ends",
                    "other conditions, or a map such as 's + 0.1*sin(2*pi*s)'",
                )
            if axis == 0 and has_axis(grid):
                lower = _on_axis(lower, name, spec, grid, name in odd)
            pairs.append((_scaled(lower, grid, axis, 0), _scaled(upper, grid, axis, 1)))
        result.append(tuple(pairs))
    return tuple(result)


def _on_axis(
    wall: BoundaryCondition, field: str, spec: Mapping, grid: Grid, odd: bool
) -> BoundaryCondition:
    """Return the condition on the axis of symmetry: no flux or, for odd fields, the value 0."""
    kind = "dirichlet" if odd else "neumann"
    given = [layers.get(AXES[0]) for layers in (spec, spec.get(field) or {})]
    explicit = any(isinstance(one, Mapping) and "lower" in one for one in given)
    compatible = wall.kind == kind and wall.value == 0 and not wall.has_second
    if explicit and not compatible:
        name = grid.names[0]
        raise BoundaryError(
            f"boundary.{name}.lower is {wall.name} for {field}, but {name} = 0 is not a boundary",
            f"no condition there: {field} has the condition {kind} by symmetry",
            f"boundary.{name}.upper for the outer boundary",
        )
    a, b = (1.0, 0.0) if odd else (0.0, 1.0)
    return BoundaryCondition(kind, a, b)


def _scaled(wall: BoundaryCondition, grid: Grid, axis: int, side: int) -> BoundaryCondition:
    """Return a condition with du/dn by the computational coordinate."""
    if wall.laplacian is not None or wall.is_clamped:
        metric = grid.metric
        assert metric is not None
        raise BoundaryError(
            f"second boundary conditions are not available with {metric.what}",
            "one condition per side: dirichlet, neumann or robin",
        )
    if wall.b == 0 or grid.metric is None or grid.metric.maps[axis] is None:
        return wall
    scale = physical_flux(grid.metric, grid, axis, side)
    if wall.a == 0:
        size = sympy.Float(scale)
        return replace(wall, value=size * wall.value, rate=size * wall.rate)
    return replace(wall, b=wall.b / scale)
