"""Turns taken one after the other, rates, and the check of everybody's numbers."""

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
    """One contestant on one problem: its best form, cell updates per second of every turn."""

    contestant: str
    case: Case
    form: str
    difference: float
    rates: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.rates)


def measure(workers: Sequence[Worker], case: Case, repeats: int, turn: float) -> list[Result]:
    """All contestants of a case, in turns of about ``turn`` seconds."""
    entered = [worker for worker in workers if case in worker.cases]
    reference = next(w for w in entered if w.name == "NumPy")
    true = reference.state(case, reference.forms(case)[0], CHECKED)
    running: list[tuple[Worker, Result, int]] = []
    for worker in entered:
        paces = {form: worker.pace(case, form) for form in worker.forms(case)}
        form = min(paces, key=paces.get)
        state = worker.state(case, form, CHECKED)
        difference = float(np.abs(state - true).max() / np.abs(true).max())
        if not difference <= PROBLEMS[case[0]].tolerance:
            tell(f"{worker.name} {form} is off by {difference:.1e} on {case[0]}: left out")
            continue
        steps = max(1, round(turn / paces[form]))
        running.append((worker, Result(worker.name, case, form, difference), steps))
    for worker, result, steps in running:  # warm-up
        worker.seconds(case, result.form, steps)
    for _ in range(repeats):
        for worker, result, steps in running:
            seconds = worker.seconds(case, result.form, steps)
            result.rates.append(case[1] ** 2 * steps / seconds)
    tell(f"{case[0]} {case[1]} is done")
    return [result for _, result, _ in running]


def ratio(results: Sequence[Result], result: Result, to: str) -> tuple[float, float, float] | None:
    """Least, median and largest of the ratios of neighbouring turns."""
    other = next((r for r in results if r.contestant == to and r.case == result.case), None)
    if other is None:
        return None
    ratios = np.array(result.rates) / np.array(other.rates)
    return float(ratios.min()), float(np.median(ratios)), float(ratios.max())
