"""Optimisers that use exact gradients, and their log, from which a fit is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError

#: the name of the log in the folder of a fit
LOG = "gradients.bin"
#: optimisers of Keras
KERAS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
#: bytes of a digest of a point
DIGEST = 16
#: the objective, relative to that at the start, where a run has failed
FAILED = 1e6

#: ``objective(vector)``: the value, the gradient, and the misfits of the fields
Objective = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Evaluated:
    """The objective at one point."""

    value: float
    gradient: np.ndarray
    misfits: np.ndarray


@dataclass
class GradientLog:
    """The evaluations of a fit, in the order in which they were computed, in a file.

    Optimisers are deterministic: with the stored evaluations they ask for the same points again,
    and continue where the log ends. Each record contains a digest of the point, the value, the
    misfits, and the gradient. A record that a killed process has not completed is ignored.

    Args:
        path: the file.
        fingerprint: a digest of everything that determines the numbers of the fit.
        size: the length of gradients.
        fields: the number of misfits.
    """

    path: Path
    fingerprint: str
    size: int
    fields: int
    best: tuple[float, np.ndarray] | None = None
    history: list[float] = field(default_factory=list)
    misfits: np.ndarray | None = None
    _stored: int = 0
    _start: int = 0

    def open(self) -> None:
        """Read the first line of the file, or create the file.

        Raises:
            OutputError: if it belongs to another fit, or cannot be read or written.
        """
        header = json.dumps({"fit": self.fingerprint, "size": self.size}) + "\n"
        try:
            if not self.path.exists():
                self.path.write_bytes(header.encode())
            with self.path.open("rb") as file:
                if file.readline() != header.encode():
                    raise OutputError(f"{self.path} belongs to another fit", "an unchanged folder")
                self._start = file.tell()
            self._stored = (self.path.stat().st_size - self._start) // self._record
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror})") from None

    @property
    def _record(self) -> int:
        return DIGEST + 8 * (1 + self.fields + self.size)

    def evaluate(self, objective: Objective, vector: np.ndarray) -> Evaluated:
        """Return the stored evaluation of a point, or compute and store it."""
        number, digest = len(self.history), hashlib.sha256(vector.tobytes()).digest()[:DIGEST]
        found = self._read(number, digest) if number < self._stored else None
        if found is None:
            found = Evaluated(*objective(vector))
            self._write(number, digest, found)
            self._stored = number + 1
        self.history.append(found.value)
        if self.best is None or found.value < self.best[0]:
            self.best, self.misfits = (found.value, vector.copy()), found.misfits
        return found

    def _read(self, number: int, digest: bytes) -> Evaluated | None:
        with self.path.open("rb") as file:
            file.seek(self._start + number * self._record)
            record = file.read(self._record)
        if len(record) < self._record or record[:DIGEST] != digest:
            return None
        numbers, after = np.frombuffer(record[DIGEST:], "<f8").copy(), 1 + self.fields
        return Evaluated(float(numbers[0]), numbers[after:], numbers[1:after])

    def _write(self, number: int, digest: bytes, found: Evaluated) -> None:
        numbers = np.concatenate([[found.value], found.misfits, found.gradient]).astype("<f8")
        try:
            with self.path.open("r+b") as file:
                file.truncate(self._start + number * self._record)
                file.seek(0, 2)
                file.write(digest + numbers.tobytes())
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror})") from None


@dataclass(frozen=True)
class Descended:
    """The end of an optimiser: why it ended, and whether it converged."""

    message: str
    converged: bool


def descend(
    method: str,
    start: np.ndarray,
    evaluate: Callable[[np.ndarray], Evaluated],
    bounds: Sequence[tuple[float | None, float | None]],
    tolerance: float,
    evaluations: int,
    rate: float,
) -> Descended:
    """Run an optimiser; the log knows the best point.

    Args:
        method: ``L-BFGS-B`` of SciPy, or one of :data:`KERAS`.
        start: the first point.
        evaluate: returns the objective at a point.
        bounds: the bounds of each number; Keras' optimisers are projected to them.
        tolerance: the relative change of the objective at which L-BFGS-B ends.
        evaluations: the largest number of evaluations.
        rate: the learning rate of Keras' optimisers.
    """
    if method == "L-BFGS-B":
        return _quasi_newton(start, evaluate, bounds, tolerance, evaluations)
    return _keras(method, start, evaluate, bounds, evaluations, rate)


def _quasi_newton(
    start: np.ndarray,
    evaluate: Callable[[np.ndarray], Evaluated],
    bounds: Sequence[tuple[float | None, float | None]],
    tolerance: float,
    evaluations: int,
) -> Descended:
    from scipy.optimize import minimize

    count, scale = 0, 1.0

    class Enough(Exception):
        """The largest number of evaluations has been reached."""

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count, scale
        if count == evaluations:
            raise Enough
        count += 1
        found = evaluate(vector.copy())
        if not np.isfinite(found.value):  # the line search then tries a shorter step
            return FAILED, np.zeros(len(vector))
        if count == 1:  # the tolerances are absolute
            scale = found.value or 1.0
        return found.value / scale, found.gradient / scale

    try:
        found: Any = minimize(
            objective, start, jac=True, method="L-BFGS-B", bounds=list(bounds),
            options={"ftol": tolerance, "gtol": tolerance, "maxfun": 10 * evaluations,
                     "maxiter": evaluations},
        )  # fmt: skip
    except Enough:
        message = "the largest number of evaluations was reached (fit.evaluations)"
        return Descended(message, False)
    return Descended(str(found.message).lower(), found.status == 0)


def _keras(
    method: str,
    start: np.ndarray,
    evaluate: Callable[[np.ndarray], Evaluated],
    bounds: Sequence[tuple[float | None, float | None]],
    evaluations: int,
    rate: float,
) -> Descended:
    import keras  # type: ignore[import-untyped]

    lower = np.array([-np.inf if low is None else low for low, _ in bounds])
    upper = np.array([np.inf if high is None else high for _, high in bounds])
    variable = keras.Variable(start, dtype="float64")
    optimiser = keras.optimizers.get({"class_name": method, "config": {"learning_rate": rate}})
    for _ in range(evaluations):
        found = evaluate(np.array(variable.numpy()))
        if not np.isfinite(found.value):
            return Descended("the run is not finite: a smaller fit.learning_rate", False)
        optimiser.apply([keras.ops.convert_to_tensor(found.gradient, "float64")], [variable])
        variable.assign(np.clip(variable.numpy(), lower, upper))
    return Descended(f"{evaluations} iterations of {method}", True)
