"""The discretisations as data: supported orders, stencil weights, Fourier symbols."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import zip_longest
from typing import Any

import numpy as np
import sympy

from pdesim.errors import ConfigError, nearest
from pdesim.formula.language import (
    ADVECTION,
    DERIVATIVES,
    HIGHEST_DERIVATIVE,
    LAPLACIAN,
    REDUCTIONS,
    UPWIND,
    exists_in,
    has_flux_form,
    operators_in,
    powers_of,
    word_of,
)
from pdesim.model.grid import Grid
from pdesim.operators.transport import TRANSPORT

#: available orders of accuracy of central differences
ORDERS = (2, 4, 6)


def fornberg_weights(derivative: int, offsets: Sequence[int]) -> tuple[Fraction, ...]:
    """Return the exact weights that give a derivative at 0 from the values at ``offsets``.

    The spacing is 1. The algorithm of Fornberg, Math. Comp. 51 (1988) 699,
    doi:10.1090/S0025-5718-1988-0935077-0, adds one point at a time and updates the weights of the
    derivative and of all lower derivatives.
    """
    count = len(offsets)
    weights = [[Fraction(0)] * count for _ in range(derivative + 1)]
    weights[0][0], product = Fraction(1), Fraction(1)
    for n in range(1, count):
        before, product_before = offsets[n - 1], product
        product = Fraction(1)
        for j in range(n):
            apart = offsets[n] - offsets[j]
            product *= apart
            for m in range(min(n, derivative), -1, -1):
                lower = m * weights[m - 1][j] if m else 0
                if j == n - 1:
                    weights[m][n] = product_before / product * (lower - before * weights[m][j])
                weights[m][j] = (offsets[n] * weights[m][j] - lower) / apart
    return tuple(weights[derivative])


def _central(derivative: int, order: int) -> tuple[Fraction, ...]:
    """Return the weights of the narrowest central difference of an order, at offsets -m..m."""
    reach = (derivative + 1) // 2 + order // 2 - 1
    return fornberg_weights(derivative, range(-reach, reach + 1))


_EXACT = {(n, p): _central(n, p) for n in range(1, HIGHEST_DERIVATIVE + 1) for p in ORDERS}
#: Central differences on equal spacing, (derivative, order) -> weights at offsets -m..m, to be
#: divided by spacing**derivative.
STENCILS: Mapping[tuple[int, int], tuple[float, ...]] = {
    key: tuple(float(weight) for weight in weights) for key, weights in _EXACT.items()
}


@lru_cache
def _symbol_polynomial(derivative: int, order: int) -> tuple[float, ...]:
    """Return the symbol of a stencil as a polynomial in ``s = sin(angle / 2)**2``.

    The coefficients of the polynomial ``P`` are in ascending order of the powers. An even
    derivative has the symbol ``P(s)``, an odd one ``i sin(angle) P(s)``. This follows from
    ``cos(m a) = T_m(1 - 2 s)`` and ``sin(m a) = sin(a) U_(m-1)(1 - 2 s)``, where T and U are
    Chebyshev polynomials. Since the coefficients are computed exactly, low powers cancel exactly,
    and the small symbols of smooth modes have full relative accuracy.
    """
    weights = _EXACT[derivative, order]
    reach = len(weights) // 2
    # T_0, T_1 or U_(-1), U_0, and c = 1 - 2 s
    previous, current = [Fraction(1)], [Fraction(1), Fraction(-2)]
    if derivative % 2:
        previous, current = [Fraction(0)], [Fraction(1)]
    total = [weights[reach] * c for c in (previous if derivative % 2 == 0 else [Fraction(0)])]
    for weight in weights[reach + 1 :]:
        total = _plus(total, [2 * weight * c for c in current])
        doubled = _plus([2 * c for c in current], [Fraction(0), *(-4 * c for c in current)])
        previous, current = current, _plus(doubled, [-c for c in previous])
    return tuple(float(c) for c in total)


def _plus(a: Sequence[Fraction], b: Sequence[Fraction]) -> list[Fraction]:
    return [x + y for x, y in zip_longest(a, b, fillvalue=Fraction(0))]


#: Weights for the slope and the mean on a face, order -> (weights of the slope, weights of the
#: mean), beginning with the pair of cells nearest to the face: the staggered difference
#: ``sum_m w_m (f_(1/2+m) - f_(-1/2-m)) / h`` and the interpolation
#: ``sum_m w_m (f_(1/2+m) + f_(-1/2-m))``. Fornberg, table 3.
STAGGERED: Mapping[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    2: ((1.0,), (1 / 2,)),
    4: ((9 / 8, -1 / 24), (9 / 16, -1 / 16)),
    6: ((75 / 64, -25 / 384, 3 / 640), (75 / 128, -25 / 256, 3 / 256)),
}

#: a stencil: ``{offsets along x, y, z: weight}``
Terms = dict[tuple[int, ...], float]


@dataclass(frozen=True)
class Discretisation:
    """One way to evaluate the differential operators.

    ``order`` is the order of accuracy in the spacing; 0 denotes spectral operators, whose error
    decreases faster than any power of the spacing. ``isotropic`` adds the corner neighbours to the
    second-order Laplacian, so that its leading error, ``h**2 / 12 laplacian(laplacian(u))``, is the
    same in all directions.
    """

    name: str
    order: int
    about: str
    isotropic: bool = False
    #: for spectral operators: truncate the initial state and all products to the lower two thirds
    #: of the modes (Orszag, J. Atmos. Sci. 28 (1971) 1074). Quadratic terms in fields with
    #: homogeneous boundary conditions are then free of aliasing (Galerkin's method). Cubic and
    #: higher terms are not, since they would need a truncation to one half or less; neither are
    #: functions such as exp and coefficients that depend on x, whose series are infinite. The
    #: aliasing of these terms is weaker than without truncation
    dealias: bool = False
    #: mean of a diffusivity on cell faces: ``arithmetic``, ``harmonic``, or ``auto``, which selects
    #: the harmonic mean for discontinuous coefficients (``Problem.has_harmonic_mean``)
    face_mean: str = "auto"
    #: scheme of ``advect``; a key of ``TRANSPORT``
    advection: str = "limited"

    @property
    def is_spectral(self) -> bool:
        return self.name == "spectral"

    def symbol(self, derivative: int, wavenumber: np.ndarray, spacing: float) -> np.ndarray:
        """Return the factor by which a derivative multiplies exp(i k x) on the grid.

        For stencils it is ``sum_m w_m exp(i m k h) / h**derivative``. For spectral operators it is
        ``(i k)**derivative``, except that odd derivatives of the Nyquist mode are zero, since its
        sine is zero in all cells.
        """
        angle = wavenumber * spacing
        if self.is_spectral:
            sign = (-1) ** (derivative // 2)
            if derivative % 2 == 0:
                return sign * wavenumber**derivative
            nyquist = np.isclose(np.abs(angle), np.pi, rtol=1e-12)
            return np.where(nyquist, 0.0, sign * 1j * wavenumber**derivative)
        square = np.sin(0.5 * angle) ** 2
        value: Any = 0.0
        for coefficient in reversed(_symbol_polynomial(derivative, self.order)):
            value = value * square + coefficient
        if derivative % 2:
            value = 1j * np.sin(angle) * value
        return value / spacing**derivative

    def symbols(
        self,
        grid: Grid,
        wavenumbers: Sequence[np.ndarray],
        names: Iterable[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the Fourier symbols of linear operators, keyed by the names of the operators.

        Args:
            wavenumbers: one array for each axis x, y, z.
            names: the names of the operators; None for all that exist in the grid's dimensions.
        """

        def along(axis: int, power: int) -> np.ndarray:
            return self.symbol(power, wavenumbers[axis], grid.spacing[axis])

        return self.assemble(grid, along, names)

    def assemble(
        self,
        grid: Grid,
        along: Callable[[int, int], np.ndarray],
        names: Iterable[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the symbols of operators from those of derivatives along one axis.

        Args:
            along: ``along(axis, power)`` returns the symbol of the derivative of order ``power``
                along an axis.
            names: as in :meth:`symbols`.
        """
        if names is None:
            names = (LAPLACIAN, *DERIVATIVES)
        along = lru_cache(None)(along)
        table = {}
        for name in names:
            if name == LAPLACIAN:
                table[name] = self._laplacian(grid, along)
            elif name in REDUCTIONS:
                table[name] = self._of_uniform(grid, along, name)
            elif name in UPWIND:
                axis = UPWIND[name]
                table[name] = 0.5 * grid.spacing[axis] * along(axis, 2)
            elif exists_in(name, grid.dimensions):
                powers = enumerate(powers_of(name, grid.dimensions))
                factors = [along(axis, power) for axis, power in powers if power]
                table[name] = reduce(operator.mul, factors)
        return table

    def _laplacian(self, grid: Grid, along: Callable[[int, int], np.ndarray]) -> np.ndarray:
        second = [along(axis, 2) for axis in range(grid.dimensions)]
        total = reduce(operator.add, second)
        if self.isotropic:
            for (a, b), weight in _corner_weights(grid).items():
                total = total + weight * second[a] * second[b]
        return total

    def _of_uniform(
        self, grid: Grid, along: Callable[[int, int], np.ndarray], name: str
    ) -> np.ndarray:
        """Return the symbol of a reduction, which is 0 except for the uniform perturbation."""
        is_wave = reduce(operator.or_, (along(axis, 2) != 0 for axis in range(grid.dimensions)))
        return np.where(is_wave, 0.0, float(np.prod(grid.extent)) if name == "integral" else 1.0)

    def reach(self, name: str, dimensions: int) -> int:
        """Return the largest offset in the stencil of an operator; 0 for spectral operators."""
        if not self.order:
            return 0
        if name in ADVECTION:
            return TRANSPORT[self.advection].reach
        if has_flux_form(name):
            return self.order - 1
        powers = powers_of(name, dimensions) if name in DERIVATIVES else (2,)
        return max(len(STENCILS[power, self.order]) // 2 for power in powers if power)

    def terms(self, name: str, grid: Grid) -> Terms:
        """Return the stencil of a linear operator on a grid."""
        if name != LAPLACIAN:
            powers = enumerate(powers_of(name, grid.dimensions))
            along = [self._line(axis, power, grid) for axis, power in powers if power]
            return reduce(lambda a, b: _product(a, b, 1.0), along)
        lines = [self._line(axis, 2, grid) for axis in range(grid.dimensions)]
        total: Terms = {}
        for line in lines:
            _add(total, line)
        if self.isotropic:
            for (a, b), weight in _corner_weights(grid).items():
                _add(total, _product(lines[a], lines[b], weight))
        return total

    def _line(self, axis: int, power: int, grid: Grid) -> Terms:
        weights = STENCILS[power, self.order]
        reach, scale = len(weights) // 2, grid.spacing[axis] ** power
        return {
            tuple(m - reach if a == axis else 0 for a in range(grid.dimensions)): w / scale
            for m, w in enumerate(weights)
            if w
        }


def _corner_weights(grid: Grid) -> dict[tuple[int, int], float]:
    """Return, for each pair of axes, the weight of ``d4/da2db2`` in the isotropic Laplacian.

    The weight is ``(h_a**2 + h_b**2) / 12``. On equal spacing the result is the 9-point Laplacian
    ``(1 4 1; 4 -20 4; 1 4 1) / (6 h**2)`` (Patra and Karttunen, Numer. Methods Partial Differential
    Equations 22 (2006) 936).
    """
    return {
        (a, b): (grid.spacing[a] ** 2 + grid.spacing[b] ** 2) / 12
        for a in range(grid.dimensions)
        for b in range(a)
    }


def _add(total: Terms, more: Terms) -> None:
    for offsets, weight in more.items():
        total[offsets] = total.get(offsets, 0.0) + weight


def _product(first: Terms, second: Terms, factor: float) -> Terms:
    """Return the composition of two stencils, with its weights multiplied by ``factor``."""
    result: Terms = {}
    for a, wa in first.items():
        for b, wb in second.items():
            _add(result, {tuple(i + j for i, j in zip(a, b, strict=True)): factor * wa * wb})
    return result


def check_stencils_fit(formulas: Sequence[sympy.Expr], grid: Grid, scheme: Discretisation) -> None:
    """Check that stencils of mixed and high derivatives are not wider than the grid.

    First derivatives, derivatives whose highest order along an axis is 2, and the Laplacian are not
    checked. Their stencils may extend around a periodic axis more than once, and derivatives along
    an axis of one cell are 0.

    Raises:
        ConfigError: if a stencil is wider than the grid. The message contains the number of cells
            that the stencil needs.
    """
    for name in {word_of(node) for formula in formulas for node in operators_in(formula)}:
        powers = powers_of(name, grid.dimensions) if name in DERIVATIVES else ()
        if scheme.is_spectral or sum(powers) < 2 or max(powers) == 2:
            continue
        for axis, power in enumerate(powers):
            needed = len(STENCILS[power, scheme.order]) if power else 0
            if grid.points[axis] < needed:
                raise ConfigError(
                    f"{name} of order {scheme.order} needs {needed} cells along "
                    f"{grid.axes[axis]}, but the grid has only {grid.points[axis]}",
                    f"at least {needed} cells along {grid.axes[axis]}",
                    "a smaller operators.order, or operators=spectral",
                )


FACE_MEANS = ("auto", "arithmetic", "harmonic")

ABOUT = {
    "stencil": "central differences, computed from shifted slices of an array with ghost cells",
    "conv": "central differences, computed as convolutions; same results as stencil",
    "spectral": "derivatives by Fourier, sine and cosine transforms",
}


def build_discretisation(
    name: str,
    order: int = 2,
    isotropic: bool = False,
    dealias: bool = False,
    face_mean: str = "auto",
    advection: str = "limited",
) -> Discretisation:
    """Return a discretisation by name.

    Raises:
        ConfigError: for an unknown name, an unsupported order, or options that the discretisation
            does not support.
    """
    if name not in ABOUT:
        raise ConfigError(f"operators={name!r} is unknown", nearest(name, ABOUT))
    if advection not in TRANSPORT:
        raise ConfigError(
            f"operators.advection={advection!r} is unknown", nearest(advection, TRANSPORT)
        )
    if name == "spectral":
        if isotropic:
            raise ConfigError(
                "operators.isotropic=true does not apply to operators=spectral", "operators=stencil"
            )
        if face_mean != "auto":
            raise ConfigError(
                f"operators.face_mean={face_mean} does not apply to operators=spectral",
                "operators=stencil",
            )
        return Discretisation(name, 0, ABOUT[name], dealias=dealias)
    if dealias:
        raise ConfigError(
            f"operators.dealias=true does not apply to operators={name}", "operators=spectral"
        )
    if order not in ORDERS:
        raise ConfigError(
            f"operators.order={order} is not available", "one of " + ", ".join(map(str, ORDERS))
        )
    if isotropic and order != 2:
        raise ConfigError(
            f"operators.isotropic=true exists for order 2 only, not for order {order}",
            "operators.order=2",
        )
    if face_mean not in FACE_MEANS:
        raise ConfigError(
            f"operators.face_mean={face_mean!r} is unknown", nearest(face_mean, FACE_MEANS)
        )
    if face_mean == "harmonic" and order != 2:
        raise ConfigError(
            f"operators.face_mean=harmonic exists for order 2 only, not for order {order}",
            "operators.order=2",
        )
    return Discretisation(name, order, ABOUT[name], isotropic, False, face_mean, advection)
