"""Going on with a run that was stopped or killed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_folder, dump_yaml, load_yaml
from pdesim.files.hdf5 import reason
from pdesim.output import RunFolder, Snapshots, fingerprint, lock, read_checkpoint, recover
from pdesim.output.checkpoint import Checkpoint
from pdesim.output.run_folder import CHECKPOINT, SNAPSHOTS
from pdesim.plan import Plan, build_grid, build_plan, frame_times
from pdesim.settings import CONTINUING, INCIDENTAL, OPEN_SECTIONS, Settings, lies_in, read_settings

_HINT = f"remove {CHECKPOINT}: the run goes on from the one before, or begins anew"
#: what may change on the way; everything else decides the numbers or the layout of the file
FREE = (*CONTINUING, *INCIDENTAL)


@dataclass(frozen=True)
class Continuation:
    """``plan`` is None where nothing is left to do; ``notes`` are lines for the user."""

    plan: Plan | None
    config_yaml: str
    notes: tuple[str, ...]


def continue_run(folder: Path, asked: Mapping[str, Any]) -> Continuation:
    """Find out where a folder's run stands and plan the rest of it.

    A file that was cut off is recovered first. Of the two checkpoints the newest intact one is
    taken; without any, the run begins anew and passes the frames that are stored already.

    Args:
        folder: of the run.
        asked: settings for the rest, as a (partial) mapping; see :data:`FREE`.

    Raises:
        OutputError: if there is no run, or it is running, or its files do not fit together.
        ConfigError: for settings that would make it another run.
    """
    path, notes = RunFolder(folder).snapshots, []
    if not path.is_file():
        raise OutputError(f"{folder} holds no run (no {SNAPSHOTS})", "the folder of a run")
    check_folder(folder)
    if lock.is_held(folder):
        raise OutputError(f"another process is writing to {folder} now", hint="wait for it")
    mended = recover(path)
    if mended.changed:
        notes.append(f"{SNAPSHOTS} was cut off: recovered {mended.frames} frames (pdesim recover)")
    with Snapshots(path) as snapshots:
        times, attributes = snapshots.times, snapshots.attributes
        shape = snapshots[snapshots.fields[0]].shape[1:] if snapshots.fields else ()
    stored = _config(attributes, path)
    values = _merged(stored, asked)
    settings, name = read_settings(values), str(attributes.get("equation_name", "custom"))
    text = dump_yaml(values)
    check_shape(settings, shape, path)
    moment, complaints = _newest(folder, stored, len(times))
    notes += [*complaints, *_other_versions(attributes)]
    if moment is None:
        plan = _from_the_start(settings, name, times, path, complaints)
    else:
        plan, end = _from(moment, settings, name), settings.time.end
        if end < moment.time * (1 - 1e-12):
            notes.append(
                f"time.end={end:g} is before t = {moment.time:g}, which the run has reached"
            )
    if plan is not None and plan.resume_from is None and len(times):
        notes.append(f"no checkpoint to go on from: computed again, {len(times)} frames are kept")
    return Continuation(plan, text, tuple(notes))


def _config(attributes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        values = load_yaml(str(attributes["config"]))
        if not isinstance(values, dict):
            raise TypeError("its settings are no mapping")
        read_settings(values)
    except OutputError as error:
        raise OutputError(f"{path} does not say how it was made: {error.problem}") from None
    except (KeyError, TypeError) as error:
        raise OutputError(f"{path} does not say how it was made ({reason(error)})") from None
    return values


def _merged(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The stored settings with those of ``asked`` that may change.

    Raises:
        ConfigError: naming all others that differ.
    """
    chosen = {  # animation=none chooses a name in a section
        key: {"name": value}
        if isinstance(stored.get(key), Mapping) and isinstance(value, str)
        else value
        for key, value in asked.items()
    }
    before, after = dict(_leaves(stored)), dict(_leaves(chosen))
    free = {key for key in after if lies_in(key, FREE)}
    # a setting that the file does not know came with a later version, or is a mistake that the
    # check of settings will report; sections with names of the user's own have no later versions
    new = after.keys() - before.keys()
    free |= {key for key in new if key.partition(".")[0] not in OPEN_SECTIONS}
    different = [k for k, v in after.items() if k not in free and before.get(k) != v]
    if different:
        there = {k: before.get(k, "not set") for k in different[:4]}
        told = "; ".join(f"{k} was {value}, now {after[k]}" for k, value in there.items())
        raise ConfigError(
            f"cannot resume with different settings: {told}",
            "changes to time.end, time.wall_limit, output.checkpoint, device and animation only",
            'a new run; initial.u=\'snapshot("RUN/snapshots.h5", "u")\' starts from a last frame',
        )
    values = {k: dict(v) if isinstance(v, Mapping) else v for k, v in stored.items()}
    for key in free:
        section, _, name = key.partition(".")
        if name:
            values.setdefault(section, {})[name] = after[key]
        else:
            values[section] = after[key]
    return values


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, two levels deep: settings have no more."""
    for key, value in values.items():
        if isinstance(value, Mapping) and not prefix:
            yield from _leaves(value, f"{key}.")
        else:
            yield f"{prefix}{key}", value


def _newest(
    folder: Path, stored: Mapping[str, Any], frames: int
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is intact and fits, and what was wrong with the others."""
    complaints = []
    run = RunFolder(folder)
    for path in (run.checkpoint, run.previous_checkpoint):
        name = path.name
        if not path.exists():
            continue
        try:
            moment, settings = read_checkpoint(path)
        except OutputError as error:
            complaints.append(f"{name} cannot be used: {error.problem}")
            continue
        if settings != fingerprint(stored):
            complaints.append(f"{name} cannot be used: it belongs to a run with other settings")
        elif frames <= moment.frame:
            complaints.append(
                f"{name} cannot be used: it comes after frame {moment.frame}, which is not stored"
            )
        else:
            return moment, complaints
    return None, complaints


