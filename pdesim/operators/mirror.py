"""Detection of no-flux sides about which the solution is even. Does not import TensorFlow."""

from __future__ import annotations

from dataclasses import replace

import sympy

from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import PERIODIC, SIDES, Boundary, BoundaryCondition
from pdesim.model.equation import Equation
from pdesim.model.grid import Grid
from pdesim.operators.ghost_weights import extrapolation_points
from pdesim.operators.parity import Parity, Symmetry
from pdesim.operators.problem import Problem


def mark_mirrors(boundary: Boundary, equation: Equation, grid: Grid) -> Boundary:
    """Return the boundary with ``mirror`` set on no-flux sides about which the solution is even.

    A field with du/dn = 0 is even about a boundary if its right-hand side is even whenever all
    fields with this condition are even and all fields with a Dirichlet condition of value 0 are
    odd. The mirror image of the solution then solves the equation as well, and all odd derivatives
    are zero at the boundary. Reactions and diffusion satisfy this requirement; an advection
    ``u*d_dx(u)`` or a source ``x`` does not.

    For an even solution, ghost cells that mirror the interior cells are exact, and the sum of a
    Laplacian or a divergence over all cells is zero to round-off, at any order. For other
    solutions, mirrored ghost cells would reduce the order to 2. One-sided extrapolation is
    therefore used for them, and the mean of the solution drifts by the error of the scheme.

    On each side, ``mirror`` is set either for all no-flux fields or for none.
    """
    conditions = [[list(pair) for pair in per_axis] for per_axis in boundary.walls]
    for axis in range(grid.dimensions):
        if boundary.is_periodic(axis):
            continue
        for side in range(len(SIDES)):
            here = [per_axis[axis][side] for per_axis in boundary.walls]
            no_flux = [i for i, condition in enumerate(here) if condition.kind == "neumann"]
            if no_flux and set(no_flux) <= _even_fields(boundary, equation, grid, axis, side):
                for i in no_flux:
                    conditions[i][axis][side] = replace(here[i], mirror=True)
    marked = tuple(tuple((lower, upper) for lower, upper in field) for field in conditions)
    return replace(boundary, walls=marked)


def _even_fields(
    boundary: Boundary, equation: Equation, grid: Grid, axis: int, side: int
) -> set[int]:
    """Return the indices of the fields whose solutions are even about one side."""
    signs = _signs(boundary, equation, grid, axis, side)
    return {index for index, sign in enumerate(signs) if sign == 1}


def _signs(
    boundary: Boundary, equation: Equation, grid: Grid, axis: int, side: int
) -> list[int | None]:
    """Return, for each field, 1 if its solution is even about one side, -1 if it is odd.

    The entry of a field whose solution is neither is None.
    """
    # only this side matters here: the other axes are treated as periodic
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
        known = all(value == 0 for value in wall.values) and wall.kind in signs
        known = known and (wall.repeats or not wall.has_second)
        fields[symbol] = parity(signs[wall.kind]) if known else None
    while True:
        symmetry = Symmetry(grid, alone, fields)
        broken = [
            symbol
            for symbol, formula in zip(equation.field_symbols, equation.expressions, strict=True)
            if fields[symbol] is not None
            and formula != 0
            and symmetry.parity(formula) != fields[symbol]
        ]
        if not broken:
            break
        fields |= dict.fromkeys(broken)
    found = [fields[symbol] for symbol in equation.field_symbols]
    return [None if known is None else known[axis][0] for known in found]


