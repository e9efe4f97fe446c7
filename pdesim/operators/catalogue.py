"""The discretisations as data: what each can do, its stencil weights, its Fourier symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.errors import ConfigError, nearest
from pdesim.formula.language import DERIVATIVES, LAPLACIAN
from pdesim.grid import Grid

#: Central differences on equal spacing, (derivative, order) -> weights at offsets -m..m, to be
#: divided by spacing**derivative. Fornberg, Math. Comp. 51 (1988) 699, tables 1 and 2.
STENCILS: Mapping[tuple[int, int], tuple[float, ...]] = {
    (1, 2): (-1 / 2, 0.0, 1 / 2),
    (2, 2): (1.0, -2.0, 1.0),
    (1, 4): (1 / 12, -2 / 3, 0.0, 2 / 3, -1 / 12),
    (2, 4): (-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12),
    (1, 6): (-1 / 60, 3 / 20, -3 / 4, 0.0, 3 / 4, -3 / 20, 1 / 60),
    (2, 6): (1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90),
}

#: On faces, order -> (weights of a slope, weights of a mean), nearest pair first: the staggered
#: difference ``sum_m w_m (f_(1/2+m) - f_(-1/2-m)) / h`` and interpolation. Fornberg, table 3.
STAGGERED: Mapping[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    2: ((1.0,), (1 / 2,)),
    4: ((9 / 8, -1 / 24), (9 / 16, -1 / 16)),
    6: ((75 / 64, -25 / 384, 3 / 640), (75 / 128, -25 / 256, 3 / 256)),
}

#: neighbours as ``{offsets along x, y, z: weight}``
Terms = dict[tuple[int, ...], float]


@dataclass(frozen=True)
class Discretisation:
    """One way to evaluate the differential operators.

    ``order`` is the order of accuracy in the spacing (0: spectral, faster than any power).
    ``isotropic`` adds the corner neighbours to the second-order Laplacian, so that its leading
    error, ``h**2 / 12 laplacian(laplacian(u))``, has no direction.
    """

    name: str
    order: int
    about: str
    isotropic: bool = False
    #: spectral: products keep the lower two thirds of the modes (Orszag, J. Atmos. Sci. 28 (1971)
    #: 1074), so that quadratic terms do not fold back
    dealias: bool = False
    #: a diffusivity on the faces of cells: ``arithmetic`` or ``harmonic`` mean, or ``auto`` (the
    #: harmonic one for coefficients that are discontinuous by their text)
    face_mean: str = "auto"

    @property
    def is_spectral(self) -> bool:
        return self.name == "spectral"

    def symbol(self, derivative: int, wavenumber: np.ndarray, spacing: float) -> np.ndarray:
        """The factor by which a derivative multiplies exp(i k x) on the grid.

        ``sum_m w_m exp(i m k h) / h**derivative``; spectral: ``(i k)**derivative``, with the first
        derivative of the Nyquist mode set to zero (its sine is not on the grid).
        """
        angle = wavenumber * spacing
        if self.is_spectral:
            if derivative == 2:
                return -(wavenumber**2)
            nyquist = np.isclose(np.abs(angle), np.pi, rtol=1e-12)
            return np.where(nyquist, 0.0, 1j * wavenumber)
        weights = STENCILS[derivative, self.order]
        reach = len(weights) // 2
        if derivative == 2:
            # the sum in sines keeps the small symbols of smooth modes exact
            return (
                sum(
                    -4 * w * np.sin(0.5 * m * angle) ** 2
                    for m, w in enumerate(weights[reach + 1 :], start=1)
                )
                / spacing**2
            )
        return (
            sum(2j * w * np.sin(m * angle) for m, w in enumerate(weights[reach + 1 :], start=1))
            / spacing
        )

    def symbols(self, grid: Grid, wavenumbers: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Every linear operator's symbol; ``wavenumbers`` holds one array per axis x, y, z."""
        first, second = (
            [self.symbol(n, k, h) for k, h in zip(wavenumbers, grid.spacing, strict=True)]
            for n in (1, 2)
        )
        return self.assemble(grid, first, second)

    def assemble(
        self, grid: Grid, first: Sequence[np.ndarray], second: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The table of symbols from those of the first and second derivatives along each axis."""
        table = {}
        for word, (axis, power) in DERIVATIVES.items():
            if axis < grid.dimensions:
                table[word] = (first if power == 1 else second)[axis]
        table[LAPLACIAN] = sum(second)
        if self.isotropic:
            for (a, b), weight in _corner_weights(grid).items():
                table[LAPLACIAN] = table[LAPLACIAN] + weight * second[a] * second[b]
        return table

    def terms(self, word: str, grid: Grid) -> Terms:
        """The neighbours and weights of a linear operator's stencil on a grid."""
        if word != LAPLACIAN:
            return self._line(*DERIVATIVES[word], grid)
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
    """Weights of the mixed fourth differences in the isotropic Laplacian, per pair of axes.

    ``(h_a**2 + h_b**2) / 12``: on equal spacing the 9-point Laplacian
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
    """Two stencils one after the other."""
    result: Terms = {}
    for a, wa in first.items():
        for b, wb in second.items():
            _add(result, {tuple(i + j for i, j in zip(a, b, strict=True)): factor * wa * wb})
    return result


FACE_MEANS = ("auto", "arithmetic", "harmonic")

ABOUT = {
    "stencil": "central differences as slices of a padded array",
    "conv": "central differences as convolutions (tf.nn), the same numbers as stencil",
    "spectral": "Fourier, sine and cosine transforms",
}


def build_discretisation(
    name: str,
    order: int = 2,
    isotropic: bool = False,
    dealias: bool = False,
    face_mean: str = "auto",
) -> Discretisation:
    """Look a discretisation up by name.

    Raises:
        ConfigError: for an unknown name or an order that it does not come in.
    """
    if name not in ABOUT:
        raise ConfigError(f"operators={name!r} is unknown", nearest(name, ABOUT))
    if name == "spectral":
        if isotropic:
            raise ConfigError("operators=spectral has no isotropic form", "operators=stencil")
        if face_mean != "auto":
            raise ConfigError(
                f"operators=spectral has no faces for operators.face_mean={face_mean}",
                "operators=stencil",
            )
        return Discretisation(name, 0, ABOUT[name], dealias=dealias)
    if dealias:
        raise ConfigError(f"operators={name} has no modes to dealias", "operators=spectral")
    orders = sorted({order for _, order in STENCILS})
    if order not in orders:
        raise ConfigError(
            f"operators.order={order} is not offered", "one of " + ", ".join(map(str, orders))
        )
    if isotropic and order != 2:
        raise ConfigError(f"operators.isotropic is of order 2, not {order}", "operators.order=2")
    if face_mean not in FACE_MEANS:
        raise ConfigError(
            f"operators.face_mean={face_mean!r} is unknown", nearest(face_mean, FACE_MEANS)
        )
    if face_mean == "harmonic" and order != 2:
        raise ConfigError(
            f"operators.face_mean=harmonic is of order 2, not {order}", "operators.order=2"
        )
    return Discretisation(name, order, ABOUT[name], isotropic, face_mean=face_mean)
