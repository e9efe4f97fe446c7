"""Conditions under which a problem is computed on flat arrays, or a step in one kernel.

This module does not import TensorFlow.
"""

from __future__ import annotations

from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.formula import language as lang
from pdesim.operators import argument_sides
from pdesim.operators.problem import Problem
from pdesim.plan import Plan


def supports(problem: Problem) -> bool:
    """Whether a problem can be computed on flat arrays.

    This requires ``operators=stencil``. Obstacles, the harmonic mean, coordinates in formulas, and
    nested operators are not supported. If an axis is not periodic, the ghost cells of the arguments
    of operators must follow from those of the fields.
    """
    equation = problem.equation
    known = {*equation.field_symbols, *equation.parameter_symbols.values(), lang.TIME}
    nodes = [node for f in equation.formulas for node in lang.operators_in(f)]
    return (
        problem.discretisation.name == "stencil"
        and problem.mask is None
        and problem.discretisation.face_mean != "harmonic"
        and all(formula.free_symbols <= known for formula in equation.formulas)
        and not any(lang.operators_in(part) for node in nodes for part in node.args)
        and bool(nodes)
        and (all(problem.boundary.periodic_axes) or argument_sides.all_are_pointwise(problem))
    )


def fuses_to_one_kernel(plan: Plan, tuning: Tuning = TUNING) -> bool:
    """Whether a step of a plan is compiled as one kernel for positions and momenta.

    If so, fields are computed separately, so that the compiler can fuse them into one kernel
    (:func:`pdesim.engine.device.fill_several_arrays`). The kernel computes the force once and reads
    the state once. On small grids and in three dimensions, this would be slower. If the formulas of
    all fields contain operators, the gain would be less than the additional compile time.
    """
    return (
        not plan.is_steady
        and plan.stepper.method.family == "symplectic"
        and plan.cost.depth == 1
        and plan.grid.dimensions < 3
        and tuning.min_kernel_bytes <= plan.state_bytes <= tuning.max_kernel_bytes
        and all(plan.problem.boundary.periodic_axes)
        and supports(plan.problem)
    )
