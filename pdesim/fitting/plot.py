"""The picture of a fit: the data, the fitted run and their difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Comparison:
    """A fitted run beside the data.

    Attributes:
        title: the title of the picture.
        last: field -> the last frame of the run in the cells of the data.
        sizes: field -> root mean squares of the residuals for each frame of the data; NaN for
            frames without values.
        sigma: field -> the standard deviation of the noise.
        history: the objective at all evaluations, drawn if the fit has free arrays.
        initial: field -> its fitted initial state.
    """

    title: str
    last: Mapping[str, np.ndarray]
    sizes: Mapping[str, np.ndarray]
    sigma: Mapping[str, float]
    history: Sequence[float] = ()
    initial: Mapping[str, np.ndarray] = field(default_factory=dict)


def compare(
    task: Task, frames: Iterable[tuple[int, np.ndarray]], fields: Sequence[tuple[str, int]],
    title: str, sigma: Mapping[str, float], **more: Any,
) -> Comparison:  # fmt: skip
    """Return the comparison of a run and the data.

    Args:
        frames: the indices of the frames of the data that are compared, and the states there.
        fields: the fields of the data, and their indices in a state.
        title, sigma, more: see :class:`Comparison`.
    """
    data = task.observations
    sizes = {name: np.full(len(data.times), np.nan) for name in data.fields}
    last: dict[str, np.ndarray] = {}
    for frame, state in frames:
        for name, number in fields:
            last[name] = data.select(state[number])
            difference = last[name] - data.values[name][frame]
            if np.isfinite(difference).any():
                sizes[name][frame] = float(np.sqrt(np.nanmean(difference**2)))
    return Comparison(title, last, sizes, sigma, **more)


def compare_parameters(task: Task, computed: Computed) -> Comparison:
    """Return the comparison of the run with fitted parameters and the data."""
    result, residuals = computed.result, computed.residuals
    estimates = ", ".join(
        f"{key} = {describe(value, result.errors[key])}" for key, value in result.parameters.items()
    )
    frames = ((n, states[0]) for n, states in residuals.compared(np.array([computed.places])))
    title = f"{result.equation}: {estimates}"
    return compare(task, frames, residuals.fields(), title, result.sigma)


def plot(task: Task, compared: Comparison, path: Path) -> None:
    """Write a PNG with a row for each field: the last frame, and the residuals over time.

    The last row of a fit with free arrays has the objective and the fitted initial states.

    Raises:
        OutputError: if the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fields = task.observations.fields[:MOST_FIELDS]
    rows = len(fields) + bool(compared.history)
    flat = len(task.observations.shape) == 1
    figure = Figure(figsize=(13.0, 3.4 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    for row, name in enumerate(fields):
        axes = [figure.add_subplot(rows, 4, 4 * row + n) for n in (1, 2, 3, 4)]
        data = _plane(task.observations.values[name][-1])
        (_lines if flat else _maps)(figure, axes, task, name, data, _plane(compared.last[name]))
        _over_time(axes[3], task, name, compared.sizes[name], compared.sigma[name])
    if compared.history:
        _objective(figure.add_subplot(rows, 4, 4 * rows - 3), compared.history)
        for number, (name, values) in enumerate([*compared.initial.items()][:MOST_FIELDS]):
            axis = figure.add_subplot(rows, 4, 4 * rows - 2 + number)
            _initial(figure, axis, name, _plane(values))
    figure.suptitle(compared.title[:200], fontsize=10)
    with writing(path, "the picture") as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _objective(axis: Any, history: Sequence[float]) -> None:
    axis.semilogy(np.arange(1, len(history) + 1), history, color="0.6", linewidth=0.8)
    axis.semilogy(np.arange(1, len(history) + 1), np.minimum.accumulate(history), color="C3")
    axis.set(xlabel="evaluation", title="objective, and the best so far")
    axis.grid(alpha=0.3, linewidth=0.5)


def _initial(figure: Any, axis: Any, name: str, values: np.ndarray) -> None:
    """Draw the fitted initial state of a field."""
    axis.set_title(f"fitted initial.{name}")
    if values.ndim == 1:
        axis.plot(np.arange(len(values)) + 0.5, values, color="C3")
        axis.set_xlabel("cell")
        return
    picture = axis.imshow(values, origin="lower", cmap="viridis", interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    figure.colorbar(picture, ax=axis, shrink=0.8)


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
