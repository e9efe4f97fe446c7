"""Which problems can be computed on flat arrays, and in one kernel. Needs no TensorFlow."""

from __future__ import annotations

from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.formula import language as lang
from pdesim.operators.problem import Problem
from pdesim.plan import Plan


def supports(problem: Problem) -> bool:
    """Whether a problem can be computed on flat arrays.

    Periodic axes, stencils, no obstacles, formulas without coordinates, and no nested operators.
    """
    equation = problem.equation
    known = {*equation.field_symbols, *equation.parameter_symbols.values(), lang.TIME}
    nodes = [node for f in equation.formulas for node in lang.operators_in(f)]
    return (
        problem.discretisation.name == "stencil"
        and problem.mask is None
        and problem.discretisation.face_mean != "harmonic"
        and all(problem.boundary.periodic_axes)
        and all(formula.free_symbols <= known for formula in equation.formulas)
        and not any(lang.operators_in(part) for node in nodes for part in node.args)
        and bool(nodes)
    )


def fuses_to_one_kernel(plan: Plan, tuning: Tuning = TUNING) -> bool:
    """Whether a step of a plan is one force that moves positions and momenta.

    Fields are then computed separately, and the compiler may put them into one kernel
    (:func:`pdesim.engine.device.fill_several_arrays`), which computes the force once and reads the
    state once. Not on small grids and not in three dimensions, where that is slower; fields that
    have an operator each gain less than compiling costs.
    """
    return (
        not plan.is_steady
        and plan.stepper.method.family == "symplectic"
        and plan.cost.depth == 1
        and plan.grid.dimensions < 3
        and tuning.min_kernel_bytes <= plan.state_bytes <= tuning.max_kernel_bytes
        and supports(plan.problem)
    )
