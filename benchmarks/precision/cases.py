"""What is solved, and the ladders of time steps and tolerances that are run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

EXTENT, DU, DV, FEED, KILL = 2.5, 2e-5, 1e-5, 0.037, 0.06
#: centres of the blobs as fractions of the extent, and their radius
CENTRES, RADIUS = ((0.36, 0.40), (0.60, 0.46), (0.46, 0.66)), 0.12
PACKAGES = ("pdesim", "exponax", "py-pde")


@dataclass(frozen=True)
class Case:
    """What is solved: cells per axis, and the final time."""

    grid: int
    end: float

    def state(self) -> np.ndarray:
        """u and v at the cell centres, ``(2, y, x)``: periodic Gaussian-like blobs."""
        centres = (np.arange(self.grid) + 0.5) / self.grid
        x, y = np.meshgrid(centres, centres)
        width = math.pi * RADIUS / EXTENT
        blobs = np.zeros_like(x)
        for a, b in CENTRES:
            squares = np.sin(np.pi * (x - a)) ** 2 + np.sin(np.pi * (y - b)) ** 2
            blobs += np.exp(-squares / width**2)
        return np.stack([1 - 0.5 * blobs, 0.25 * blobs])


@dataclass(frozen=True)
class Rung:
    """One run to time: a method of a package with a step or a tolerance (dt is then 0)."""

    package: str
    method: str
    space: str
    order: int
    dt: float = 0.0
    tolerance: float = 0.0

    @property
    def adaptive(self) -> bool:
        return self.tolerance > 0

    @property
    def size(self) -> str:
        return f"tol {self.tolerance:.0e}" if self.adaptive else f"dt {self.dt:g}"

    @property
    def line(self) -> tuple[str, str, str]:
        """What the rungs of one ladder have in common."""
        return self.package, self.method, self.space


def parameters() -> dict[str, float]:
    return {"Du": DU, "Dv": DV, "F": FEED, "k": KILL}


def step_count(case: Case, rung: Rung) -> int:
    return round(case.end / rung.dt)


def _ladder(line: tuple[str, str, str], order: int, dts=(), tolerances=()) -> list[Rung]:
    rungs = [Rung(*line, order, dt=dt) for dt in dts]
    return rungs + [Rung(*line, order, tolerance=tolerance) for tolerance in tolerances]


def _halved(first: float, count: int) -> list[float]:
    return [first / 2**n for n in range(count)]


def ladders(quick: bool) -> list[Rung]:
    """All that is timed. py-pde compiles for every step anew, so its ladders are short."""
    fine = 4 if quick else 5
    exponential = ((1, 2.5), (2, 5.0), (3, 10.0), (4, 10.0))
    own, exponax, pde = [], [], []
    for order, first in exponential:
        dts = _halved(first, fine)
        own += _ladder(("pdesim", f"etdrk{order}", "spectral"), order, dts)
        exponax += _ladder(("exponax", f"etdrk{order}", "spectral"), order, dts)
        if order in (2, 4):
            exponax += _ladder(("exponax", f"etdrk{order}", "dealiased"), order, dts)
    for name in ("cnab2", "sbdf2"):
        own += _ladder(("pdesim", name, "spectral"), 2, _halved(5.0, 5))
    own += _ladder(("pdesim", "rk4", "spectral"), 4, _halved(0.625, 2))
    tolerances = (1e-3, 1e-5, 1e-7, 1e-9)
    own += _ladder(("pdesim", "dormand_prince", "spectral"), 5, (), tolerances)
    own += _ladder(("pdesim", "euler", "stencil"), 1, _halved(1.0, 4))
    own += _ladder(("pdesim", "rkl2", "stencil"), 2, _halved(10.0, 5))
    own += _ladder(("pdesim", "rk4", "stencil"), 4, _halved(1.25, 3))
    own += _ladder(("pdesim", "dormand_prince", "stencil"), 5, (), tolerances)
    pde += _ladder(("py-pde", "euler", "stencil"), 1, _halved(1.0, 2 if quick else 3))
    if not quick:
        pde += _ladder(("py-pde", "scipy RK45", "stencil"), 5, (), tolerances)
        pde += _ladder(("py-pde", "runge-kutta", "stencil"), 4, _halved(1.25, 3))
        pde += _ladder(("py-pde", "runge-kutta adaptive", "stencil"), 4, (), (1e-4, 1e-6, 1e-8))
        pde += _ladder(("py-pde", "implicit euler", "stencil"), 1, _halved(1.0, 2))
        pde += _ladder(("py-pde", "crank-nicolson", "stencil"), 2, _halved(1.0, 2))
    return own + exponax + pde


#: per space: the reference, and another method that has to agree with it
REFERENCES = {
    "spectral": (
        Rung("pdesim", "etdrk4", "spectral", 4, dt=0.125),
        Rung("pdesim", "dormand_prince", "spectral", 5, tolerance=1e-12),
    ),
    "stencil": (
        Rung("pdesim", "etdrk4", "stencil", 4, dt=0.125),
        Rung("pdesim", "dormand_prince", "stencil", 5, tolerance=1e-12),
    ),
    "dealiased": (
        Rung("exponax", "etdrk4", "dealiased", 4, dt=0.25),
        Rung("exponax", "etdrk3", "dealiased", 3, dt=0.125),
    ),
}
