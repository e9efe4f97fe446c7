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


@dataclass(frozen=True)
class Discretisation:
    """One way to evaluate the differential operators.

    ``order`` is the order of accuracy in the spacing (0: spectral, faster than any power).
    """

    name: str
    order: int
    about: str

    @property
    def is_spectral(self) -> bool:
        return self.name == "spectral"

    @property
    def halo(self) -> int:
        """Ghost cells needed on each side."""
        return self.order // 2

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
        table = {}
        for word, (axis, derivative) in DERIVATIVES.items():
            if axis < grid.dimensions:
                table[word] = self.symbol(derivative, wavenumbers[axis], grid.spacing[axis])
        table[LAPLACIAN] = sum(table[f"d2_d{name}2"] for name in grid.axes)
        return table


ABOUT = {
    "stencil": "central differences as slices of a padded array",
    "conv": "central differences as convolutions (tf.nn), the same numbers as stencil",
    "spectral": "Fourier transforms (periodic axes)",
}


def build_discretisation(name: str, order: int) -> Discretisation:
    """Look a discretisation up by name.

    Raises:
        ConfigError: for an unknown name or an order that it does not come in.
    """
    if name not in ABOUT:
        raise ConfigError(f"operators={name!r} is unknown", nearest(name, ABOUT))
    if name == "spectral":
        return Discretisation(name, 0, ABOUT[name])
    orders = sorted({order for _, order in STENCILS})
    if order not in orders:
        raise ConfigError(
            f"operators.order={order} is not offered", "one of " + ", ".join(map(str, orders))
        )
    return Discretisation(name, order, ABOUT[name])


def fourier_wavenumbers(grid: Grid) -> list[np.ndarray]:
    """Wave numbers of the real FFT over the grid's array axes, one broadcastable array per axis.

    The x axis (last) keeps the non-negative half.
    """
    numbers = []
    for axis, (n, spacing) in enumerate(zip(grid.points, grid.spacing, strict=True)):
        frequencies = np.fft.rfftfreq if axis == 0 else np.fft.fftfreq
        numbers.append(grid.broadcast(axis, 2 * np.pi * frequencies(n, spacing)))
    return numbers
