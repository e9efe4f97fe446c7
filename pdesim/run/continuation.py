"""Resuming a run that was stopped or killed, or extending a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_folder, dump_yaml, load_yaml
from pdesim.files.hdf5 import reason
from pdesim.model.equation_settings import given_fields
from pdesim.model.grid import build_grid
from pdesim.output import RunFolder, Snapshots, fingerprint, lock, read_checkpoint, recover
from pdesim.output.checkpoint import Checkpoint
from pdesim.output.parts import join_parts
from pdesim.output.run_folder import CHECKPOINT, SNAPSHOTS
from pdesim.output.sweeps import is_sweep
from pdesim.plan import Plan, build_plan
from pdesim.render.quantity import check_picture
from pdesim.run.stored_initial import with_moved_initial
from pdesim.run.stored_networks import with_stored_networks
from pdesim.settings import CONTINUING, INCIDENTAL, OPEN_SECTIONS, Settings, lies_in, read_settings
from pdesim.steppers.targets import frame_times

_HINT = f"remove {CHECKPOINT}; the run then resumes from the previous checkpoint, or starts again"
#: settings that may change; all others determine the computed values or the layout of the file
FREE = (*CONTINUING, *INCIDENTAL)
#: settings that have an effect only when a run or a sweep is started, not when a run is resumed
FOR_START = ("sweep", "workers", "experiment", "montage", "resume", "output.overwrite")


@dataclass(frozen=True)
class Continuation:
    """The remaining part of a run.

    Args:
        plan: the plan of the remaining part; None if the run is complete.
        config_yaml: the settings of the remaining part, as YAML text.
        notes: messages for the user, one line each.
    """

    plan: Plan | None
    config_yaml: str
    notes: tuple[str, ...]


def continue_run(
    folder: Path,
    requested: Mapping[str, Any],
    explicit: bool = False,
    rows: Callable[[int], slice] | None = None,
) -> Continuation:
    """Plan the remaining part of a run, from the files in its folder.

    The files of a run that several processes have computed are joined, and a truncated snapshot
    file is recovered first. The newer of the two checkpoints is used or, if
    that is not possible, the older one. If neither can be used, the run is computed again from its
    start, and stored frames are kept.

    Args:
        folder: folder of the run.
        requested: settings for the remaining part: a nested mapping, which need not contain all
            settings. Only those in :data:`FREE` may differ from the settings of the run.
        explicit: whether the user has given each of these settings. If so, settings that have no
            effect are reported, by an error or a note.
        rows: returns the rows of this process (indices along the first array axis), given their
            number in the complete grid. Only these rows of the state are kept in memory. None for
            all rows.

    Raises:
        OutputError: if there is no run, if the run has not ended, or if its files do not belong
            together.
        ConfigError: for settings that are invalid or may not change, and, if ``explicit``, for
            settings that have an effect only when a run is started.
    """
    if explicit:
        _check_for_start(requested)
    path, notes = RunFolder(folder).snapshots, list(join_parts(folder).notes)
    if not path.is_file():
        raise _no_run(folder)
    check_folder(folder)
    if lock.is_held(folder):
        raise OutputError(f"another process is writing to {folder} now", hint="wait until it ends")
    recovered = recover(path)
    if recovered.changed:
        notes.append(f"{SNAPSHOTS} was truncated; {recovered.frames} frames were recovered")
    with Snapshots(path) as snapshots:
        times, attributes, fields = snapshots.times, snapshots.attributes, snapshots.fields
        shape = snapshots[snapshots.fields[0]].shape[1:] if snapshots.fields else ()
    stored = stored_config(attributes, path)
    values = with_moved_initial(_merged(stored, requested), folder)
    settings = read_settings(with_stored_networks(values, folder))
    name, text = str(attributes.get("equation_name", "custom")), dump_yaml(values)
    check_shape(settings, shape, path)
    status = RunFolder(folder).read_status_or_empty()
    if "stopped" in status:
        at = status.get("stopped_at", times[-1] if len(times) else settings.time.start)
        reason = f"the run stopped at t = {at:g} ({status['stopped']})"
        conditions = ("steady", "when", "frames")
        set_ones = [name for name in conditions if getattr(settings.stop, name) is not None]
        removed = "".join(f" stop.{condition}=null" for condition in set_ones)
        hint = f"pdesim branch {folder}{removed}   continues from its last frame"
        return Continuation(None, text, (*notes, f"{reason}; {hint}"))
    own = None if rows is None else rows(build_grid(settings).shape[0])
    checkpoint, complaints = _newest(folder, stored, len(times), own)
    notes += [*complaints, *_other_versions(attributes)]
    if checkpoint is None:
        plan = _from_the_start(settings, name, times, path, complaints, own)
    else:
        plan, end = _from_checkpoint(checkpoint, settings, name), settings.time.end
        if end < checkpoint.time * (1 - 1e-12):
            notes.append(
                f"time.end={end:g} is before t = {checkpoint.time:g}, which the run has reached"
            )
    if plan is not None and plan.resume_from is None and len(times):
        notes.append(
            "there is no usable checkpoint: the run is computed again from its start; "
            f"its {len(times)} frames are kept"
        )
    if plan is None:  # then no plan has checked the requested settings
        axes = build_grid(settings).names
        names = tuple(given_fields(settings.equation, axes)) or fields
        check_picture(settings.animation, names, axes, settings.output.fields)
        notes += _without_effect(requested, folder) if explicit else []
    return Continuation(plan, text, tuple(notes))


def _no_run(folder: Path) -> OutputError:
    """Return the error for a folder without a snapshot file, which may be that of a sweep."""
    problem, expected = f"{folder} contains no run (no {SNAPSHOTS})", "the folder of a run"
    if not is_sweep(folder):
        return OutputError(problem, expected)
    return OutputError(
        f"{folder} is the folder of a sweep",
        f"{expected}, such as {folder / '0'}",
        f"repeat the command of the sweep with hydra.sweep.dir={folder} resume=auto: members that "
        "are finished are kept, others are resumed",
    )


def _check_for_start(requested: Mapping[str, Any]) -> None:
    for key, _ in _leaves(requested):
        if lies_in(key, FOR_START):
            raise ConfigError(
                f"{key} has no effect when a run is resumed",
                "time.end, time.wall_limit, output.checkpoint, device, label and animation",
            )


def _without_effect(requested: Mapping[str, Any], folder: Path) -> list[str]:
    """Return a note on requested settings that have no effect because the run is finished."""
    names = [key for key, _ in _leaves(requested) if key != "time.end"]
    if not names:
        return []
    drawn = any(lies_in(name, ("animation",)) for name in names)
    hint = f"; pdesim render {folder} draws it with other settings" if drawn else ""
    return [f"{', '.join(names)}: no effect, since the run is finished{hint}"]


def stored_config(attributes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the validated settings of a run.

    Args:
        attributes: the attributes of the snapshot file.
        path: the snapshot file, for errors.

    Raises:
        OutputError: if the settings are missing or cannot be read.
        ConfigError: if a setting is invalid.
    """
    try:
        values = load_yaml(str(attributes["config"]))
        if not isinstance(values, dict):
            raise TypeError("the settings are not a mapping")
        read_settings(values)
    except OutputError as error:
        raise OutputError(f"the settings in {path} cannot be read: {error.problem}") from None
    except (KeyError, TypeError) as error:
        raise OutputError(f"the settings in {path} cannot be read ({reason(error)})") from None
    return values


