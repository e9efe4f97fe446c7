"""The tables and the JSON of an analysis."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pdesim.analysis.result import Analysis, State, Thresholds, Wave
from pdesim.formula.language import AXES
from pdesim.tables import print_table

#: columns of a text that is not printed to a terminal
WIDTH = 120
#: largest number of states whose waves are listed
MOST_DETAILED = 3


def as_text(analysis: Analysis) -> str:
    """Return the tables as text."""
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, highlight=False)
    print_analysis(analysis, console)
    return file.getvalue().rstrip("\n")


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Print the tables to a console."""
    for part in _parts(analysis):
        if isinstance(part, str):
            console.print(part, markup=False, soft_wrap=True)
        else:
            print_table(part, console, elsewhere="--json")


def _parts(analysis: Analysis) -> Iterator[str | Table]:
    yield _heading(analysis)
    if analysis.states:
        yield _states_table(analysis.states)
    active = [state for state in analysis.states if state.kind not in ("stable", "neutral")]
    for state in (active or list(analysis.states[:1]))[:MOST_DETAILED]:
        yield "\n".join([f"about {state.text}", *(f"  {line}" for line in describe(state))])
        yield _modes_table(state)
    if analysis.thresholds is not None:
        yield from _thresholds(analysis.thresholds)
    for note in analysis.notes:
        yield f"note: {note}"


def _heading(analysis: Analysis) -> str:
    axes = AXES[: len(analysis.points)]
    if len(set(analysis.boundary)) == 1:
        boundary = analysis.boundary[0]
    else:
        pairs = zip(analysis.boundary, axes, strict=True)
        boundary = ", ".join(f"{kind} along {axis}" for kind, axis in pairs)
    parameters = ", ".join(f"{name} = {value:g}" for name, value in analysis.parameters.items())
    points = " x ".join(map(str, analysis.points))
    extent = " x ".join(f"{length:.6g}" for length in analysis.extent)
    title = f"{analysis.equation}: {parameters}" if parameters else analysis.equation
    return f"{title}\n{points} cells, extent {extent}, {boundary}"


def _states_table(states: Sequence[State]) -> Table:
    table = Table(
        "uniform state", "kind", "growth rate at k = 0", "fastest wave: k", "wavelength",
        "growth rate",
    )  # fmt: skip
    for state in states:
        wave = state.pattern
        row = ("-", "-", "-")
        if wave is not None:
            row = (_number(wave.wavenumber), _number(wave.wavelength), _rate(wave))
        table.add_row(state.text, state.kind, _rate(state.uniform), *row)
    return table


def describe(state: State) -> list[str]:
    """Return lines on the growth of perturbations of a state."""
    lines = [f"{state.kind}: {state.about}"]
    uniform, wave, fitting = state.uniform, state.pattern, state.admissible
    if uniform.frequency:
        period = 2 * math.pi / uniform.frequency
        lines.append(f"uniform perturbations oscillate with the period {period:.4g}")
    if wave is not None and wave.growth > 0:
        lines.append(
            f"fastest growing wave: wavelength {wave.wavelength:.4g}, {wave.cells:.3g} cells per "
            f"wavelength, fits {_fits(wave)} in the domain"
        )
    if state.band is not None:
        lines.append(_band(*state.band))
    if fitting.wavenumber:
        counts = " x ".join(f"{count:.4g}" for count in fitting.counts)
        on_grid = ""
        if fitting.growth_on_grid is not None:
            on_grid = f", {_number(fitting.growth_on_grid)} on this grid"
        lines.append(
            f"fastest of the waves that fit into the domain: {counts} wavelengths, wavelength "
            f"{fitting.wavelength:.4g}, growth rate {_number(fitting.growth)}{on_grid}"
        )
    return lines


