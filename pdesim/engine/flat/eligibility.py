"""Conditions under which a problem is computed on flat arrays, or a step in one kernel.

This module does not import TensorFlow.
"""

from __future__ import annotations

from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.formula import language as lang
from pdesim.formula.advection import has_advection
from pdesim.operators import argument_sides
from pdesim.operators.position_parts import position_parts
from pdesim.operators.problem import Problem
from pdesim.plan import Plan

#: largest number of arrays that depend on position only
MAX_POSITION_ARRAYS = 8


def supports(problem: Problem) -> bool:
    """Whether a problem can be computed on flat arrays.

    This requires ``operators=stencil``. Nested operators, ``advect``, reductions, convolutions,
    constraints, networks, arrays as parameters, general conditions
    and antiperiodic fields are not supported. If an axis is not periodic, the ghost cells of the
    arguments of operators must follow from those of the fields, and the harmonic mean is not
    supported.
    """
    equation = problem.equation
    nodes = [node for f in equation.formulas for node in lang.operators_in(f)]
    fluxes = [node for node in nodes if lang.has_flux_form(lang.word_of(node))]
    periodic = all(problem.boundary.periodic_axes)
    axes = [a for a, wraps in enumerate(problem.boundary.periodic_axes) if not wraps]
    return (
        problem.discretisation.name == "stencil"
        and not equation.networks
        and not equation.arrays
        and not problem.kernels
        and not has_advection(*equation.formulas)
        and not equation.constraints
        and not (equation.reductions or problem.boundary.reductions)
        and not problem.boundary.general
        and (periodic or not any(map(problem.boundary.is_joined, axes)))
        and not any(lang.operators_in(part) for node in nodes for part in node.args)
        and bool(nodes)
        and (periodic or argument_sides.all_are_pointwise(problem))
        and (periodic or not any(problem.has_harmonic_mean(node.args[0]) for node in fluxes))
        and len(position_parts(problem, equation.formulas)) <= MAX_POSITION_ARRAYS
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
        and plan.problem.mask is None
        and not position_parts(plan.problem, plan.problem.equation.formulas)
        and supports(plan.problem)
    )