def _other_versions(attributes: Mapping[str, Any]) -> list[str]:
    return [
        f"begun with {package} {then}, continued with {now}: may differ from an uninterrupted run "
        "by rounding"
        for package in ("tensorflow", "numpy")
        if (then := str(attributes.get(f"{package}_version", ""))) != (now := version(package))
    ]


def check_shape(settings: Settings, stored: tuple[int, ...], path: Path) -> None:
    """Refuse settings with another grid than the frames have, before a state of that size is made.

    Frames of a part of the grid (``output.stride``, ``output.region``) are compared later.
    """
    output, shape = settings.output, build_grid(settings).shape
    if output.stride == 1 and output.region is None and stored != shape:
        raise OutputError(f"the frames of {path} have the shape {stored}, its settings {shape}")


def _from_the_start(
    settings: Settings, name: str, times: np.ndarray, path: Path, complaints: Sequence[str]
) -> Plan | None:
    plan = build_plan(settings, name)
    fit = min(len(times), len(plan.times))
    if not np.allclose(times[:fit], plan.times[:fit], rtol=1e-9, atol=0):
        raise OutputError(
            f"the frames of {path} lie at other times than these settings say, "
            f"and there is no checkpoint to go on from{''.join(f'; {c}' for c in complaints)}",
            hint="a new run in another folder (hydra.run.dir=...)",
        )
    return plan if len(times) < len(plan.times) else None


def _from(moment: Checkpoint, settings: Settings, name: str) -> Plan | None:
    times = _times(moment, settings)
    if moment.frame >= len(times) - 1:
        return None
    grid, precision = build_grid(settings), settings.device.precision
    _check_state(moment, (len(moment.state), *grid.shape), precision)
    if (moment.solid is None) != (settings.domain.mask is None):
        raise OutputError(
            "the checkpoint and the settings differ in whether there are obstacles", hint=_HINT
        )
    plan = build_plan(settings, name, replace(moment, times=times))
    _check_state(moment, (len(plan.equation.fields), *grid.shape), precision)
    return plan


def _check_state(moment: Checkpoint, shape: tuple[int, ...], precision: str) -> None:
    """Raise OutputError unless the state is such an array; the type is that of the run."""
    found = moment.state
    if found.shape != shape or found.dtype != precision:
        raise OutputError(
            f"the checkpoint holds a state of shape {found.shape} in {found.dtype}",
            f"the shape {shape} in {precision}",
            _HINT,
        )


def _times(moment: Checkpoint, settings: Settings) -> np.ndarray:
    """The frames that were planned, up to a nearer end or on to a later one."""
    planned, end = moment.times, settings.time.end
    if np.isclose(end, planned[-1], rtol=1e-12):
        return planned
    if end < planned[-1]:
        kept = planned[planned <= end * (1 + 1e-12)]
        if end < moment.time:
            return planned[: moment.frame + 1]
        nearest = moment.targets[moment.target + 1]
        if moment.steps_since_target and end < nearest:
            raise ConfigError(
                f"time.end={end:g} lies within the interval that the run is in",
                f"at least {nearest:g}, where its steps end next",
            )
        return kept if np.isclose(kept[-1], end, rtol=1e-12) else np.append(kept, end)
    later = frame_times(_starting_at(settings, planned))
    return np.concatenate([planned, later[1:]])


def _starting_at(settings: Settings, planned: np.ndarray) -> Settings:
    """Settings of the added part: the same spacing of frames, from the end that was planned."""
    spacing = float(planned[1] - planned[0])
    time = settings.time.model_copy(update={"start": float(planned[-1])})
    output = settings.output.model_copy(update={"every": spacing})
    return settings.model_copy(update={"time": time, "output": output})
