"""What curvilinear coordinates and stretched axes require of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdesim.errors import ConfigError
from pdesim.model.grid import Grid

if TYPE_CHECKING:
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
