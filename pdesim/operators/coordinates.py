"""What curvilinear coordinates and stretched axes require of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from pdesim.errors import ConfigError
from pdesim.formula import language as lang
from pdesim.model.grid import Grid

if TYPE_CHECKING:
    from pdesim.operators.conditions import Conditions
    from pdesim.operators.problem import Problem


def check_coordinates(problem: Problem) -> None:
    """Check that the operators support the coordinates of a problem.

    Raises:
        ConfigError: for operators other than those of second order, and for obstacles with given
            values, in coordinates other than Cartesian ones on equal cells.
    """
    metric, scheme = problem.grid.metric, problem.discretisation
    if metric is None:
        return
    if scheme.is_spectral:
        raise ConfigError(
            f"operators=spectral is not available with {metric.what}",
            "operators=stencil or operators=conv",
        )
    if scheme.order != 2 or scheme.isotropic:
        given = "isotropic=true" if scheme.isotropic else f"order={scheme.order}"
        raise ConfigError(
            f"operators.{given} is not available with {metric.what}",
            "operators.order=2 operators.isotropic=false",
        )
    mask = problem.mask
    if mask is not None and any(wall.kind == "dirichlet" for wall in mask.walls):
        raise ConfigError(
            f"obstacles with given values (boundary.mask) are not available with {metric.what}",
            "boundary.mask=neumann",
        )


def refuse(grid: Grid, what: str, hint: str = "") -> None:
    """Refuse coordinates other than Cartesian ones on equal cells.

    Args:
        what: what does not support them, such as ``pdesim analyze``.

    Raises:
        ConfigError: if the grid has such coordinates.
    """
    metric = grid.metric
    if metric is not None:
        raise ConfigError(
            f"{what} does not apply to problems with {metric.what}",
            "domain.geometry=cartesian and no domain.stretch",
            hint,
        )


def flux_in_coordinates(conditions: Conditions, node: sympy.Expr) -> sympy.Expr | None:
    """Return the flux in ``c*divergence_x(D, f)``, with c the inverse of an element of volume.

    What holds for ``laplacian(f)`` on a face holds for the product. None for other expressions.
    """
    if conditions.grid.metric is None or not isinstance(node, sympy.Mul):
        return None
    fluxes = [factor for factor in node.args if lang.word_of_flux(factor)]
    others = [factor for factor in node.args if factor not in fluxes]
    known = all(conditions.is_coefficient(c) and conditions.has_position(c) for c in others)
    return fluxes[0] if len(fluxes) == 1 and known else None
