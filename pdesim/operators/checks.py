"""Checks of a problem's coefficients, spacing and boundary values. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np
import sympy

from pdesim.errors import BoundaryError, ConfigError, StepperError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import SIDES
from pdesim.operators.ghost_weights import extrapolation_points, ghost_weights
from pdesim.operators.modes import NoModes
from pdesim.operators.problem import Problem

#: spacings with a smaller relative difference count as equal
EQUAL_SPACING = 1e-6


def check_numbers(problem: Problem, precision: str) -> None:
    """Check the spacing, the Robin conditions and the range of the coefficients.

    Raises:
        ConfigError: for an isotropic stencil on unequal spacing, and for coefficients that the
            precision cannot represent.
        BoundaryError: for Robin conditions that no ghost cells satisfy.
    """
    _check_isotropic(problem)
    _check_ghosts(problem)
    _check_range(problem, precision)


def check_wall_values(problem: Problem, times: Sequence[float]) -> None:
    """Check that boundary values are finite everywhere on the boundary.

    Args:
        times: the times at which the values are evaluated.

    Raises:
        BoundaryError: naming the first field and side.
    """
    grid, equation = problem.grid, problem.equation
    for name, pairs in zip(equation.fields, problem.boundary.walls, strict=True):
        for axis, pair in enumerate(pairs):
            for side, wall in enumerate(pair):
                face = {grid.axes[axis]: grid.origin[axis] + side * grid.extent[axis]}
                namespace = grid.namespace({**grid.coordinates(), **face})  # type: ignore[dict-item]
                for time, formula in product(times, wall.values):
                    evaluate = Evaluator({**namespace, **problem.parameters, "t": time})
                    with np.errstate(all="ignore"):
                        finite = np.isfinite(evaluate(formula)).all()
                    if not finite:
                        end = f"the {SIDES[side]} end of {grid.axes[axis]}"
                        raise BoundaryError(
                            f"the value of {name} at {end} is infinite or undefined at "
                            f"t = {time:g}: {formula}",
                            "a formula that is finite on the whole boundary, with where(...) "
                            "around a division by zero",
                        )


def check_solvable(problem: Problem) -> None:
    """Check that the direct solver applies to a steady problem.

    Raises:
        StepperError: for problems that are not linear with constant coefficients, and for boundary
            conditions without Fourier, sine or cosine modes.
    """
    equation = problem.equation
    if isinstance(problem.basis, NoModes):
        raise StepperError(
            f"the direct solver needs Fourier, sine or cosine modes: {problem.basis.reason}",
            "periodic, Dirichlet or Neumann conditions, the same for every field",
        )
    fields = set(equation.field_symbols)
    if any(term.free_symbols & fields for term in problem.split.rest):
        raise StepperError(
            f"{equation.name} is not linear with constant coefficients",
            "a steady problem such as laplacian(u) + source, the source free of the fields",
        )


def _check_isotropic(problem: Problem) -> None:
    """Check that the spacing is equal, without which the 9-point Laplacian is not isotropic.

    Its leading error is ``sum_a h_a**2 / 12 d4u/da4`` and mixed derivatives with free weights. A
    rotation leaves that unchanged only if all ``h_a`` are equal.
    """
    spacing = problem.grid.spacing
    if problem.discretisation.isotropic and max(spacing) > (1 + EQUAL_SPACING) * min(spacing):
        sizes = " x ".join(f"{h:.6g}" for h in spacing)
        raise ConfigError(
            f"operators.isotropic=true on cells of {sizes}: the stencil is isotropic on square "
            "cells only",
            "grid and domain.extent in one ratio, or operators.isotropic=false",
        )


def _check_ghosts(problem: Problem) -> None:
    """Compute the ghost-cell weights of all Robin conditions, so that invalid ones raise here."""
    grid, scheme = problem.grid, problem.discretisation
    if scheme.is_spectral:
        return
    walls = {
        (axis, wall.homogeneous)
        for per_axis in problem.boundary.walls
        for axis, pair in enumerate(per_axis)
        for wall in pair
        if wall.kind == "robin"
    }
    for axis, wall in walls:
        known = extrapolation_points(scheme.order, grid.points[axis])
        ghost_weights(wall, grid.spacing[axis], 1, known)


def _check_range(problem: Problem, precision: str) -> None:
    """Check that all constants are representable in float32, where subnormal numbers become 0."""
    if precision != "float32":
        return
    limits = np.finfo(precision)
    evaluate = Evaluator(problem.parameters)
    formulas = [*problem.equation.formulas]
    formulas += problem.boundary.values
    for text, part in _constants(formulas, set(problem.parameters)):
        with np.errstate(all="ignore"):
            try:
                size = abs(complex(evaluate(part)))
            except (ArithmeticError, TypeError, ValueError):
                continue  # reported where the formula is evaluated
        if size != 0 and np.isfinite(size) and not float(limits.tiny) <= size <= float(limits.max):
            outcome = "is rounded to 0" if size < 1 else "is infinite"
            raise ConfigError(
                f"{text} = {size:.3g} {outcome} in float32",
                f"numbers between {limits.tiny:.2g} and {limits.max:.2g} in size, or 0",
                "device.precision=float64, or other units",
            )


def _constants(
    formulas: Iterable[sympy.Expr], parameters: set[str]
) -> Iterator[tuple[str, sympy.Expr]]:
    """Return the subexpressions that consist of numbers and parameters only."""
    seen: set[sympy.Basic] = set()

    def is_constant(node: sympy.Basic) -> bool:
        names = {symbol.name for symbol in node.free_symbols}
        return names <= parameters and not node.has(lang.AppliedUndef)

    def parts(node: sympy.Basic) -> Iterator[sympy.Expr]:
        if node in seen:
            return
        seen.add(node)
        if isinstance(node, sympy.Expr) and is_constant(node):
            yield node
        elif isinstance(node, sympy.Mul):
            yield sympy.Mul(*(factor for factor in node.args if is_constant(factor)))
        for argument in node.args:
            # exponents and other constant powers are evaluated before rounding
            if not node.is_number:
                yield from parts(argument)

    for formula in formulas:
        for part in parts(formula):
            yield f"the coefficient {part}", part
