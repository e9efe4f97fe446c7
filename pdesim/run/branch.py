"""New runs that start from a frame of an earlier run, with changed settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, OutputError, printable
from pdesim.files import dump_yaml, reading
from pdesim.model.equation_settings import declare_given
from pdesim.model.grid import build_grid
from pdesim.model.scalars import given_scalars
from pdesim.output import Snapshots
from pdesim.output.metadata import BRANCH_OF, BRANCHED_AT
from pdesim.plan import Plan, build_plan
from pdesim.run.continuation import stored_config
from pdesim.run.stored_networks import with_stored_networks
from pdesim.settings import read_settings


@dataclass(frozen=True)
class Origin:
    """The frame at which a branch starts.

    Attributes:
        path: the snapshot file.
        time: the time of the frame.
        config: the settings of the run.
        name: the name of its equation.
        fields: the stored fields.
        scalars: the values of the scalars.
        notes: messages for the user, one line each.
    """

    path: Path
    time: float
    config: Mapping[str, Any]
    name: str
    fields: tuple[str, ...]
    scalars: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the snapshot file of the branch."""
        folder = printable(str(self.path.parent.resolve()))
        return {BRANCH_OF: folder, BRANCHED_AT: self.time}

    def initial(self) -> dict[str, Any]:
        """Return the initial state: the formulas of the fields of the frame, and the scalars."""
        path = str(self.path.resolve())
        quoted = repr(path)  # a Python literal, as formulas require
        fields = {f: f"snapshot({quoted}, '{f}', {self.time!r})" for f in self.fields}
        return {**fields, **self.scalars}


@dataclass(frozen=True)
class Branch:
    """A planned branch: its plan, its settings as YAML text, and messages for the user."""

    plan: Plan
    config_yaml: str
    notes: tuple[str, ...]


def find_origin(path: str | Path, at: float | None = None) -> Origin:
    """Return the frame of a run at a time, by default the last frame.

    Args:
        path: the folder of the run, or its snapshot file.
        at: a time; the nearest frame is used.

    Raises:
        OutputError: if there is no run, no frame, or if only a region of the domain is stored.
        ConfigError: for a time before the first or after the last frame.
    """
    with reading(Path(path)), Snapshots(path) as snapshots:
        attributes, file = snapshots.attributes, snapshots.path
        fields = snapshots.checked_fields()
        times = np.asarray(snapshots.times)[: snapshots.frame_count(fields)]
        series = {name: snapshots.scalar(name) for name in snapshots.scalars}
    config = with_stored_networks(stored_config(attributes, file), file.parent)
    output = config.get("output") or {}
    if isinstance(output, Mapping) and output.get("region") is not None:
        raise OutputError(
            f"{file} contains only a part of the domain (output.region)",
            "a run that stores the whole domain",
        )
    notes, time = [], float(times[-1])
    if at is not None:
        near = 1e-9 * max(float(np.ptp(times)), abs(at))
        if not times[0] - near <= at <= times[-1] + near:
            raise ConfigError(
                f"--at {at:g} is not a time of this run",
                f"a time from {times[0]:g} to {times[-1]:g}",
            )
        time = float(times[np.abs(times - at).argmin()])
        if abs(time - at) > near:
            notes.append(f"the frame nearest to t = {at:g} is that at t = {time:g}")
    if isinstance(output, Mapping) and (output.get("keep_bits") or output.get("dtype")):
        notes.append("note: the frames of this run are stored with reduced precision")
    name = str(attributes.get("equation_name", "custom"))
    frame = int(np.abs(times - time).argmin())
    scalars = {key: float(values[frame]) for key, values in series.items()}
    return Origin(file, time, config, name, tuple(fields), scalars, tuple(notes))


def plan_branch(origin: Origin, values: Mapping[str, Any], given: Sequence[str] = ()) -> Branch:
    """Plan a run that starts from a frame of another run.

    Args:
        origin: the frame.
        values: the settings of the earlier run with the user's changes.
        given: the dotted names of the changed settings.

    Raises:
        ConfigError: if the frame lacks a field of the equation, and for invalid settings.
        PdesimError: see :func:`pdesim.plan.build_plan`.
    """
    values, notes = dict(values), list(origin.notes)
    axes, changed = build_grid(read_settings(values)).names, _given_initial(values, given)
    declared = declare_given(values["equation"], axes)
    fields = [part for one in declared for part in one.parts]
    fields += given_scalars(values["equation"])
    replaced = {part for one in declared if one.name in changed for part in one.parts}
    kept = {name: text for name, text in origin.initial().items() if name not in replaced}
    initial = {**kept, **changed}
    for field in fields:
        if field not in initial and field not in replaced:
            raise ConfigError(
                f"the run {origin.path.parent} has no field {field!r}, which the equation needs",
                f"initial.{field}=VALUE",
                f"the fields of this run are {', '.join(origin.fields)}",
            )
    known = {*fields, *(one.name for one in declared)}
    values["initial"] = {name: text for name, text in initial.items() if name in known}
    values["time"], more = _times(origin, values["time"], given)
    values["stop"] = _stop(values.get("stop") or {}, given)
    settings = read_settings(values)
    if "output.times" not in given and settings.output.times is not None:
        later = [t for t in settings.output.times if t > settings.time.start]
        values["output"] = {**values["output"], "times": later or None}
    if settings.animation.field is not None and "equation" in given:
        values["animation"] = {**values["animation"], "field": None}
    settings = read_settings(values)
    plan = build_plan(settings, str(values["equation"].get("name") or origin.name))
    return Branch(plan, dump_yaml(values), (*notes, *more))


def _given_initial(values: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Return the initial values that the user has given for this run."""
    initial = values.get("initial") or {}
    if "initial" in given:
        return dict(initial)
    named = {name.partition(".")[2] for name in given if name.startswith("initial.")}
    return {field: value for field, value in initial.items() if field in named}


def _stop(stop: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Return the section ``stop``, without the time between checks if no condition remains."""
    result = dict(stop)
    conditions = any(result.get(name) for name in ("steady", "when", "frames"))
    if not conditions and "stop.every" not in given:
        result.pop("every", None)
    return result


def _times(
    origin: Origin, time: Mapping[str, Any], given: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the section ``time`` of the branch, and notes.

    The time continues from that of the frame. If it has reached the end of the earlier run, the
    branch is as long as that run, unless its end is given.
    """
    result, notes = dict(time), []
    stored = read_settings(origin.config).time
    if "time.start" not in given:
        result["start"] = origin.time
    if "time.end" not in given and stored.end <= origin.time * (1 + 1e-12):
        result["end"] = origin.time + stored.end - stored.start
        notes.append(f"time.end={result['end']:g}: as long as the earlier run")
    if "time.events" not in given:
        result["events"] = [t for t in stored.events if t >= origin.time]
    return result, notes
