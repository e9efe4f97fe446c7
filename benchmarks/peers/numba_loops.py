"""Numba: parallel loops over rows, written out."""

from __future__ import annotations

import numba
import numpy as np

from peers import problems
from peers.problems import Problem

jit = numba.njit(parallel=True, fastmath=True)
inline = numba.njit(inline="always", fastmath=True)


@inline
def _five(f, north, i, south, west, j, east):
    return f[north, j] + f[south, j] + f[i, west] + f[i, east] - np.float32(4) * f[i, j]


@jit
def gray_scott(u, v, un, vn, steps, a, b, dt, feed, drain):
    n, one = u.shape[0], np.float32(1)
    for _ in range(steps):
        for i in numba.prange(n):
            north, south = (i - 1) % n, (i + 1) % n
            for j in range(1, n - 1):
                x, y = u[i, j], v[i, j]
                r = x * y * y
                lap_u = _five(u, north, i, south, j - 1, j, j + 1)
                lap_v = _five(v, north, i, south, j - 1, j, j + 1)
                un[i, j] = x + a * lap_u + dt * (feed * (one - x) - r)
                vn[i, j] = y + b * lap_v + dt * (r - drain * y)
            for j in (0, n - 1):
                west, east = (j - 1) % n, (j + 1) % n
                x, y = u[i, j], v[i, j]
                r = x * y * y
                lap_u = _five(u, north, i, south, west, j, east)
                lap_v = _five(v, north, i, south, west, j, east)
                un[i, j] = x + a * lap_u + dt * (feed * (one - x) - r)
                vn[i, j] = y + b * lap_v + dt * (r - drain * y)
        u, v, un, vn = un, vn, u, v
    return u, v


@jit
def heat(u, un, steps, a):
    n = u.shape[0]
    for _ in range(steps):
        for i in numba.prange(n):
            north, south = (i - 1) % n, (i + 1) % n
            for j in range(1, n - 1):
                un[i, j] = u[i, j] + a * _five(u, north, i, south, j - 1, j, j + 1)
            for j in (0, n - 1):
                west, east = (j - 1) % n, (j + 1) % n
                un[i, j] = u[i, j] + a * _five(u, north, i, south, west, j, east)
        u, un = un, u
    return (u,)


@jit
def heat_neumann(u, un, steps, a):
    n = u.shape[0]
    for _ in range(steps):
        for i in numba.prange(n):
            north, south = max(i - 1, 0), min(i + 1, n - 1)
            for j in range(1, n - 1):
                un[i, j] = u[i, j] + a * _five(u, north, i, south, j - 1, j, j + 1)
            un[i, 0] = u[i, 0] + a * _five(u, north, i, south, 0, 0, 1)
            un[i, n - 1] = u[i, n - 1] + a * _five(u, north, i, south, n - 2, n - 1, n - 1)
        u, un = un, u
    return (u,)


@inline
def _outside(f, solid, i, j, centre):
    return centre if solid[i, j] else f[i, j]


@inline
def _around_disk(f, solid, north, i, south, west, j, east):
    c = f[i, j]
    rows = _outside(f, solid, north, j, c) + _outside(f, solid, south, j, c)
    columns = _outside(f, solid, i, west, c) + _outside(f, solid, i, east, c)
    return np.float32(0) if solid[i, j] else rows + columns - np.float32(4) * c


@jit
def heat_disk(u, un, solid, steps, a):
    n = u.shape[0]
    for _ in range(steps):
        for i in numba.prange(n):
            north, south = (i - 1) % n, (i + 1) % n
            for j in range(1, n - 1):
                un[i, j] = u[i, j] + a * _around_disk(u, solid, north, i, south, j - 1, j, j + 1)
            for j in (0, n - 1):
                west, east = (j - 1) % n, (j + 1) % n
                un[i, j] = u[i, j] + a * _around_disk(u, solid, north, i, south, west, j, east)
        u, un = un, u
    return (u,)


@jit
def wave(u, w, un, steps, a, dt):
    n = u.shape[0]
    for _ in range(steps):
        for i in numba.prange(n):
            north, south = (i - 1) % n, (i + 1) % n
            for j in range(1, n - 1):
                p = w[i, j] + a * _five(u, north, i, south, j - 1, j, j + 1)
                w[i, j] = p
                un[i, j] = u[i, j] + dt * p
            for j in (0, n - 1):
                west, east = (j - 1) % n, (j + 1) % n
                p = w[i, j] + a * _five(u, north, i, south, west, j, east)
                w[i, j] = p
                un[i, j] = u[i, j] + dt * p
        u, un = un, u
    return u, w


def build(problem: Problem, n: int) -> dict:
    dt, area, first = problem.dt, problems.SPACING**2, problem.state(n)
    function, spare, numbers = {
        "gray_scott": (
            gray_scott, 2,
            (dt * problems.DU / area, dt * problems.DV / area, dt, problems.FEED,
             problems.FEED + problems.KILL),
        ),
        "heat": (heat, 1, (dt * problems.HEAT / area,)),
        "heat_neumann": (heat_neumann, 1, (dt * problems.HEAT / area,)),
        "heat_disk": (heat_disk, 1, (dt * problems.HEAT / area,)),
        "wave": (wave, 1, (dt * problems.SPEED**2 / area, dt)),
    }[problem.name]  # fmt: skip
    numbers = tuple(np.float32(x) for x in numbers)
    spares = [np.empty((n, n), np.float32) for _ in range(spare)]
    if problem.name == "heat_disk":
        spares.append(problems.disk(n))

    def run(steps: int) -> np.ndarray:
        fields = [np.array(f) for f in problem.ahead(first)]
        return np.stack(problem.back(function(*fields, *spares, steps, *numbers)))

    return {"prange": run}
