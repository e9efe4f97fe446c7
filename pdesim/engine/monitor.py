"""The error in time of a run, measured while it runs, and the steps that follow from it.

A step is taken once from the present state, and again as two steps of half its length. For a method
of order p the error of the single step is the difference times ``1 / (1 - 2**-p)`` (Hairer,
Norsett, Wanner, Solving ODEs I (1993), sec. II.4). Divided by the step this is the rate ``r`` at
which steps add to the error. The equation damps it at a rate ``d`` that is measured as well:
``E' = r - d E``. Part of an error is often not damped (a phase, a position), so the estimate that a
run reports is a mean of this and of ``E' = r``. Amplification, where an equation is chaotic, is not
in it.

A difference that rounding explains may still hide an error that adds up over thousands of steps. So
it is a part of the estimate, while only what is larger makes steps shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.output.checkpoint import SAVED

#: steps after which the error is measured again: early and often, then every so many
EARLY, EVERY = (2, 8, 24), 64
#: the part of its largest value that a field which is nearly uniform is measured against
FLOOR = 0.02
#: the error over a whole run that automatic steps keep, relative to each field's deviation
ACCURACY = 2e-3
#: the part of a run that counts as its beginning, where errors may grow faster for a short time
BEGINNING = 1 / 64
#: a step is changed where it could be longer by the first factor, or has an error larger than
#: allowed by the second; it changes by these factors at most, and keeps this much in reserve
LONGER, TOLERATED, SHRINK, GROW, RESERVE = 1.5, 1.2, 0.1, 2.0, 0.9
#: the part of an error that is taken to be never damped
LASTING = 0.05
#: a field without any value is measured against this, which no error reaches
NOTHING = 1e-25


@dataclass
class Monitor:
    """What is known of the error in time, per member and field: arrays ``(members, fields)``.

    ``error`` is the integral of ``rate``, the error per unit of time, up to ``time``, and
    ``damped`` the same with ``damping``; all are root mean squares over the grid. ``hidden`` is the
    part of ``rate`` that rounding explains. ``peak`` is the
    largest root mean square of each field so far, and ``spread`` its present standard deviation.
    ``checked`` counts the steps of each member at the last measurement, ``checks`` the
    measurements.
    """

    error: np.ndarray
    damped: np.ndarray
    rate: np.ndarray
    hidden: np.ndarray
    damping: np.ndarray
    peak: np.ndarray
    spread: np.ndarray
    time: np.ndarray
    checked: np.ndarray
    checks: np.ndarray

    @classmethod
    def start(cls, members: int, fields: int, time: float) -> Monitor:
        """A monitor before the first measurement."""
        zeros = [np.zeros((members, fields)) for _ in SAVED]
        counts = [np.zeros(members, dtype=np.int64) for _ in range(2)]
        arrays = dict(zip(SAVED, zeros, strict=True))
        return cls(**arrays, time=np.full(members, time), checked=counts[0], checks=counts[1])

    def observe(self, spread: np.ndarray, size: np.ndarray) -> None:
        """Take note of each field's standard deviation and root mean square."""
        self.spread = np.nan_to_num(spread)
        self.peak = np.maximum(self.peak, np.nan_to_num(size))

    def replace_zero_scales(self, spread: np.ndarray, size: np.ndarray) -> None:
        """Take the values of another state for fields that have been zero so far."""
        empty = self.peak == 0
        self.spread = np.where(empty, spread, self.spread)
        self.peak = np.where(empty, size, self.peak)

    @property
    def scale(self) -> np.ndarray:
        """What errors of each field are relative to."""
        return np.maximum(np.maximum(self.spread, FLOOR * self.peak), NOTHING)

    def due(self, steps: np.ndarray) -> np.ndarray:
        """Which members are to be measured, after so many steps."""
        waits = np.array([EARLY[n - 1] if 0 < n <= len(EARLY) else EVERY for n in self.checks])
        return (self.checks == 0) | (steps - self.checked >= waits)

    def record(
        self,
        which: np.ndarray,
        rate: np.ndarray,
        hidden: np.ndarray,
        damping: np.ndarray,
        time: float,
        steps: np.ndarray,
    ) -> None:
        """Add a measurement of some members.

        Between two measurements the error grows at the geometric mean of their rates, which range
        over orders of magnitude where a solution becomes smooth.
        """
        rate = np.where(np.isfinite(rate), rate, self.rate)
        known = self.checks[:, None] > 0
        mean = np.where(known, np.sqrt(self.rate * rate), rate)
        decay = np.where(known, np.minimum(self.damping, damping), damping)
        error, damped = self._grown(mean, decay, time)
        for name, new in (
            ("error", error), ("damped", damped), ("rate", rate), ("hidden", hidden),
            ("damping", damping),
        ):  # fmt: skip
            setattr(self, name, np.where(which[:, None], new, getattr(self, name)))
        self.time = np.where(which, time, self.time)
        self.checked = np.where(which, steps, self.checked)
        self.checks = self.checks + which

    def _grown(self, rate, damping, time: float) -> tuple[np.ndarray, np.ndarray]:
        """``error`` and ``damped`` at a later time."""
        elapsed = (time - self.time)[:, None]
        damping = np.minimum(damping, 1e100)
        left = np.exp(-damping * elapsed)
        # (1 - exp(-d t)) / d, which is t where d vanishes
        weight = np.where(
            damping * elapsed > 1e-12, (1 - left) / np.maximum(damping, 1e-300), elapsed
        )
        return self.error + rate * elapsed, self.damped * left + rate * weight

    def total(self, time: float) -> np.ndarray:
        """The estimated error at a time, with the last known rates."""
        error, damped = self._grown(self.rate, self.damping, time)
        return LASTING * error + (1 - LASTING) * damped

    def wanted_factor(self, order: int, time: float, start: float, end: float) -> np.ndarray:
        """By what each member's step should change, 1 where it should not.

        The error may grow as ``ACCURACY`` over the run, and faster at its beginning:
        ``ACCURACY / (c (t - start + b (end - start)))`` with ``c = log(1 + 1/b)``, whose integral
        over the run is ``ACCURACY``.
        """
        elapsed = time - start + BEGINNING * (end - start)
        allowed = ACCURACY / (np.log1p(1 / BEGINNING) * elapsed)
        seen = np.maximum(self.rate - self.hidden, 0.0)
        worst = (seen / self.scale).max(axis=1) / allowed
        factor = RESERVE * np.maximum(worst, 1e-12) ** (-1.0 / order)
        keep = (worst <= TOLERATED) & (factor < LONGER)
        return np.where(keep, 1.0, np.clip(factor, SHRINK, GROW))

    def to_array(self, member: int) -> np.ndarray:
        """Everything about one member as one array, ``(7, fields)``; see :meth:`restore`."""
        return np.stack([getattr(self, name)[member] for name in SAVED])

    def restore(self, member: int, values: np.ndarray, time: float, steps: int, checks: int):
        """The state of a member as it was saved."""
        for name, value in zip(SAVED, values, strict=True):
            getattr(self, name)[member] = value
        self.time[member], self.checked[member], self.checks[member] = time, steps, checks
