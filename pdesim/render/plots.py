"""A figure of diagnostics.csv: the range and the norm of every field over time."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdesim.errors import OutputError, clip
from pdesim.files import as_path, check_own_file
from pdesim.output.diagnostics import QUANTITIES
from pdesim.output.run_folder import SERIES
from pdesim.output.series import read_series
from pdesim.render.movie import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN = "#1f5fa8", "#c8571b", "#2f7d4f"
_INK, _LINE = "#1e1e1e", "#8c8c8c"
#: largest number of points of a curve
MOST_POINTS = 5000
#: margins of the figure (left, right, bottom, top) and between its axes (horizontal, vertical) in
#: inches, for tick labels of seven characters
_MARGINS = 0.95, 0.25, 0.55, 0.4, 1.05, 0.55
#: largest number of characters of a field's name in the figure
LONGEST_NAME = 40
_TITLE: dict[str, Any] = {"loc": "left", "fontsize": 10, "color": _INK, "parse_math": False}
_LABEL: dict[str, Any] = {"fontsize": 9.5, "color": "#5c5c5c", "parse_math": False}


def diagnostics_plot(csv_path: str | Path, png_path: str | Path) -> Path:
    """Draw a row of two axes per field: the mean, minimum and maximum, and the L2 norm.

    Further axes show scalars, and the observables and probes in ``series.h5`` in the same folder,
    if it exists.

    Returns:
        ``png_path``.

    Raises:
        OutputError: if the table is missing, unreadable or empty, or the PNG cannot be written.
    """
    csv_path, png_path = as_path(csv_path), as_path(png_path)
    table = read_diagnostics(csv_path)
    fields = [name.removesuffix("_mean") for name in table if name.endswith("_mean")]
    times, series, about = read_observed(csv_path.parent / SERIES)
    curves = [(name, table["time"], values, "scalar") for name, values in _scalars(table, fields)]
    curves += [(name, times, values, clip(about[name], 60)) for name, values in series.items()]
    figure, grid = _axes(len(fields) + -(-len(curves) // 2))
    for field, (left, right) in zip(fields, grid, strict=False):
        _draw_range(left, table, field, clip(field, LONGEST_NAME))
        _draw_norm(right, table, field, clip(field, LONGEST_NAME))
        for axes in (left, right):
            _style_axes(axes, table["time"])
    below = grid[len(fields) :].ravel()
    for axes, (name, at, values, text) in zip(below, curves, strict=False):
        _draw_series(axes, at, values, f"{clip(name, LONGEST_NAME)}: {text}")
    for axes in below[len(curves) :]:
        axes.set_visible(False)
    for axes in (grid[-1][0], grid[-1 if len(curves) % 2 == 0 else -2][1]):
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("time", **_LABEL)
    with replacing(png_path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return png_path


def _scalars(table: Mapping[str, np.ndarray], fields: list[str]) -> list[tuple[str, np.ndarray]]:
    """The columns that are neither times nor quantities of a field."""
    others = {f"{field}_{quantity}" for field in fields for quantity in QUANTITIES}
    return [(name, v) for name, v in table.items() if name not in {"frame", "time", *others}]


def warm_up() -> None:
    """Draw an empty figure, so that Matplotlib's initialisation does not delay the first plot."""
    figure, grid = _axes(1)
    grid[0, 0].plot([0, 1])
    figure.savefig(io.BytesIO(), format="png")


def _axes(rows: int) -> tuple[Figure, np.ndarray]:
    """A figure and an array of its axes, ``(rows, 2)``.

    Margins are given explicitly, since Matplotlib's automatic layout takes as long as drawing.
    """
    # imported here, since every run imports this package, and few draw figures
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = 9.6, 2.5 * rows + 0.6
    left, right, bottom, top, across, down = _MARGINS
    figure = Figure(figsize=(width, height), dpi=130)
    FigureCanvasAgg(figure)
    each = (width - left - right - across) / 2, (height - bottom - top - (rows - 1) * down) / rows
    places = {
        "left": left / width, "right": 1 - right / width, "wspace": across / each[0],
        "bottom": bottom / height, "top": 1 - top / height, "hspace": down / each[1],
    }  # fmt: skip
    return figure, figure.subplots(rows, 2, squeeze=False, sharex=True, gridspec_kw=places)


