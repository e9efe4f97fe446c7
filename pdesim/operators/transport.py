"""The schemes of ``advect`` as data, and checks of equations. Does not import TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdesim.errors import BoundaryError, ConfigError
from pdesim.formula.advection import has_advection

if TYPE_CHECKING:
    from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class Transport:
    """A scheme of ``advect``.

    Attributes:
        reach: the number of cells on each side of a cell on which its rate of change depends.
        order: the order of accuracy for smooth solutions, in the mean of the absolute error. The
            limiter has a lower order at extrema.
        courant: the largest ``dt*sum_i |v_i|/h_i`` of explicit steps. For ``upwind`` and
            ``limited``, explicit Euler with such steps creates no new extrema (Harten, J. Comput.
            Phys. 49 (1983) 357, doi:10.1016/0021-9991(83)90136-5); ``ssprk3`` consists of such
            steps. For ``weno5`` it is a usual value.
    """

    reach: int
    order: int
    courant: float


#: the schemes of ``advect`` by name; ``operators.advection``
TRANSPORT = {
    "upwind": Transport(1, 1, 1.0),
    "limited": Transport(2, 2, 0.5),
    "weno5": Transport(3, 5, 0.5),
}


def check_transport(problem: Problem) -> None:
    """Check that the operators of a problem can evaluate its terms with ``advect``.

    Raises:
        ConfigError: for spectral operators.
        BoundaryError: for obstacles.
    """
    if not has_advection(*problem.equation.all_formulas):
        return
    if problem.discretisation.is_spectral:
        raise ConfigError(
            "operators=spectral does not apply to advect(v, u), which needs finite volumes",
            "operators=stencil",
            "divergence([a*u, b*u]) is the same flux for all operators, for smooth solutions",
        )
    if problem.mask is not None:
        raise BoundaryError(
            "advect(v, u) does not support obstacles (domain.mask)", "domain.mask=null"
        )
