"""Checks that the noise of an equation can be computed on a grid. Does not import TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdesim.errors import BoundaryError, ConfigError
from pdesim.formula.advection import has_advection
from pdesim.model.noise import NoiseTerm, length_of

if TYPE_CHECKING:
    from pdesim.operators.problem import Problem

#: largest correlation length, as a fraction of the extent of the domain. The correlation with the
#: periodic image, or with that of a doubled axis, is then below exp(-8)
LONGEST = 0.25


def check_noise(problem: Problem) -> None:
    """Check the noise terms of a problem.

    Raises:
        ConfigError: for correlation lengths out of range, and ``advect`` in an amplitude.
        BoundaryError: for the noise of a flux with boundaries through which there is a flux, and
            with spectral operators on axes that are not periodic.
    """
    for term in problem.equation.noise.terms:
        where = f"equation.noise.{term.field}"
        if has_advection(term.amplitude):
            raise ConfigError(
                f"{where} contains advect", "advect in right-hand sides (equation.rhs)"
            )
        if term.field in problem.equation.scalars and (term.is_flux or term.length is not None):
            raise ConfigError(
                f"{where} has {'a flux' if term.is_flux else 'a length'}, but {term.field} is one "
                "number",
                "an amplitude for a scalar, such as {T: 0.1}",
            )
        _check_length(problem, term, where)
        metric = problem.grid.metric
        if metric is not None and (term.is_flux or term.length is not None):
            raise ConfigError(
                f"{where}: {'flux' if term.is_flux else 'length'} is not available with "
                f"{metric.what}",
                "white noise, {amplitude: ...}; or a Cartesian grid of equal cells",
            )
        if term.is_flux:
            _check_flux(problem, term, where)


def _check_length(problem: Problem, term: NoiseTerm, where: str) -> None:
    if term.length is None:
        return
    length = length_of(term, problem.parameters)
    longest = LONGEST * min(problem.grid.extent)
    if not 0 < length <= longest:
        raise ConfigError(
            f"{where}.length is {length:g}",
            f"a length above 0 and at most {longest:g}, a quarter of the shortest side",
        )


def _check_flux(problem: Problem, term: NoiseTerm, where: str) -> None:
    boundary = problem.boundary
    number = problem.equation.fields.index(term.field)
    walls = [
        (axis, pair)
        for axis, pair in enumerate(boundary.walls[number])
        if not boundary.is_periodic(axis)
    ]
    for axis, pair in walls:
        kinds = [side.kind for side in pair if side.kind != "neumann"]
        if kinds:
            raise BoundaryError(
                f"{where}.flux: the boundary condition of {term.field} along "
                f"{problem.grid.axes[axis]} is {kinds[0]}, which does not determine the noise of "
                "the flux",
                "periodic or neumann; or {amplitude: ...} in place of {flux: ...}",
            )
    if walls and problem.discretisation.is_spectral:
        raise BoundaryError(
            f"{where}.flux with operators=spectral needs periodic axes",
            "operators=stencil, or boundary=periodic",
        )
