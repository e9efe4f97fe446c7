"""The texts and tables of a page: equation, parameters, settings, diagnostics, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal

from pdesim.errors import OutputError
from pdesim.output.run_folder import DIAGNOSTICS, SERIES, SNAPSHOTS
from pdesim.output.summary import Summary
from pdesim.page import mathml
from pdesim.page.document import escaped
from pdesim.render.plots import read_diagnostics, read_observed

#: largest number of points of a curve in the page, and of all curves together
MOST_POINTS, ALL_POINTS = 1000, 20_000
#: largest number of curves of observables and probes
MOST_SERIES = 60
#: largest numbers of equations and parameters that are typeset
MOST_EQUATIONS, MOST_PARAMETERS = 16, 60
#: files of a run or a sweep that a page links to
_LINKED = (
    SNAPSHOTS, "snapshots.xdmf", DIAGNOSTICS, SERIES, "sweep.csv", "animation.gif", "animation.mp4",
    "diagnostics.png", "residual.png", "montage.png", "montage.gif", "montage.mp4",
    "status.json", "pdesim.log",
)  # fmt: skip


def equations(config: Mapping[str, Any], fallback: Sequence[str]) -> str:
    """Return the equation of a run as HTML: MathML, or the stored text if there are no settings."""
    equation = config.get("equation")
    found = _rows(equation) if isinstance(equation, Mapping) else []
    if not found:
        return f"<pre>{escaped(chr(10).join(fallback))}</pre>" if any(fallback) else ""
    rest = len(found) - MOST_EQUATIONS
    more = f"<p>and {rest} more equations</p>" if rest > 0 else ""
    return mathml.block(found[:MOST_EQUATIONS]) + more


def _rows(equation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The left and right sides of all equations."""

    def section(key: str) -> Mapping[str, Any]:
        value = equation.get(key)
        return value if isinstance(value, Mapping) else {}

    noise = section("noise")
    rows = [
        (mathml.rate(str(f)), mathml.formula(f"{text}{_noise(noise.get(f))}"))
        for f, text in section("rhs").items()
    ]
    rows += [(mathml.iterate(str(f)), mathml.formula(text)) for f, text in section("map").items()]
    # a formula of solve is zero for the solution
    rows += [("<mn>0</mn>", mathml.formula(text)) for text in section("solve").values()]
    return rows


def _noise(term: Any) -> str:
    """Return the noise of a field, to be appended to the text of its formula."""
    if isinstance(term, Mapping):
        if term.get("flux") is not None:
            return f" + divergence(({term['flux']})*noise)"
        term = term.get("amplitude")
    return "" if term is None else f" + ({term})*noise"


def parameters(values: Mapping[str, float | str]) -> str:
    """Return the parameters of the equation as rows of an HTML table."""
    rows = []
    for name, value in list(values.items())[:MOST_PARAMETERS]:
        content = mathml.formula(value) if isinstance(value, str) else mathml.number(value)
        rows.append(_row(mathml.inline(mathml.name(name)), mathml.inline(content)))
    rest = len(values) - MOST_PARAMETERS
    return "".join(rows) + (_row("", f"and {rest} more") if rest > 0 else "")


def settings(run: Summary) -> str:
    """Return the state, the grid and the method of a run as rows of an HTML table."""
    grid = " × ".join(str(axis.points) for axis in run.grid.values())
    domain = ", ".join(f"{n} {_ends(axis.lower, axis.upper)}" for n, axis in run.grid.items())
    kinds = {kind for axes in run.boundary.values() for pair in axes.values() for kind in pair}
    steps, seconds = run.progress.get("steps"), run.progress.get("seconds")
    entries = {
        "state": f"{run.state}: {run.error}" if run.error else run.state,
        "grid": f"{grid} cells",
        "domain": domain,
        "boundary": ", ".join(sorted(kinds)),
        "obstacles": run.obstacles,
        "method": ", ".join(str(p) for p in (run.operators, run.stepper, run.precision) if p),
        "solver": run.solver and run.solver["name"],
        "frames": f"{run.frames:,}, t = {run.first_time:g} to {run.last_time:g}",
        "steps": None if steps is None else f"{steps:,}",
        "computed in": None if seconds is None else f"{seconds:,.1f} s",
        "seed": run.seed,
        "pdesim": run.versions.get("pdesim"),
        "written": run.written,
    }
    shown = {name: value for name, value in entries.items() if value not in (None, "")}
    return "".join(_row(escaped(name), escaped(value)) for name, value in shown.items())


def _ends(lower: float, upper: float) -> str:
    near = 1e-9 * (upper - lower)  # without the rounding error of an end at 0
    return " to ".join(f"{0.0 if abs(end) < near else end:g}" for end in (lower, upper))


def _row(name: str, value: str) -> str:
    return f'<tr><th scope="row">{name}</th><td>{value}</td></tr>'


def diagnostics(folder: Path) -> list[dict[str, Any]]:
    """Return the curves of ``diagnostics.csv`` and ``series.h5``; none for damaged files.

    Every entry has the times and the values of one curve. Curves of one ``group`` are drawn
    together.
    """
    found: list[tuple[str, str, np.ndarray, np.ndarray, str]] = []
    try:
        table = read_diagnostics(folder / DIAGNOSTICS)
        for name in (name for name in table if name not in ("frame", "time")):
            field, _, quantity = name.rpartition("_")
            found.append((quantity, field, table["time"], table[name], ""))
    except OutputError:
        pass  # a page without them
    try:
        times, series, about = read_observed(folder / SERIES)
        for name, values in list(series.items())[:MOST_SERIES]:
            found.append(("observables and probes", name, times, values, about[name]))
    except OutputError:
        pass
    most = max(2, min(MOST_POINTS, ALL_POINTS // max(len(found), 1)))
    return [_curve(*curve, most) for curve in found]


def _curve(
    group: str, name: str, times: np.ndarray, values: np.ndarray, about: str, most: int
) -> dict[str, Any]:
    step = -(-len(times) // most)
    kept = [float(f"{value:.7g}") for value in values[::step]]
    return {
        "group": group,
        "name": name,
        "about": about,
        "times": [float(f"{t:.9g}") for t in times[::step]],
        "values": kept,
    }


def downloads(folder: Path) -> str:
    """Return links to the files of a folder, which work as long as the page stays beside them."""
    items = []
    for name in _LINKED:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            size = decimal(path.stat().st_size)
            items.append(f'<li><a href="{name}" download>{name}</a> <small>{size}</small></li>')
    return "".join(items)