def reflections(problem: Problem) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the axes about whose sides the discrete solution is even or odd in every field.

    Beyond these sides, the ghost cells are the mirror images of interior cells (with the opposite
    sign for odd fields), and the scheme itself computes them, exactly as it computes interior
    cells. This requires mirror images at all distances that a stencil reads, sums that do not
    depend on the direction of an axis (:func:`pdesim.operators.stencil.derivative`), and
    arithmetic that is exactly odd if a field is odd.

    Returns:
        For each of these axes, the signs of all fields at the lower and at the upper side.
    """
    equation, boundary, grid = problem.equation, problem.boundary, problem.grid
    formulas = equation.expressions
    if problem.mask is not None or any(map(_has_fluxes, formulas)):
        return {}
    result = {}
    for axis in range(grid.dimensions):
        symbol = sympy.Symbol(grid.axes[axis], real=True)
        if boundary.is_periodic(axis) or any(symbol in v.free_symbols for v in boundary.values):
            continue
        signs = [_signs(boundary, equation, grid, axis, side) for side in (0, 1)]
        walls = [[per_axis[axis][side] for per_axis in boundary.walls] for side in (0, 1)]
        exact = all(
            _is_mirrored(problem, axis, wall, sign)
            for here, known in zip(walls, signs, strict=True)
            for wall, sign in zip(here, known, strict=True)
        )
        odd = any(sign == -1 for known in signs for sign in known)
        if exact and not (odd and any(map(_has_functions, formulas))):
            lower, upper = (tuple(sign for sign in known if sign is not None) for known in signs)
            result[axis] = lower, upper
    return result


def _is_mirrored(problem: Problem, axis: int, wall: BoundaryCondition, sign: int | None) -> bool:
    """Whether the ghost cells of a field are mirror images of interior cells."""
    if sign is None or wall.has_second:
        return False
    order, points = problem.discretisation.order, problem.grid.points[axis]
    known = extrapolation_points(order, points)
    if sign == 1:
        return wall.mirror and problem.halo <= known
    # the linear extrapolation through 0 on the face
    return known == problem.halo == 1


def _has_fluxes(formula: sympy.Expr) -> bool:
    """Whether a formula contains fluxes, whose rounding errors depend on the direction."""
    words = {lang.word_of(node) for node in lang.operators_in(formula)}
    return any(lang.has_flux_form(word) or word in lang.ADVECTION for word in words)


def _has_functions(formula: sympy.Expr) -> bool:
    """Whether a formula contains functions or powers that may not be exactly odd."""
    functions = formula.atoms(sympy.Function, sympy.Piecewise) - set(lang.operators_in(formula))
    return bool(functions) or any(not power.exp.is_Integer for power in formula.atoms(sympy.Pow))


def slow_fields(problem: Problem) -> list[str]:
    """Return the fields whose sine or cosine series converges slowly (``operators=spectral`` only).

    A sine series is an odd continuation about Dirichlet boundaries, a cosine series an even one
    about Neumann boundaries. Such a series converges faster than any power of the spacing if the
    right-hand side has the parity of the field. A source that is not zero at a Dirichlet boundary
    does not have this parity: the continued solution has a jump in its second derivative, and its
    error decreases with the second power of the spacing only. The same holds for ``-k*u`` with a
    nonzero boundary value (the series expands u minus a polynomial that has the boundary value),
    and, with higher powers, for other terms that are neither even nor odd.
    """
    equation, boundary = problem.equation, problem.boundary
    if not problem.discretisation.is_spectral or all(boundary.periodic_axes):
        return []
    symmetry = problem.symmetry
    fields = dict(symmetry.fields)
    lifted = {
        symbol
        for symbol, lift in zip(equation.field_symbols, problem.lifts, strict=True)
        if lift is not None
    }
    alone: dict[sympy.Symbol, Parity | None] = {**fields, **dict.fromkeys(lifted)}
    slow = []
    for symbol, formula in zip(equation.field_symbols, equation.expressions, strict=True):
        # derivatives act on the homogeneous part of a field with boundary values, other terms on
        # the field
        nodes = [n for n in lang.operators_in(formula) if n.args[-1] in lifted]
        stand_ins = {node: sympy.Dummy(real=True) for node in nodes}
        parities = {dummy: symmetry.parity(node) for node, dummy in stand_ins.items()}
        complete = Symmetry(problem.grid, boundary, {**alone, **parities})
        if formula != 0 and complete.parity(formula.xreplace(stand_ins)) != fields[symbol]:
            slow.append(symbol.name)
    return slow
