"""A parameter of a fit, its bounds and its scale.

Optimisers see the position of each parameter between its bounds, a number from 0 to 1, on a linear
or a logarithmic scale. Parameters of any size are therefore comparable for the trust region and the
tolerances of the optimiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: largest number of parameters of a fit: each takes a further run for its derivative
MOST_PARAMETERS = 50
#: a linear scale resolves values down to this fraction of the range of the bounds
SMALLEST_RANGE = 1e-12


@dataclass(frozen=True)
class Parameter:
    """A number in the settings that is fitted.

    Args:
        key: the setting, such as ``equation.D``.
        low, high: the bounds.
        log: whether the scale is logarithmic.
        start: the position of the first start.
    """

    key: str
    low: float
    high: float
    log: bool
    start: float = 0.5

    @classmethod
    def build(cls, key: str, low: float, high: float, log: bool, start: float | None) -> Parameter:
        """Return a parameter whose start is a value; None: the middle of the scale."""
        middle = cls(key, low, high, log)
        return middle if start is None else cls(key, low, high, log, middle.place(start))

    @property
    def name(self) -> str:
        """The last part of the setting."""
        return self.key.rpartition(".")[2]

    @property
    def width(self) -> float:
        """The range of the bounds; on a logarithmic scale that of the natural logarithm."""
        return math.log(self.high / self.low) if self.log else self.high - self.low

    def value(self, place: float) -> float:
        """Return the value at a position."""
        if self.log:
            found = self.low * math.exp(place * self.width)
        else:
            found = self.low + place * self.width
        if 0 <= place <= 1:
            found = min(max(found, self.low), self.high)
        return found

    def place(self, value: float) -> float:
        """Return the position of a value."""
        if self.log:
            return math.log(value / self.low) / self.width
        return (value - self.low) / self.width

    def slope(self, place: float) -> float:
        """Return the derivative of the value with respect to the position."""
        return self.value(place) * self.width if self.log else self.width

    def step(self, place: float, relative: float) -> float:
        """Return the step of a difference quotient, as a change of the position with its sign.

        The step is ``relative`` times the range of the bounds or the size of the value, whichever
        is larger: with narrow bounds, a fraction of the range would be lost in rounding errors. It
        points into the interval.
        """
        size = 1.0 if self.log else abs(self.value(place))
        length = min(relative * max(1.0, size / self.width), 0.5)
        return length if place + length <= 1 else -length
