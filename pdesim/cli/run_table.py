"""The tables of ``pdesim info``: a run, or the runs of a sweep."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from pdesim.errors import OutputError, clip, printable
from pdesim.output.convergence import (
    OPTIONAL,
    error_in_space,
    header,
    read_convergence,
    rows,
    title,
)
from pdesim.output.run_folder import RunFolder
from pdesim.output.status import speed
from pdesim.output.summary import AxisFacts, Summary, summarize
from pdesim.output.sweeps import (
    Member,
    differing_settings,
    find_members,
    is_sweep,
    setting_text,
    short_names,
)
from pdesim.tables import print_table, result_console

#: largest number of characters that are shown of a text, and of a text in a cell of a table
LONGEST, LONGEST_CELL = 10_000, 200
#: number of settings of a sweep that are more important than the results in its table
FEW_SETTINGS = 4
_COLOURS = {
    "finished": "green",
    "running": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "killed": "red",
    "unreadable": "red",
}


def show_info(path: str, as_json: bool) -> None:
    """Print a summary of a run, or a table of the runs of a sweep.

    Args:
        path: the folder of a run, a snapshot file, or the folder of a sweep.
        as_json: whether to print JSON: an object for a run, a list of objects for a sweep. The
            object of a run that cannot be read has only ``path``, ``state`` and ``error``.

    Raises:
        PdesimError: if the path contains no readable run.
    """
    folder = Path(path)
    if not RunFolder(folder).contains_run and (convergence := read_convergence(folder)):
        _show_convergence(convergence, as_json)
        return
    members = find_members(path) if is_sweep(path) else ()
    if len(members) < 2:
        run = summarize(members[0].file or members[0].folder if members else path, True)
        if as_json:
            _print_json(run.as_json())
        else:
            console = result_console()
            facts, fields, when = _run(run)
            console.print(facts)
            print_table(fields, console, elsewhere="--json")
            console.print(when)
        return
    found = [_try(member) for member in members]
    if as_json:
        _print_json([_as_json(one) for one in found])
    else:
        table, optional = _sweep(folder, members, found)
        print_table(table, result_console(), optional, "--json")


def _print_json(values: object) -> None:
    print(json.dumps(values, indent=2, allow_nan=False))


def _text(text: str, style: str = "", most: int = LONGEST) -> Text:
    """Return at most ``most`` characters of a text from a file, without control characters."""
    return Text(printable(clip(text, most)), style)


def _cell(text: str) -> Text:
    return _text(text, most=LONGEST_CELL)


def _show_convergence(found: Mapping, as_json: bool) -> None:
    """Print the result of ``pdesim converge`` in a folder without a run."""
    if as_json:
        _print_json(found)
        return
    console = result_console()
    console.print(_text(title(found)), soft_wrap=True)
    table = Table(*header())
    for row in rows(found):
        table.add_row(*map(_cell, row))
    print_table(table, console, OPTIONAL, "--json")


def _try(member: Member) -> Summary | Member:
    """Return the summary of a run of a sweep, or the member itself if it cannot be read."""
    try:
        return summarize(member.file) if member.file else member
    except OutputError as error:
        return replace(member, state="unreadable", error=error.problem)


def _as_json(found: Summary | Member) -> dict:
    if isinstance(found, Summary):
        return found.as_json()
    path = found.file or found.folder
    return {"path": str(path), "state": found.state, "error": found.error}


def _run(run: Summary) -> tuple[Table, Table, Text]:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(run):
        if value:
            facts.add_row(name, value if isinstance(value, Text) else _text(value))
    when = f"in the last frame, t = {run.last_time:g}"
    if run.frames > 1:
        when += f"; drift since t = {run.first_time:g}"
    return facts, _fields(run), _text(when, style="dim")


def _fields(run: Summary) -> Table:
    table = Table()
    drifts = run.frames > 1
    for heading in ("field", "min", "max", "mean", *(["drift of the mean"] * drifts)):
        table.add_column(heading, justify="left" if heading == "field" else "right")
    for name, field in run.fields.items():
        unit = "" if field.units in ("", "1") else f" [{field.units}]"
        label = f"{name} {field.long_name}" if field.long_name != name else name
        numbers = [_number(value) for value in (field.min, field.max, field.mean)]
        drift = [_number(field.drift, signed=True)] * drifts
        table.add_row(_cell(clip(label, LONGEST_CELL) + unit), *numbers, *drift)
    return table


def _facts(run: Summary) -> list[tuple[str, str | Text]]:
    state = _text(run.state, style=_COLOURS.get(run.state, "yellow"))
    if run.error:
        state.append(printable(clip(f": {run.error}", LONGEST)), style="")
    axes = run.grid.values()
    steady = run.first_time == run.last_time
    frames = f"{run.frames:,}, t = {run.first_time:g}" + (
        "" if steady else f" to {run.last_time:g}"
    )
    texts = {field: _boundary_text(kinds) for field, kinds in run.boundary.items()}
    alike = len(set(texts.values())) == 1
    boundary = next(iter(texts.values())) if alike else _join(f"{f}: {w}" for f, w in texts.items())
    return [
        ("run", run.path),
        ("rerun of", run.rerun_of or ""),
        ("branch of", _origin(run)),
        ("state", state),
        ("equation", _join([run.equation, run.title], ": ")),
        ("", "\n".join(run.formulas)),
        ("parameters", _parameters(run)),
        ("grid", " x ".join(str(axis.points) for axis in axes) + _spacings(run)),
        ("domain", _join(f"{n} {_range(axis)}" for n, axis in run.grid.items())),
        ("boundary", boundary if run.boundary else ""),
        ("", "\n".join(run.second_conditions)),
        ("obstacles", run.obstacles or ""),
        ("method", _join([run.operators, run.stepper, run.precision])),
        ("seed", "" if run.seed is None else str(run.seed)),
        ("frames", frames),
        ("stopped", _stopped(run)),
        ("observed", _observed(run)),
        ("scalars", ", ".join(map(_scalar, run.scalars, run.scalars.values()))),
        ("steps", _steps(run)),
        ("error in time", _time_error(run)),
        ("speed", _speed(run)),
        ("error in space", error_in_space(run.convergence) if run.grid else ""),
        ("residual", _residual(run)),
        ("device", str(run.progress.get("device", ""))),
        ("versions", _join(f"{name} {value}" for name, value in run.versions.items())),
        ("started", _started(run)),
        ("written", run.written),
        (
            "file",
            f"{decimal(run.file_bytes)}; {decimal(run.data_bytes)} of frames, "
            f"compressed {run.compression:.2f} times",
        ),
        ("smaller", _rounding(run)),
    ]


def _rounding(run: Summary) -> str:
    """Return the setting that would halve a file, and its largest error."""
    if (found := run.rounding) is None:
        return ""
    return (
        f"output.keep_bits={found.keep_bits} would store {found.size:.0%} of the bytes; values "
        f"would change by at most {found.relative_error:.1g} of themselves, "
        f"{max(found.error):.1g} of their range"
    )


def _range(axis: AxisFacts) -> str:
    """Return the ends of an axis, without the rounding error of an end at 0."""
    near = 1e-9 * axis.spacing
    lower, upper = (0.0 if abs(end) < near else end for end in (axis.lower, axis.upper))
    return f"{lower:g} to {upper:g}"


def _origin(run: Summary) -> str:
    """Return the run and the time from which a branch started."""
    if run.branch_of is None:
        return ""
    at = "" if run.branched_at is None else f" at t = {run.branched_at:g}"
    return f"{run.branch_of}{at}"


def _stopped(run: Summary) -> str:
    """Return the reason why a run stopped before its end."""
    if "stopped" not in run.progress:
        return ""
    return f"at t = {run.progress.get('stopped_at', run.last_time):g}: {run.progress['stopped']}"


def _observed(run: Summary) -> str:
    """Return the last values of observables and probes."""
    values = run.progress.get("observed", {})
    return _join(f"{name} = {value:.6g}" for name, value in values.items())


def _join(parts, between: str = ", ") -> str:
    return between.join(str(part) for part in parts if part)


def _parameters(run: Summary) -> str:
    """Return the parameters as text: all numbers in one line, and each formula in its own line."""
    lines = {name: f"{name} = {value}" for name, value in run.parameters.items()}
    formulas = [lines[name] for name, value in run.parameters.items() if isinstance(value, str)]
    numbers = _join(line for line in lines.values() if line not in formulas)
    return _join([numbers, *formulas], "\n")


def _boundary_text(kinds: Mapping[str, tuple[str, str]]) -> str:
    """Return the kinds of boundary conditions of a field, once if they are equal on all axes."""
    pairs = {axis: lower if lower == upper else f"{lower} to {upper}" for axis, (lower, upper)
             in kinds.items()}  # fmt: skip
    if len(set(pairs.values())) == 1:
        return next(iter(pairs.values()))
    return _join(f"{axis} {pair}" for axis, pair in pairs.items())


def _spacings(run: Summary) -> str:
    found = {f"{axis.spacing:.4g}" for axis in run.grid.values() if math.isfinite(axis.spacing)}
    return f" points, {' x '.join(sorted(found))} apart" if len(found) == 1 else " points"


def _scalar(name: str, ends: tuple[float, float]) -> str:
    return f"{name} = {ends[0]:.6g} to {ends[1]:.6g}"


def _steps(run: Summary) -> str:
    steps, rejected = run.progress.get("steps"), run.progress.get("rejected_steps")
    if steps is None:
        return ""
    dt = run.progress.get("dt")
    parts = [f"{steps:,}", f"{rejected:,} rejected" if rejected else "", dt and f"dt = {dt:.4g}"]
    return _join(parts)


def _time_error(run: Summary) -> str:
    errors = run.progress.get("time_error")
    if not isinstance(errors, Mapping) or not errors:
        return "" if run.progress.get("steps") is None else "not estimated"
    if not any(errors.values()):
        return "not above the rounding error"
    parts = [f"{name} {error:.0e}" if error else f"{name} 0" for name, error in errors.items()]
    return f"about {_join(parts)} of each field's range (estimated)"


def _residual(run: Summary) -> str:
    """Return the residual of a steady problem, the solver and its iterations as one line."""
    size, solver = run.progress.get("residual"), run.solver
    if solver is None:
        return "" if size is None else f"{size:.3g}, relative"
    size = solver["residuals"][-1] if size is None else size
    text = f"{size:.3g} of the source; {printable(solver['name'])}"
    if solver["tolerance"] is not None:
        count = solver["iterations"]
        text += f", {count} iteration{'s' * (count != 1)} to {solver['tolerance']:.3g}"
    return text


def _speed(run: Summary) -> str:
    steps, cells = (run.progress.get(f"{k}_per_second") for k in ("steps", "cell_updates"))
    return "" if steps is None else speed(steps, cells)


def _started(run: Summary) -> str:
    seconds, compiled = run.progress.get("seconds"), run.progress.get("compile_seconds")
    took = "" if seconds is None else f"took {seconds:,.1f} s"
    if took and compiled:
        took += f", including {compiled:.1f} s for compilation"
    return _join([run.progress.get("started"), took])


def _number(value: float, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"{value:+.4g}" if signed else f"{value:.6g}"


def _sweep(
    folder: Path, members: Sequence[Member], found: Sequence[Summary | Member]
) -> tuple[Table, list[str]]:
    """Return the table of a sweep, and its columns that may be left out, the first ones first."""
    runs = [one for one in found if isinstance(one, Summary)]
    varying = short_names(differing_settings(members))
    names = dict.fromkeys(run.equation for run in runs)
    title = _cell(f"{folder}: {len(found)} runs of {_join(names)}")
    table = Table(title=title)
    fields = list(dict.fromkeys(name for run in runs for name in run.fields))
    means = [f"mean {field}" for field in fields]
    headings = [*varying.values(), "grid", "frames", "t", *means, "steps/s"]
    table.add_column("run")
    table.add_column("state")
    for heading in headings:
        table.add_column(_cell(heading), justify="right")
    for member, one in zip(members, found, strict=True):
        settings = [_cell(setting_text(member.settings.get(name))) for name in varying]
        state = _text(one.state, style=_COLOURS.get(one.state, "yellow"))
        cells = _row(one, fields) if isinstance(one, Summary) else []
        table.add_row(_cell(member.name), state, *settings, *cells)
    # unlike runs differ in many settings, most of which follow from the equation
    first = [name for name in varying.values() if name == "equation"]
    others = [name for name in varying.values() if name not in first]
    few = len(others) <= FEW_SETTINGS
    order = [*first, *others, "t", *means, "grid", "frames", "steps/s"]
    order = order if few else [*first, "grid", "t", "frames", *means, *others, "steps/s"]
    return table, order[::-1]


def _row(run: Summary, fields: Sequence[str]) -> list[Text]:
    means = [_number(run.fields[f].mean) if f in run.fields else "" for f in fields]
    rate = run.progress.get("steps_per_second")
    cells = [
        " x ".join(str(axis.points) for axis in run.grid.values()),
        f"{run.frames:,}",
        f"{run.last_time:g}",
        *means,
        "" if rate is None else f"{rate:,.4g}",
    ]
    return [*map(_cell, cells)]