def _merged(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored settings, updated by those requested settings that may change.

    Raises:
        ConfigError: if other requested settings differ from the stored ones. The message lists
            them.
    """
    chosen = {  # animation=none is animation.name=none
        key: {"name": value}
        if isinstance(stored.get(key), Mapping) and isinstance(value, str)
        else value
        for key, value in requested.items()
    }
    if chosen.get("device") == {"name": "hosts"}:  # a group whose name is that of no device
        chosen["device"] = {"hosts": "auto"}
    before, after = dict(_leaves(stored)), dict(_leaves(chosen))
    free = {key for key in after if lies_in(key, FREE)}
    # a setting that is not in the file was introduced by a later version of pdesim, or is a mistake
    # that read_settings will report; in OPEN_SECTIONS, however, users choose the names
    new = after.keys() - before.keys()
    free |= {key for key in new if key.partition(".")[0] not in OPEN_SECTIONS}
    different = [k for k, v in after.items() if k not in free and before.get(k) != v]
    if different:
        there = {k: before.get(k, "not set") for k in different[:4]}
        changes = "; ".join(f"{k} was {value}, now {after[k]}" for k, value in there.items())
        raise ConfigError(
            f"cannot resume with different settings: {changes}",
            "changes to time.end, time.wall_limit, output.checkpoint, device and animation only",
            "pdesim branch RUN SETTING=VALUE   starts a new run from its last frame",
        )
    values = {k: dict(v) if isinstance(v, Mapping) else v for k, v in stored.items()}
    for key in free:
        section, _, name = key.partition(".")
        if name:
            inside = values.setdefault(section, {})
            if not isinstance(inside, dict):
                raise ConfigError(
                    f"unknown setting {key}: {section} is {inside!r}, not a section",
                    f"{section}=VALUE",
                )
            inside[name] = after[key]
        else:
            values[section] = after[key]
    return values


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and the values of settings, at most two levels deep.

    A mapping on the second level is treated as the value of a setting.
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and not prefix:
            yield from _leaves(value, f"{key}.")
        else:
            yield f"{prefix}{key}", value


def _newest(
    folder: Path, stored: Mapping[str, Any], frames: int, rows: slice | None
) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest usable checkpoint, and the reasons why newer ones cannot be used.

    Args:
        folder: folder of the run.
        stored: the settings in the snapshot file.
        frames: number of stored frames.
        rows: see :func:`pdesim.output.read_checkpoint`.
    """
    complaints = []
    run = RunFolder(folder)
    for path in (run.checkpoint, run.previous_checkpoint):
        name = path.name
        if not path.exists():
            continue
        try:
            checkpoint, settings = read_checkpoint(path, rows)
        except OutputError as error:
            complaints.append(f"{name} cannot be used: {error.problem}")
            continue
        if settings != fingerprint(stored):
            complaints.append(f"{name} cannot be used: it belongs to a run with other settings")
        elif frames <= checkpoint.frame:
            complaints.append(
                f"{name} cannot be used: it follows frame {checkpoint.frame}, which is not stored"
            )
        else:
            return checkpoint, complaints
    return None, complaints


def _other_versions(attributes: Mapping[str, Any]) -> list[str]:
    return [
        f"the run was started with {package} {then} and is continued with {now}: the results may "
        "differ from those of an uninterrupted run by rounding errors"
        for package in ("tensorflow", "numpy")
        if (then := str(attributes.get(f"{package}_version", ""))) != (now := version(package))
    ]


def check_shape(settings: Settings, stored: tuple[int, ...], path: Path) -> None:
    """Check that the stored frames have the shape of the grid, before a state is allocated.

    If only a part of the grid is stored (``output.stride``, ``output.region``), the shape is
    checked later.

    Args:
        settings: the settings of the run.
        stored: shape of a stored frame.
        path: the snapshot file, for errors.

    Raises:
        OutputError: if the shapes differ.
    """
    output, shape = settings.output, build_grid(settings).shape
    if output.stride == 1 and output.region is None and stored != shape:
        raise OutputError(
            f"the frames in {path} have the shape {stored}, but its settings describe a grid of "
            f"shape {shape}"
        )


def _from_the_start(
    settings: Settings,
    name: str,
    times: np.ndarray,
    path: Path,
    complaints: Sequence[str],
    rows: slice | None,
) -> Plan | None:
    plan = build_plan(settings, name, rows=rows)
    common = min(len(times), len(plan.times))
    if not np.allclose(times[:common], plan.times[:common], rtol=1e-9, atol=0):
        raise OutputError(
            f"the frame times in {path} do not match output.times / output.every / output.frames, "
            f"and there is no usable checkpoint{''.join(f'; {c}' for c in complaints)}",
            hint="start a new run in another folder (hydra.run.dir=...)",
        )
    return plan if len(times) < len(plan.times) else None


def _from_checkpoint(checkpoint: Checkpoint, settings: Settings, name: str) -> Plan | None:
    times = _times(checkpoint, settings)
    if checkpoint.frame >= len(times) - 1:
        return None
    grid, precision = build_grid(settings), settings.device.precision
    _check_state(checkpoint, (len(checkpoint.state), *grid.shape), precision)
    if (checkpoint.solid is None) != (settings.domain.mask is None):
        raise OutputError(
            "only one of the checkpoint and the settings contains obstacles", hint=_HINT
        )
    resumed = replace(checkpoint, times=times)
    plan = build_plan(settings, name, resumed, rows=checkpoint.rows)
    _check_state(checkpoint, (len(plan.equation.fields), *grid.shape), precision)
    return plan


def _check_state(checkpoint: Checkpoint, shape: tuple[int, ...], precision: str) -> None:
    """Check the shape on the complete grid and the type of the state in a checkpoint.

    Raises:
        OutputError: if the state has another shape or another type.
    """
    found, dtype = checkpoint.shape, checkpoint.state.dtype
    if found != shape or dtype != precision:
        raise OutputError(
            f"the checkpoint contains a state of shape {found} and type {dtype}",
            f"shape {shape} and type {precision}",
            _HINT,
        )


def _times(checkpoint: Checkpoint, settings: Settings) -> np.ndarray:
    """Return the times of the frames in a checkpoint, shortened or extended to ``time.end``.

    Raises:
        ConfigError: if ``time.end`` is before the next target, and the steps to this target have
            begun already.
    """
    planned, end = checkpoint.times, settings.time.end
    if np.isclose(end, planned[-1], rtol=1e-12):
        return planned
    if end < planned[-1]:
        kept = planned[planned <= end * (1 + 1e-12)]
        if end < checkpoint.time:
            return planned[: checkpoint.frame + 1]
        nearest = checkpoint.targets[checkpoint.target + 1]
        if checkpoint.steps_since_target and end < nearest:
            raise ConfigError(
                f"time.end={end:g} is too early: the next time at which a time step must end is "
                f"t = {nearest:g}",
                f"at least {nearest:g}",
            )
        return kept if np.isclose(kept[-1], end, rtol=1e-12) else np.append(kept, end)
    later = frame_times(_starting_at(settings, planned))
    return np.concatenate([planned, later[1:]])


def _starting_at(settings: Settings, planned: np.ndarray) -> Settings:
    """Return settings for the time after the planned end, with the same interval of frames.

    If the times of frames were given, the only further frame is at the new end.
    """
    start, end = float(planned[-1]), settings.time.end
    spacing = float(planned[1] - planned[0]) if settings.output.times is None else end - start
    time = settings.time.model_copy(update={"start": start})
    output = settings.output.model_copy(update={"every": spacing, "times": None})
    return settings.model_copy(update={"time": time, "output": output})
