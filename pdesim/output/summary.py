"""Summary of a run, as plain data for ``pdesim info``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import reading
from pdesim.output.axis import Axis
from pdesim.output.convergence import read_convergence, settings_digest
from pdesim.output.metadata import (
    BRANCH_OF,
    BRANCHED_AT,
    RERUN_OF,
    read_boundary_kinds,
    read_parameters,
)
from pdesim.output.reader import Snapshots
from pdesim.output.residuals import Residuals, residuals_in
from pdesim.output.rounding import Rounding, rounding_to_half
from pdesim.output.run_folder import SNAPSHOTS, RunFolder

#: entries of status.json that are copied to ``Summary.progress`` unchanged
_FROM_STATUS = (
    "started",
    "seconds",
    "compile_seconds",
    "device",
    "steps",
    "rejected_steps",
    "dt",
    "time_error",
    "steps_per_second",
    "cell_updates_per_second",
    "residual",
    "stopped",
    "stopped_at",
    "observed",
)


@dataclass(frozen=True)
class AxisFacts:
    """Size and resolution of an axis of the stored frames.

    Attributes:
        points: number of stored cells.
        lower, upper: outer faces of the first and the last cell.
        spacing: distance of cell centres.
    """

    points: int
    lower: float
    upper: float
    spacing: float


@dataclass(frozen=True)
class FieldFacts:
    """Range and mean of a field in the last frame, and the change of its mean during the run.

    Cells inside obstacles are left out. The numbers are nan or infinite if the frame has nan or
    infinite values. ``drift`` is the mean in the last frame minus ``first_mean``, the mean in the
    first frame.
    """

    long_name: str
    units: str
    dtype: str
    min: float
    max: float
    mean: float
    first_mean: float
    drift: float


@dataclass(frozen=True)
class Summary:
    """The information that ``pdesim info`` prints; unknown entries are None or empty."""

    path: str
    #: finished, running, interrupted, failed or killed; unknown without status.json
    state: str
    error: str | None
    equation: str
    title: str
    formulas: tuple[str, ...]
    parameters: Mapping[str, float | str]
    grid: Mapping[str, AxisFacts]
    boundary: Mapping[str, Mapping[str, tuple[str, str]]]
    #: second boundary conditions of fourth-order operators, which are either given or assumed
    second_conditions: tuple[str, ...]
    #: the formula of domain.mask
    obstacles: str | None
    operators: str | None
    stepper: str | None
    #: solver, tolerance, iterations and residuals of a steady problem
    solver: Mapping[str, Any] | None
    precision: str | None
    seed: int | None
    #: folder of the run that this one repeats (pdesim rerun)
    rerun_of: str | None
    #: folder of the run and time of the frame from which this run started (pdesim branch)
    branch_of: str | None
    branched_at: float | None
    frames: int
    first_time: float
    last_time: float
    fields: Mapping[str, FieldFacts]
    #: scalar -> its values in the first and the last frame
    scalars: Mapping[str, tuple[float, float]]
    #: entries of status.json, such as the start, the duration, the speed and the device
    progress: Mapping[str, Any]
    #: result of pdesim converge in this folder, if it was computed with the same settings
    convergence: Mapping[str, Any] | None
    versions: Mapping[str, str]
    #: time of the last change of the file, ISO 8601
    written: str
    file_bytes: int
    #: size of the frames in memory, and in the file
    data_bytes: int
    stored_bytes: int
    #: the setting of output.keep_bits that would halve the file, if it was asked for
    rounding: Rounding | None = None

    @property
    def compression(self) -> float:
        """Ratio of the sizes in memory and in the file."""
        return self.data_bytes / self.stored_bytes if self.stored_bytes else 1.0

    def as_json(self) -> dict[str, Any]:
        """Return values for strict JSON, in which numbers that are not finite are None."""
        return _plain(asdict(self) | {"compression": round(self.compression, 4)})


def summarize(path: str | Path, with_rounding: bool = False) -> Summary:
    """Return the summary of one run. Only the first and the last frame are read.

    Args:
        path: the folder of a run, or a snapshot file.
        with_rounding: whether ``rounding`` is computed, for which the last frame is compressed
            about ten times.

    Raises:
        OutputError: if the file cannot be read, is not a snapshot file, or has no frames.
        MissingExtraError: if decompression needs a package that is not installed.
    """
    with reading(Path(path)), Snapshots(path) as snapshots:
        fields = snapshots.checked_fields()
        count = snapshots.frame_count(fields)
        attributes, stat = snapshots.attributes, snapshots.path.stat()
        config, status = snapshots.config, _status(snapshots.path)
        state, error = snapshots.run_state(status)
        times = snapshots.times[:count]
        datasets = [snapshots[name] for name in fields]
        return Summary(
            path=str(snapshots.path),
            state=state,
            error=error,
            equation=str(attributes.get("equation_name", "")),
            title=str(attributes.get("title", "")),
            formulas=tuple(str(attributes.get("equation", "")).splitlines()),
            parameters=read_parameters(config),
            grid={axis: _axis(snapshots.axis(axis)) for axis in reversed(snapshots.axes)},
            boundary=read_boundary_kinds(attributes),
            second_conditions=tuple(str(attributes.get("second_conditions", "")).splitlines()),
            obstacles=_entry_text(config, "domain", "mask"),
            operators=_operators(config),
            stepper=status.get("stepper") or _stepper(config),
            solver=_solver(residuals_in(datasets[0].file)),
            precision=_text(attributes, "precision"),
            seed=_integer(attributes.get("seed")),
            rerun_of=_text(attributes, RERUN_OF),
            branch_of=_text(attributes, BRANCH_OF),
            branched_at=_real(attributes, BRANCHED_AT),
            frames=count,
            first_time=float(times[0]),
            last_time=float(times[-1]),
            fields={name: _field(snapshots, name, count) for name in fields},
            scalars={
                name: (float(series[0]), float(series[count - 1]))
                for name in snapshots.scalars
                if len(series := snapshots.scalar(name))
            },
            progress={key: status[key] for key in _FROM_STATUS if key in status},
            convergence=_convergence(snapshots.path, config),
            versions={
                name.removesuffix("_version"): str(value)
                for name, value in attributes.items()
                if name.endswith("_version")
            },
            written=datetime.fromtimestamp(stat.st_mtime).astimezone().isoformat("T", "seconds"),
            file_bytes=stat.st_size,
            data_bytes=sum(data.size * data.dtype.itemsize for data in datasets),
            stored_bytes=sum(data.id.get_storage_size() for data in datasets),
            rounding=_rounding(snapshots, fields, count - 1, config) if with_rounding else None,
        )


def _status(path: Path) -> dict[str, Any]:
    """Return the entries of ``status.json`` beside a snapshot file.

    The result is empty for a renamed snapshot file, which may belong to another run.
    """
    return RunFolder(path.parent).read_status_or_empty() if path.name == SNAPSHOTS else {}


def _convergence(path: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the result of ``pdesim converge`` beside a snapshot file.

    The result is None if it was computed with other settings than those of the run.
    """
    try:
        result = read_convergence(path.parent) if path.name == SNAPSHOTS else None
    except OutputError:
        return None
    return result if result and result.get("settings") == settings_digest(config) else None


