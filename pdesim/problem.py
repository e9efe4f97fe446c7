"""The problem of a run, built from its settings: equation, grid, boundary conditions, obstacles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pdesim import files
from pdesim.errors import ConfigError
from pdesim.formula import is_condition, names_in
from pdesim.model.bands import Band
from pdesim.model.boundary_conditions import Boundary
from pdesim.model.boundary_settings import build_boundary
from pdesim.model.components import with_boundary_of_parts
from pdesim.model.equation import Equation
from pdesim.model.equation_settings import MOST_FIELDS, build_equation
from pdesim.model.grid import Grid, build_grid
from pdesim.model.initial_conditions import InitialConditions, build_initial
from pdesim.model.initial_state import check_rows
from pdesim.model.iterated_map import COUNT
from pdesim.model.obstacles import Mask
from pdesim.model.scalars import check_initial, scalar_values, with_walls_of_scalars
from pdesim.model.storage import check_memory
from pdesim.model.stored_frames import has_cells
from pdesim.model.unused_parameters import unused_parameters
from pdesim.operators import build_discretisation
from pdesim.operators.checks import check_arrays, check_numbers
from pdesim.operators.constraints import check_constraints
from pdesim.operators.mirror import mark_mirrors
from pdesim.operators.problem import Problem, check_problem, with_nested_derivatives
from pdesim.output.checkpoint import Checkpoint
from pdesim.settings import Settings
from pdesim.steppers.samples import rows_per_band

#: proportions that differ by less than this are those of an image whose pixels are rounded
SAME_SHAPE = 0.02
NO_OBSTACLE = (
    "warning: domain.mask={formula} contains no cell: a cell is part of an obstacle where the "
    "formula is above 0.5, or a true condition"
)


def build_problem(
    settings: Settings,
    name: str = "custom",
    resume_from: Checkpoint | None = None,
    rows: slice | None = None,
) -> tuple[Problem, InitialConditions, tuple[str, ...]]:
    """Return the problem, the formulas of its initial state, and notes for the user.

    Args:
        settings, name: see :func:`pdesim.plan.build_plan`.
        resume_from: the checkpoint from which a run is resumed, whose obstacles are used.
        rows: the rows that this process has; None for all. With rows, obstacles are found in bands.
            The problem is that of the complete grid nevertheless.

    Raises:
        PdesimError: for invalid settings.
        ValueError: for rows outside the grid.
    """
    grid = build_grid(settings)
    if rows is not None:
        check_rows(rows, grid)
    equation = build_equation(settings.equation, grid.axes, name, grid.metric)
    check_memory(grid, equation, settings, rows)
    symbols = equation.parameter_symbols
    names = {**symbols, **equation.constant_values}
    conditions = with_boundary_of_parts(settings.boundary, equation.declared)
    scalars = equation.scalars
    rates = dict(zip(equation.fields, equation.expressions, strict=True))
    boundary = build_boundary(
        conditions, equation.distributed, grid, {**names, **scalar_values(scalars)}, rates,
        radial_parts(equation),
    )  # fmt: skip
    boundary = with_walls_of_scalars(boundary, len(scalars))
    boundary = mark_mirrors(boundary, equation, grid)
    start = dict(settings.initial)
    if equation.iterated is not None and COUNT in equation.fields:
        start.setdefault(COUNT, 0)
    # solved fields follow from the others
    start = {name: text for name, text in start.items() if name not in equation.solved_names}
    start |= dict.fromkeys(equation.constraints, 0)
    initial = build_initial(
        start, equation.fields, grid.axes, equation.initial_names, declared=equation.declared,
        metric=grid.metric,
    )  # fmt: skip
    values = dict(zip(initial.fields, initial.formulas, strict=True))
    check_initial(scalars, start, values, equation.constants)
    elsewhere = {symbol.name for symbol in boundary.symbols | initial.symbols}
    for text in (settings.domain.mask or "", *start.values()):
        elsewhere |= names_in(str(text))
    notes = unused_parameters(settings.equation, elsewhere)
    ignored = (name for name in settings.initial if name in equation.solved_names)
    notes += tuple(
        f"note: initial.{name} has no effect: equation.solve determines {name}" for name in ignored
    )
    if settings.domain.mask is None and "mask" in settings.boundary:
        notes = (*notes, "note: boundary.mask has no effect without domain.mask")
    operators = settings.operators
    scheme = build_discretisation(
        operators.name,
        operators.order,
        operators.isotropic,
        operators.dealias,
        operators.face_mean,
        operators.advection,
    )
    mask = _mask(settings, grid, boundary, equation, resume_from, in_bands=rows is not None)
    if mask is not None and not mask.solid.any():
        notes = (*notes, NO_OBSTACLE.format(formula=settings.domain.mask))
    equation = with_nested_derivatives(equation, boundary, scheme, mask)
    arrays = _arrays(settings, grid, boundary, equation)
    notes += _stretched_images(initial, grid)
    notes += _interpolated_frames(initial, grid) if resume_from is None else ()
    problem = Problem(equation, grid, boundary, scheme, mask, arrays)
    if resume_from is not None and resume_from.arrays not in ("", problem.checksum):
        changed = ", ".join(f"equation.{name}" for name in arrays)
        raise ConfigError(
            f"cannot resume: {changed} has other values than when the run was started, because a "
            "file that it is read from has changed",
            "the file of the run; or pdesim branch, to continue with other values",
        )
    check_problem(problem)
    check_arrays(problem)
    check_constraints(problem)
    check_numbers(problem, settings.device.precision)
    return problem, initial, notes


def radial_parts(equation: Equation) -> tuple[str, ...]:
    """Return the first components of vector fields, which are odd about an axis of symmetry."""
    return tuple(one.parts[0] for one in equation.declared if one.kind == "vector")


def initial_values(
    settings: Settings, problem: Problem, initial: InitialConditions, drawn_on: Grid | None = None
) -> np.ndarray:
    """Return the initial state, shape ``(fields, *grid.shape)``.

    Args:
        drawn_on: see :func:`pdesim.plan.build_plan`.
    """
    periodic, start = problem.boundary.periodic_axes, settings.time.start
    names = problem.parameters
    state = initial.evaluate(problem.grid, periodic, names, settings.seed, start, drawn_on)
    return state if problem.mask is None else problem.mask.fill(state)


def initial_bands(
    settings: Settings, problem: Problem, initial: InitialConditions
) -> Iterator[Band]:
    """Yield the initial state in consecutive bands of rows; see :func:`initial_values`."""
    grid, periodic = problem.grid, problem.boundary.periodic_axes
    bands = initial.bands(
        grid, periodic, problem.parameters, settings.seed, settings.time.start,
        rows=rows_per_band(grid),
    )  # fmt: skip
    for first, values in bands:
        if problem.mask is not None:
            solid = problem.mask.solid[first : first + values.shape[1]]
            values = replace(problem.mask, solid=solid).fill(values)
        yield first, values


def _stretched_images(initial: InitialConditions, grid: Grid) -> tuple[str, ...]:
    """Return notes on images whose sides have other proportions than those of the domain."""
    if grid.dimensions != 2:
        return ()
    notes, (x, y) = [], grid.extent
    for name in initial.images:
        width, height = files.picture_size(name) or (0, 0)
        if height and abs(width / height - x / y) > SAME_SHAPE * x / y:
            kept = f"domain.extent=[{x:g},{x * height / width:g}]"
            notes.append(
                f"note: {name} with {width} x {height} pixels is stretched to the domain of "
                f"{x:g} x {y:g}; {kept} keeps its shape"
            )
    return tuple(notes)


def _interpolated_frames(initial: InitialConditions, grid: Grid) -> tuple[str, ...]:
    """Return notes on snapshots of other grids, which are interpolated."""
    notes = []
    for name in initial.snapshots:
        centres = files.read_centres(name, grid.dimensions)
        if centres is not None and min(map(len, centres)) > 1 and not has_cells(centres, grid):
            old, new = (" x ".join(map(str, n)) for n in (map(len, centres), grid.points))
            notes.append(
                f"note: the frame of {name} with {old} cells is interpolated to the {new} cells of "
                "this grid"
            )
    return tuple(notes)


def _arrays(
    settings: Settings, grid: Grid, boundary: Boundary, equation: Equation
) -> dict[str, np.ndarray]:
    """Return the values of the parameters that have one number for each cell."""
    names, formulas = tuple(equation.arrays), tuple(equation.arrays.values())
    # other random numbers than those of the initial state
    cells = InitialConditions(names, formulas, "equation", MOST_FIELDS)
    values = cells.evaluate(grid, boundary.periodic_axes, equation.parameters, settings.seed)
    return dict(zip(names, values, strict=True))


def _mask(
    settings: Settings,
    grid: Grid,
    boundary: Boundary,
    equation: Equation,
    resume_from: Checkpoint | None,
    in_bands: bool,
) -> Mask | None:
    """Return the obstacles: the cells in which ``domain.mask`` is above 0.5, or a true condition.

    The formula may use the functions of initial conditions. None if there is no formula. With
    ``in_bands``, only a band of its values is in memory at a time.
    """
    text = settings.domain.mask
    if text is None:
        return None
    # a resumed run uses the stored mask, since an image file in the formula may no longer exist
    if resume_from is not None and resume_from.solid is not None:
        return Mask(resume_from.solid, boundary.obstacle_conditions)
    if "t" in names_in(text):
        raise ConfigError(
            "domain.mask depends on t, but obstacles cannot move",
            "a formula that depends on position only",
        )
    symbols = equation.parameter_symbols
    text = f"where({text}, 1, 0)" if is_condition(text) else text
    formula = build_initial(
        {"mask": text}, ("mask",), grid.axes, symbols, "domain", metric=grid.metric
    )
    given = grid, boundary.periodic_axes, equation.parameters, settings.seed
    if in_bands:
        bands = formula.bands(*given, rows=rows_per_band(grid))
        solid = np.concatenate([values[0] > 0.5 for _, values in bands])
    else:
        solid = formula.evaluate(*given)[0] > 0.5
    return Mask(solid, boundary.obstacle_conditions)
