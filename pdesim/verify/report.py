"""What a verification says: rows, a table, a log-log plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from pdesim.verify.orders import FLOOR, Measurement


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
            return "exact"
        return "spectral" if self.measurement.claimed is None else f"{self.measurement.claimed:g}"

    @property
    def measured(self) -> str:
        order = self.measurement.order if self.measurement else float("nan")
        return "-" if np.isnan(order) else f"{order:.2f}"

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = "yes" if self.passed else "NO"
        error = f"{self.error:.1e}"
        named = (self.equation, self.walls, self.kind, self.what)
        return (*named, self.claimed, self.measured, error, verdict)


HEADER = ("equation", "walls", "refined", "scheme", "claimed", "measured", "last error", "holds")


def row_of(equation: str, walls: str, kind: str, measurement: Measurement) -> Row:
    what, error = measurement.what, measurement.errors[-1]
    return Row(equation, walls, kind, what, measurement, error, measurement.passed)


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
    path.write_text(json.dumps(values, indent=2) + "\n")


def plot(rows: Sequence[Row], path: Path, title: str) -> None:
    """Errors over spacings and over time steps, with the claimed slopes dashed."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [
        (kind, [row for row in rows if row.kind == kind])
        for kind in ("space", "time")
        if any(row.kind == kind for row in rows)
    ]
    figure = Figure(figsize=(6 * len(panels), 5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (kind, found) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        for number, row in enumerate(found):
            _draw(axes, row, colormaps["tab20"](number % 20))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("cell spacing" if kind == "space" else "time step")
        axes.set_ylabel("relative error (maximum norm)")
        if min(row.error for row in found) < 1e3 * FLOOR:
            axes.axhline(FLOOR, color="0.6", linewidth=0.8)
            place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
            axes.text(0.99, FLOOR, "round-off ", color="0.4", fontsize=8, **place)
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)


def _draw(axes, row: Row, colour) -> None:
    measurement = row.measurement
    sizes, errors = np.array(measurement.sizes), np.maximum(measurement.errors, 1e-17)
    label = f"{row.what}: {row.measured}"
    axes.plot(sizes, errors, "o-", color=colour, markersize=4, linewidth=1.4, label=label)
    if measurement.claimed:
        # a little below the measured line, so that both are seen
        slope = 0.6 * errors[0] * (sizes / sizes[0]) ** measurement.claimed
        told = f"slope {measurement.claimed:g}"
        axes.plot(sizes, slope, "--", color="0.5", linewidth=1.0, label=told)
