"""Errors against references, orders and seconds of all rungs."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from precision.cases import REFERENCES, Rung
from precision.workers import Workers, tell

#: errors closer to the references' own doubt than this factor say nothing about an order,
#: nor do errors so large that the patterns differ
TRUSTED, COARSE = 20.0, 0.05
#: a measured order may fall short of the claim by this much before it is marked
SLACK = 0.2

#: per space the reference solution, and how far another method is from it
References = dict[str, tuple[np.ndarray, float]]


@dataclass
class Result:
    """What came of a rung: its error (nan: it failed, see ``trouble``) and all its seconds."""

    rung: Rung
    error: float = math.nan
    order: float = math.nan
    seconds: tuple[float, ...] = ()
    trouble: str = ""

    @property
    def median(self) -> float:
        return float(np.median(self.seconds)) if self.seconds else math.nan


def solve_references(workers: Workers, spaces: Sequence[str]) -> References:
    """Per space the reference solution and how far another method is from it."""
    found = {}
    for space in spaces:
        states = []
        for rung in REFERENCES[space]:
            seconds, state, trouble = workers.run(rung)
            if state is None:
                sys.exit(f"the {space} reference failed ({rung.method}, {rung.size}): {trouble}")
            tell(f"{space} reference: {rung.package} {rung.method} {rung.size}, {seconds:.1f} s")
            states.append(state)
        found[space] = states[0], float(np.abs(states[0] - states[1]).max())
    return found


def measure(
    workers: Workers, rungs: Sequence[Rung], references: References, repeats: int, patience: float
) -> list[Result]:
    """All rungs turn by turn, shuffled so that a busy minute hits nobody alone.

    One that has taken ``patience`` seconds altogether rests.
    """
    results = {rung: Result(rung) for rung in rungs}
    for turn in range(repeats):
        for rung, result in random.Random(turn).sample(list(results.items()), len(results)):
            if result.trouble or (turn > 0 and sum(result.seconds) > patience):
                continue
            seconds, state, result.trouble = workers.run(rung)
            if state is None:
                continue
            if not np.isfinite(state).all():
                result.trouble = "diverged"
                continue
            result.seconds += (seconds,)
            result.error = float(np.abs(state - references[rung.space][0]).max())
        tell(f"turn {turn + 1} of {repeats} done")
    return list(results.values())


def fill_orders(results: Sequence[Result]) -> None:
    """From each rung of fixed step and the one before it in its ladder."""
    for before, result in itertools.pairwise(results):
        same = before.rung.line == result.rung.line and not result.rung.adaptive
        if same and before.error > 0 and result.error > 0:
            ratio = before.rung.dt / result.rung.dt
            result.order = math.log(before.error / result.error) / math.log(ratio)


def finest_orders(results: Sequence[Result], references: References) -> list[Result]:
    """Of every ladder of fixed steps, the finest rung whose order can be trusted."""
    found = {}
    for result in results:
        if not math.isnan(result.order) and is_trusted(result, references):
            found[result.rung.line] = result
    return list(found.values())


def is_trusted(result: Result, references: References) -> bool:
    return TRUSTED * references[result.rung.space][1] <= result.error <= COARSE


def misses(result: Result) -> bool:
    """Whether the order falls short of the claim."""
    return result.order < result.rung.order - SLACK


def lines_of(results: Sequence[Result]) -> dict[tuple[str, str, str], list[Result]]:
    found: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        found.setdefault(result.rung.line, []).append(result)
    return found


def seconds_for(results: Sequence[Result], error: float) -> str:
    """Seconds to reach an error, between two rungs by powers.

    ``<`` where every rung is better, ``-`` where none is as good.
    """
    good = sorted((r.error, r.median) for r in results if r.error > 0 and r.seconds)
    if good and good[-1][0] < error:
        return f"<{min(seconds for _, seconds in good):.3g}"
    for (low, slow), (high, fast) in itertools.pairwise(good):
        if low <= error <= high:
            share = math.log(error / low) / math.log(high / low) if high > low else 0.0
            return f"{slow * (fast / slow) ** share:.3g}"
    return "-"
