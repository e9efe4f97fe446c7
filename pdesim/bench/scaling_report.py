"""The report of a scaling benchmark: a table, JSON and a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from pdesim.bench.output import markdown_table, new_plot, rates_as_json, save_plot
from pdesim.bench.scaling import STRONG, WEAK, ScalingRow
from pdesim.tables import print_table, result_console

HEADER = (
    "scaling", "grid", "cells", "devices", "ghost rows", "steps per exchange",
    "million cell updates/s", "min-max", "speed-up", "predicted", "efficiency", "in exchanges",
    "kB/step",
)  # fmt: skip
#: columns that a narrow table may lack, the least important one first
OPTIONAL = ("cells", "kB/step", "min-max", "steps per exchange", "ghost rows", "efficiency")
#: the width of a table that is not printed in a terminal
WIDTH = 160


def cells(row: ScalingRow) -> tuple[str, ...]:
    """The entries of a row of the table, in the order of ``HEADER``."""
    rates, load = row.rates / 1e6, row.load
    return (
        row.scaling,
        "x".join(map(str, row.points)),
        f"{row.cells:,}",
        str(load.devices),
        str(load.ghost_rows),
        str(load.steps) if load.devices > 1 else "-",
        f"{np.median(rates):.4g}",
        f"{rates.min():.3g}-{rates.max():.3g}",
        f"{row.speed_up:.3g}",
        f"{row.predicted:.3g}",
        f"{row.efficiency:.3g}",
        f"{row.exchange_share:.0%}",
        f"{load.exchanged / 1e3:.3g}",
    )


def show(rows: Sequence[ScalingRow], title: str, machine: str) -> None:
    """Print the table, a description of the devices, and the measured cost of exchanges."""
    console = result_console(WIDTH)
    console.print(title, markup=False, soft_wrap=True)
    table = Table(*HEADER)
    for row in rows:
        table.add_row(*cells(row), end_section=_ends(row, rows))
    print_table(table, console, OPTIONAL, "--json")
    console.print(machine, markup=False, soft_wrap=True)
    for devices, link in {row.load.devices: row.link for row in rows if row.link}.items():
        rate = "not limited" if math.isinf(link.bandwidth) else f"{link.bandwidth / 1e9:.3g} GB/s"
        console.print(f"{devices} devices: latency {link.latency * 1e6:.3g} us, bandwidth {rate}")


def _ends(row: ScalingRow, rows: Sequence[ScalingRow]) -> bool:
    """Whether a row is the last one of its scaling."""
    return row.load.devices == max(other.load.devices for other in rows)


def markdown(rows: Sequence[ScalingRow]) -> str:
    """Return the table in Markdown."""
    return markdown_table(HEADER, map(cells, rows))


def as_json(rows: Sequence[ScalingRow], about: Mapping[str, object]) -> dict:
    """All measurements as values for JSON, in cells, bytes and seconds."""
    return {**about, "rows": [_as_json(row) for row in rows]}


def _as_json(row: ScalingRow) -> dict:
    load, link = row.load, row.link
    finite = link is not None and math.isfinite(link.bandwidth)
    return {
        "scaling": row.scaling,
        "grid": list(row.points),
        "cells": row.cells,
        "devices": load.devices,
        "rows_per_device": load.rows,
        "ghost_rows": load.ghost_rows,
        "steps_per_exchange": load.steps if load.devices > 1 else None,
        "steps": row.steps,
        "seconds": list(row.seconds),
        "cell_updates_per_second": rates_as_json(row.rates),
        "speed_up": row.speed_up,
        "predicted_speed_up": row.predicted,
        "efficiency": row.efficiency,
        "exchange_share": row.exchange_share,
        "exchange_seconds": list(row.exchange_seconds),
        "exchanges_per_step": load.exchanges,
        "exchanged_bytes_per_step": load.exchanged,
        "latency_seconds": link.latency if link else None,
        "bandwidth_bytes_per_second": link.bandwidth if link and finite else None,
    }


def plot(rows: Sequence[ScalingRow], path: Path, title: str, form: str) -> None:
    """Plot the speed-up against the number of devices, with the model and the ideal.

    Args:
        rows: the measurements.
        path: the file to write, whose name may have any suffix.
        title: the title of the plot.
        form: the format of the file, such as ``png``.
    """
    figure, axes = new_plot()
    counts = sorted({row.load.devices for row in rows})
    for number, (name, line) in enumerate(_lines(rows).items()):
        devices, colour = [row.load.devices for row in line], f"C{number}"
        axes.plot(devices, [row.speed_up for row in line], "osD^"[number % 4] + "-",
                  color=colour, label=name)  # fmt: skip
        axes.plot(devices, [row.predicted for row in line], "--", color=colour,
                  label=f"{name}: model")  # fmt: skip
    axes.plot(counts, counts, ":", color="0.5", label="ideal")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("devices")
    axes.set_ylabel("speed-up")
    save_plot(figure, axes, title, path, form)


def _lines(rows: Sequence[ScalingRow]) -> dict[str, list[ScalingRow]]:
    """Return the rows of every line of the plot: one for each grid of one device and scaling."""
    lines: dict[str, list[ScalingRow]] = {}
    for row in rows:
        base = "x".join(map(str, (row.one or row).points))
        text = {STRONG: f"strong, {base}", WEAK: f"weak, {base} on each device"}[row.scaling]
        lines.setdefault(text, []).append(row)
    return lines
