"""The linearisation of the formulas of a problem, and the fields and conditions that it needs.

This module does not import TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import sympy

from pdesim.formula import Reduction
from pdesim.formula.gateaux import additive_terms, gateaux
from pdesim.model.boundary_conditions import Boundary
from pdesim.model.equation import Equation
from pdesim.model.obstacles import Mask
from pdesim.operators.adjoint import is_self_adjoint
from pdesim.operators.problem import Problem

#: reductions that are linear in their arguments
LINEAR_REDUCTIONS = ("mean", "integral")


@dataclass(frozen=True)
class Linearisation:
    """The Gateaux derivative ``J(u) v`` of the formulas F of a problem at u in the direction v.

    Args:
        problem: the problem. Its reductions are means and integrals.
    """

    problem: Problem

    @cached_property
    def _directions(self) -> dict[sympy.Symbol, sympy.Symbol]:
        """The direction of each field and each reduction; no user can write these names."""
        return {
            symbol: sympy.Symbol(f"change of {symbol.name}", real=True)
            for symbol in (*self._equation.field_symbols, *self._reduced)
        }

    @property
    def _equation(self) -> Equation:
        return self.problem.equation

    @property
    def _reduced(self) -> tuple[sympy.Symbol, ...]:
        return tuple(reduction.symbol for reduction in self._equation.reductions)

    @cached_property
    def formulas(self) -> tuple[sympy.Expr, ...]:
        """``J(u) v`` for each field, with symbols for the fields u and their directions v."""
        return tuple(gateaux(f, self._directions) for f in self._equation.formulas)

    @property
    def local_formulas(self) -> tuple[sympy.Expr, ...]:
        """``J(u) v`` without the changes of reductions."""
        fixed = {self._directions[symbol]: sympy.S.Zero for symbol in self._reduced}
        return tuple(formula.xreplace(fixed) for formula in self.formulas)

    @cached_property
    def is_constant(self) -> bool:
        """Whether J does not depend on u: the formulas are linear in the fields."""
        return not any(f.free_symbols & self._equation.state_symbols for f in self.formulas)

    @cached_property
    def pair(self) -> Problem:
        """A problem with the fields ``(*u, *v)`` whose last formulas are ``J(u) v``.

        The directions v satisfy the homogeneous boundary conditions of the fields.
        """
        equation, boundary = self._equation, self.problem.boundary
        names = tuple(self._directions[symbol].name for symbol in equation.field_symbols)
        changed = replace(
            equation,
            fields=(*equation.fields, *names),
            formulas=(*equation.formulas, *self.formulas),
            reductions=(*equation.reductions, *self._changed_reductions),
        )
        homogeneous = with_zero_values(self.problem)
        walls = (*boundary.walls, *homogeneous.boundary.walls)
        mask = self.problem.mask
        if mask is not None and homogeneous.mask is not None:
            mask = Mask(mask.solid, (*mask.walls, *homogeneous.mask.walls))
        both = Boundary(walls, boundary.obstacle_conditions * 2)
        return replace(self.problem, equation=changed, boundary=both, mask=mask)

    @property
    def _changed_reductions(self) -> list[Reduction]:
        return [
            Reduction(self._directions[r.symbol], r.word, gateaux(r.inner, self._directions))
            for r in self._equation.reductions
        ]

    @cached_property
    def is_self_adjoint(self) -> bool:
        """Whether the matrix of J(u) is symmetric for every u, as far as is known."""
        if self._equation.reductions:
            return False
        names = tuple(self._directions[symbol].name for symbol in self._equation.field_symbols)
        # u is a coefficient like any function of position
        frozen = replace(self._equation, fields=names, formulas=self.formulas)
        return is_self_adjoint(replace(self.problem, equation=frozen))

    @cached_property
    def terms(self) -> tuple[tuple[sympy.Expr, ...], ...]:
        """For each field, terms whose sum is its formula."""
        return tuple(tuple(additive_terms(f)) for f in self._equation.formulas)


def with_zero_values(problem: Problem) -> Problem:
    """Return the problem with the values of all boundary conditions replaced by 0."""
    boundary, mask = problem.boundary, problem.mask
    walls = tuple(
        tuple((lower.homogeneous, upper.homogeneous) for lower, upper in field)
        for field in boundary.walls
    )
    if mask is not None:
        mask = Mask(mask.solid, tuple(wall.homogeneous for wall in mask.walls))
    return replace(problem, boundary=replace(boundary, walls=walls), mask=mask)
