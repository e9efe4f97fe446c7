"""The values of a swept setting: a list or an interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

#: largest number of members in a sweep; a larger number is considered a mistake
MAX_MEMBERS = 1_000_000


@dataclass(frozen=True)
class Choices:
    """A setting and a list of its values, as text."""

    key: str
    texts: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values, in the order of the list."""
        return tuple(dict.fromkeys(self.texts))

    @property
    def size(self) -> float:
        """Number of distinct values."""
        return len(self.values)

    def at(self, fraction: float) -> str:
        """Return the value at a relative position: 0 is the start of the list, 1 is the end."""
        return self.texts[min(int(fraction * len(self.texts)), len(self.texts) - 1)]


@dataclass(frozen=True)
class Interval:
    """A setting and the range of its values. A range of integers includes both ends."""

    key: str
    low: float
    high: float
    log: bool
    integer: bool

    @property
    def values(self) -> Iterator[str]:
        """All integers in the interval, as text. Not defined for real numbers."""
        return map(repr, range(int(self.low), int(self.high) + 1))

    @property
    def size(self) -> float:
        """Number of distinct values; infinite for real numbers."""
        return int(self.high) - int(self.low) + 1 if self.integer else math.inf

    def at(self, fraction: float) -> str:
        """Return the value at a fraction of the interval, measured on a log scale if ``log``."""
        above = self.high + 1 if self.integer else self.high
        if self.log:
            value = math.exp(math.log(self.low) + fraction * math.log(above / self.low))
        else:
            value = self.low + fraction * (above - self.low)
        value = min(max(value, self.low), self.high + self.integer)
        return repr(min(math.floor(value), int(self.high)) if self.integer else value)
