"""The largest step of explicit methods for ``advect``, from the Courant number of its scheme."""

from __future__ import annotations

import numpy as np
import sympy

from pdesim.formula import derivative
from pdesim.formula import language as lang
from pdesim.operators.transport import TRANSPORT
from pdesim.steppers.stability import Linearised


def transport_limit(linearised: Linearised) -> float:
    """Return the largest dt with ``dt*sum_i |v_i|/h_i <= C``; inf for equations without ``advect``.

    The sum is over the axes, with the speeds v_i of transport and the cell widths h_i; its largest
    value in any cell counts. C is ``Transport.courant`` of the scheme. The linearised equation
    (:mod:`pdesim.steppers.stability`) does not contain limiters, for which longer steps may create
    new extrema without being unstable.
    """
    problem = linearised.problem
    jacobian = problem.equation.jacobian
    rate = sympy.zeros(*jacobian.shape)
    for word, axis in lang.UPWIND.items():
        symbol = lang.operator_symbol(word)
        if symbol in jacobian.free_symbols:
            # the Jacobian contains the speed as the coefficient of the numerical diffusion
            rate += (
                jacobian.applyfunc(lambda entry, symbol=symbol: derivative(entry, symbol))
                / (problem.grid.spacing[axis])
            )
    if rate.is_zero_matrix:
        return np.inf
    rates = linearised.sampled(sympy.ImmutableMatrix(rate).xreplace(dict(linearised.nodes)))
    fastest = float(np.abs(rates).max(initial=0.0))
    return TRANSPORT[problem.discretisation.advection].courant / fastest if fastest else np.inf