def _text(attributes: Mapping[str, Any], name: str) -> str | None:
    return str(attributes[name]) if name in attributes else None


def _real(attributes: Mapping[str, Any], name: str) -> float | None:
    value = attributes.get(name)
    return float(value) if isinstance(value, float | np.floating) else None


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, int | np.integer) else None


def _entry(config: Mapping[str, Any], section: str, name: str) -> Any:
    values = config.get(section)
    return values.get(name) if isinstance(values, Mapping) else None


def _entry_text(config: Mapping[str, Any], section: str, name: str) -> str | None:
    """Return an entry as text, since an entry written by another program may have any type."""
    value = _entry(config, section, name)
    return None if value is None else str(value)


def _stepper(config: Mapping[str, Any]) -> str | None:
    steady = _entry(config, "equation", "solve") is not None
    return None if steady else _entry_text(config, "stepper", "name")


def _solver(found: Residuals | None) -> dict[str, Any] | None:
    """Return what the file contains about the solver of a steady problem."""
    if found is None:
        return None
    return {
        "name": found.solver,
        "tolerance": found.tolerance,
        "iterations": found.iterations,
        "residuals": found.values.tolist(),
    }


def _operators(config: Mapping[str, Any]) -> str | None:
    name = _entry_text(config, "operators", "name")
    if name in (None, "spectral"):
        return name
    text = f"{name} of order {_entry(config, 'operators', 'order')}"
    return f"{text}, isotropic" if _entry(config, "operators", "isotropic") else text


def _axis(axis: Axis) -> AxisFacts:
    n = len(axis.centres)
    if n == 1:  # its faces are unknown
        return AxisFacts(1, float(axis.centres[0]), float(axis.centres[0]), math.nan)
    return AxisFacts(n, axis.lower, axis.upper, axis.spacing)


def _field(snapshots: Snapshots, name: str, count: int) -> FieldFacts:
    data = snapshots[name]
    snapshots.load_filters(name)
    frames = (snapshots.read_frame(name, index) for index in (0, count - 1))
    first, last = (frame.astype(np.float64) for frame in frames)
    if (mask := snapshots.mask) is not None:
        first, last = first[mask == 0], last[mask == 0]
    attributes = snapshots.attributes_of(name)
    return FieldFacts(
        long_name=str(attributes.get("long_name", name)),
        units=str(attributes.get("units", "1")),
        dtype=str(data.dtype),
        min=float(last.min()),
        max=float(last.max()),
        mean=float(last.mean()),
        first_mean=float(first.mean()),
        drift=float(last.mean() - first.mean()),
    )


def _rounding(
    snapshots: Snapshots, fields: Iterable[str], last: int, config: Mapping[str, Any]
) -> Rounding | None:
    """Return the rounding that would halve a file; None if its values were rounded."""
    if _entry(config, "output", "keep_bits") is not None:
        return None
    frames = [snapshots.read_frame(name, last) for name in fields]
    finite = all(np.isfinite(frame).all() for frame in frames)
    return rounding_to_half(frames) if finite else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
