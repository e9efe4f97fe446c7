"""Which problems can be computed on flat arrays, and which of those in one band. No TensorFlow."""

from __future__ import annotations

from pdesim.formula import language as lang
from pdesim.operators.problem import Problem

#: grids of more bytes are computed in two bands if they can be, and of more than these in slabs
PIECE_BYTES, WHOLE_BYTES = 2**22, 10 * 2**20
#: grids for which a step is one pass: below, calling a kernel costs more than a second pass
LEAST_PASS, MOST_PASS = 2**20, 2**22


def serves(problem: Problem) -> bool:
    """Whether a problem can be computed in bands.

    Periodic axes, stencils, no obstacles, formulas without coordinates, and operators that do not
    stand inside one another.
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


def fuses_to_one_kernel(problem: Problem, stepper, state_bytes: int) -> bool:
    """Whether a step is one force that moves positions and momenta, in one band.

    They are then worked out apart, and the compiler may put them into one kernel
    (:func:`pdesim.engine.device.fill_several_arrays`), which computes the force once and reads the
    state once. Not on small grids and not in three dimensions, where that is slower; fields that
    have an operator each gain too little for what compiling costs.
    """
    return (
        stepper is not None
        and stepper.method.family == "symplectic"
        and stepper.depth == 1
        and problem.grid.dimensions < 3
        and LEAST_PASS <= state_bytes <= MOST_PASS
        and serves(problem)
    )
