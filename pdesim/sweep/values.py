"""Values of a swept setting: a list, or an interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

#: most members of a sweep; more are taken for a mistake
MAX_MEMBERS = 1_000_000


@dataclass(frozen=True)
class Choices:
    """A setting and a list of its values, as text."""

    key: str
    texts: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values, in their order."""
        return tuple(dict.fromkeys(self.texts))

    @property
    def size(self) -> float:
        """Number of distinct values."""
        return len(self.values)

    def at(self, fraction: float) -> str:
        """Return the value at a position in the list; 0 is its start, 1 its end."""
        return self.texts[min(int(fraction * len(self.texts)), len(self.texts) - 1)]


@dataclass(frozen=True)
class Interval:
    """A setting and its range; for integers, both ends are included."""

    key: str
    low: float
    high: float
    log: bool
    integer: bool

    @property
    def values(self) -> Iterator[str]:
        """All values of an interval of integers."""
        return map(repr, range(int(self.low), int(self.high) + 1))

    @property
    def size(self) -> float:
        """Number of distinct values; infinite for real numbers."""
        return int(self.high) - int(self.low) + 1 if self.integer else math.inf

    def at(self, fraction: float) -> str:
        """Return the value at a fraction of the range, or of its logarithm."""
        above = self.high + 1 if self.integer else self.high
        if self.log:
            value = math.exp(math.log(self.low) + fraction * math.log(above / self.low))
        else:
            value = self.low + fraction * (above - self.low)
        value = min(max(value, self.low), self.high + self.integer)
        return repr(min(math.floor(value), int(self.high)) if self.integer else value)
