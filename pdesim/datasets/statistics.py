"""Means and deviations of the fields of a data set, accumulated frame by frame.

The statistics are those of The Well (github.com/PolymathicAI/the_well, ``stats.yaml`` of its data
sets): ``mean``, ``std``, ``rms`` of all values of a field, and ``mean_delta``, ``std_delta``,
``rms_delta`` of the differences of consecutive frames. Deviations are those of the population.
Sets of values are merged by the formulas of Chan, Golub, LeVeque, Am. Stat. 37 (1983) 242, eq. 2.1,
which do not suffer from cancellation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pdesim.export.source import Source

#: a trajectory is stationary if its last two frames differ by less than this, relative to the last
STATIONARY = 1e-6


@dataclass(frozen=True)
class Moments:
    """Number, mean, and sum of squared deviations from the mean, of a set of values."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Return the moments of all values of an array, computed in float64."""
        mean = float(values.mean(dtype=np.float64))
        deviations = values - mean
        return cls(values.size, mean, float(np.square(deviations, out=deviations).sum()))

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of the union of two sets."""
        count = self.count + other.count
        if count == 0:
            return self
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        between = difference**2 * (self.count * other.count / count)
        return Moments(count, mean, self.squares + other.squares + between)

    @property
    def std(self) -> float:
        """Standard deviation of the population; 0 for an empty set."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    @property
    def rms(self) -> float:
        """Root mean square; 0 for an empty set."""
        return math.hypot(self.mean, self.std)


@dataclass(frozen=True)
class Statistics:
    """Moments of each field, and of the differences of its consecutive frames."""

    values: Mapping[str, Moments] = field(default_factory=dict)
    deltas: Mapping[str, Moments] = field(default_factory=dict)

    def __add__(self, other: Statistics) -> Statistics:
        """Return the statistics of the trajectories of both."""
        return Statistics(_merge(self.values, other.values), _merge(self.deltas, other.deltas))

    def as_stats(self) -> dict[str, dict[str, float]]:
        """Return the contents of a ``stats.yaml`` of The Well: statistic -> field -> value."""
        names = ("mean", "std", "rms")
        stats = {n: {f: getattr(m, n) for f, m in self.values.items()} for n in names}
        deltas = {f"{n}_delta": {f: getattr(m, n) for f, m in self.deltas.items()} for n in names}
        return stats | deltas

    def as_plain(self) -> dict[str, Any]:
        """Return nested dictionaries, from which :meth:`from_plain` restores the object."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Statistics:
        """Return the statistics that :meth:`as_plain` has described."""
        parts = (
            {name: Moments(**moments) for name, moments in plain[part].items()}
            for part in ("values", "deltas")
        )
        return cls(*parts)


def total(parts: Iterable[Statistics]) -> Statistics:
    """Return the statistics of the union, merged in the given order."""
    return functools.reduce(Statistics.__add__, parts, Statistics())


def _merge(one: Mapping[str, Moments], other: Mapping[str, Moments]) -> dict[str, Moments]:
    names = dict.fromkeys((*one, *other))
    return {name: one.get(name, Moments()) + other.get(name, Moments()) for name in names}


@dataclass(frozen=True)
class Summary:
    """What one pass over the frames of a run shows.

    Attributes:
        statistics: the moments of its values.
        finite: whether all values are finite in the stored type.
        change: the L2 norm of the difference of the last two frames divided by that of the last
            frame, the largest of all fields; infinite for a single frame.
    """

    statistics: Statistics
    finite: bool
    change: float

    @property
    def stationary(self) -> bool:
        """Whether the run does not change at its end; see :data:`STATIONARY`."""
        return self.change < STATIONARY


def summarise(source: Source, dtype: np.dtype | None = None) -> Summary:
    """Read all frames of a run, one at a time.

    Args:
        source: the run.
        dtype: the type in which the data set stores the values; None: that of the run.
    """
    values = dict.fromkeys(source.fields, Moments())
    deltas: dict[str, Moments] = {}
    before: dict[str, np.ndarray] = {}
    change = math.inf
    for index, frame in source.frames():
        with np.errstate(over="ignore"):  # the result is infinite, which is found below
            stored = {name: a.astype(dtype or a.dtype, copy=False) for name, a in frame.items()}
        if not all(np.isfinite(array).all() for array in stored.values()):
            return Summary(Statistics(), False, math.inf)
        now = {name: array.astype(np.float64) for name, array in stored.items()}
        for name, array in now.items():
            values[name] += Moments.of(array)
            if before:
                deltas[name] = deltas.get(name, Moments()) + Moments.of(array - before[name])
        if before and index == len(source.times) - 1:
            change = max(_relative(now[name] - before[name], now[name]) for name in now)
        before = now
    if source.mask is not None:
        values["mask"] = Moments.of(source.mask.astype(np.float64))
    return Summary(Statistics(values, deltas), True, change)


def _relative(difference: np.ndarray, array: np.ndarray) -> float:
    """Return the ratio of the L2 norms of two arrays; 0 if the first one is zero."""
    norm, reference = float(np.linalg.norm(difference)), float(np.linalg.norm(array))
    if norm == 0:
        return 0.0
    return norm / reference if reference else math.inf