def _fits(wave: Wave) -> str:
    """Return how often a wave fits into the domain, such as ``5.1 times``."""
    if max(wave.fits) - min(wave.fits) < 1e-9 * max(wave.fits):
        return f"{wave.fits[0]:.3g} times"
    pairs = zip(AXES, wave.fits, strict=False)
    return " and ".join(f"{count:.3g} times along {axis}" for axis, count in pairs)


def _band(low: float, high: float) -> str:
    longest = "infinite" if low == 0 else f"{2 * math.pi / low:.4g}"
    shortest = "0" if math.isinf(high) else f"{2 * math.pi / high:.4g}"
    if low == 0:
        return f"growing waves: all wavelengths above {shortest}"
    return f"growing waves: wavelengths from {shortest} to {longest}"


def _modes_table(state: State) -> Table:
    axis = AXES[max(range(len(state.admissible.vector)), key=lambda a: _extent(state, a))]
    table = Table(
        f"wavelengths along {axis}", "k", "wavelength", "cells", "growth rate", "on this grid",
        "frequency",
        title="waves that fit into the domain", title_justify="left", title_style="",
    )  # fmt: skip
    for wave in state.modes:
        on_grid = "-" if wave.growth_on_grid is None else _number(wave.growth_on_grid)
        table.add_row(
            f"{max(wave.counts):.4g}",
            _number(wave.wavenumber),
            _number(wave.wavelength),
            f"{wave.cells:.3g}",
            _number(wave.growth),
            on_grid,
            _number(wave.frequency),
        )
    return table


def _extent(state: State, axis: int) -> float:
    return max((abs(wave.vector[axis]) for wave in state.modes), default=0.0)


def _thresholds(thresholds: Thresholds) -> Iterator[str | Table]:
    name = f"equation.{thresholds.parameter}"
    where = f"{name} from {thresholds.low:g} to {thresholds.high:g}"
    if not thresholds.found:
        yield f"no thresholds for {where}"
        return
    table = Table(
        name, "threshold", "uniform state", "k", "wavelength", "frequency", "states",
        title=f"thresholds for {where}", title_justify="left", title_style="",
    )  # fmt: skip
    for one in thresholds.found:
        before, after = one.states
        table.add_row(
            f"{one.value:.10g}",
            one.kind,
            ", ".join(f"{field} = {value:.5g}" for field, value in one.state.items()),
            _number(one.wavenumber),
            _number(one.wavelength),
            _number(one.frequency),
            str(before) if before == after else f"{before} -> {after}",
        )
    yield table


def _number(value: float) -> str:
    """Return a number with five digits; rounding errors of 0 are 0."""
    if math.isinf(value):
        return "infinite"
    return f"{0.0 if abs(value) < 1e-14 else value:.5g}"


def _rate(wave: Wave) -> str:
    """Return a growth rate, with the frequency as imaginary part."""
    return _number(wave.growth) + (f" ± {_number(wave.frequency)}i" if wave.frequency else "")


def as_dict(analysis: Analysis) -> dict[str, Any]:
    """Return the results as plain values for JSON, in which infinite and missing numbers are None.

    Complex numbers are pairs (real part, imaginary part).
    """
    values = asdict(analysis)
    for state, plain in zip(analysis.states, values["states"], strict=True):
        plain["about"] = state.about
        plain["numbers"] = state.numbers.tolist()
        plain["curve"] = {name: array.tolist() for name, array in plain["curve"].items()}
        for name in ("uniform", "pattern", "admissible"):
            wave = getattr(state, name)
            plain[name] = None if wave is None else _wave(wave)
        plain["modes"] = [_wave(wave) for wave in state.modes]
    if analysis.thresholds is not None:
        for one, plain in zip(
            analysis.thresholds.found, values["thresholds"]["found"], strict=True
        ):
            plain["wavelength"] = one.wavelength
    return _plain(values)


def _wave(wave: Wave) -> dict[str, Any]:
    return {**asdict(wave), "wavenumber": wave.wavenumber, "wavelength": wave.wavelength}


def _plain(value: Any) -> Any:
    """Return nested values with numbers that JSON can represent."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
