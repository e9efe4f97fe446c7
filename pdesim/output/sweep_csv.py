"""``sweep.csv``: a table with one row for each run of a sweep."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError, PdesimError
from pdesim.files import as_path, read_lines, reading, replacing
from pdesim.output import features
from pdesim.output.diagnostics import QUANTITIES
from pdesim.output.metadata import read_boundary_kinds
from pdesim.output.reader import Snapshots
from pdesim.output.run_folder import RunFolder
from pdesim.output.sweeps import Member, differing_settings, find_members, setting_text

FILE = "sweep.csv"
#: columns before and after those of the settings
_FIRST, _STATE = ("number",), ("state", "error", "frames", "time", "seconds", "steps")
_STOPPED = ("stopped", "stopped_at")
#: columns for each field, without the prefix ``FIELD_``
_FEATURES = tuple(field.name for field in dataclasses.fields(features.Features))
PER_FIELD = tuple(dict.fromkeys((*QUANTITIES, *_FEATURES)))


def write_sweep_csv(folder: str | Path) -> Path:
    """Write ``sweep.csv`` into the folder of a sweep, replacing an existing table.

    The columns are ``number`` (the name of the run's folder), the dotted names of the settings in
    which the runs differ, ``state``, ``error``, ``frames``, ``time`` (of the last frame),
    ``seconds``, ``steps``, the last values of observables and probes, and for each field the
    diagnostics and features of the last frame, such as ``u_mean`` (see :data:`PER_FIELD`). The
    observable ``u_mean`` is in the column ``observed_u_mean``, since ``u_mean`` is another column.
    If a run has stopped early, ``stopped`` and ``stopped_at`` are the reason and the time. Unknown
    values are empty. Undefined values, such as the wavelength of a uniform field, are ``nan``. Only
    the last two frames of each run are read.

    Returns:
        The path of the table.

    Raises:
        OutputError: if the folder contains no runs, or the table cannot be written.
    """
    folder = as_path(folder)
    columns, rows = sweep_table(find_members(folder))
    _write(folder / FILE, columns, rows)
    return folder / FILE


def sweep_table(members: Sequence[Member]) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the rows of ``sweep.csv``; see :func:`write_sweep_csv`.

    A row contains the texts of the known values only.
    """
    names = differing_settings(members)
    results = [_results(member) for member in members]
    known = dict.fromkeys(column for row in results for column in row)
    taken = {*_FIRST, *names, *_STATE, *_STOPPED, *known}
    observed = [_observed(member, taken) for member in members]
    series = dict.fromkeys(column for row in observed for column in row)
    fields = [column for column in known if column not in _STOPPED]
    stopped = [column for column in _STOPPED if column in known]
    columns = dict.fromkeys([*_FIRST, *names, *_STATE, *series, *fields, *stopped])
    rows = [
        {**_settings(member, names), **result, **values}
        for member, result, values in zip(members, results, observed, strict=True)
    ]
    return list(columns), rows


def _settings(member: Member, names: Sequence[str]) -> dict[str, str]:
    settings = {name: setting_text(member.settings.get(name)) for name in names}
    return {"number": member.name, **settings}


def _results(member: Member) -> dict[str, str]:
    """Return the columns for the state and the fields of a run.

    For a run whose files are damaged, only its state and its error are known.
    """
    row = {"state": member.state, "error": member.error or "", "frames": "0"}
    for name in ("seconds", "steps"):
        row[name] = _number(member.progress.get(name))
    for name in _STOPPED:
        if name in member.progress:
            row[name] = _number(member.progress[name])
    if member.file is None or member.state == "unreadable":
        return row
    try:
        with reading(member.file), Snapshots(member.file) as snapshots:
            fields = snapshots.checked_fields()
            count = snapshots.frame_count(fields)
            row |= {"frames": str(count), "time": _number(float(snapshots.times[count - 1]))}
            diagnostics = _diagnostics(RunFolder(member.folder).diagnostics, count)
            for field in fields:
                for name, value in _field(snapshots, field, count, diagnostics).items():
                    row[f"{field}_{name}"] = _number(value)
            for name in snapshots.scalars:
                row[name] = _number(float(snapshots.scalar(name)[count - 1]))
    except PdesimError as error:
        row |= {"error": member.error or error.problem}
    return row


def _observed(member: Member, taken: Collection[str]) -> dict[str, str]:
    """Return the last values of observables; names of other columns get a prefix."""
    observed = member.progress.get("observed")
    values = observed if isinstance(observed, Mapping) else {}
    return {
        f"observed_{name}" if name in taken else str(name): _number(value)
        for name, value in values.items()
    }


def _field(
    snapshots: Snapshots, field: str, count: int, diagnostics: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    snapshots.load_filters(field)
    times = snapshots.times[:count]
    last = snapshots.read_frame(field, count - 1)
    before = snapshots.read_frame(field, count - 2) if count > 1 else None
    spacing, periodic = _axes(snapshots, field)
    known = {name: diagnostics.get(f"{field}_{name}", (math.nan, math.nan)) for name in QUANTITIES}
    result = features.describe(
        last,
        spacing,
        periodic,
        before=before,
        interval=float(times[-1] - times[-2]) if count > 1 else math.nan,
        free=snapshots.mask == 0 if snapshots.mask is not None else None,
        scale=np.nanmax([0.0, known["min"][1], known["max"][1]]),
    )
    return {name: value for name, (value, _) in known.items()} | dataclasses.asdict(result)


def _axes(snapshots: Snapshots, field: str) -> tuple[list[float], list[bool]]:
    """Return the distances of cell centres and whether the field is periodic, per array axis."""
    kinds = read_boundary_kinds(snapshots.attributes).get(field, {})
    output = snapshots.config.get("output")
    region = (output.get("region") if isinstance(output, Mapping) else None) or {}
    spacing, periodic = [], []
    for axis in snapshots.axes:
        spacing.append(snapshots.axis(axis).spacing)
        # in a region of the domain the field is not periodic, whatever the boundary conditions are
        periodic.append(set(kinds.get(axis, ())) == {"periodic"} and axis not in region)
    return spacing, periodic


def _diagnostics(path: Path, count: int) -> dict[str, tuple[float, float]]:
    """Return for each column the last value and the largest magnitude of all values."""
    try:
        reader = csv.reader(read_lines(path))
        header, last, most = next(reader, []), [], None
        for row in _number_rows(reader, len(header)):
            if row[0] >= count:
                break
            last, sizes = row, np.abs(row)
            most = sizes if most is None else np.fmax(most, sizes)
    except (OutputError, csv.Error):
        return {}
    if most is None:
        return {}
    if last[0] != count - 1:
        last = [math.nan] * len(header)
    return dict(zip(header, zip(last, most.tolist(), strict=True), strict=True))


def _number_rows(rows: Iterator[list[str]], length: int) -> Iterator[list[float]]:
    """Yield the rows of numbers before the first incomplete row."""
    for row in rows:
        try:
            numbers = [float(cell) for cell in row]
        except ValueError:
            return
        if len(numbers) != length:
            return
        yield numbers


def _number(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    try:
        with (
            replacing(path, shared=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from None
