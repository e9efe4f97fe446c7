"""Rounds in which all packages are timed in turn, and the comparison of their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from peers.problems import PROBLEMS
from peers.workers import Case, Worker, median, tell

#: steps after which all states are compared
CHECKED = 50


@dataclass
class Result:
    """The fastest form of a package on one problem; ``rates`` are cell updates per second."""

    package: str
    case: Case
    form: str
    difference: float
    rates: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.rates)


def measure(
    workers: Sequence[Worker], case: Case, repeats: int, round_seconds: float
) -> list[Result]:
    """Measure all packages on a case, in rounds of about ``round_seconds`` per package."""
    participants = [worker for worker in workers if case in worker.cases]
    reference = next(w for w in participants if w.name == "NumPy")
    true = reference.state(case, reference.forms(case)[0], CHECKED)
    runs: list[tuple[Worker, Result, int]] = []
    for worker in participants:
        step_times = {form: worker.estimate_step_time(case, form) for form in worker.forms(case)}
        form = min(step_times, key=step_times.get)
        state = worker.state(case, form, CHECKED)
        difference = float(np.abs(state - true).max() / np.abs(true).max())
        if not difference <= PROBLEMS[case[0]].tolerance:
            tell(f"{worker.name} {form} is off by {difference:.1e} on {case[0]}: skipped")
            continue
        steps = max(1, round(round_seconds / step_times[form]))
        runs.append((worker, Result(worker.name, case, form, difference), steps))
    for worker, result, steps in runs:  # warm-up
        worker.seconds(case, result.form, steps)
    for _ in range(repeats):
        for worker, result, steps in runs:
            seconds = worker.seconds(case, result.form, steps)
            result.rates.append(case[1] ** 2 * steps / seconds)
    tell(f"{case[0]} {case[1]} is done")
    return [result for _, result, _ in runs]


def ratio(results: Sequence[Result], result: Result, to: str) -> tuple[float, float, float] | None:
    """The minimum, median and maximum, over all rounds, of the ratio of rates."""
    other = next((r for r in results if r.package == to and r.case == result.case), None)
    if other is None:
        return None
    ratios = np.array(result.rates) / np.array(other.rates)
    return float(ratios.min()), float(np.median(ratios)), float(ratios.max())
