"""The report of a benchmark: a table, JSON and a log-log plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from pdesim.bench.measure import NUMPY, Row
from pdesim.bench.output import markdown_table, new_plot, rates_as_json, save_plot

HEADER = (
    "grid", "device", "million cell updates/s", "min-max", "steps/s", "GB/s", "of copy",
    "compile s", "state MB", "peak MB", "vs NumPy",
)  # fmt: skip
#: columns that a narrow table may lack, the least important one first
OPTIONAL = ("of copy", "peak MB", "state MB", "GB/s", "compile s", "min-max", "vs NumPy")


def ratio_to_numpy(row: Row, rows: Sequence[Row]) -> float | None:
    """The rate divided by that of NumPy on the same grid: the median of this ratio over rounds."""
    other = next((r for r in rows if r.device == NUMPY and r.points == row.points), None)
    return None if other is None else float(np.median(row.rates / other.rates))


def cells(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """The entries of a row of the table, in the order of ``HEADER``."""

    def text(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    rates = row.rates / 1e6
    return (
        "x".join(map(str, row.points)),
        row.device,
        f"{np.median(rates):.4g}",
        f"{rates.min():.4g}-{rates.max():.4g}",
        f"{1 / row.step_seconds:.4g}",
        f"{row.bandwidth / 1e9:.3g}",
        text(row.bandwidth / row.copy if row.copy else None, ".2f"),
        text(row.compile_seconds, ".2f"),
        f"{row.state / 1e6:.3g}",
        text(row.peak / 1e6 if row.peak is not None else None, ".3g"),
        text(ratio_to_numpy(row, rows), ".3g"),
    )


def rich_table(rows: Sequence[Row]) -> Table:
    table = Table(*HEADER)
    for row in rows:
        table.add_row(*cells(row, rows))
    return table


def markdown(rows: Sequence[Row]) -> str:
    return markdown_table(HEADER, [cells(row, rows) for row in rows])


def as_json(rows: Sequence[Row], about: Mapping[str, object]) -> dict:
    """All measurements as values for JSON, in cells, bytes and seconds."""
    return {
        **about,
        "rows": [
            {
                "grid": list(row.points),
                "device": row.device,
                "steps": row.steps,
                "seconds": list(row.seconds),
                "cell_updates_per_second": rates_as_json(row.rates),
                "steps_per_second": 1 / row.step_seconds,
                "bytes_per_step": row.traffic,
                "bytes_per_second": row.bandwidth,
                "copy_bytes_per_second": row.copy,
                "compile_seconds": row.compile_seconds,
                "state_bytes": row.state,
                "peak_bytes": row.peak,
                "vs_numpy": ratio_to_numpy(row, rows),
            }
            for row in rows
        ],
    }


def plot(rows: Sequence[Row], path: Path, title: str, form: str) -> None:
    """Plot the cell updates per second against the number of cells, with a line per device.

    The shaded area around a line is the range of the rounds.

    Args:
        rows: the measurements.
        path: the file to write, whose name may have any suffix.
        title: the title of the plot.
        form: the format of the file, such as ``png``.
    """
    figure, axes = new_plot()
    for number, device in enumerate(dict.fromkeys(row.device for row in rows)):
        device_rows = [row for row in rows if row.device == device]
        size, colour = [row.cells for row in device_rows], f"C{number}"
        medians, style = [np.median(r.rates) for r in device_rows], "osD^"[number % 4] + "-"
        axes.plot(size, medians, style, color=colour, label=device)
        low, high = ([pick(r.rates) for r in device_rows] for pick in (np.min, np.max))
        axes.fill_between(size, low, high, color=colour, alpha=0.2, linewidth=0)
        copied = [(r.cells, r.cells * r.copy / r.traffic) for r in device_rows if r.copy]
        if copied:
            axes.plot(*zip(*copied, strict=True), ":", color=colour,
                      label=f"{device}: copy bandwidth")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("cells")
    axes.set_ylabel("cell updates per second")
    save_plot(figure, axes, title, path, form)
