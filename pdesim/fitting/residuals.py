"""Residuals of runs against the data, and their derivatives by differences.

For n values of a field and p parameters, only the triangular factor of the QR decomposition of
``[J r]``, an ``(n, p + 1)`` array of the derivatives and the residuals, is kept. It determines
``|r|``, ``J^T r`` and ``J^T J`` to rounding, which is all that optimisers and standard errors need,
and has ``(p + 1)^2`` numbers for any n. Frames are added to it one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pdesim.fitting.data import Observations
from pdesim.steppers.targets import nearness

if TYPE_CHECKING:
    from pdesim.fitting.forward import Forward

#: steps of difference quotients, as fractions of the range of a parameter. Frames in double
#: precision have rounding errors of about 1e-13, so that both quotients have relative errors of
#: about 1e-7 (forward: 1e-13 / 1e-6 and 1e-6 times the curvature; central: 1e-13 / 1e-4 and the
#: square of 1e-4)
STEPS = {"forward": 1e-6, "central": 1e-4}


@dataclass(frozen=True)
class Evaluation:
    """The residuals at one point, reduced to triangular factors.

    Args:
        places: the positions of the parameters between their bounds.
        factors: field -> the factor of ``[J r]``, ``(parameters + 1, parameters + 1)``. The
            derivatives are those with respect to the positions. NaN if a run has failed.
    """

    places: tuple[float, ...]
    factors: Mapping[str, np.ndarray]

    @property
    def failed(self) -> bool:
        """Whether a run is not finite at the times of the data."""
        return not all(np.isfinite(one).all() for one in self.factors.values())

    def norm(self, field: str) -> float:
        """Return the norm of the residuals of a field."""
        return float(np.linalg.norm(self.factors[field][:, -1]))

    def weighted(self, sigma: Mapping[str, float]) -> np.ndarray:
        """Return the factor of all fields, whose residuals are divided by these numbers."""
        rows = np.concatenate([one / sigma[name] for name, one in self.factors.items()])
        return triangular(rows)


def triangular(rows: np.ndarray) -> np.ndarray:
    """Return the triangular factor of a QR decomposition, square; NaN for rows with NaN."""
    columns = rows.shape[1]
    if not np.isfinite(rows).all():
        return np.full((columns, columns), np.nan)
    factor = np.linalg.qr(rows, mode="r")
    return np.concatenate([factor, np.zeros((columns - len(factor), columns))])


@dataclass(frozen=True)
class Residuals:
    """The differences between runs and data, as a function of the parameters.

    Args:
        forward: the forward function.
        data: the data, whose cells are known on the grid.
        differences: ``forward`` or ``central``.
        skip_first: whether the first frame of the data is not compared, because it is the initial
            state.
    """

    forward: Forward
    data: Observations
    differences: str = "forward"
    skip_first: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """The number of observed values of each field."""
        first = int(self.skip_first)
        return {name: int(np.isfinite(v[first:]).sum()) for name, v in self.data.values.items()}

    def evaluate(self, points: Sequence[Sequence[float]]) -> list[Evaluation]:
        """Return the residuals and their derivatives at several points.

        Args:
            points: positions of the parameters between their bounds.
        """
        found: list[Evaluation] = []
        together = self.forward.batches.groups
        for first in range(0, len(points), together):
            found += self._evaluate(points[first : first + together])
        return found

    def _evaluate(self, points: Sequence[Sequence[float]]) -> list[Evaluation]:
        stencils = [self._stencil(np.array(point)) for point in points]
        places = np.concatenate([runs for runs, _ in stencils])
        group, columns = len(places) // len(points), len(points[0]) + 1
        zero = np.zeros((columns, columns))
        factors = [dict.fromkeys(self.data.fields, zero) for _ in points]
        for frame, states in self.compared(places):
            for name, number in self.fields():
                values = self.data.values[name][frame]
                seen = np.isfinite(values)
                if not seen.any():
                    continue
                runs = np.stack([self.data.select(one)[seen] for one in states[:, number]])
                for n, (_, steps) in enumerate(stencils):
                    rows = self._rows(runs[n * group : (n + 1) * group], values[seen], steps)
                    factors[n][name] = triangular(np.concatenate([factors[n][name], rows]))
        return [
            Evaluation(tuple(map(float, point)), one)
            for point, one in zip(points, factors, strict=True)
        ]

    def fields(self) -> list[tuple[str, int]]:
        """Return the fields of the data with their numbers in states."""
        order = self.forward.family.base.equation.fields
        return [(name, order.index(name)) for name in self.data.fields]

    def compared(self, places: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index of each frame of the data that is compared, and the states there."""
        times, near = self.forward.times, nearness(self.forward.times)
        frames = {
            int(np.abs(times - time).argmin()): number
            for number, time in enumerate(self.data.times)
            if number or not self.skip_first
        }
        assert all(
            abs(times[k] - self.data.times[n]) <= max(near, 1e-5 * (times[-1] - times[0]))
            for k, n in frames.items()
        )
        for number, states in enumerate(self.forward.frames(places)):
            if number in frames:
                yield frames[number], states

    def _stencil(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the runs for one evaluation, and the steps of its differences."""
        family = self.forward.family
        relative = STEPS[self.differences]
        steps = np.array(
            [one.step(p, relative) for one, p in zip(family.parameters, point, strict=True)]
        )
        moved = point + np.diag(steps)
        if self.differences == "central":
            moved = np.concatenate([moved, point - np.diag(steps)])
        return np.concatenate([point[np.newaxis], moved]), steps

    def _rows(self, runs: np.ndarray, values: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return ``[J r]`` for the values of one frame, ``(values, parameters + 1)``."""
        base, moved = runs[0], runs[1:]
        if self.differences == "central":
            upper, lower = np.split(moved, 2)
            slopes = (upper - lower) / (2 * steps[:, None])
        else:
            slopes = (moved - base) / steps[:, None]
        return np.concatenate([slopes, (base - values)[np.newaxis]]).T
