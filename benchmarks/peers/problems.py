"""What is solved: explicit steps on squares of float32, and the same with ETDRK4.

Each problem's step is stated once for all array libraries, around the Laplacian that a library
has; :func:`roll` is everybody's plain one. The C and the Numba loops are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

#: all problems live on squares of cells of this size, whatever their number
SPACING = 2.5 / 512
#: where both chemicals stay far from zero: numbers too small for float32 would slow some down
DU, DV, FEED, KILL = 2e-5, 1e-5, 0.05, 0.05
HEAT, SPEED = 1e-3, 1.0
Laplacian = Callable


@dataclass(frozen=True)
class Problem:
    """``step(laplacian, *fields)`` returns the fields after a step of ``dt``.

    ``settings`` tell pdesim the same. A ``staggered`` problem's first field stands half a step
    ahead of the second between :func:`ahead` and :func:`back` (leapfrog).
    """

    name: str
    fields: tuple[str, ...]
    dt: float
    settings: tuple[str, ...]
    step: Callable | None
    staggered: bool = False
    #: largest difference from NumPy in units of the state's size: float32 rounds at 6e-8 an
    #: operation, the order of the sums is everyone's own, and transforms gather a little more
    tolerance: float = 2e-5
    #: more cells per axis would take minutes in NumPy
    largest: int = 8192

    def state(self, n: int) -> np.ndarray:
        """Smooth, periodic, free of zeros: ``(fields, n, n)`` in float32."""
        angle = 2 * np.pi * (np.arange(n) + 0.5) / n
        wave = np.sin(angle) * np.cos(3 * angle)[:, None]
        means, sizes = {
            "heat": ((1.0,), (0.5,)),
            "heat_neumann": ((1.0,), (0.5,)),
            "heat_disk": ((1.0,), (0.5,)),
            "wave": ((0.0, 0.0), (0.2, 0.1)),
        }.get(self.name, ((0.4, 0.3), (0.1, 0.1)))
        both = zip(means, sizes, strict=True)
        fields = np.stack([mean + size * wave for mean, size in both]).astype(np.float32)
        return np.where(disk(n), np.float32(0), fields) if self.name == "heat_disk" else fields

    def ahead(self, fields: Sequence, sign: float = 1.0) -> list:
        """Half a step of the first field with the second as its rate, where it is staggered."""
        if not self.staggered:
            return list(fields)
        return [fields[0] + sign * 0.5 * self.dt * fields[1], fields[1]]

    def back(self, fields: Sequence) -> list:
        return self.ahead(fields, -1.0)


def disk(n: int) -> np.ndarray:
    """The obstacle of ``heat_disk``: True in the cells within a quarter of the side's length."""
    from_centre = np.arange(n) + 0.5 - n / 2
    return np.hypot(from_centre[:, None], from_centre) < n / 4


def gray_scott(laplacian: Laplacian, u, v, dt: float = 0.25):
    a = dt / SPACING**2
    uvv = u * v * v
    return (
        u + (a * DU) * laplacian(u) + dt * (FEED * (1 - u) - uvv),
        v + (a * DV) * laplacian(v) + dt * (uvv - (FEED + KILL) * v),
    )


HEAT_DT = 0.2 * SPACING**2 / HEAT
WAVE_DT = 0.5 * SPACING / SPEED


def heat(laplacian: Laplacian, u):
    return (u + (HEAT_DT * HEAT / SPACING**2) * laplacian(u),)


def wave(laplacian: Laplacian, u, w):
    w = w + (WAVE_DT * SPEED**2 / SPACING**2) * laplacian(u)
    return u + WAVE_DT * w, w


def roll(xp: ModuleType) -> Laplacian:
    """``h**2`` times the five-point Laplacian by shifted copies, in NumPy, JAX or PyTorch."""

    def laplacian(f):
        if xp.__name__ == "torch":
            north, south = xp.roll(f, 1, dims=0), xp.roll(f, -1, dims=0)
            west, east = xp.roll(f, 1, dims=1), xp.roll(f, -1, dims=1)
        else:
            north, south = xp.roll(f, 1, axis=0), xp.roll(f, -1, axis=0)
            west, east = xp.roll(f, 1, axis=1), xp.roll(f, -1, axis=1)
        return north + south + west + east - 4 * f

    return laplacian


def around(padded):
    """The same from an array that carries a layer of ghost cells."""
    inner = padded[1:-1, 1:-1]
    rows, columns = padded[:-2, 1:-1] + padded[2:, 1:-1], padded[1:-1, :-2] + padded[1:-1, 2:]
    return rows + columns - 4 * inner


_CHEMISTRY = (
    "equation=gray_scott", f"equation.Du={DU}", f"equation.Dv={DV}",
    f"equation.F={FEED}", f"equation.k={KILL}",
)  # fmt: skip

DISK = "domain.mask='heaviside(Lx/4 - r)'"
PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("gray_scott", ("u", "v"), 0.25, (*_CHEMISTRY, "stepper=euler"), gray_scott),
        Problem(
            "heat", ("u",), HEAT_DT, ("equation=heat", f"equation.D={HEAT}", "stepper=euler"), heat
        ),
        # no-flux sides
        Problem(
            "heat_neumann", ("u",), HEAT_DT,
            ("equation=heat", f"equation.D={HEAT}", "stepper=euler", "boundary=neumann"), heat,
        ),
        # a disk inside which nothing is computed, with no flux through its surface
        Problem(
            "heat_disk", ("u",), HEAT_DT,
            ("equation=heat", f"equation.D={HEAT}", "stepper=euler", DISK), heat,
        ),
        Problem(
            "wave", ("u", "w"), WAVE_DT,
            ("equation=wave", f"equation.c={SPEED}", "stepper=verlet"), wave, staggered=True,
            # dt / h**2 = 100 enlarges the rounding of the second difference, for 50 steps
            tolerance=1e-3,
        ),
        # another kind: fourth order, all Fourier modes, the same chemistry
        Problem(
            "gray_scott_etdrk4", ("u", "v"), 1.0,
            (*_CHEMISTRY, "stepper=etdrk4", "operators=spectral"), None, largest=1024,
        ),
    )
}  # fmt: skip
