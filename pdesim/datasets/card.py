"""The description of a data set: ``dataset.yaml``, ``stats.yaml``, ``trajectories.csv``, README."""

from __future__ import annotations

import csv
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import pdesim
from pdesim.datasets.design import Design, Shard
from pdesim.datasets.layouts import Layout, Place
from pdesim.datasets.records import Record, number_or_text
from pdesim.datasets.statistics import STATIONARY, Statistics, total
from pdesim.errors import OutputError
from pdesim.files import dump_yaml, replacing, write_text
from pdesim.sweeps.values import Interval

README, STATS, TABLE = "README.md", "stats.yaml", "trajectories.csv"
#: definition of a stationary trajectory, for people
CRITERION = (
    f"the L2 norm of the difference of the last two frames is below {STATIONARY:g} times that of "
    "the last frame, for every field"
)

Finished = Sequence[tuple[Shard, Record]]


def write_card(folder: Path, design: Design, layout: Layout, done: Finished) -> None:
    """Write ``stats.yaml``, ``trajectories.csv`` and ``README.md``.

    Args:
        folder: folder of the data set.
        design: its design.
        layout: the layout of its files.
        done: all shards with their records.

    Raises:
        OutputError: if a file cannot be written.
    """
    try:
        stats = split_statistics(done).get("train", Statistics()).as_stats()
        write_text(folder / STATS, dump_yaml(stats))
        with (
            replacing(folder / TABLE) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file, lineterminator="\n").writerows(_rows(design, layout, done))
        write_text(folder / README, "\n".join(_readme(design, layout, done)) + "\n")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written to ({error.strerror or error})",
            hint="repeat the command when it can; nothing is lost",
        ) from None


def split_statistics(done: Finished) -> dict[str, Statistics]:
    """Return split -> the statistics of its stored trajectories."""
    splits = dict.fromkeys(shard.split for shard, _ in done)
    return {
        split: total(record.statistics for shard, record in done if shard.split == split)
        for split in splits
    }


def describe(design: Design, done: Finished) -> dict[str, Any]:
    """Return the entries of ``dataset.yaml`` that describe a complete data set."""
    plan, equation = design.plan, design.plan.equation
    records = [record for _, record in done]
    failed = {n: cause for record in records for n, (cause, _) in record.failed.items()}
    stationary = sorted(n for record in records for n in record.stationary)
    steps, seconds = sum(r.steps for r in records), sum(r.seconds for r in records)
    return {
        "equation": {
            "name": equation.name,
            "about": equation.about,
            "formulas": equation.text.splitlines(),
            "parameters": {k: float(v) for k, v in equation.parameters.items()},
        },
        "fields": [equation.fields[index] for index in plan.selection.fields],
        "grid": {
            "cells": list(plan.grid.points),
            "stored_shape": list(plan.selection.shape(plan.grid)),
            "extent": [float(length) for length in plan.grid.extent],
            "origin": [float(place) for place in plan.grid.origin],
        },
        "time": {
            "start": float(plan.times[0]),
            "end": float(plan.times[-1]),
            "frames": len(plan.times),
            "interval": _interval(plan.times),
        },
        "method": _method(design),
        "trajectories": {
            split: sum(len(r.stored) for shard, r in done if shard.split == split)
            for split in dict.fromkeys(shard.split for shard, _ in done)
        },
        "failed": dict(sorted(failed.items())),
        "stationary": stationary,
        "stationary_criterion": CRITERION,
        "statistics": {k: v.as_stats() for k, v in split_statistics(done).items()},
        "computation": {
            "device": next((r.device for r in records if r.device), ""),
            "seconds": round(seconds, 3),
            "steps": steps,
            "cell_updates": steps * plan.grid.cells,
        },
        "versions": {
            "pdesim": pdesim.__version__,
            **{name: version(name) for name in ("tensorflow", "numpy", "h5py")},
            "python": platform.python_version(),
        },
    }


def _method(design: Design) -> dict[str, Any]:
    plan = design.plan
    settings = plan.settings
    method: dict[str, Any] = {
        "operators": settings.operators.name,
        "precision": settings.device.precision,
    }
    if not plan.is_steady:
        method["stepper"] = plan.stepper.method.name
        method["dt"] = settings.time.dt
    return method


def _interval(times: np.ndarray) -> float | None:
    """Return the time between frames; None if it varies, or if there is only one frame."""
    steps = np.diff(times)
    return float(steps[0]) if len(steps) and np.allclose(steps, steps[0], rtol=1e-9) else None


def places(layout: Layout, done: Finished) -> Iterator[tuple[int, str, Place]]:
    """Yield the number, the split and the place of every stored trajectory."""
    counts: dict[str, int] = {}
    for shard, record in done:
        for index, number in enumerate(record.stored):
            count = counts.get(shard.split, 0)
            yield number, shard.split, layout.place(shard, record.stored, index, count)
            counts[shard.split] = count + 1


