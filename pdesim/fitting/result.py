"""The result of a fit, as data and as YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: the file with the result in the folder of a fit
RESULT = "fit.yaml"
#: the equation that runs the fitted model: pdesim --config-dir FOLDER equation=fitted
FITTED = "fitted"


@dataclass(frozen=True)
class Start:
    """An optimiser from its start to its end.

    Args:
        start, end: setting -> value.
        residual: the root mean square of the weighted residuals at the end; None if no run was
            possible.
        evaluations: the number of evaluations.
        message: why it ended.
    """

    start: Mapping[str, float]
    end: Mapping[str, float]
    residual: float | None
    evaluations: int
    message: str


@dataclass(frozen=True)
class FitResult:
    """Estimates of parameters, and how well the data determine them.

    Args:
        folder: the folder of the fit.
        equation: the name of the equation.
        data: the data file.
        parameters: setting -> estimate.
        errors: setting -> standard error; infinite if the data do not determine it.
        bounds: setting -> the bounds.
        time_errors: setting -> the change of the estimate with steps of half the length.
        correlations: ``(parameters, parameters)``, in the order of ``parameters``.
        singular_values: those of the derivatives, each parameter's divided by their norm.
        residuals: field -> the root mean square of its residuals.
        relative_residuals: field -> the same relative to the standard deviation of the data.
        sigma: field -> the standard deviation by which its residuals are divided.
        chi_square: the sum of the squared weighted residuals divided by the degrees of freedom.
        values: the number of observed values.
        evaluations: the number of evaluations, each of several runs.
        runs: the number of runs.
        method: the optimiser.
        stepper: the stepper of the runs.
        dt: the smallest and the largest time step.
        starts: all starts, the best one first.
        converged: whether the best one has reached a tolerance.
        warnings: sentences about parameters that the data do not determine.
    """

    folder: Path
    equation: str
    data: str
    parameters: dict[str, float]
    errors: dict[str, float]
    bounds: dict[str, tuple[float, float]]
    time_errors: dict[str, float]
    correlations: np.ndarray
    singular_values: np.ndarray
    residuals: dict[str, float]
    relative_residuals: dict[str, float]
    sigma: dict[str, float]
    chi_square: float
    values: int
    evaluations: int
    runs: int
    method: str
    stepper: str
    dt: tuple[float, float]
    starts: tuple[Start, ...]
    converged: bool
    warnings: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that runs the fitted model."""
        return f"pdesim --config-dir {self.folder} equation={FITTED}"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values; None stands for numbers that are not finite."""
        names = list(self.parameters)
        return {
            "equation": self.equation,
            "data": self.data,
            "run": self.command,
            "converged": self.converged,
            "parameters": {
                key: {
                    "estimate": self.parameters[key],
                    "standard_error": _finite(self.errors[key]),
                    "bounds": list(self.bounds[key]),
                    "change_with_half_the_time_step": _finite(self.time_errors[key]),
                }
                for key in names
            },
            "correlations": {
                key: {other: _finite(self.correlations[i, j]) for j, other in enumerate(names)}
                for i, key in enumerate(names)
            },
            "singular_values": self.singular_values.tolist(),
            "residual_rms": self.residuals,
            "residual_rms_relative": self.relative_residuals,
            "sigma": self.sigma,
            "reduced_chi_square": _finite(self.chi_square),
            "observed_values": self.values,
            "evaluations": self.evaluations,
            "runs": self.runs,
            "method": self.method,
            "stepper": self.stepper,
            "dt": {"smallest": self.dt[0], "largest": self.dt[1]},
            "starts": [
                {
                    "start": dict(one.start),
                    "end": dict(one.end),
                    "residual": one.residual,
                    "evaluations": one.evaluations,
                    "message": one.message,
                }
                for one in self.starts
            ],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        width = max(map(len, self.parameters))
        lines = [
            f"{key:{width}} = {describe(value, self.errors[key])}"
            for key, value in self.parameters.items()
        ]
        return "\n".join(lines)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def describe(value: float, error: float) -> str:
    """Return an estimate with its standard error, to two digits of the error."""
    if not math.isfinite(error):
        return f"{value:.6g} (not determined)"
    if error <= 0 or abs(error) < 1e-12 * abs(value):
        return f"{value:.12g} ± {error:.1g}"
    digits = 2 - math.ceil(math.log10(error))
    significant = max(2, digits + math.ceil(math.log10(abs(value) or error)))
    return f"{value:.{min(significant, 15)}g} ± {error:.2g}"
