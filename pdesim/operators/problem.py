"""An equation with its grid, boundary conditions and discretisation.

This module does not import TensorFlow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from pdesim.errors import BoundaryError
from pdesim.formula import Split
from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative
from pdesim.formula.kernels import Kernel, kernels_in
from pdesim.formula.nodes import jumps
from pdesim.model.boundary_conditions import Boundary
from pdesim.model.equation import Equation
from pdesim.model.grid import Grid
from pdesim.model.obstacles import Mask
from pdesim.operators import second
from pdesim.operators.conditions import Conditions
from pdesim.operators.coordinates import check_coordinates
from pdesim.operators.kernels import check_convolutions
from pdesim.operators.modes import Modes, NoModes, build_modes
from pdesim.operators.noise_checks import check_noise
from pdesim.operators.parity import Lift, Symmetry, build_lift, build_symmetry
from pdesim.operators.schemes import Discretisation, check_stencils_fit
from pdesim.operators.symbols import linear_modes
from pdesim.operators.transport import check_transport


@dataclass(frozen=True)
class Problem:
    """Everything that determines the right-hand side, except the state and the time."""

    equation: Equation
    grid: Grid
    boundary: Boundary
    discretisation: Discretisation
    mask: Mask | None = None
    #: name -> its values in all cells, for the parameters in ``Equation.arrays``
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def parameters(self) -> Mapping[str, float]:
        return self.equation.parameters

    @property
    def values(self) -> dict[str, Any]:
        """The values of all parameters: numbers, and arrays with one number for each cell."""
        return {**self.parameters, **self.arrays}

    @cached_property
    def checksum(self) -> str:
        """The SHA-256 of the parameters with one number for each cell; empty if there are none."""
        digest = hashlib.sha256()
        for name, values in sorted(self.arrays.items()):
            digest.update(f"{name} {values.shape} ".encode())
            digest.update(np.ascontiguousarray(values, "<f8").tobytes())
        return digest.hexdigest() if self.arrays else ""

    @cached_property
    def named(self) -> frozenset[str]:
        """All names in the formulas of the equation and its boundary conditions."""
        formulas = [*self.equation.all_formulas, *self.boundary.formulas]
        formulas += [reduction.inner for reduction in self.boundary.reductions]
        formulas += self.equation.noise.amplitudes
        symbols = set().union(*(formula.free_symbols for formula in formulas))
        return frozenset(symbol.name for symbol in symbols)

    def by_name(self, values: Any) -> dict[str, Any]:
        """Return parts of states by name: an array for each field, without axes for each scalar.

        Args:
            values: an array for each field and scalar, whose last axes are those of the grid.
        """
        solid = np.zeros(self.grid.shape, bool) if self.mask is None else self.mask.solid
        first = tuple(map(int, np.unravel_index(np.argmin(solid), self.grid.shape)))
        scalars, names = self.equation.scalars, self.equation.fields
        pairs = zip(names, values, strict=True)
        return {name: part[(..., *first)] if name in scalars else part for name, part in pairs}

    @cached_property
    def constraints(self) -> tuple[Problem, ...]:
        """The steady problems of the solved fields, in the order in which they are solved.

        Each contains the boundary conditions of its own fields only. Other fields occur in its
        formulas as known functions.
        """
        return tuple(map(self._of_fields, self.equation.constraint_groups))

    def _of_fields(self, names: tuple[str, ...]) -> Problem:
        """Return the steady problem of some solved fields."""
        equation, numbers = self.equation, [self.equation.fields.index(name) for name in names]
        alone = replace(
            equation,
            fields=names,
            formulas=tuple(equation.constraints[name] for name in names),
            texts={name: equation.texts[name] for name in names if name in equation.texts},
            constraints={},
            steady=True,
        )
        boundary, mask = self.boundary, self.mask
        on_obstacles = boundary.obstacle_conditions
        boundary = replace(
            boundary,
            walls=tuple(boundary.walls[n] for n in numbers),
            obstacle_conditions=tuple(on_obstacles[n] for n in numbers) if on_obstacles else (),
        )
        if mask is not None:
            mask = replace(mask, walls=tuple(mask.walls[n] for n in numbers))
        return replace(self, equation=alone, boundary=boundary, mask=mask)

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels of the convolutions in the formulas of the equation."""
        return kernels_in(self.equation.all_formulas)

    @cached_property
    def is_time_dependent(self) -> bool:
        """Whether the right-hand side or a boundary value depends on time."""
        return self.equation.is_time_dependent or any(
            condition.is_time_dependent for condition in self.boundary.all_walls
        )

    @cached_property
    def stiffness_varies(self) -> bool:
        """Whether a coefficient of a derivative depends on a field or on time."""
        changing = {*self.equation.field_symbols, lang.TIME}
        symbols = [lang.operator_symbol(word) for word in lang.OPERATORS]
        coefficients = (
            derivative(entry, symbol)
            for entry in self.equation.complete_jacobian
            for symbol in entry.free_symbols.intersection(symbols)
        )
        return any(c.free_symbols & changing or c.has(lang.AppliedUndef) for c in coefficients)

    @cached_property
    def basis(self) -> Modes | NoModes:
        """The basis in which constant-coefficient operators are diagonal.

        ``NoModes``, with the reason, if there is no such basis.
        """
        if self.mask is not None:
            return NoModes("no Fourier, sine or cosine basis exists around obstacles (domain.mask)")
        return build_modes(self.grid, self.boundary, self.discretisation)

    @property
    def has_modes(self) -> bool:
        """Whether there is a basis in which constant-coefficient operators are diagonal."""
        return isinstance(self.basis, Modes)

    @property
    def modes(self) -> Modes:
        """The basis in which constant-coefficient operators are diagonal (if ``has_modes``)."""
        if not isinstance(self.basis, Modes):
            raise ValueError(self.basis.reason)
        return self.basis

    @cached_property
    def split(self) -> Split:
        """The equation split into the linear part that is diagonal in ``modes``, and the rest."""
        if not self.has_modes:
            return self.equation.split()
        return self.equation.split(self.modes.odd_operators)

    @cached_property
    def conditions(self) -> Conditions:
        """The boundary conditions of expressions, derived from those of the fields."""
        own = frozenset((*self.equation.fields, *self.parameters, *self.equation.networks))
        arrays = frozenset(sympy.Symbol(name, real=True) for name in self.equation.arrays)
        return Conditions(self.grid, self.boundary, self.equation.field_symbols, own, arrays)

    @property
    def assumed_conditions(self) -> list[str]:
        """Descriptions of the second conditions that are assumed for fourth-order operators.

        They apply where the settings state none. Sine and cosine series (``operators=spectral``)
        satisfy the same conditions.
        """
        return second.assumed_conditions(self.conditions, self._nested_formulas)

    @property
    def stated_conditions(self) -> list[str]:
        """Descriptions of the second conditions of fourth-order operators in the settings."""
        return second.stated_conditions(self.conditions, self._nested_formulas)

    @property
    def second_conditions(self) -> list[str]:
        """Descriptions of all second conditions, each marked ``(stated)`` or ``(assumed)``."""
        stated = [f"{text} (stated)" for text in self.stated_conditions]
        return stated + [f"{text} (assumed)" for text in self.assumed_conditions]

    @property
    def _nested_formulas(self) -> tuple[sympy.Expr, ...]:
        """The formulas, with nested derivatives in place of third and higher ones.

        Derivatives are replaced only along axes that are not periodic.
        """
        periodic = self.boundary.periodic_axes
        walled = [axis for axis, is_periodic in enumerate(periodic) if not is_periodic]
        return self.equation.with_nested(walled).all_formulas

    def has_harmonic_mean(self, diffusivity: sympy.Expr) -> bool:
        """Whether the diffusivity on a face is the harmonic mean of its values in the two cells.

        By default, the harmonic mean is used at second order for discontinuous diffusivities that
        do not depend on fields. For a diffusivity that depends on a field, the harmonic mean would
        stop a front that moves into a region in which the diffusivity is 0.
        """
        scheme, conditions = self.discretisation, self.conditions
        if scheme.face_mean != "auto":
            return scheme.face_mean == "harmonic"
        position = conditions.is_coefficient(diffusivity) and conditions.has_position(diffusivity)
        return scheme.order == 2 and position and jumps(diffusivity)

    @cached_property
    def symmetry(self) -> Symmetry:
        return build_symmetry(self.grid, self.boundary, self.equation.field_symbols)

    @cached_property
    def lifts(self) -> tuple[Lift | None, ...]:
        """For each field, a polynomial that satisfies its boundary conditions, or None.

        Used by ``operators=spectral``.
        """
        names = enumerate(self.equation.fields)
        return tuple(build_lift(self.grid, self.boundary, i, name) for i, name in names)

    @cached_property
    def halo(self) -> int:
        """The number of ghost cells on each side: the largest offset in any stencil."""
        formulas = (*self.equation.all_formulas, *self.equation.noise.amplitudes)
        words = {lang.word_of(n) for f in formulas for n in lang.operators_in(f)}
        scheme, dimensions = self.discretisation, self.grid.dimensions
        return max((scheme.reach(word, dimensions) for word in words), default=scheme.order // 2)

    @cached_property
    def self_adjoint(self) -> bool:
        """Whether the Jacobian is symmetric: it has only constant coefficients and even operators.

        Coupling of fields, odd or mixed derivatives, coefficients that depend on position, second
        boundary conditions, and the one-sided ghost cells of higher orders at boundaries break the
        symmetry, or may break it.
        """
        walled = not all(self.boundary.periodic_axes)
        if self.discretisation.order > 2 and walled:
            return False
        if self.boundary.reductions:
            return False
        if any(side.has_second and not side.repeats for side in self.boundary.all_walls):
            return False
        nodes = (node for f in self.equation.formulas for node in lang.operators_in(f))
        coefficients = (node.args[0] for node in nodes if len(node.args) == 2)
        if any(not d.free_symbols <= self.equation.constants for d in coefficients):
            return False  # coefficients that depend on position may cancel in the Jacobian
        entries = self.equation.jacobian
        symbols = {symbol.name for symbol in entries.free_symbols}
        allowed = set(self.parameters)
        pure = {w for w, powers in lang.DERIVATIVES.items() if not any(p % 2 for p in powers)}
        even = {lang.operator_symbol(word).name for word in (lang.LAPLACIAN, *pure)}
        coupled = any(entries[i, j] != 0 for i in range(entries.rows) for j in range(i))
        coupled |= any(entries[i, j] != 0 for j in range(entries.cols) for i in range(j))
        return not coupled and symbols <= allowed | even

    @property
    def has_wall_values(self) -> bool:
        return any(value != 0 for value in self.boundary.values)

    def linear_modes(self, parameters: Mapping[str, float] | None = None) -> np.ndarray:
        """Return the matrix of the linear part for every mode: ``(fields, fields, *modes.shape)``.

        Args:
            parameters: the values of the parameters; None for those of the equation.
        """
        values = self.parameters if parameters is None else parameters
        return linear_modes(self.split, self.modes, self.discretisation, values)


def with_nested_derivatives(
    equation: Equation, boundary: Boundary, scheme: Discretisation, mask: Mask | None
) -> Equation:
    """Return the equation with nested derivatives where stencils cannot cross a boundary.

    Along axes that are not periodic, and along all axes if there are obstacles, third and higher
    derivatives are replaced by nested first and second derivatives. If there are obstacles, mixed
    derivatives are also replaced by nested first derivatives. See :meth:`Equation.with_nested`.
    """
    if scheme.is_spectral:
        return equation
    walled = {a for a, periodic in enumerate(boundary.periodic_axes) if not periodic}
    axes = walled if mask is None else range(len(boundary.periodic_axes))
    return equation.with_nested(axes, mixed=mask is not None)


def check_problem(problem: Problem) -> None:
    """Check that the operators support the boundary conditions and obstacles of a problem.

    Raises:
        BoundaryError: for second conditions that are not needed or cannot be satisfied, and for
            obstacles with operators other than second-order stencils. With spectral operators also
            for Robin conditions, boundary values that are not constant, and expressions that are
            neither even nor odd about a boundary. Also for convolutions along axes that are not
            periodic, or with obstacles.
        ConfigError: for a derivative whose stencil is wider than the grid, for ``advect`` with
            spectral operators, and for convolutions whose kernel is not finite, or in steady
            problems, constraints and iterated maps.
    """
    check_coordinates(problem)
    check_convolutions(problem)
    check_transport(problem)
    check_noise(problem)
    check_stencils_fit(problem.equation.all_formulas, problem.grid, problem.discretisation)
    spectral, obstacles = problem.discretisation.is_spectral, problem.mask is not None
    formulas = problem._nested_formulas
    second.check_second(problem.conditions, formulas, spectral, obstacles)
    second.check_joined(problem.conditions, problem.equation.all_formulas)
    if problem.mask is not None:
        _check_mask(problem, problem.mask)
    if not problem.discretisation.is_spectral or all(problem.boundary.periodic_axes):
        return
    if isinstance(problem.basis, NoModes):
        raise BoundaryError(
            f"operators=spectral does not apply: {problem.basis.reason}",
            "periodic, Dirichlet and Neumann boundary conditions, the same for every field; or "
            "operators=stencil",
        )
    fields = problem.equation.field_symbols
    lifted = {s for s, lift in zip(fields, problem.lifts, strict=True) if lift is not None}
    for formula in problem.equation.all_formulas:
        for node in lang.operators_in(formula):
            inner = node.args[-1]
            problem.symmetry.modes(inner)
            if inner not in fields and inner.free_symbols & lifted:
                raise BoundaryError(
                    f"operators=spectral with nonzero boundary values cannot differentiate {inner}",
                    "boundary values 0, or operators=stencil",
                )
            if len(node.args) == 2:
                _check_spectral_flux(problem, node, lifted)


def _check_spectral_flux(problem: Problem, node: sympy.Expr, lifted: set[sympy.Symbol]) -> None:
    """Check that the flux of ``div(D grad f)`` is even or odd about the boundaries.

    The flux is expanded in a sine or cosine series of its own. A field with nonzero boundary values
    is the sum of a polynomial and a remainder that is even or odd. D must not depend on such a
    field. If f is such a field, the slope of the polynomial must be even or odd in the same way as
    that of the remainder: it must be 0, or constant between Dirichlet boundaries.
    """
    diffusivity, inner = node.args
    lifts = dict(zip(problem.equation.field_symbols, problem.lifts, strict=True))
    if diffusivity.free_symbols & lifted or not _has_slope_of_its_field(problem, lifts.get(inner)):
        raise BoundaryError(
            f"operators=spectral with nonzero boundary values cannot differentiate the "
            f"flux in {node}",
            "boundary values 0, or operators=stencil",
        )
    for axis in lang.flux_axes(lang.word_of(node), problem.grid.dimensions) or ():
        slope = lang.operator(f"d_d{problem.grid.axes[axis]}", inner)
        problem.symmetry.modes(diffusivity * slope)


def _has_slope_of_its_field(problem: Problem, lift: Lift | None) -> bool:
    degree = 0 if lift is None else lift.polynomial.trim().degree()
    if lift is None or degree != 1:
        return degree == 0
    kinds = {w.kind for field in problem.boundary.walls for w in field[lift.axis]}
    return kinds == {"dirichlet"}


def _check_mask(problem: Problem, mask: Mask) -> None:
    scheme = problem.discretisation
    if (scheme.name, scheme.order, scheme.isotropic) != ("stencil", 2, False):
        raise BoundaryError(
            f"operators={scheme.name} with these options does not support obstacles (domain.mask)",
            "operators=stencil operators.order=2 operators.isotropic=false",
        )
    if mask.solid.all():
        raise BoundaryError(
            "the obstacles (domain.mask) cover the whole domain",
            "a formula that is not above 0.5 everywhere",
        )
    fields = problem.equation.field_symbols
    fixed = {f for f, w in zip(fields, mask.walls, strict=True) if w.kind == "dirichlet"}
    for formula in problem.equation.all_formulas:
        for node in lang.operators_in(formula):
            inner = node.args[-1]
            if inner not in fields and inner.free_symbols & fixed:
                raise BoundaryError(
                    f"{inner} cannot be differentiated next to obstacles with fixed values",
                    "operators applied to the fields themselves, or boundary.mask=neumann",
                )
