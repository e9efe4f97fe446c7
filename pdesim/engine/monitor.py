"""Measurement of the error in time during a run, and the resulting changes of the step.

From the current state, one step and, separately, two steps of half its length are taken. For a
method of order p, the error of the single step is the difference of the two results times
``1 / (1 - 2**-p)`` (Hairer, Norsett, Wanner, Solving ODEs I (1993), sec. II.4). This error divided
by the length of the step is the rate ``r`` at which the error grows. The equation damps errors at a
rate ``d``, which is also measured, so that the error E satisfies ``E' = r - d E``. A part of the
error, such as that of a phase or a position, is often not damped. The reported estimate is
therefore a weighted mean of the solutions of ``E' = r - d E`` and ``E' = r``. The amplification of
errors in chaotic equations is not included.

A difference that is as small as rounding errors may hide an error that accumulates over thousands
of steps. Such differences are therefore included in the estimate, but they do not reduce the step.

Errors are relative to the scale of the field (:mod:`pdesim.engine.error_scale`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.engine.error_scale import INDISTINCT, error_scale, smallest_scale
from pdesim.output.checkpoint import SAVED
from pdesim.plan import Plan

#: numbers of steps between the first measurements, and between all later ones
EARLY, EVERY = (2, 8, 24), 64
#: target error of automatic steps at the end of a run, relative to the scale of each field
ACCURACY = 2e-3
#: initial fraction of a run in which the error may grow faster
BEGINNING = 1 / 64
#: a step is changed if it could be longer by the factor LONGER, or if its error exceeds the allowed
#: error by the factor TOLERATED. SHRINK and GROW are the minimum and maximum factor of a change,
#: RESERVE is a safety factor
LONGER, TOLERATED, SHRINK, GROW, RESERVE = 1.5, 1.2, 0.1, 2.0, 0.9
#: smallest ratio of two rates in a geometric mean
NEGLIGIBLE = 1e-4
#: fraction of an error that is assumed to be undamped
LASTING = 0.05


@dataclass
class Monitor:
    """Estimates of the error in time of each member and field.

    All errors are root mean squares over the grid.

    Args:
        error, damped: the error up to ``time``, without and with damping.
        rate: the error per unit of time, from the last measurement.
        hidden: the part of ``rate`` that may be due to rounding.
        damping: the rate at which errors are damped.
        peak: the largest root mean square of the field so far, and in the current interval if the
            field grows fast.
        spread: the current standard deviation of the field, and that in the current interval if the
            field grows fast.
        noise: the largest rounding error of a step so far; see
            :meth:`pdesim.engine.integrator.Integrator.rounding_error`.
        time: the time of the last measurement of each member.
        checked: the number of steps of each member at the last measurement.
        checks: the number of measurements of each member.
        target: the relative error that is aimed at: the tolerance of adaptive steps, or
            ``ACCURACY``.
        smallest: the scale of fields that are zero.
    """

    error: np.ndarray
    damped: np.ndarray
    rate: np.ndarray
    hidden: np.ndarray
    damping: np.ndarray
    peak: np.ndarray
    spread: np.ndarray
    noise: np.ndarray
    time: np.ndarray
    checked: np.ndarray
    checks: np.ndarray
    target: float
    smallest: float

    @classmethod
    def start(
        cls,
        members: int,
        fields: int,
        time: float,
        tolerance: float | None = None,
        precision: str = "float64",
    ) -> Monitor:
        """Return a monitor without measurements.

        Args:
            tolerance: the tolerance of adaptive steps; None for equal steps.
        """
        zeros = [np.zeros((members, fields)) for _ in SAVED]
        counts = [np.zeros(members, dtype=np.int64) for _ in range(2)]
        arrays = dict(zip(SAVED, zeros, strict=True))
        return cls(
            **arrays, time=np.full(members, time), checked=counts[0], checks=counts[1],
            target=ACCURACY if tolerance is None else tolerance,
            smallest=smallest_scale(precision),
        )  # fmt: skip

    def observe(self, spread: np.ndarray, size: np.ndarray) -> None:
        """Update the standard deviation and the largest root mean square of each field."""
        self.spread = np.nan_to_num(spread)
        self.peak = np.maximum(self.peak, np.nan_to_num(size))

    def look_ahead(self, which: np.ndarray, spread: np.ndarray, size: np.ndarray) -> None:
        """Include later sizes of fields that grow fast in their scales.

        Args:
            which: the fields of the members that grow fast, ``(members, fields)``.
            spread, size: their standard deviation and root mean square at a later time. Values that
                are not finite are ignored.
        """
        which = which & np.isfinite(spread) & np.isfinite(size)
        self.spread = np.where(which, np.fmax(self.spread, spread), self.spread)
        self.peak = np.where(which, np.fmax(self.peak, size), self.peak)

    @property
    def scale(self) -> np.ndarray:
        """The scale of each field, to which target errors are relative."""
        scale = error_scale(self.spread, self.peak, self.noise, self.target)
        return np.maximum(scale, self.smallest)

    def due(self, steps: np.ndarray) -> np.ndarray:
        """Return which members are to be measured, from the numbers of steps they have taken."""
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
        noise: np.ndarray | float = 0.0,
    ) -> None:
        """Add a measurement of the members ``which``.

        Between two measurements, the geometric mean of their rates is used, since rates change by
        orders of magnitude while a solution becomes smooth. A rate that is less than ``NEGLIGIBLE``
        of the other one counts as this fraction of it, since a mean with 0 would be 0.
        """
        rate = np.where(np.isfinite(rate), rate, self.rate)
        known = self.checks[:, None] > 0
        least = NEGLIGIBLE * np.maximum(self.rate, rate)
        between = np.sqrt(np.maximum(self.rate, least) * np.maximum(rate, least))
        mean = np.where(known, between, rate)
        decay = np.where(known, np.minimum(self.damping, damping), damping)
        error, damped = self._grown(mean, decay, time)
        for name, new in (
            ("error", error), ("damped", damped), ("rate", rate), ("hidden", hidden),
            ("damping", damping), ("noise", np.fmax(self.noise, noise)),
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

        The allowed rate of the error is ``ACCURACY / (c (t - start + b (end - start)))``, where b
        is ``BEGINNING`` and ``c = log(1 + 1/b)``. It is largest at the beginning of the run, and
        its integral over the run is ``ACCURACY``.
        """
        elapsed = time - start + BEGINNING * (end - start)
        allowed = ACCURACY / (np.log1p(1 / BEGINNING) * elapsed)
        seen = np.maximum(self.rate - self.hidden, 0.0)
        worst = (seen / self.scale).max(axis=1) / allowed
        factor = RESERVE * np.maximum(worst, 1e-12) ** (-1.0 / order)
        keep = (worst <= TOLERATED) & (factor < LONGER)
        return np.where(keep, 1.0, np.clip(factor, SHRINK, GROW))

    def to_array(self, member: int) -> np.ndarray:
        """Return the state of one member as an array, ``(8, fields)``; see :meth:`restore`."""
        return np.stack([getattr(self, name)[member] for name in SAVED])

    def restore(self, member: int, values: np.ndarray, time: float, steps: int, checks: int):
        """Restore the state of a member from :meth:`to_array`."""
        for name, value in zip(SAVED, values, strict=True):
            getattr(self, name)[member] = value
        self.time[member], self.checked[member], self.checks[member] = time, steps, checks


def relative_error(
    errors: np.ndarray, peaks: np.ndarray, rounding: np.ndarray, ranges: np.ndarray, plan: Plan
) -> dict[str, float]:
    """Return the errors of all fields relative to their scales, rounded to three digits.

    The scale is :func:`pdesim.engine.error_scale.error_scale` with the range of the field. The
    error of a field that consists of rounding errors is 0.

    Args:
        errors, peaks: root mean squares of the errors and largest values, one for each field.
        rounding: the rounding errors that have accumulated in each field.
        ranges: the maximum of each field minus its minimum.
    """
    distinct = np.maximum(ranges, peaks) > rounding
    scales = np.where(distinct, error_scale(ranges, peaks), np.inf)
    values = zip(plan.equation.fields, errors / scales, strict=True)
    return {name: float(f"{value:.3g}") for name, value in values if np.isfinite(value)}


def accumulated_rounding(noise: np.ndarray, steps: int) -> np.ndarray:
    """Return the size below which fields are not distinguished from rounding errors.

    Rounding errors of different steps are independent, so that their sum grows with the square root
    of the number of steps (Hairer, Norsett, Wanner, Solving ODEs I (1993), sec. II.3).
    """
    return INDISTINCT * noise * np.sqrt(max(steps, 1))
