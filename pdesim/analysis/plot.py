"""The plot of an analysis: growth rates over the wave number, and over a parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pdesim.analysis.result import Analysis, State, Thresholds
from pdesim.errors import ConfigError
from pdesim.files import writing

#: largest number of states that are drawn
MOST_STATES = 4
#: decay is shown down to this multiple of the largest growth rate
FALL = 5.0
#: a difference that is visible, as a fraction of the height of the plot
VISIBLE = 0.01
#: the width of a label, as a fraction of the width of the plot
LABEL_WIDTH = 0.03
#: largest number of waves of the domain that are marked
MOST_MARKS = 60


def plot(analysis: Analysis, path: Path) -> None:
    """Write a PNG, or a file of the format that the suffix names.

    Raises:
        OutputError: if the file cannot be written.
        ConfigError: if there is no state to plot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = int(bool(analysis.states)) + int(analysis.thresholds is not None)
    if not panels:
        raise ConfigError(
            "there is nothing to plot: no uniform steady state was found",
            "an equation with a uniform steady state",
        )
    figure = Figure(figsize=(6.4 * panels, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    if analysis.states:
        _over_wavenumber(figure.add_subplot(1, panels, 1), analysis)
    if analysis.thresholds is not None:
        _over_parameter(figure.add_subplot(1, panels, panels), analysis.thresholds)
    with writing(path, "--plot") as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".").lower(), dpi=110)


def _over_wavenumber(axes: Any, analysis: Analysis) -> None:
    """Plot the growth rate of each state; waves that fit into the domain are dots."""
    for number, state in enumerate(_drawn(analysis)):
        curve, color = state.curve, f"C{number}"
        axes.plot(curve.wavenumbers, curve.growth, color=color, label=f"{state.text}: {state.kind}")
        if _differs(state):
            label = "on this grid" if number == 0 else None
            axes.plot(curve.wavenumbers, curve.growth_on_grid, "--", color=color, lw=1, label=label)
        _mark(axes, state, color, number == 0)
    axes.axhline(0, color="0.4", linewidth=0.8)
    parameters = ", ".join(f"{k} = {v:g}" for k, v in analysis.parameters.items())
    axes.set(xlabel="wave number k", ylabel="growth rate", title=analysis.equation)
    if len(parameters) < 70:
        axes.set_title(f"{analysis.equation}: {parameters}" if parameters else analysis.equation)
    _limit(axes, [state.curve.growth for state in _drawn(analysis)])
    axes.set_xlim(0, max(state.curve.wavenumbers[-1] for state in _drawn(analysis)))
    _finish(axes)


def _drawn(analysis: Analysis) -> list[State]:
    """Return the states that are drawn: growing ones first."""
    return sorted(analysis.states, key=lambda s: s.kind in ("stable", "neutral"))[:MOST_STATES]


def _differs(state: State) -> bool:
    """Whether the growth rates on the grid differ visibly from those of the equation."""
    curve = state.curve
    visible = curve.growth >= -FALL * max(float(curve.growth.max()), 0.0)
    if not visible.any():
        visible = np.ones(len(curve.growth), bool)
    spread = float(np.ptp(curve.growth[visible])) or 1.0
    error = np.abs(curve.growth_on_grid - curve.growth)[visible]
    return bool(np.nanmax(error, initial=0.0) > VISIBLE * spread)


def _mark(axes: Any, state: State, color: str, first: bool) -> None:
    """Mark the waves that fit into the domain, and the fastest growing wave."""
    inside = state.numbers[state.numbers <= state.curve.wavenumbers[-1]]
    if 0 < len(inside) <= MOST_MARKS:
        growth = np.interp(inside, state.curve.wavenumbers, state.curve.growth)
        label = "fits into the domain" if first else None
        axes.plot(inside, growth, "o", color=color, markersize=3.5, label=label)
    wave = state.pattern
    if wave is not None and wave.growth > 0:
        axes.annotate(
            f"wavelength {wave.wavelength:.3g}",
            (wave.wavenumber, wave.growth),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )


def _over_parameter(axes: Any, thresholds: Thresholds) -> None:
    """Plot the growth rates of uniform perturbations and of waves over the parameter."""
    values = np.array([sample.value for sample in thresholds.samples])
    uniform = np.array([sample.uniform for sample in thresholds.samples])
    waves = np.array([sample.waves for sample in thresholds.samples])
    # with several states per value, the points of a branch are not neighbours in the list
    style = "-" if len(np.unique(values)) == len(values) else "."
    axes.plot(values, uniform, style, color="C0", markersize=4, label="uniform perturbations")
    axes.plot(values, waves, style, color="C1", markersize=4, label="fastest wave with k > 0")
    axes.axhline(0, color="0.4", linewidth=0.8)
    _limit(axes, [uniform, waves])
    _label(axes, thresholds)
    name = f"equation.{thresholds.parameter}"
    axes.set(xlabel=name, ylabel="largest growth rate", title=f"thresholds over {name}")
    axes.set_xlim(thresholds.low, thresholds.high)
    _finish(axes)


def _label(axes: Any, thresholds: Thresholds) -> None:
    """Mark the thresholds; labels that would overlap are drawn below each other."""
    labels = dict.fromkeys((one.value, f"{one.kind} {one.value:.4g}") for one in thresholds.found)
    level, before = 0, -np.inf
    for value, text in labels:
        near = value - before < LABEL_WIDTH * (thresholds.high - thresholds.low)
        level, before = (level + 1) % 3 if near else 0, value
        axes.axvline(value, color="0.5", linewidth=0.8, linestyle=":")
        axes.annotate(
            text,
            (value, 1.0 - 0.3 * level),
            xycoords=("data", "axes fraction"),
            xytext=(2, -4),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=8,
            color="0.3",
        )


def _limit(axes: Any, arrays: list[np.ndarray]) -> None:
    """Limit the growth rates to about the largest one, so that fast decay does not hide growth."""
    rates = np.concatenate([array[np.isfinite(array)] for array in arrays] or [np.zeros(1)])
    top = float(rates.max(initial=0.0))
    low = float(rates.min(initial=0.0))
    if top > 0:
        low = max(low, -FALL * top)
        axes.set_ylim(low - 0.05 * (top - low), top + 0.15 * (top - low))


def _finish(axes: Any) -> None:
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False, loc="best")