def read_diagnostics(path: Path) -> dict[str, np.ndarray]:
    """A mapping from the names of the columns to their values; a truncated last line is ignored."""
    if path.exists():
        check_own_file(path)  # reading a pipe or a device could block
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = [*csv.reader(file)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OutputError(f"{path} cannot be read: {error}") from None
    if "time" not in header or not any(name.endswith("_mean") for name in header):
        raise OutputError(f"{path} is not a table of diagnostics", "a header frame,time,u_min,...")
    values = []
    for row in rows:
        try:
            numbers = [float(cell) for cell in row]
        except ValueError as error:
            if row is rows[-1]:
                break
            raise OutputError(f"{path} cannot be read: {error}") from None
        if len(numbers) == len(header):
            values.append(numbers)
    if not values:
        raise OutputError(f"{path} has no rows yet")
    return dict(zip(header, np.array(values).T, strict=True))


def _draw_range(axes: Axes, table: Mapping[str, np.ndarray], field: str, label: str) -> None:
    time, mean = table["time"], table[f"{field}_mean"]
    low, high = table.get(f"{field}_min", mean), table.get(f"{field}_max", mean)
    if len(time) == 1:
        axes.vlines(time, low, high, color=_BLUE, alpha=0.35, linewidth=6)
        axes.plot(time, mean, "o", color=_BLUE)
    else:
        axes.fill_between(time, low, high, color=_BLUE, alpha=0.14, linewidth=0)
        for edge in (low, high):
            axes.plot(time, edge, color=_BLUE, alpha=0.45, linewidth=0.8)
        axes.plot(time, mean, color=_BLUE, linewidth=1.8)
    axes.set_title(f"{label}: mean, minimum to maximum", **_TITLE)
    axes.set_ylabel(label, **_LABEL)


def _draw_norm(axes: Axes, table: Mapping[str, np.ndarray], field: str, label: str) -> None:
    time = table["time"]
    norm = table.get(f"{field}_l2", np.full_like(time, np.nan))
    axes.plot(time, norm, "o" if len(time) == 1 else "-", color=_ORANGE, linewidth=1.8)
    axes.set_title(f"{label}: L2 norm", **_TITLE)
    axes.set_ylabel(f"‖{label}‖₂", **_LABEL)


def read_observed(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, str]]:
    """The times, values and descriptions of all series, thinned to what a figure can show."""
    if not path.exists():
        return np.empty(0), {}, {}
    times, series, about = read_series(path)
    if not len(times):
        return np.empty(0), {}, {}
    step = -(-len(times) // MOST_POINTS)
    return times[::step], {name: values[::step] for name, values in series.items()}, about


def _draw_series(axes: Axes, times: np.ndarray, values: np.ndarray, title: str) -> None:
    finite = np.where(np.isfinite(values), values, np.nan)
    axes.plot(times, finite, "o" if len(times) == 1 else "-", color=_GREEN, linewidth=1.4)
    axes.set_title(title, **_TITLE)
    _style_axes(axes, times)


def _style_axes(axes: Axes, time: np.ndarray) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
    axes.tick_params(colors=_LINE, labelcolor="#5c5c5c", labelsize=8.5)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", nbins=5)
    axes.yaxis.set_label_coords(-0.155, 0.5)  # to the left of the widest tick labels, aligned
    # otherwise the axis would be scaled to the round-off of a conserved quantity
    low, high = axes.get_ylim()
    room = 1e-6 * max(abs(low), abs(high))
    if high - low < room:
        middle = (low + high) / 2
        axes.set_ylim(middle - room, middle + room)
    if time[0] < time[-1]:
        axes.set_xlim(time[0], time[-1])
    else:
        axes.set_xticks([time[0]])
