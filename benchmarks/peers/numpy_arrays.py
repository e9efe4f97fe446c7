"""Plain NumPy: what everybody's numbers are checked against."""

from __future__ import annotations

import numpy as np

from peers import problems
from peers.problems import Problem


def build(problem: Problem, n: int) -> dict:
    if problem.step is None:
        return {"fft": _etdrk4(problem, n)}
    laplacian, first = _laplacian(problem, n), problem.state(n)

    def run(steps: int) -> np.ndarray:
        fields = problem.ahead(first)
        for _ in range(steps):
            fields = problem.step(laplacian, *fields)
        return np.stack(problem.back(fields))

    return {"roll": run}


def _laplacian(problem: Problem, n: int) -> problems.Laplacian:
    if problem.name == "heat_neumann":
        return lambda f: problems.around(np.pad(f, 1, mode="edge"))
    if problem.name != "heat_disk":
        return problems.roll(np)
    solid = problems.disk(n)
    shifts = [(by, axis) for by in (1, -1) for axis in (0, 1)]
    inside = [np.roll(solid, *shift) for shift in shifts]

    def laplacian(f: np.ndarray) -> np.ndarray:
        near = [np.where(m, f, np.roll(f, *shift)) for m, shift in zip(inside, shifts, strict=True)]
        return np.where(solid, np.float32(0), sum(near[1:], near[0]) - 4 * f)

    return laplacian


def _etdrk4(problem: Problem, n: int):
    """Cox, Matthews, J. Comput. Phys. 176 (2002) 430, with the contour means of Kassam,
    Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214, doi:10.1137/S1064827502410633."""
    h, first = problem.dt, problem.state(n)
    k = 2 * np.pi * np.fft.fftfreq(n, problems.SPACING)
    square = (k[:, None] ** 2 + k[None, : n // 2 + 1] ** 2)[None]
    rates = np.array([problems.DU, problems.DV])[:, None, None]
    drain = np.array([problems.FEED, problems.FEED + problems.KILL])[:, None, None]
    linear = h * (-rates * square - drain)
    half, q, alpha, beta, gamma, whole = (a.astype(np.float32) for a in _contour_means(linear, h))
    feed = np.array([problems.FEED, 0.0], np.float32)[:, None, None]
    signs = np.array([-1, 1], np.float32)[:, None, None]

    def rest(modes):
        u, v = np.fft.irfft2(modes, s=(n, n))
        return np.fft.rfft2(feed + signs * (u * v * v)).astype(np.complex64)

    def run(steps: int) -> np.ndarray:
        modes = np.fft.rfft2(first).astype(np.complex64)
        for _ in range(steps):
            n0 = rest(modes)
            a = half * modes + q * n0
            n1 = rest(a)
            n2 = rest(half * modes + q * n1)
            n3 = rest(half * a + q * (2 * n2 - n0))
            modes = whole * modes + alpha * n0 + 2 * beta * (n1 + n2) + gamma * n3
        return np.fft.irfft2(modes, s=(n, n)).astype(np.float32)

    return run


def _contour_means(z: np.ndarray, h: float) -> tuple[np.ndarray, ...]:
    total = [np.zeros_like(z) for _ in range(4)]
    points = np.exp(1j * np.pi * (np.arange(16) + 0.5) / 16)
    for point in points:
        r = z + point
        e = np.exp(r)
        terms = (
            (np.exp(r / 2) - 1) / r,
            (-4 - r + e * (4 - 3 * r + r**2)) / r**3,
            (2 + r + e * (r - 2)) / r**3,
            (-4 - 3 * r - r**2 + e * (4 - r)) / r**3,
        )
        for mean, term in zip(total, terms, strict=True):
            mean += h * term.real / len(points)
    return np.exp(z / 2), *total, np.exp(z)
