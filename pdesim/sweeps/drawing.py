"""Drawing of settings for a sweep's members: random numbers, Latin hypercubes, Sobol' points."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from pdesim.errors import ConfigError, MissingExtraError
from pdesim.sweeps.values import MAX_MEMBERS, Choices, Interval


def draw(
    swept: Sequence[Choices | Interval], sampler: str, n: int, seed: int
) -> Iterator[tuple[str, ...]]:
    """Yield the values of the swept settings for ``n`` members.

    If there are finitely many combinations of values, no combination is repeated before all
    combinations have been drawn.

    Raises:
        ConfigError: if no setting is swept.
        MissingExtraError: if SciPy is needed and not installed.
    """
    if not swept:
        raise ConfigError(
            f"sweep={sampler} needs a setting to vary", "such as equation.F=interval(0.02,0.06)"
        )
    size = math.prod(word.size for word in swept)
    hypercube = sampler == "latin_hypercube"
    if math.isinf(size) or (hypercube and n > size):  # repetitions do not occur, or are inevitable
        return _rows(swept, _points(sampler, n, len(swept), seed), n)
    if hypercube and (rows := _distinct_hypercube(swept, n, seed)):
        return iter(rows)
    more = _points("random" if hypercube else sampler, n, len(swept), seed)
    return itertools.islice(_distinct(_rows(swept, more, None), swept, int(size)), n)


def _rows(
    swept: Sequence[Choices | Interval], points: Iterator[np.ndarray], n: int | None
) -> Iterator[tuple[str, ...]]:
    """Yield the values of the swept settings that correspond to points of the unit cube.

    At most ``n`` points are used; None: all points.
    """
    for point in itertools.islice(points, n):
        yield tuple(word.at(float(u)) for word, u in zip(swept, point, strict=True))


def _distinct(
    rows: Iterator[tuple[str, ...]], swept: Sequence[Choices | Interval], size: int
) -> Iterator[tuple[str, ...]]:
    """Yield distinct rows in the order of their first appearance (sampling without replacement).

    After all ``size`` combinations have been yielded, they may be yielded again. If no new
    combination is drawn in many attempts, because the remaining ones have small probabilities,
    these are yielded in the order of the list of all combinations.
    """
    seen: set[tuple[str, ...]] = set()
    misses = 0
    for row in rows:
        if row not in seen:
            seen.add(row)
            misses = 0
            yield row
        else:
            misses += 1
        if misses > 1000 + 4 * size and size <= MAX_MEMBERS:
            yield from (row for row in itertools.product(*(w.values for w in swept))
                        if row not in seen)  # fmt: skip
            seen.clear()
        elif len(seen) == size:
            seen.clear()


def _distinct_hypercube(
    swept: Sequence[Choices | Interval], n: int, seed: int
) -> list[tuple[str, ...]]:
    """Draw Latin hypercubes until one has no equal rows, and return its rows.

    The result is empty if all of a limited number of hypercubes have equal rows.
    """
    points = _points("latin_hypercube", n, len(swept), seed)
    for _ in range(max(1, min(500, 200_000 // n))):
        rows = list(_rows(swept, points, n))
        if len(set(rows)) == n:
            return rows
    return []


def _points(sampler: str, n: int, dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """Yield infinitely many points of the unit cube, arrays of shape ``(dimensions,)`` in [0, 1).

    For ``latin_hypercube``, the points 0 to n - 1 are a Latin hypercube, as are the points n to
    2 n - 1, and so on.
    """
    if sampler == "random":
        # each axis has its own random numbers, so that existing values do not change when members
        # or settings are added
        axes = [np.random.Generator(np.random.PCG64([seed, d])) for d in range(dimensions)]
        while True:
            yield from np.stack([axis.random(n) for axis in axes], axis=1)
    try:
        from scipy.stats import qmc
    except ImportError:
        raise MissingExtraError(f"sweep={sampler}", "scipy", "sampling") from None
    stream = np.random.Generator(np.random.PCG64(seed))
    kinds = {"latin_hypercube": qmc.LatinHypercube, "sobol": qmc.Sobol}
    engine = kinds[sampler](dimensions, rng=stream)
    while True:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The balance properties")
            # n need not be a power of two; docs/sweeps.md describes the consequences
            points = engine.random(n)
        yield from points
