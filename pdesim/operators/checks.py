"""Checks of the coefficients, the grid spacing and the boundary values of a problem.

This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np
import sympy

from pdesim.errors import BoundaryError, ConfigError, StepperError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.kernels import Kernel
from pdesim.model.boundary_conditions import SIDES
from pdesim.operators.ghost_weights import (
    NEARLY_SINGULAR,
    extrapolation_points,
    ghost_weights,
    slope_weights,
)
from pdesim.operators.problem import Problem

#: spacings whose relative difference is smaller than this are considered equal
EQUAL_SPACING = 1e-6


def check_numbers(problem: Problem, precision: str) -> None:
    """Check the grid spacing, the Robin conditions and the range of the coefficients.

    Raises:
        ConfigError: for an isotropic stencil on a grid whose spacing differs between axes, and for
            coefficients that are too small or too large for the precision.
        BoundaryError: for Robin conditions that cannot be discretised on this grid.
    """
    _check_isotropic(problem)
    _check_ghosts(problem)
    _check_range(problem, precision)


def check_wall_values(problem: Problem, times: Sequence[float]) -> None:
    """Check that boundary values are finite everywhere on the boundary.

    Args:
        times: the times at which the values are evaluated.

    Raises:
        BoundaryError: if a value is infinite or undefined. The message contains the field and the
            side.
    """
    grid, equation = problem.grid, problem.equation
    for name, pairs in zip(equation.fields, problem.boundary.walls, strict=True):
        for axis, pair in enumerate(pairs):
            for side, condition in enumerate(pair):
                face = {grid.axes[axis]: grid.origin[axis] + side * grid.extent[axis]}
                namespace = grid.namespace({**grid.coordinates(), **face})  # type: ignore[dict-item]
                # the values of fields and of reductions are not known yet
                known = [] if condition.reductions or condition.field else condition.values
                for time, formula in product(times, known):
                    evaluate = Evaluator({**namespace, **problem.parameters, "t": time})
                    with np.errstate(all="ignore"):
                        finite = np.isfinite(evaluate(formula)).all()
                    if not finite:
                        end = f"the {SIDES[side]} end of {grid.axes[axis]}"
                        raise BoundaryError(
                            f"the value of {name} at {end} is infinite or undefined at "
                            f"t = {time:g}: {formula}",
                            "a formula that is finite on the whole boundary, for example with "
                            "where(...) to avoid a division by zero",
                        )


def check_general_walls(problem: Problem, times: Sequence[float]) -> None:
    """Check that general conditions determine the value on the face, where they contain no fields.

    Args:
        times: the times at which the coefficients are evaluated.

    Raises:
        BoundaryError: if a and b are both 0, or have opposite signs and nearly cancel on this grid.
    """
    grid, scheme = problem.grid, problem.discretisation
    for name, pairs in zip(problem.equation.fields, problem.boundary.walls, strict=True):
        for axis, side in product(range(grid.dimensions), (0, 1)):
            wall = pairs[axis][side]
            if not wall.is_general:
                continue
            face = {grid.axes[axis]: np.asarray(grid.origin[axis] + side * grid.extent[axis])}
            _, of_face = slope_weights(
                grid.spacing[axis], extrapolation_points(scheme.order, grid.points[axis])
            )
            for time in times:
                names = {**grid.coordinates(), **face, **problem.parameters, "t": time}
                a, b = (np.asarray(Evaluator(names)(c), float) for c in (wall.a, wall.b))
                terms = np.abs(a) + np.abs(b * of_face)
                if not (np.abs(a + b * of_face) > NEARLY_SINGULAR * terms).all():
                    end = f"the {SIDES[side]} end of {grid.axes[axis]}"
                    raise BoundaryError(
                        f"the condition a*u + b*du/dn = value of {name} at {end} with a = {wall.a} "
                        f"and b = {wall.b} cannot be discretised at t = {time:g} with cells of "
                        f"size {grid.spacing[axis]:g}: a and b are both 0 or not finite, or have "
                        "opposite signs and |b/a| is not much larger than a cell",
                        "a and b of the same sign that are not both 0",
                    )


def check_solvable(problem: Problem) -> None:
    """Check that the terms of a steady problem have derivatives that a solver can evaluate.

    Raises:
        StepperError: for maxima and minima of fields, and boundary values that depend on fields.
        BoundaryError: for harmonic means of a diffusivity that depends on a field.
    """
    equation = problem.equation
    extremes = [r for r in equation.reductions if r.word not in ("mean", "integral")]
    if extremes or problem.boundary.depends_on_fields:
        given = f"the {extremes[0].word} of a field" if extremes else "boundary values with fields"
        raise StepperError(
            f"{equation.name} is a steady problem with {given}",
            "formulas of the fields, their derivatives, means and integrals; boundary values that "
            "do not depend on fields",
        )
    nodes = [node for f in equation.all_formulas for node in lang.operators_in(f)]
    varying = [
        n.args[0]
        for n in nodes
        if len(n.args) == 2 and n.args[0].free_symbols & equation.state_symbols
    ]
    if problem.discretisation.face_mean == "harmonic" and varying:
        raise BoundaryError(
            f"operators.face_mean=harmonic with the diffusivity {varying[0]}, which depends on a "
            "field, in a steady problem",
            "operators.face_mean=auto or arithmetic",
        )


def check_arrays(problem: Problem) -> None:
    """Check that parameters with one number for each cell are used where they can be evaluated.

    Raises:
        ConfigError: if an operator of a steady problem, one of a constraint, or a spectral one on a
            domain that is not periodic is applied to such a parameter or has it as diffusivity;
            and for iterated maps.
    """
    equation = problem.equation
    if not equation.arrays:
        return
    names = ", ".join(f"equation.{name}" for name in equation.arrays)
    if equation.iterated is not None:
        raise ConfigError(
            f"{names} has one number for each cell, and {equation.name} is an iterated map",
            "image, snapshot, dataset and random numbers in equations, or in initial states",
            "a field that the map does not change, and whose initial state is this formula",
        )
    symbols = {sympy.Symbol(name, real=True) for name in equation.arrays}
    spectral = problem.discretisation.is_spectral and not all(problem.boundary.periodic_axes)
    solved = [] if equation.steady else [*equation.constraints.values()]
    formulas = equation.all_formulas if equation.steady or spectral else solved
    for node in (node for f in formulas for node in lang.operators_in(f)):
        if used := symbols & node.free_symbols:
            raise ConfigError(
                f"{node} contains {used.pop()}, which has one number for each cell",
                "such parameters outside of derivatives, and not as a diffusivity",
            )


def _check_isotropic(problem: Problem) -> None:
    """Check that the grid spacing is the same along all axes, as the isotropic stencil requires.

    The leading error of a Laplacian with corner neighbours is ``sum_a h_a**2 / 12 d4u/da4`` plus
    mixed fourth derivatives, whose factors depend on the weights of the corners. This error is
    invariant under rotations only if all ``h_a`` are equal.
    """
    spacing = problem.grid.spacing
    if problem.discretisation.isotropic and max(spacing) > (1 + EQUAL_SPACING) * min(spacing):
        sizes = " x ".join(f"{h:.6g}" for h in spacing)
        raise ConfigError(
            f"operators.isotropic=true requires square cells, but the cells are {sizes}",
            "a grid with the same spacing along all axes (grid and domain.extent in proportion), "
            "or operators.isotropic=false",
        )


def _check_ghosts(problem: Problem) -> None:
    """Check all Robin conditions by computing their ghost-cell weights."""
    grid, scheme = problem.grid, problem.discretisation
    if scheme.is_spectral:
        return
    robin = {
        (axis, condition.homogeneous)
        for per_axis in problem.boundary.walls
        for axis, pair in enumerate(per_axis)
        for condition in pair
        if condition.kind == "robin" and not condition.is_general
    }
    for axis, condition in robin:
        known = extrapolation_points(scheme.order, grid.points[axis])
        ghost_weights(condition, grid.spacing[axis], 1, known)


def _check_range(problem: Problem, precision: str) -> None:
    """Check that float32 can represent all constants; subnormal numbers would become 0."""
    if precision != "float32":
        return
    limits = np.finfo(precision)
    evaluate = Evaluator(problem.parameters)
    formulas = [*problem.equation.all_formulas]
    formulas += problem.boundary.formulas
    for text, part in _constants(formulas, set(problem.parameters)):
        with np.errstate(all="ignore"):
            try:
                size = abs(complex(evaluate(part)))
            except (ArithmeticError, TypeError, ValueError):
                continue  # this error is reported when the formula is evaluated
        if size != 0 and np.isfinite(size) and not float(limits.tiny) <= size <= float(limits.max):
            outcome = "is rounded to 0" if size < 1 else "is infinite"
            raise ConfigError(
                f"{text} = {size:.3g} {outcome} in float32",
                f"absolute values between {limits.tiny:.2g} and {limits.max:.2g}, or 0",
                "device.precision=float64, or other units",
            )


def _constants(
    formulas: Iterable[sympy.Expr], parameters: set[str]
) -> Iterator[tuple[str, sympy.Expr]]:
    """Yield the subexpressions that contain only numbers and parameters, with descriptions."""
    seen: set[sympy.Basic] = set()

    def is_constant(node: sympy.Basic) -> bool:
        names = {symbol.name for symbol in node.free_symbols}
        return names <= parameters and not node.has(lang.AppliedUndef, Kernel)

    def parts(node: sympy.Basic) -> Iterator[sympy.Expr]:
        if node in seen:
            return
        seen.add(node)
        if isinstance(node, sympy.Expr) and is_constant(node):
            yield node
        elif isinstance(node, sympy.Mul):
            yield sympy.Mul(*(factor for factor in node.args if is_constant(factor)))
        for argument in node.args:
            # the parts of a number, such as the exponent of a constant power, are combined in
            # float64 before the number is rounded
            if not node.is_number:
                yield from parts(argument)

    for formula in formulas:
        for part in parts(formula):
            yield f"the coefficient {part}", part
