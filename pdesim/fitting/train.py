"""Computation of a fit with free arrays: initial states and weights of networks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pdesim.engine.device import start_tensorflow
from pdesim.engine.memory import check_device_memory, enough_memory
from pdesim.errors import ConfigError, InterruptedRun
from pdesim.fitting.compute import fingerprint
from pdesim.fitting.descent import LOG, Evaluated, GradientLog, descend
from pdesim.fitting.free import Arrays, first_arrays
from pdesim.fitting.members import build_family
from pdesim.fitting.plot import Comparison, compare
from pdesim.fitting.prepare import Task
from pdesim.fitting.progress import fit_progress
from pdesim.fitting.result import FITTED
from pdesim.run.stopping import stop_requests

#: a gradient below this, relative to the objective, does not move a fit
NO_SLOPE = 1e-30


@dataclass(frozen=True)
class TrainingResult:
    """The result of a fit with free arrays.

    Args:
        folder: the folder of the fit.
        equation: the name of the equation.
        data: the data file.
        parameters: setting -> estimate.
        arrays: the fitted arrays.
        residuals: field -> the root mean square of its residuals.
        relative_residuals: field -> the same relative to the standard deviation of the data.
        objective: the objective at the best point.
        history: the objective at all evaluations.
        method: the optimiser.
        stepper: the stepper of the runs.
        message: why the optimiser ended.
        converged: whether it reached a tolerance, or has taken all its iterations.
        warnings: sentences about the result.
    """

    folder: Path
    equation: str
    data: str
    parameters: dict[str, float]
    arrays: Arrays
    residuals: dict[str, float]
    relative_residuals: dict[str, float]
    objective: float
    history: tuple[float, ...]
    method: str
    stepper: str
    message: str
    converged: bool
    warnings: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that runs the fitted model."""
        return f"pdesim --config-dir {self.folder} equation={FITTED}"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values, without the arrays."""
        return {
            "equation": self.equation,
            "data": self.data,
            "run": self.command,
            "converged": self.converged,
            "parameters": {key: {"estimate": value} for key, value in self.parameters.items()},
            "arrays": [*(f"initial.{n}" for n in self.arrays.initial),
                       *(f"networks.{n}" for n in self.arrays.networks)],
            "objective": self.objective,
            "residual_rms": self.residuals,
            "residual_rms_relative": self.relative_residuals,
            "evaluations": len(self.history),
            "history": list(self.history),
            "method": self.method,
            "stepper": self.stepper,
            "message": self.message,
            "warnings": list(self.warnings),
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [f"{key} = {value:.8g}" for key, value in self.parameters.items()]
        for name, size in self.residuals.items():
            relative = 100 * self.relative_residuals[name]
            lines.append(
                f"residual of {name}   {size:.3g} (root mean square), {relative:.3g} % of the "
                "standard deviation of the data"
            )
        lines.append(
            f"objective {self.objective:.4g}, at the start {self.history[0]:.4g}; "
            f"{len(self.history)} evaluations with {self.stepper} and {self.method}; {self.message}"
        )
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])


def train(
    task: Task, folder: Path, console: Console
) -> tuple[TrainingResult, Callable[[], Comparison]]:
    """Compute a fit with free arrays whose folder exists; a log in the folder is continued.

    Returns:
        The result, and a function that computes the fitted run beside the data.

    Raises:
        PdesimError: if no run is possible or nothing can be fitted, and after a request to stop.
    """
    with (
        tempfile.TemporaryDirectory() as staging,
        stop_requests(task.settings.time.wall_limit) as stop,
    ):
        family = build_family(task, Path(staging))
        placement = start_tensorflow(task.settings.device)
        check_device_memory([family.base], placement)
        from pdesim.fitting.objective import Objective

        fields, spreads = family.base.equation.fields, _spreads(task)
        start = first_arrays(task.free, fields, family.base.state, family.base.equation.networks)
        sigma = _sigma(task, spreads)
        objective = Objective(task, family, placement, start, sigma)
        places = np.array([one.start for one in task.parameters])
        first = np.concatenate([places, start.vector])
        log = GradientLog(folder / LOG, fingerprint(task), len(first), len(spreads))
        log.open()
        with fit_progress(console, task.equation, family.base.end) as progress:

            def evaluate(vector: np.ndarray) -> Evaluated:
                stop.check(family.base.times[0])
                found = log.evaluate(objective, vector)
                if len(log.history) == 1:
                    _check_moves(found, task)
                assert log.best is not None
                progress.evaluated(len(log.history), (2 * log.best[0]) ** 0.5)
                return found

            options = task.options
            try:
                with enough_memory(family.base.grid.cells):
                    end = descend(
                        options.method, first, evaluate, _bounds(task, start), options.tolerance,
                        options.evaluations, options.learning_rate,
                    )  # fmt: skip
            except InterruptedRun as request:
                raise InterruptedRun(
                    request.problem.replace("all frames are kept", "all evaluations are kept"),
                    f"pdesim resume {folder}   continues the fit",
                    exit_code=request.exit_code,
                ) from None
        assert log.best is not None and log.misfits is not None
        places, arrays = objective.split(log.best[1])
        residuals = dict(zip(task.observations.fields, log.misfits.tolist(), strict=True))
        result = TrainingResult(
            folder, task.equation, task.data.file or "", family.values(places), arrays, residuals,
            {name: size / spreads[name] for name, size in residuals.items()}, log.best[0],
            tuple(log.history), options.method, family.base.stepper.method.name, end.message,
            end.converged, () if end.converged else (f"the fit has not converged: {end.message}",),
        )  # fmt: skip
        names = " and ".join(one.key for one in task.free)
        columns = list(zip(task.observations.fields, range(len(residuals)), strict=True))
        best, title = log.best[1], f"{task.equation}: fit of {names}"
        return result, lambda: compare(
            task, objective.compared(best), columns, title, sigma,
            history=result.history, initial=arrays.initial,
        )  # fmt: skip


def _check_moves(found: Evaluated, task: Task) -> None:
    """Check that the first run is finite and that something changes the objective.

    Raises:
        ConfigError: if not.
    """
    if not np.isfinite(found.value):
        raise ConfigError(
            "the run at the start is not finite at the times of the data",
            "initial states, weights and parameters with a finite run",
            "a smaller time.dt",
        )
    if np.abs(found.gradient).max(initial=0.0) <= NO_SLOPE * max(found.value, NO_SLOPE):
        names = [*(one.key for one in task.parameters), *(one.key for one in task.free)]
        raise ConfigError(
            f"{' and '.join(names)} cannot be fitted: the gradient is zero at the start",
            "arrays that change the fields at the times and cells of the data",
        )


def _spreads(task: Task) -> dict[str, float]:
    """Return the standard deviation of the data of each field, or their size if it is 0."""
    found = {}
    for name, values in task.observations.values.items():
        found[name] = float(np.nanstd(values)) or float(np.nanmax(np.abs(values))) or 1.0
    return found


def _sigma(task: Task, spreads: dict[str, float]) -> dict[str, float]:
    noise = task.data.noise
    if isinstance(noise, dict):
        return dict(noise)
    return spreads if noise is None else dict.fromkeys(spreads, float(noise))


def _bounds(task: Task, start: Arrays) -> list[tuple[float | None, float | None]]:
    """Return the bounds of all numbers."""
    found: list[tuple[float | None, float | None]] = [(0.0, 1.0)] * len(task.parameters)
    given = {one.name: one.bounds for one in task.free if one.section == "initial"}
    for name, values in start.initial.items():
        found += [given[name] or (None, None)] * values.size
    count = sum(part.size for part in replace(start, initial={}).parts())
    return found + [(None, None)] * count
