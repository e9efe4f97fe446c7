"""The result of a comparison as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pdesim.comparison.compute import Comparison, Difference
from pdesim.errors import clip, printable
from pdesim.tables import print_table

#: largest number of rows of a field in a table, and of times in a line
MOST_ROWS, MOST_TIMES = 12, 8
#: largest number of characters of a path or a name
LONGEST = 200


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as values for strict JSON, in which numbers that are not finite are None.

    The lists of a field have an element for each of its common times.
    """
    fields = {
        name: {
            "times": [one.time for one in frames],
            "l2": [_finite(one.l2) for one in frames],
            "relative_l2": [_finite(one.relative_l2) for one in frames],
            "l_inf": [_finite(one.l_inf) for one in frames],
            "equal": [one.equal for one in frames],
        }
        for name, frames in found.fields.items()
    }
    points = dict(zip(("a", "b", "compared"), map(list, found.points), strict=True))
    return {
        "a": str(found.paths[0]),
        "b": str(found.paths[1]),
        "equal": found.equal,
        "grid": {**points, "interpolated": found.interpolated, "left_out": found.left_out},
        "fields": fields,
        "fields_only_in": {"a": list(found.only[0]), "b": list(found.only[1])},
        "times_only_in": {"a": list(found.unmatched[0]), "b": list(found.unmatched[1])},
    }


def print_comparison(found: Comparison, console: Console) -> None:
    """Print a comparison: the notes on fields, times and grids, and a table."""
    for line in notes(found):
        console.print(Text(printable(line)), soft_wrap=True)
    table = Table()
    for heading in ("field", "t", "relative L2", "L2 / sqrt(volume)", "L-infinity"):
        table.add_column(heading, justify="left" if heading == "field" else "right")
    for name, frames in found.fields.items():
        label = Text(printable(clip(name, LONGEST)))
        for number, one in enumerate(_shown(frames)):
            table.add_row("" if number else label, *_cells(one))
        table.add_section()
    print_table(table, console, ("L2 / sqrt(volume)",), "--json")
    hidden = sum(len(frames) - len(_shown(frames)) for frames in found.fields.values())
    if hidden:
        console.print(f"{hidden} more rows: --json shows all", style="dim")
    for name, frames in found.fields.items():
        console.print(Text(printable(clip(_largest(name, frames), LONGEST))), soft_wrap=True)


def notes(found: Comparison) -> list[str]:
    """Return what was compared, and what was not, as lines of text."""
    (a, b), (points_a, points_b, points) = map(_path, found.paths), map(_cells_text, found.points)
    lines = [f"a: {a}, {points_a} cells", f"b: {b}, {points_b} cells"]
    times = len(next(iter(found.fields.values())))
    where = f", interpolated to {points} points" if found.interpolated else ""
    frames = "1 frame" if times == 1 else f"{times} frames"
    lines.append(f"a - b in {frames} at common times{where}; relative to b")
    if found.left_out:
        lines.append(f"{found.left_out:,} points in or near obstacles are left out")
    for own, other, fields, unmatched in (
        ("a", "b", found.only[0], found.unmatched[0]),
        ("b", "a", found.only[1], found.unmatched[1]),
    ):
        if fields:
            lines.append(f"only {own} has {', '.join(fields)}, which is not compared")
        if unmatched:
            lines.append(
                f"{len(unmatched)} of the frames of {own} have no frame of {other} at the same "
                f"time: {times_text(unmatched)}"
            )
    return lines


def times_text(times: Sequence[float]) -> str:
    """Return times as text, with the middle left out if there are many."""
    texts = [f"{time:g}" for time in times]
    if len(texts) > MOST_TIMES:
        half = MOST_TIMES // 2
        texts = [*texts[:half], "...", *texts[-half:]]
    return f"t = {', '.join(texts)}"


def _largest(name: str, frames: Sequence[Difference]) -> str:
    """Return the largest difference of a field as text."""
    if all(one.equal for one in frames):
        return f"{name}: equal bit for bit"
    one = max(frames, key=lambda frame: _order(frame.l_inf))
    return f"{name}: largest difference {_number(one.l_inf)} at t = {one.time:g}"


def _order(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _shown(frames: Sequence[Difference]) -> list[Difference]:
    """Return at most ``MOST_ROWS`` of the frames, evenly distributed, with the first and last."""
    count = min(len(frames), MOST_ROWS)
    return [frames[round(index)] for index in np.linspace(0, len(frames) - 1, count)]


def _cells(one: Difference) -> list[str]:
    return [f"{one.time:g}", *map(_number, (one.relative_l2, one.l2, one.l_inf))]


def _number(value: float) -> str:
    return f"{value:.3e}" if value else "0"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cells_text(points: Sequence[int]) -> str:
    return " x ".join(map(str, points))


def _path(path: Path) -> str:
    return clip(str(path), LONGEST)
