"""The plot of a convergence study: errors against the spacing, against time, and in space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdesim.files import replacing
from pdesim.output.convergence import title

if TYPE_CHECKING:
    from pdesim.converge.compute import Result

MARKERS = "osD^v<>P"


def plot(result: Result, values: dict, path: Path) -> None:
    """Write a PNG with up to three panels.

    Args:
        result: the result.
        values: the result as :func:`pdesim.converge.compute.as_json` returns it.
        path: the file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steady, dimensions = len(result.times) < 2, result.levels.plans[0].grid.dimensions
    panels = [_over_spacing] + [_over_time] * (not steady) + [_in_space] * (dimensions < 3)
    figure = Figure(figsize=(4.8 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    for number, panel in enumerate(panels, start=1):
        panel(figure, figure.add_subplot(1, len(panels), number), result, values)
    figure.suptitle(title(values), fontsize=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _over_spacing(figure, axes, result: Result, values: dict) -> None:
    """Plot the RMS differences of the three solutions from the extrapolated solution."""
    spacing = [plan.grid.spacing[0] for plan in result.levels.plans]
    lowest = []
    for f, (name, numbers) in enumerate(values["fields"].items()):
        states = [s.states[-1, f] for s in result.solutions]
        order, expected = numbers["order_rms"], values["expected_order"]
        if order is None or not numbers["reliable"]:
            errors = [np.nan, numbers["error_rms"], np.nan]
        else:
            power = 2 ** (order if expected is None else min(order, expected))
            limit = states[2] + (states[2] - states[1]) / (power - 1)
            errors = [float(np.sqrt(np.mean((s - limit) ** 2))) for s in states]
            lowest.append(errors)
        style = {"marker": MARKERS[f % len(MARKERS)], "color": f"C{f}", "markersize": 5}
        label = name if order is None else f"{name}: order {order:.2f}"
        axes.plot(spacing, np.maximum(errors, 1e-17), label=label, **style)
    if lowest and values["expected_order"]:
        guide = min(lowest, key=lambda e: e[2])
        slope = values["expected_order"]
        line = 0.5 * guide[0] * (np.array(spacing) / spacing[0]) ** slope
        axes.plot(spacing, line, "--", color="0.5", linewidth=1, label=f"slope {slope:g}")
    axes.set(xscale="log", yscale="log", xlabel="cell spacing", ylabel="estimated RMS error")
    axes.set_xticks(spacing, [f"{h:.3g}" for h in spacing])
    axes.minorticks_off()
    _finish(axes)


def _over_time(figure, axes, result: Result, values: dict) -> None:
    for f, (name, rows) in enumerate(values["over_time"].items()):
        for norm, style in (("max", "-"), ("rms", "--")):
            errors = [row[f"relative_{norm}"] for row in rows]
            errors = [np.nan if e is None else max(e, 1e-17) for e in errors]
            axes.plot(values["times"], errors, style, color=f"C{f}", label=f"{name}, {norm}")
    axes.set(yscale="log", xlabel="t", ylabel="estimated error / range of the field")
    _finish(axes)


def _in_space(figure, axes, result: Result, values: dict) -> None:
    """Plot the error with its sign: in 1-D as a line per field, in 2-D as a map of one field."""
    grid = result.levels.plans[0].grid
    if grid.dimensions == 1:
        for f, (name, error) in enumerate(result.errors.items()):
            axes.plot(grid.centres(0), error, color=f"C{f}", label=name)
        axes.set(xlabel="x", ylabel="estimated error at the end")
        _finish(axes)
        return
    name, error = next(iter(result.errors.items()))
    limit = float(np.nanmax(np.abs(error))) or 1.0
    (x0, y0), (width, height) = grid.origin, grid.extent
    picture = axes.imshow(
        error, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit,
        extent=(x0, x0 + width, y0, y0 + height),
    )  # fmt: skip
    axes.set(xlabel="x", ylabel="y", title=f"estimated error of {name} at the end")
    figure.colorbar(picture, ax=axes, shrink=0.8)


def _finish(axes) -> None:
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
