"""Fourier, sine and cosine bases, in which constant-coefficient operators are diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.formula.language import DERIVATIVES, powers_of
from pdesim.model.boundary_conditions import Boundary
from pdesim.model.grid import Grid
from pdesim.operators.schemes import Discretisation

#: boundary conditions (lower, upper) -> basis functions along the axis, on cell centres
BASES = {
    ("periodic", "periodic"): "fourier",
    ("neumann", "neumann"): "cosine",  # cos(k pi (j + 1/2) / n), k = 0..n-1: DCT-II
    ("dirichlet", "dirichlet"): "sine",  # sin(k pi (j + 1/2) / n), k = 1..n: DST-II
    ("neumann", "dirichlet"): "cosine-half",  # cos((k + 1/2) pi (j + 1/2) / n): DCT-IV
    ("dirichlet", "neumann"): "sine-half",  # sin((k + 1/2) pi (j + 1/2) / n): DST-IV
}


@dataclass(frozen=True)
class Modes:
    """The basis functions along each axis x, y, z.

    Along the last periodic array axis, only modes with non-negative wave numbers are stored.
    """

    grid: Grid
    bases: tuple[str, ...]

    @property
    def rfft_axis(self) -> int | None:
        """The coordinate axis whose transform is real-to-complex: the first periodic one."""
        return self.bases.index("fourier") if "fourier" in self.bases else None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array of modes of one field."""
        points = list(self.grid.points)
        if self.rfft_axis is not None:
            points[self.rfft_axis] = points[self.rfft_axis] // 2 + 1
        return tuple(points[::-1])

    @property
    def odd_operators(self) -> frozenset[str]:
        """The derivatives of odd order along a non-periodic axis, which map sines to cosines."""
        return frozenset(name for name in DERIVATIVES if self.odd_axes(name))

    def odd_axes(self, name: str) -> tuple[int, ...]:
        """Return the non-periodic axes along which a derivative maps sines to cosines."""
        powers = zip(powers_of(name), self.bases, strict=False)
        odd = (power % 2 and basis != "fourier" for power, basis in powers)
        return tuple(axis for axis, is_odd in enumerate(odd) if is_odd)

    def dealiasing_mask(self) -> np.ndarray:
        """Return an array with 0 for modes in the upper third along any axis, and 1 for others."""
        mask = np.ones(self.shape)
        for k, h in zip(self.wavenumbers(), self.grid.spacing, strict=True):
            # the retained wave numbers are strictly below two thirds of the highest one, pi / h
            mask = mask * (np.abs(k) * h < 2 / 3 * np.pi * (1 - 1e-12))
        return mask

    def wavenumbers(self) -> list[np.ndarray]:
        """Return the wave numbers along each axis, as arrays that broadcast over the modes."""
        return [
            self.grid.broadcast(axis, self._wavenumbers(axis)) for axis in range(len(self.bases))
        ]

    def _wavenumbers(self, axis: int) -> np.ndarray:
        n, spacing = self.grid.points[axis], self.grid.spacing[axis]
        length = self.grid.extent[axis]
        basis = self.bases[axis]
        if basis == "fourier":
            frequencies = np.fft.rfftfreq if axis == self.rfft_axis else np.fft.fftfreq
            return 2 * np.pi * frequencies(n, spacing)
        offset = {"cosine": 0.0, "sine": 1.0}.get(basis, 0.5)
        return np.pi * (np.arange(n) + offset) / length


@dataclass(frozen=True)
class NoModes:
    """The reason why constant-coefficient operators are not diagonal in any available basis."""

    reason: str


def build_modes(grid: Grid, boundary: Boundary, discretisation: Discretisation) -> Modes | NoModes:
    """Return the basis for these boundary conditions, or the reason why there is none."""
    bases = []
    for axis, name in enumerate(grid.axes):
        kinds = {tuple(condition.kind for condition in field[axis]) for field in boundary.walls}
        if len(kinds) > 1:
            return NoModes(f"the fields have different boundary conditions along {name}")
        (pair,) = kinds
        seconds = [w for field in boundary.walls for w in field[axis] if w.has_second]
        if not all(condition.repeats for condition in seconds):
            return NoModes(f"no sine or cosine basis satisfies the second conditions along {name}")
        if "antiperiodic" in pair:
            return NoModes(f"no Fourier, sine or cosine basis is antiperiodic along {name}")
        if pair not in BASES:
            return NoModes(f"no sine or cosine basis satisfies a Robin condition along {name}")
        if pair[0] != "periodic" and discretisation.order > 2:
            order = discretisation.order
            return NoModes(
                f"stencils of order {order} are not diagonal in any basis along {name}, which is "
                "not periodic"
            )
        bases.append(BASES[pair])
    return Modes(grid, tuple(bases))
