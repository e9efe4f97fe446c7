"""Scalars: unknown numbers beside the fields, with ordinary differential equations.

``scalars: {T: (mean(u) - T)/tau}`` declares a scalar T with ``dT/dt = (mean(u) - T)/tau``. A state
contains a scalar as one more field that has the same value in all cells, so that steppers, error
control, checkpoints and batches apply to it. In formulas its name means the mean of this field:
analyses of formulas then treat it as a number that is equal in all cells.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from pdesim.errors import ConfigError
from pdesim.formula import language as lang
from pdesim.formula.language import TIME, operators_in
from pdesim.model.boundary_conditions import Boundary
from pdesim.model.components import SCALAR, Declared
from pdesim.model.grid import place_names

if TYPE_CHECKING:
    from pdesim.model.equation import Equation

NEEDS = "one number for the whole domain, such as mean(u), integral(u), max(u) or min(u)"


def read_scalars(spec: Mapping) -> dict[str, str]:
    """Return the formulas of the scalars in the ``equation`` settings, by name.

    Raises:
        ConfigError: if they are not a mapping from names to formulas, or there is no
            ``equation.rhs``.
    """
    given = spec.get("scalars")
    if not given:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"equation.scalars is {given!r}",
            "a formula for the rate of each scalar, such as {T: (mean(u) - T)/tau}",
        )
    if not spec.get("rhs"):
        raise ConfigError(
            "equation.scalars needs fields with time derivatives", "formulas in equation.rhs"
        )
    for name, text in given.items():
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ConfigError(
                f"equation.scalars.{name} is {text!r}", "a formula, such as (mean(u) - T)/tau"
            )
    return {str(name): str(text) for name, text in given.items()}


def given_scalars(spec: Mapping) -> list[str]:
    """Return the names of the scalars in unchecked settings of an equation."""
    given = spec.get("scalars")
    return [str(name) for name in given] if isinstance(given, Mapping) else []


def check_no_scalars(spec: Mapping, command: str) -> None:
    """Check that an equation has no scalars, to which a command does not apply.

    Raises:
        ConfigError: if it has.
    """
    if names := given_scalars(spec):
        raise ConfigError(
            f"pdesim {command} does not apply to scalars, and {names[0]} is one (equation.scalars)",
            "an equation with fields only",
            f"a parameter {names[0]} in place of the scalar: the equation at a fixed {names[0]}",
        )


def declare_scalars(names: Collection[str], fields: Collection[str]) -> tuple[Declared, ...]:
    """Return the scalars as declared parts of the state.

    Raises:
        ConfigError: if a field has the same name.
    """
    for name in names:
        if name in fields:
            raise ConfigError(f"{name!r} is both a field and a scalar", "different names")
    return tuple(Declared(name, SCALAR, (name,)) for name in names)


def check_rates(equation: Equation, axes: tuple[str, ...]) -> None:
    """Check that the rate of each scalar is one number.

    Raises:
        ConfigError: if it varies in space.
    """
    lengths = {f"L{axis}" for axis in axes}
    varying = {*equation.fields, *equation.arrays, *place_names(axes)} - lengths
    for name, formula in zip(equation.fields, equation.formulas, strict=True):
        if name not in equation.scalars:
            continue
        found = sorted({symbol.name for symbol in formula.free_symbols} & varying)
        found = found or sorted(map(str, operators_in(formula)))
        if found:
            raise ConfigError(
                f"equation.scalars.{name} contains {found[0]}, which varies in space",
                NEEDS,
                f"mean({found[0]}) in place of {found[0]}",
            )


def scalar_values(names: Sequence[str]) -> dict[str, sympy.Expr]:
    """Return the values of scalars in formulas: the means of their fields."""
    return {name: lang.operator("mean", sympy.Symbol(name, real=True)) for name in names}


def with_walls_of_scalars(boundary: Boundary, count: int) -> Boundary:
    """Return boundary conditions with those of scalars after those of the fields.

    They are of the kinds of the first field, so that all have the same modes; no operator uses
    them.
    """
    if not count:
        return boundary
    own = tuple((lower.homogeneous, upper.homogeneous) for lower, upper in boundary.walls[0])
    on_obstacles = boundary.obstacle_conditions
    return replace(
        boundary,
        walls=(*boundary.walls, *[own] * count),
        obstacle_conditions=(*on_obstacles, *[on_obstacles[0].homogeneous] * count)
        if on_obstacles
        else (),
    )


def check_initial(
    scalars: Sequence[str],
    given: Collection[str],
    formulas: Mapping[str, sympy.Expr],
    constants: Collection[sympy.Symbol],
) -> None:
    """Check that the initial value of each scalar is given, and is one number.

    Raises:
        ConfigError: if it is missing or depends on position or random numbers.
    """
    for name in scalars:
        if name not in given:
            raise ConfigError(
                f"initial.{name} is missing",
                f"the value of the scalar {name} at time.start; initial.default applies to fields",
                f"initial.{name}=0.5",
            )
        formula = formulas[name]
        if formula.atoms(AppliedUndef) or formula.free_symbols - {*constants, TIME}:
            raise ConfigError(
                f"initial.{name} is {formula}, but {name} is a scalar",
                "a number, or a formula of parameters",
            )


def scalar_value(values: np.ndarray, solid: np.ndarray | None) -> float:
    """Return the value of a scalar, given its field: that in the first cell outside obstacles."""
    return float(values.flat[0] if solid is None else values[~solid][0])


def local_rates(
    formulas: Sequence[sympy.Expr], scalars: Mapping[str, sympy.Expr], size: sympy.Expr
) -> tuple[sympy.Expr, ...]:
    """Return formulas as functions of local values, for the Jacobian that decides on stability.

    The name of each scalar replaces its mean. In the rates of scalars, the argument replaces each
    reduction, times the size of the domain in an integral. The Jacobian is then that of uniform
    perturbations of a state with the values in one cell.

    Args:
        formulas: right-hand sides that contain reductions as nodes.
        scalars: the names of the scalars -> their rates, with reductions as nodes.
        size: the length, area or volume of the domain.
    """
    names = {
        value: sympy.Symbol(name, real=True) for name, value in scalar_values([*scalars]).items()
    }
    rates = {rate.xreplace(names) for rate in scalars.values()}

    def local(node: sympy.Basic) -> sympy.Basic:
        if not node.has(AppliedUndef):
            return node
        node = node.func(*map(local, node.args))
        if not lang.is_reduction(node):
            return node
        factor = size if lang.word_of(node) == "integral" else sympy.S.One
        return factor * node.args[0]

    named = [formula.xreplace(names) for formula in formulas]
    return tuple(local(formula) if formula in rates else formula for formula in named)
