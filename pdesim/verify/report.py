"""The report of a verification: the rows of its table, and a log-log plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from pdesim.verify.orders import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: markers by which lines can be distinguished without colours
MARKERS = "osD^v<>P*Xph"


@dataclass(frozen=True)
class Row:
    """A row of the table: a measurement and its description."""

    equation: str
    boundary: str
    kind: str  # "space", "time" or "exact mode"
    scheme: str
    measurement: Measurement | None
    error: float
    passed: bool

    @property
    def claimed(self) -> str:
        if self.measurement is None:
            return "exact" if self.kind == "exact mode" else "-"
        return "spectral" if self.measurement.claimed is None else f"{self.measurement.claimed:.3g}"

    @property
    def measured(self) -> str:
        order = self.measurement.order if self.measurement else float("nan")
        return "-" if np.isnan(order) else f"{order:.2f}"

    @property
    def slack(self) -> str:
        if self.measurement is None or not self.measurement.claimed:
            return "-"
        return f"{self.measurement.slack:g}"

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = "yes" if self.passed else "NO"
        error = f"{self.error:.1e}"
        named = (self.equation, self.boundary, self.kind, self.scheme)
        return (*named, self.claimed, self.slack, self.measured, error, verdict)


HEADER = ("equation", "walls", "refined", "scheme", "claimed", "slack", "measured",
          "last error", "holds")  # fmt: skip
#: columns that a narrow table may lack, the least important one first
OPTIONAL = ("slack", "walls", "equation", "refined")


def row_of(equation: str, boundary: str, kind: str, measurement: Measurement) -> Row:
    scheme, error = measurement.scheme, measurement.errors[-1]
    return Row(equation, boundary, kind, scheme, measurement, error, measurement.passed)


def failed_row(equation: str, boundary: str, kind: str, scheme: str, error: Exception) -> Row:
    """The row of a measurement that raised an error; it counts as not passed."""
    message = (str(error) or type(error).__name__).splitlines()[0].replace("|", "/")
    return Row(equation, boundary, kind, f"{scheme}: {message}", None, float("nan"), False)


def rich_table(rows: Sequence[Row]) -> Table:
    table = Table(*HEADER)
    for row in rows:
        table.add_row(*row.cells, style=None if row.passed else "bold red")
    return table


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(row.cells) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write_json(rows: Sequence[Row], path: Path) -> None:
    values = [
        dict(zip(HEADER, row.cells, strict=True))
        | {
            "sizes": list(row.measurement.sizes) if row.measurement else [],
            "errors": list(row.measurement.errors) if row.measurement else [row.error],
        }
        for row in rows
    ]
    path.write_text(json.dumps(values, indent=2) + "\n", "utf-8")


def plot(rows: Sequence[Row], path: Path, title: str) -> None:
    """Plot errors against cell spacings and against time steps, with the claimed slopes.

    There is a panel for each kind of boundary condition. Schemes of the same claimed order have the
    same colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.measurement:
            panels.setdefault((row.kind, row.boundary), []).append(row)
    columns = min(len(panels), 4)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.4 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for number, ((kind, boundary), panel_rows) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(lines, columns, number)
        _panel(axes, kind, panel_rows)
        axes.set_title(f"{kind}: {boundary}", fontsize=10)
    figure.suptitle(title)
    figure.savefig(path, dpi=100, format="png")


def _panel(axes: Axes, kind: str, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import LogLocator

    measurements = [row.measurement for row in rows if row.measurement]
    for number, (row, measurement) in enumerate(zip(rows, measurements, strict=True)):
        colour = f"C{round(measurement.claimed)}" if measurement.claimed else "black"
        axes.plot(
            measurement.sizes,
            np.maximum(measurement.errors, 1e-17),
            linewidth=1.2,
            label=f"{row.scheme}: {row.measured}",
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            # filled and empty markers, since lines may coincide
            markerfacecolor=colour if number % 2 else "white",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for order in sorted({m.claimed for m in measurements if m.claimed}):
        _guide(axes, order, [m for m in measurements if m.claimed == order])
    floor = max(measurement.floor for measurement in measurements)
    if min(row.error for row in rows) < 1e3 * floor:
        axes.axhline(floor, color="0.6", linewidth=0.8, linestyle=":")
        axes.text(
            0.99, floor, "round-off", color="0.4", fontsize=8,
            transform=axes.get_yaxis_transform(), ha="right", va="bottom",
        )  # fmt: skip
    axes.set_xlabel("cell spacing" if kind == "space" else "time step")
    axes.set_ylabel("relative error (maximum norm)")
    axes.margins(y=0.08)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # more labels would overlap
    # below the axes, since the lines occupy all corners
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14),
                ncols=min(len(rows), 3))  # fmt: skip


def _guide(axes: Axes, order: float, measurements: Sequence[Measurement]) -> None:
    """Draw a dashed line with a claimed slope, slightly below the measurements with this claim."""
    lowest = min(measurements, key=lambda m: m.errors[-1])
    sizes = np.array([lowest.sizes[0], lowest.sizes[-1]])
    values = 0.5 * lowest.errors[0] * (sizes / sizes[0]) ** order
    colour = f"C{round(order)}"
    axes.plot(sizes, values, "--", color=colour, linewidth=1.0, label=f"slope {order:.3g}")
