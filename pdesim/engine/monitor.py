"""Measurement of the error in time during a run, and the resulting changes of the step.

From the current state, one step is taken, and again two steps of half its length. For a method of
order p the error of the single step is the difference times ``1 / (1 - 2**-p)`` (Hairer, Norsett,
Wanner, Solving ODEs I (1993), sec. II.4). Divided by the step it is the rate ``r`` at which the
error grows. The equation damps errors at a rate ``d`` that is also measured: ``E' = r - d E``. Part
of an error is often undamped (a phase, a position), so the reported estimate is a mean of this and
of ``E' = r``. The amplification of errors in chaotic equations is not included.

A difference at the level of rounding may hide an error that accumulates over thousands of steps. It
is therefore included in the estimate, but only larger differences reduce the step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.output.checkpoint import SAVED

#: numbers of steps between measurements: short at first, then the last value
EARLY, EVERY = (2, 8, 24), 64
#: scale of a nearly uniform field, as a fraction of its largest value
FLOOR = 0.02
#: target error of automatic steps at the end of a run, relative to each field's standard deviation
ACCURACY = 2e-3
#: initial fraction of a run in which the error may grow faster
BEGINNING = 1 / 64
#: a step is changed if it could be longer by the first factor, or if its error exceeds the allowed
#: one by the second; minimum and maximum factor of a change, and safety factor
LONGER, TOLERATED, SHRINK, GROW, RESERVE = 1.5, 1.2, 0.1, 2.0, 0.9
#: fraction of an error that is assumed to be undamped
LASTING = 0.05
#: scale of a field that is zero everywhere, which avoids a division by zero
NOTHING = 1e-25


@dataclass
class Monitor:
    """Estimates of the error in time per member and field, arrays ``(members, fields)``.

    ``error`` is the integral of ``rate``, the error per unit of time, up to ``time``, and
    ``damped`` the same with ``damping``; all are root mean squares over the grid. ``hidden`` is the
    part of ``rate`` at the level of rounding. ``peak`` is the largest root mean square of each
    field so far, and ``spread`` its current standard deviation. ``checked`` is the number of steps
    of each member at the last measurement, ``checks`` the number of measurements.
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
        """Return a monitor without measurements."""
        zeros = [np.zeros((members, fields)) for _ in SAVED]
        counts = [np.zeros(members, dtype=np.int64) for _ in range(2)]
        arrays = dict(zip(SAVED, zeros, strict=True))
        return cls(**arrays, time=np.full(members, time), checked=counts[0], checks=counts[1])

    def observe(self, spread: np.ndarray, size: np.ndarray) -> None:
        """Update the standard deviation and the largest root mean square of each field."""
        self.spread = np.nan_to_num(spread)
        self.peak = np.maximum(self.peak, np.nan_to_num(size))

    def replace_zero_scales(self, spread: np.ndarray, size: np.ndarray) -> None:
        """Set the scales of fields that have been zero so far from another state."""
        empty = self.peak == 0
        self.spread = np.where(empty, spread, self.spread)
        self.peak = np.where(empty, size, self.peak)

    @property
    def scale(self) -> np.ndarray:
        """Return the scale of each field, relative to which its error is defined."""
        return np.maximum(np.maximum(self.spread, FLOOR * self.peak), NOTHING)

    def due(self, steps: np.ndarray) -> np.ndarray:
        """Return the members to be measured, from their numbers of steps."""
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

        Between two measurements the geometric mean of their rates is used, since rates vary over
        orders of magnitude when a solution becomes smooth.
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
        """Return ``error`` and ``damped`` at a later time."""
        elapsed = (time - self.time)[:, None]
        damping = np.minimum(damping, 1e100)
        left = np.exp(-damping * elapsed)
        # (1 - exp(-d t)) / d, with the limit t for d = 0
        weight = np.where(
            damping * elapsed > 1e-12, (1 - left) / np.maximum(damping, 1e-300), elapsed
        )
        return self.error + rate * elapsed, self.damped * left + rate * weight

    def total(self, time: float) -> np.ndarray:
        """Return the estimated error at a time, with the last measured rates."""
        error, damped = self._grown(self.rate, self.damping, time)
        return LASTING * error + (1 - LASTING) * damped

    def wanted_factor(self, order: int, time: float, start: float, end: float) -> np.ndarray:
        """Return the factor by which each member's step should change, 1 for no change.

        The error may reach ``ACCURACY`` at the end of the run, and grows faster at its beginning,
        at the rate ``ACCURACY / (c (t - start + b (end - start)))`` with ``c = log(1 + 1/b)``,
        whose integral over the run is ``ACCURACY``.
        """
        elapsed = time - start + BEGINNING * (end - start)
        allowed = ACCURACY / (np.log1p(1 / BEGINNING) * elapsed)
        seen = np.maximum(self.rate - self.hidden, 0.0)
        worst = (seen / self.scale).max(axis=1) / allowed
        factor = RESERVE * np.maximum(worst, 1e-12) ** (-1.0 / order)
        keep = (worst <= TOLERATED) & (factor < LONGER)
        return np.where(keep, 1.0, np.clip(factor, SHRINK, GROW))

    def to_array(self, member: int) -> np.ndarray:
        """Return the state of one member as an array, ``(7, fields)``; see :meth:`restore`."""
        return np.stack([getattr(self, name)[member] for name in SAVED])

    def restore(self, member: int, values: np.ndarray, time: float, steps: int, checks: int):
        """Restore the state of a member from :meth:`to_array`."""
        for name, value in zip(SAVED, values, strict=True):
            getattr(self, name)[member] = value
        self.time[member], self.checked[member], self.checks[member] = time, steps, checks
