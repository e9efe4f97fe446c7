"""What a verification says: rows, a table, a log-log plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from pdesim.verify.orders import Measurement

#: told apart without colour, too
MARKERS = "osD^v<>P*Xph"


@dataclass(frozen=True)
class Row:
    """One line of the table: a measurement, and of what."""

    equation: str
    walls: str
    kind: str  # "space", "time" or "exact mode"
    what: str
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
        ordered = self.measurement and self.measurement.claimed
        return f"{self.measurement.slack:g}" if ordered else "-"

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = "yes" if self.passed else "NO"
        error = f"{self.error:.1e}"
        named = (self.equation, self.walls, self.kind, self.what)
        return (*named, self.claimed, self.slack, self.measured, error, verdict)


HEADER = ("equation", "walls", "refined", "scheme", "claimed", "slack", "measured",
          "last error", "holds")  # fmt: skip


def row_of(equation: str, walls: str, kind: str, measurement: Measurement) -> Row:
    what, error = measurement.what, measurement.errors[-1]
    return Row(equation, walls, kind, what, measurement, error, measurement.passed)


def failed_row(equation: str, walls: str, kind: str, what: str, error: Exception) -> Row:
    """A measurement that raised an error: a row that does not hold. No other row is lost."""
    told = (str(error) or type(error).__name__).splitlines()[0].replace("|", "/")
    return Row(equation, walls, kind, f"{what}: {told}", None, float("nan"), False)


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
    """Errors over spacings and over time steps, a panel per kind of walls, with the claimed slopes.

    Schemes of one order share a colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.measurement:
            panels.setdefault((row.kind, row.walls), []).append(row)
    columns = min(len(panels), 4)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.4 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for number, ((kind, walls), found) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(lines, columns, number)
        _panel(axes, kind, found)
        axes.set_title(f"{kind}: {walls}", fontsize=10)
    figure.suptitle(title)
    figure.savefig(path, dpi=100)


def _panel(axes, kind: str, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import LogLocator

    for number, row in enumerate(rows):
        measurement = row.measurement
        colour = f"C{round(measurement.claimed)}" if measurement.claimed else "black"
        style = {"color": colour, "marker": MARKERS[number % len(MARKERS)], "markersize": 5}
        style["markerfacecolor"] = colour if number % 2 else "white"  # lines may coincide
        errors = np.maximum(measurement.errors, 1e-17)
        label = f"{row.what}: {row.measured}"
        axes.plot(measurement.sizes, errors, linewidth=1.2, label=label, **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for order in sorted({r.measurement.claimed for r in rows if r.measurement.claimed}):
        _guide(axes, order, [r.measurement for r in rows if r.measurement.claimed == order])
    floor = max(row.measurement.floor for row in rows)
    if min(row.error for row in rows) < 1e3 * floor:
        axes.axhline(floor, color="0.6", linewidth=0.8, linestyle=":")
        place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
        axes.text(0.99, floor, "round-off", color="0.4", fontsize=8, **place)
    axes.set_xlabel("cell spacing" if kind == "space" else "time step")
    axes.set_ylabel("relative error (maximum norm)")
    axes.margins(y=0.08)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # more labels would touch
    # below the lines, which leave no corner free
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14),
                ncols=min(len(rows), 3))  # fmt: skip


def _guide(axes, order: float, measurements: Sequence[Measurement]) -> None:
    """One dashed line of a claimed slope, a little below the lowest line that claims it."""
    lowest = min(measurements, key=lambda m: m.errors[-1])
    sizes = np.array([lowest.sizes[0], lowest.sizes[-1]])
    values = 0.5 * lowest.errors[0] * (sizes / sizes[0]) ** order
    style = {"color": f"C{round(order)}", "linewidth": 1.0, "label": f"slope {order:.3g}"}
    axes.plot(sizes, values, "--", **style)
