"""Guarded measurements, timing and tables. Only the standard library is imported."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = dict[str, object]

#: duration in seconds of a trial that is long enough for an estimate of the time per step
TRIAL_SECONDS = 0.05


@dataclass(frozen=True)
class Scale:
    """The extent of a benchmark.

    Args:
        device: "gpu" or "cpu", as in the setting ``device``.
        quick: whether to use small grids and few rounds, which show only that the parts work.
        repeats: the number of rounds.
    """

    device: str
    quick: bool
    repeats: int

    @property
    def round_seconds(self) -> float:
        """The approximate duration of a round in seconds."""
        return 0.01 if self.quick else 0.3


def guarded(case: Mapping[str, object], measure: Callable[[], Mapping[str, object]]) -> Row:
    """Return a case with its measurements or, if measuring it fails, with the error."""
    try:
        return {**case, **measure()}
    except Exception as error:
        return {**case, "error": first_line(error)}


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]


def seconds_per_step(
    run: Callable[[int], object], repeats: int, round_seconds: float
) -> list[float]:
    """Return the time per step in seconds for each round, after a round that is discarded.

    Args:
        run: performs a given number of steps, and returns when the device has finished.
        repeats: the number of rounds.
        round_seconds: the approximate duration of a round.
    """
    steps = 1
    while (seconds := _timed(run, steps)) < TRIAL_SECONDS and steps < 2**20:
        steps *= 4
    steps = max(1, round(round_seconds * steps / seconds))
    return [_timed(run, steps) / steps for _ in range(repeats + 1)][1:]


def _timed(run: Callable[[int], object], steps: int) -> float:
    began = time.perf_counter()
    run(steps)
    return time.perf_counter() - began


def rates(cells: int, seconds: Sequence[float]) -> Row:
    """The columns on throughput: the median, minimum and maximum over all rounds."""
    updates = [cells / one / 1e6 for one in seconds]
    return {
        "Mcell/s": statistics.median(updates),
        "min": min(updates),
        "max": max(updates),
        "us/step": 1e6 * statistics.median(seconds),
    }


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown, with all columns that occur."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    # errors are long, so they come last
    names.sort(key="error".__eq__)
    body = [[_text(row.get(name)) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *body, strict=True)]
    lines = [names, ["-" * width for width in widths], *body]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("| " + " | ".join(f"{t:{w}}" for t, w in line) + " |" for line in padded)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "/")


def as_json(value: object) -> str:
    """Return a value as JSON, with NaN and infinity replaced by null."""
    return json.dumps(_finite(value), indent=1) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
