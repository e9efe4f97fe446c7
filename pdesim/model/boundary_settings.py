"""Boundary conditions from the ``boundary`` settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import sympy

from pdesim.errors import BoundaryError
from pdesim.formula import Scope
from pdesim.model import coordinate_walls
from pdesim.model.boundary_conditions import JOINED, PERIODIC, SIDES, Boundary, BoundaryCondition
from pdesim.model.boundary_sides import Context, build_side, check_keys, mapping
from pdesim.model.grid import Grid


def build_boundary(
    spec: Mapping,
    fields: Sequence[str],
    grid: Grid,
    parameters: Mapping,
    rates: Mapping[str, sympy.Expr] | None = None,
    odd: Collection[str] = (),
) -> Boundary:
    """Build the boundary conditions from the ``boundary`` settings.

    The keys of the settings are ``default`` for all sides; ``x``, ``y``, ``z`` for one axis;
    ``mask`` for the faces of obstacles (no flux by default); and the name of a field, with the
    same keys for that field. The value of a key is a condition, or ``{lower: .., upper: ..}``:

    - ``periodic`` or ``antiperiodic``, or ``dirichlet`` or ``neumann`` with value 0;
    - ``outflow``: du/dn = 0, and ``advect`` continues the value of the cell at the face;
    - ``{dirichlet: value}``, ``{neumann: value}``, ``{robin: {a: .., b: .., value: ..}}``, where
      a and b may be formulas, and the values of ``neumann`` and ``robin`` may contain fields;
    - ``{absorbing: c}``: waves of the speed c leave, ``du/dt + c*du/dn = 0``;
    - ``{where: condition, KIND: value, otherwise: condition}`` for a part of the side;
    - two conditions, ``{dirichlet: value, neumann: value}`` (``clamped``: both 0);
    - a condition with the additional key ``laplacian``, whose value is a condition for
      laplacian(u). A number or formula there means ``{dirichlet: value}``. Examples are
      ``simply_supported``, which is ``{dirichlet: 0, laplacian: 0}``, and no flux,
      ``{neumann: 0, laplacian: neumann}``.

    Args:
        spec: the settings.
        fields: the names of the fields.
        grid: the grid.
        parameters: the names that formulas may use in addition to position and time.
        rates: the rate of change of each field, for ``absorbing``; None if it is not known, and
            the value of an absorbing condition is then 0.
        odd: the radial components of vectors, which are odd about an axis of symmetry.

    Raises:
        BoundaryError: for unknown keys, and for an axis that is periodic on one side only.
        FormulaError: for an invalid formula.
    """
    spec = coordinate_walls.renamed(spec, fields, grid)
    check_keys(spec, ("default", "mask", *grid.axes, *fields), "boundary", grid.names)
    for field in fields:
        if field in spec:
            check_keys(
                mapping(spec[field], f"boundary.{field}"),
                ("default", "mask", *grid.axes),
                f"boundary.{field}",
                grid.names,
            )
    symbols = {name: sympy.Symbol(name, real=True) for name in (*grid.axes, "t")}
    symbols |= grid.metric.places() if grid.metric else {}
    scope = Scope(
        {**symbols, **parameters},
        grid.axes,
        reductions=True,
        extensible=True,
        metric=grid.metric,
        reduced={name: sympy.Symbol(name, real=True) for name in fields},
        forbidden=dict.fromkeys(
            fields,
            "only inside of mean, integral, max and min, and in the values of neumann and robin",
        ),
    )
    own = {name: sympy.Symbol(name, real=True) for name in fields}

    def context(field: str, axis: str | None) -> Context:
        return Context(scope, own, field, rates or {}, axis)

    conditions = tuple(
        tuple(_axis_conditions(spec, context(field, axis)) for axis in grid.axes)
        for field in fields
    )
    _check_unused(spec, fields, grid.axes, context)
    conditions = coordinate_walls.in_coordinates(conditions, spec, fields, grid, odd)
    for number, axis in enumerate(grid.names):
        pairs = [field[number] for field in conditions]
        joined = {side.kind in JOINED for pair in pairs for side in pair}
        if len(joined) > 1 or (True in joined and any(a.kind != b.kind for a, b in pairs)):
            raise BoundaryError(
                f"boundary.{axis} is periodic or antiperiodic on one side or for one field only",
                "both sides of an axis periodic or antiperiodic for every field, or none",
                f'for example "boundary.{axis}={{lower: neumann, upper: dirichlet}}"; other sides '
                "have the condition boundary.default",
            )
    obstacles = tuple(_obstacle_condition(spec, context(field, None)) for field in fields)
    return Boundary(conditions, obstacles)


def _check_unused(
    spec: Mapping,
    fields: Sequence[str],
    axes: Sequence[str],
    context: Callable[[str, str | None], Context],
) -> None:
    """Check all conditions, including those that are not used because others take precedence.

    Raises:
        BoundaryError, FormulaError: for an invalid condition.
    """
    sections = [(spec, "boundary", fields[0], False)]
    sections += [(spec.get(f) or {}, f"boundary.{f}", f, True) for f in fields]
    for layers, where, field, own in sections:
        for key in ("default", *axes):
            layer = layers.get(key)
            sides: Mapping = {"": layer}
            if isinstance(layer, Mapping) and set(layer) & set(SIDES):
                sides = layer
            here = context(field, None if key == "default" else key)
            # whether ``absorbing`` applies depends on the field, and that of others is not known
            here = here if own else replace(here, rates={})
            for name, side in sides.items():
                if side is not None:
                    build_side(side, f"{where}.{key}" + (f".{name}" if name else ""), here)


def _obstacle_condition(spec: Mapping, context: Context) -> BoundaryCondition:
    given = (spec.get(context.field) or {}).get("mask", spec.get("mask", "neumann"))
    condition = build_side(given, "boundary.mask", context)
    constant = condition.value.is_number and (condition.kind == "dirichlet" or condition.value == 0)
    plain = condition.kind in ("dirichlet", "neumann") and not condition.outflow
    if not plain or not constant or condition.has_second:
        raise BoundaryError(
            f"boundary.mask is {given!r}", "neumann (no flux), or {dirichlet: NUMBER}"
        )
    return condition


def _axis_conditions(
    spec: Mapping, context: Context
) -> tuple[BoundaryCondition, BoundaryCondition]:
    field, axis = context.field, context.axis
    own = spec.get(field) or {}
    layers = [(own.get(axis), f"{field}.{axis}"), (own.get("default"), f"{field}.default")]
    layers += [(spec.get(axis), str(axis)), (spec.get("default", "periodic"), "default")]

    def side(name: str) -> BoundaryCondition:
        for layer, label in layers:
            if isinstance(layer, Mapping) and set(layer) & set(SIDES):
                check_keys(layer, SIDES, f"boundary.{label}", context.scope.axes, axis)
                layer, label = layer.get(name), f"{label}.{name}"
            if layer is not None:
                return build_side(layer, f"boundary.{label}", context)
        return PERIODIC

    return side("lower"), side("upper")
