"""Computation of a fit: evaluations, optimisers, weights, and the files of the result."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from pdesim.engine.device import Placement, start_tensorflow
from pdesim.engine.memory import check_device_memory, enough_memory
from pdesim.errors import ConfigError, InterruptedRun, OutputError
from pdesim.fitting.log import LOG, Log
from pdesim.fitting.members import Family, build_family
from pdesim.fitting.optimise import Point, PointNeeded, Solution, solve
from pdesim.fitting.prepare import Task
from pdesim.fitting.progress import Progress, fit_progress
from pdesim.fitting.residuals import Evaluation, Residuals
from pdesim.fitting.result import FitResult, Start
from pdesim.fitting.settings import start_points
from pdesim.fitting.statistics import assess, shift, time_errors, without_effect
from pdesim.run.stopping import StopRequests, stop_requests

#: weights of several fields are estimated again until they change by less than this fraction, at
#: most this number of times
SAME_WEIGHTS, MOST_WEIGHTINGS = 0.01, 5
#: residuals below this fraction of the data are rounding errors, from which no weights follow
EXACT = 1e-8


@dataclass(frozen=True)
class Computed:
    """The end of the computation.

    Args:
        result: the result.
        residuals: the residuals, with the forward function.
        places: the positions of the estimates.
    """

    result: FitResult
    residuals: Residuals
    places: Point


def compute(task: Task, folder: Path, console: Console) -> Computed:
    """Compute a fit whose folder exists; a log in the folder is continued.

    Raises:
        PdesimError: if no run is possible or nothing can be fitted, and after a request to stop.
    """
    with (
        tempfile.TemporaryDirectory() as staging,
        stop_requests(task.settings.time.wall_limit) as stop,
    ):
        family = build_family(task, Path(staging))
        placement = start_tensorflow(task.settings.device)
        with fit_progress(console, task.equation, family.base.end) as progress:
            try:
                with enough_memory(family.base.grid.cells):
                    return _Fit(task, family, folder, progress, stop).run(placement)
            except InterruptedRun as request:
                raise InterruptedRun(
                    request.problem.replace("all frames are kept", "all evaluations are kept"),
                    f"pdesim resume {folder}   continues the fit",
                    exit_code=request.exit_code,
                ) from None


class _Fit:
    """A fit in progress."""

    def __init__(
        self, task: Task, family: Family, folder: Path, progress: Progress, stop: StopRequests
    ) -> None:
        self.task, self.family, self.folder = task, family, folder
        self.progress, self.stop = progress, stop

    def run(self, placement: Placement) -> Computed:
        """Compute the fit."""
        from pdesim.fitting.forward import Batches, Forward, record_schedule

        task, family = self.task, self.family
        runs = len(task.parameters) * (2 if task.options.differences == "central" else 1) + 1
        starts = [tuple(one) for one in start_points(task.parameters, task.options)]
        batches = Batches.choose(family.base, placement, runs, len(starts))
        check_device_memory([family.base] * batches.size, placement)
        path, digest = self.folder / LOG, fingerprint(task)
        if path.exists():
            self.log, schedule = Log.read(path, digest)
            if not np.array_equal(schedule.targets, family.base.targets):
                raise OutputError(f"{path} has other time steps", "the log of the same fit")
        else:
            self.progress.stage("recording the time steps")
            schedule = record_schedule(family, placement, batches, self._check, self.progress.note)
            try:
                self.log = Log.create(path, digest, schedule)
            except OSError as error:
                raise OutputError(f"{path} cannot be written ({error.strerror})") from None
        forward = Forward(family, schedule, placement, batches, self._check)
        self.residuals = Residuals(
            forward, task.observations, task.options.differences, task.from_data
        )
        return self._fit(starts, runs)

    def _check(self, now: float) -> None:
        self.progress.now(now)
        self.stop.check(now)

    def _fit(self, starts: Sequence[Point], runs: int) -> Computed:
        """Run the optimisers of all starts, and then the best one with better weights."""
        sigma = self._first_weights()
        solutions = self._solve(starts, sigma)
        best = min(solutions, key=lambda one: one.cost)
        if not np.isfinite(best.cost):
            raise ConfigError(
                "the runs at all starts are not finite at the times of the data",
                "starts near the solution: fit={equation.D: {bounds: [LOW, HIGH], start: VALUE}}",
            )
        self._check_moves(solutions)
        found = best
        for _ in range(MOST_WEIGHTINGS if self._estimates_weights else 0):
            better = self._weights(found, sigma)
            change = max(abs(better[name] / sigma[name] - 1) for name in sigma)
            if change < SAME_WEIGHTS:
                break
            sigma = better
            (found,) = self._solve([found.places], sigma)
        return self._finish(found, best, solutions, sigma, runs)

    @property
    def _estimates_weights(self) -> bool:
        return self.task.data.noise is None and len(self.task.observations.fields) > 1

    def _spreads(self) -> dict[str, float]:
        """Return the standard deviation of the data of each field, or 1 if they are constant."""
        spreads = {n: float(np.nanstd(v)) for n, v in self.task.observations.values.items()}
        return {
            name: spread or float(np.nanmax(np.abs(self.task.observations.values[name]))) or 1.0
            for name, spread in spreads.items()
        }

    def _first_weights(self) -> dict[str, float]:
        noise = self.task.data.noise
        if noise is None:
            return self._spreads()
        if isinstance(noise, Mapping):
            return {name: float(noise[name]) for name in self.task.observations.fields}
        return dict.fromkeys(self.task.observations.fields, float(noise))

    def _weights(self, found: Solution, sigma: Mapping[str, float]) -> dict[str, float]:
        """Return the root mean square of the residuals of each field."""
        counts, spreads = self.residuals.counts, self._spreads()
        evaluation = self.log.evaluations[found.places]
        rms = {name: evaluation.norm(name) / max(counts[name], 1) ** 0.5 for name in sigma}
        return {name: max(rms[name], EXACT * spreads[name]) for name in sigma}

    def _solve(self, starts: Sequence[Point], sigma: Mapping[str, float]) -> list[Solution]:
        """Run optimisers to their ends; the points that they need are evaluated together."""
        options = self.task.options
        while True:
            needed: dict[Point, None] = {}
            solutions = []
            for start in starts:
                try:
                    solutions.append(
                        solve(options.method, start, self._known, sigma, options.tolerance,
                              options.evaluations)
                    )  # fmt: skip
                except PointNeeded as request:
                    needed[request.point] = None
            if not needed:
                return solutions
            self._evaluate(list(needed), sigma)

    def _known(self, point: Point) -> Evaluation:
        found = self.log.evaluations.get(point)
        if found is None:
            raise PointNeeded(point)
        return found

    def _evaluate(self, points: Sequence[Point], sigma: Mapping[str, float]) -> None:
        """Evaluate points and log them."""
        self.progress.stage("")
        self.log.add(self.residuals.evaluate(points))
        count = max(sum(self.residuals.counts.values()), 1)
        costs = [
            float(np.linalg.norm(one.weighted(sigma)[:, -1])) / count**0.5
            for one in self.log.evaluations.values()
            if not one.failed
        ]
        best = min(costs, default=float("nan"))
        self.progress.evaluated(len(self.log.evaluations), best)

    def _refined(self, point: Point) -> Evaluation:
        """Return the evaluation at a point with steps of half the length."""
        if point not in self.log.refined:
            self.progress.stage("steps of half the length")
            forward = self.residuals.forward
            finer = replace(forward, schedule=forward.schedule.refined())
            self.log.add(replace(self.residuals, forward=finer).evaluate([point]), refined=True)
        return self.log.refined[point]

    def _check_moves(self, solutions: Sequence[Solution]) -> None:
        """Check that at least one parameter has an effect at one of the starts.

        Raises:
            ConfigError: if all derivatives are zero at all starts.
        """
        names = set(self.family.values(solutions[0].places))
        for one in solutions:
            evaluation = self.log.evaluations[one.start]
            if not evaluation.failed:
                factor = evaluation.weighted(dict.fromkeys(evaluation.factors, 1.0))
                names &= set(without_effect(self.task.parameters, factor))
        if len(names) == len(self.task.parameters):
            raise ConfigError(
                f"{' and '.join(sorted(names))} cannot be fitted: the derivatives of all observed "
                "values are zero at the start",
                "a parameter that changes the fields at the times and cells of the data",
                "check that a formula uses the parameter, and that the solution is not zero or "
                "steady",
            )

    def _finish(
        self,
        found: Solution,
        best: Solution,
        solutions: Sequence[Solution],
        sigma: Mapping[str, float],
        runs: int,
    ) -> Computed:
        """Return the result."""
        task, evaluation = self.task, self.log.evaluations[found.places]
        counts, spreads = self.residuals.counts, self._spreads()
        count = sum(counts.values())
        factor = evaluation.weighted(sigma)
        statistics = assess(
            task.parameters, found.places, factor, count, task.data.noise is not None
        )
        rms = {name: evaluation.norm(name) / max(counts[name], 1) ** 0.5 for name in sigma}
        refined = self._refined(found.places).weighted(sigma)
        shifts = shift(task.parameters, found.places, refined)
        keys = [one.key for one in task.parameters]
        schedule = self.residuals.forward.schedule
        ordered = [best, *(one for one in solutions if one is not best)]
        result = FitResult(
            folder=self.folder,
            equation=task.equation,
            data=task.data.file or "",
            parameters=self.family.values(found.places),
            errors=dict(zip(keys, statistics.errors.tolist(), strict=True)),
            bounds={one.key: (one.low, one.high) for one in task.parameters},
            time_errors=dict(zip(keys, shifts.tolist(), strict=True)),
            correlations=statistics.correlations,
            singular_values=statistics.singular_values,
            residuals=rms,
            relative_residuals={name: rms[name] / spreads[name] for name in rms},
            sigma=dict(sigma),
            chi_square=2 * found.cost / max(count - len(task.parameters), 1),
            values=count,
            evaluations=len(self.log.evaluations),
            runs=len(self.log.evaluations) * runs,
            method=task.options.method,
            stepper=self.family.base.stepper.method.name,
            dt=(float(schedule.dt.min()), float(schedule.dt.max())),
            starts=tuple(self._start(one, count) for one in ordered),
            converged=found.converged,
            warnings=(
                *statistics.warnings,
                *time_errors(task.parameters, found.places, shifts, statistics.errors),
                *_failures(found),
            ),
        )
        return Computed(result, self.residuals, found.places)

    def _start(self, one: Solution, count: int) -> Start:
        residual = (2 * one.cost / max(count, 1)) ** 0.5 if np.isfinite(one.cost) else None
        values = self.family.values
        return Start(values(one.start), values(one.places), residual, one.evaluations, one.message)


def _failures(found: Solution) -> list[str]:
    return [] if found.converged else [f"the fit has not converged: {found.message}"]


def fingerprint(task: Task) -> str:
    """Return a digest of everything that determines the numbers of a fit."""
    values = {
        name: part
        for name, part in task.values.items()
        if name not in ("label", "animation", "montage", "sweep", "workers", "experiment", "resume")
    }
    data = {key: part for key, part in values["data"].items() if key != "file"}
    time = {key: part for key, part in values["time"].items() if key != "wall_limit"}
    values |= {"data": data, "time": time, "digest": task.observations.digest}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
