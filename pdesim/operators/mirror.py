"""No-flux walls behind which the solution continues as its mirror image. No TensorFlow."""

from __future__ import annotations

from dataclasses import replace

from pdesim.boundary import PERIODIC, SIDES, Boundary
from pdesim.equation import Equation
from pdesim.grid import Grid
from pdesim.operators.symmetry import Parity, Symmetry


def mark_mirrors(boundary: Boundary, equation: Equation, grid: Grid) -> Boundary:
    """The same boundary, with ``mirror`` set on no-flux sides where the solution is even.

    A field with du/dn = 0 is even about a wall if its right-hand side is even for fields that are
    even (or odd, at a Dirichlet wall with value 0): the mirror image then solves the equation, too,
    and all odd derivatives vanish at the wall. Reactions and diffusion are such, an advection
    ``u*d_dx(u)`` or a source ``x`` is not. Ghost cells that are mirror images have no error there,
    and make the sum of a Laplacian or a divergence over all cells zero to round-off, at any order.
    Where the solution is not even they would lower the order to 2, so one-sided extrapolation
    remains, and the mean drifts by the error of the scheme.

    All no-flux fields on a side have mirrors, or none has.
    """
    walls = [[list(pair) for pair in per_axis] for per_axis in boundary.walls]
    for axis in range(grid.dimensions):
        if boundary.is_periodic(axis):
            continue
        for side in range(len(SIDES)):
            here = [per_axis[axis][side] for per_axis in boundary.walls]
            no_flux = [i for i, wall in enumerate(here) if wall.kind == "neumann"]
            if no_flux and set(no_flux) <= _even_fields(boundary, equation, grid, axis, side):
                for i in no_flux:
                    walls[i][axis][side] = replace(here[i], mirror=True)
    marked = tuple(tuple(tuple(pair) for pair in per_axis) for per_axis in walls)
    return replace(boundary, walls=marked)


def _even_fields(
    boundary: Boundary, equation: Equation, grid: Grid, axis: int, side: int
) -> set[int]:
    """The fields that are even about a side, given its conditions and all right-hand sides."""
    # parities about this side alone: the other axes are taken as periodic
    one_wall = [[(PERIODIC, PERIODIC)] * grid.dimensions for _ in boundary.walls]
    for pairs, per_axis in zip(one_wall, boundary.walls, strict=True):
        pairs[axis] = (per_axis[axis][side],) * 2
    alone = Boundary(tuple(map(tuple, one_wall)))

    def parity(sign: int) -> Parity:
        return tuple((sign, sign) if a == axis else (1, 1) for a in range(grid.dimensions))

    signs = {"neumann": 1, "dirichlet": -1}
    fields: dict = {}
    for symbol, per_axis in zip(equation.field_symbols, boundary.walls, strict=True):
        wall = per_axis[axis][side]
        known = wall.value == 0 and wall.kind in signs
        fields[symbol] = parity(signs[wall.kind]) if known else None
    while True:
        symmetry = Symmetry(grid, alone, fields)
        broken = [
            symbol
            for symbol, formula in zip(equation.field_symbols, equation.formulas, strict=True)
            if fields[symbol] is not None
            and formula != 0
            and symmetry.parity(formula) != fields[symbol]
        ]
        if not broken:
            break
        fields |= dict.fromkeys(broken)
    even = parity(1)
    return {i for i, symbol in enumerate(equation.field_symbols) if fields[symbol] == even}