def _rows(design: Design, layout: Layout, done: Finished) -> Iterator[list[Any]]:
    """Yield the header and the rows of ``trajectories.csv``, in the order of the numbers."""
    yield ["number", "split", "state", "file", "key", *design.columns, "cause"]
    known = {number: place for number, _, place in places(layout, done)}
    found = {n: (shard, r) for shard, r in done for n in (*r.stored, *r.failed)}
    for number in sorted(found):
        shard, record = found[number]
        values = [design.value_of(number, name) for name in design.columns]
        if number in record.failed:
            cause = record.failed[number][0]
            yield [number, shard.split, "failed", "", "", *values, cause]
        else:
            state = "stationary" if number in record.stationary else "stored"
            place = known[number]
            yield [number, shard.split, state, place.file.as_posix(), place.key, *values, ""]


def _readme(design: Design, layout: Layout, done: Finished) -> Iterator[str]:
    about = describe(design, done)
    equation = about["equation"]
    counts = ", ".join(f"{count} {split}" for split, count in about["trajectories"].items())
    yield f"# {design.plan.equation.title or equation['name']}: {counts} trajectories"
    yield from ("", equation["about"], "", "## Equation", "")
    yield from (f"    {line}" for line in equation["formulas"])
    yield from ("", _table(("parameter", "values"), _parameters(design, equation)))
    yield from ("", "## Numerical solution", "")
    yield _table(("", ""), _solution(design, about))
    yield from ("", "## Files", "", f"- `data/`: {layout.about}.")
    yield f"- `{TABLE}`: a row for every trajectory, with its split, its state (stored, stationary,"
    yield f"  failed), its file, its place there (`key`), and {_listed(design.columns)}."
    yield f"- `{STATS}`: mean, std and rms of each field, and of the differences of consecutive"
    yield "  frames (`delta`), in the train split. Deviations are those of the population."
    yield "- `dataset.yaml`: this description for programs, statistics of all splits, all settings."
    yield from ("", "## Use", "", "In the folder of the data set:", "", "```python")
    yield from (*layout.usage, "```", "", "## Trajectories left out", "")
    yield from _left_out(about)


def _parameters(design: Design, equation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in equation["parameters"].items():
        if f"equation.{name}" not in design.swept:
            yield name, f"{value:g}"
    for name, word in design.swept.items():
        name = name.removeprefix("equation.")
        if isinstance(word, Interval):
            scale = ", logarithmic" if word.log else ""
            yield name, f"{word.low:g} to {word.high:g}{scale}"
        else:
            values = [str(number_or_text(text)) for text in word.values]
            few = values if len(values) <= 12 else [*values[:10], "...", values[-1]]
            yield name, ", ".join(few)


def _solution(design: Design, about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    plan, grid, time = design.plan, about["grid"], about["time"]
    settings = plan.settings
    yield "fields", ", ".join(about["fields"])
    cells, extent = (" x ".join(f"{n:g}" for n in grid[key]) for key in ("cells", "extent"))
    yield "grid", f"{cells} cells (x first) on {extent}, from {grid['origin']}"
    yield "boundary", _boundary(design)
    yield "time", f"{time['frames']} frames from {time['start']:g} to {time['end']:g}"
    for name, value in about["method"].items():
        yield name, str(value)
    for field, formula in settings.initial.items():
        yield f"initial {field}", f"`{formula}`" if "initial" not in design.swept else "(swept)"
    sweep = settings.sweep
    yield "sampler", f"{sweep.name}, seed {sweep.seed}, {design.settings.repeats} per point"
    if design.seeded:
        yield "seeds", f"{design.composed.settings.seed} + number of the trajectory"
    yield "splits", f"{design.settings.splits}, seed {design.settings.split_seed}"
    yield "device", about["computation"]["device"]
    yield "versions", ", ".join(f"{k} {v}" for k, v in about["versions"].items())


def _boundary(design: Design) -> str:
    """Return the kinds of boundary conditions as text, one kind if all sides have the same."""
    plan = design.plan
    kinds = plan.problem.boundary.describe(plan.equation.fields, plan.grid.names)
    different = {kind for pair in kinds.values() for kind in pair}
    return different.pop() if len(different) == 1 else repr(kinds)


def _table(header: tuple[str, str], rows: Iterator[tuple[str, str]]) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|"]
    lines += [f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows]
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return "the values of " + ", ".join(f"`{name}`" for name in names)


def _left_out(about: Mapping[str, Any]) -> Iterator[str]:
    if about["failed"]:
        yield from (f"- {number}: {cause}" for number, cause in about["failed"].items())
    else:
        yield "None."
    yield from ("", "## Stationary trajectories", "")
    yield f"Trajectories are stored, and listed here, if {about['stationary_criterion']}:"
    numbers = about["stationary"]
    few = ", ".join(map(str, numbers[:50])) or "none"
    yield few + (f", and {len(numbers) - 50} more (`{TABLE}`)" if len(numbers) > 50 else "") + "."
