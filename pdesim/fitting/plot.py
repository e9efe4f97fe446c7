"""The picture of a fit: the data, the fitted run and their difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdesim.files import writing
from pdesim.fitting.result import describe

if TYPE_CHECKING:
    from pdesim.fitting.compute import Computed
    from pdesim.fitting.prepare import Task

#: largest number of fields that are drawn
MOST_FIELDS = 3


def plot(task: Task, computed: Computed, path: Path) -> None:
    """Write a PNG with a row for each field: the last frame, and the residuals over time.

    Raises:
        OutputError: if the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fields = task.observations.fields[:MOST_FIELDS]
    fitted, sizes = _fitted(task, computed)
    flat = len(task.observations.shape) == 1
    figure = Figure(figsize=(13.0, 3.4 * len(fields) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    for row, name in enumerate(fields):
        axes = [figure.add_subplot(len(fields), 4, 4 * row + n) for n in (1, 2, 3, 4)]
        data = _plane(task.observations.values[name][-1])
        (_lines if flat else _maps)(figure, axes, task, name, data, _plane(fitted[name]))
        _over_time(axes[3], task, name, sizes[name], computed.result.sigma[name])
    result = computed.result
    estimates = ", ".join(
        f"{key} = {describe(value, result.errors[key])}" for key, value in result.parameters.items()
    )
    figure.suptitle(f"{result.equation}: {estimates}"[:200], fontsize=10)
    with writing(path, "the picture") as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _fitted(task: Task, computed: Computed) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the last frame of the fitted run in the cells of the data, and residuals over time.

    The residuals are root mean squares for each frame of the data; NaN for frames without values.
    """
    data, residuals = task.observations, computed.residuals
    sizes = {name: np.full(len(data.times), np.nan) for name in data.fields}
    last: dict[str, np.ndarray] = {}
    for frame, states in residuals.compared(np.array([computed.places])):
        for name, number in residuals.fields():
            last[name] = data.select(states[0, number])
            difference = last[name] - data.values[name][frame]
            if np.isfinite(difference).any():
                sizes[name][frame] = float(np.sqrt(np.nanmean(difference**2)))
    return last, sizes


def _plane(values: np.ndarray) -> np.ndarray:
    """Return a frame of a 3-D grid in its middle plane."""
    return values[len(values) // 2] if values.ndim == 3 else values


def _lines(figure: Any, axes: list, task: Task, name: str, data: Any, fitted: Any) -> None:
    centres = task.observations.centres
    x = np.arange(len(data)) if centres is None else centres[0]
    time = task.observations.times[-1]
    axes[0].plot(x, data, ".", markersize=3, color="0.5", label="data")
    axes[0].plot(x, fitted, color="C3", label="fitted run")
    axes[0].legend(fontsize=8, frameon=False)
    axes[0].set(xlabel="x", ylabel=name, title=f"{name} at t = {time:g}")
    axes[1].plot(x, fitted - data, ".", markersize=3)
    axes[1].axhline(0, color="0.4", linewidth=0.8)
    axes[1].set(xlabel="x", title="fitted run - data")
    axes[2].hist((fitted - data)[np.isfinite(data)], bins=30, color="0.6")
    axes[2].set(title="fitted run - data", yticks=[])


def _maps(figure: Any, axes: list, task: Task, name: str, data: Any, fitted: Any) -> None:
    """Draw the data, the fitted run and their difference as maps."""
    centres = task.observations.centres
    extent = None
    if centres is not None:
        half = [0.5 * (c[1] - c[0]) if len(c) > 1 else 0.5 for c in centres[:2]]
        extent = [v for c, h in zip(centres[:2], half, strict=True) for v in (c[0] - h, c[-1] + h)]
    low, high = np.nanmin(data), np.nanmax(data)
    difference = fitted - data
    limit = float(np.nanmax(np.abs(difference))) or 1.0
    style = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    time = task.observations.times[-1]
    for axis, values, title, limits, colors in (
        (axes[0], data, f"data: {name} at t = {time:g}", (low, high), "viridis"),
        (axes[1], fitted, "fitted run", (low, high), "viridis"),
        (axes[2], difference, "fitted run - data", (-limit, limit), "RdBu_r"),
    ):
        picture = axis.imshow(values, vmin=limits[0], vmax=limits[1], cmap=colors, **style)
        axis.set(title=title, xticks=[], yticks=[])
        figure.colorbar(picture, ax=axis, shrink=0.8)


def _over_time(axis: Any, task: Task, name: str, sizes: np.ndarray, sigma: float) -> None:
    times = task.observations.times
    axis.plot(times, sizes, "o-", markersize=3, color="C3", label="residual")
    if task.data.noise is not None:
        axis.axhline(sigma, color="0.5", linestyle="--", linewidth=1, label="noise")
        axis.legend(fontsize=8, frameon=False)
    axis.set(xlabel="t", title=f"residual of {name} (rms)")
    axis.set_ylim(0, 1.1 * max(np.nanmax(sizes), np.finfo(float).tiny))
    axis.grid(alpha=0.3, linewidth=0.5)
