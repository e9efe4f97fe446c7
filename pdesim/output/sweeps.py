"""The runs of a sweep's folder side by side: what each was asked for, and in what they differ."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pdesim.errors import OutputError
from pdesim.files import dump_yaml, load_yaml
from pdesim.output import lock
from pdesim.output.metadata import natural_order, read_config, read_yaml, run_state
from pdesim.output.reader import Snapshots
from pdesim.output.run_folder import RunFolder
from pdesim.settings import INCIDENTAL, lies_in

#: what makes no run another; the label is there to be seen
_NOT_PHYSICS = {*INCIDENTAL, "output", "hydra"} - {"label"}
#: keys of an equation that say in words, or are said by, what others decide
_CONSEQUENCES = {f"equation.{key}" for key in ("title", "about", "reference", "fields")}
_DESCRIBED = ("equation.labels.", "equation.units.")
_FORMULAS = ("equation.rhs.", "equation.solve.")


@dataclass(frozen=True)
class Member:
    """One run of a sweep, or what is left of it.

    ``settings`` are flat, by dotted names; ``complete`` if they are all of them, and not just the
    overrides. ``state`` is as in ``pdesim info``, or "unreadable"; ``progress`` is what
    ``status.json`` holds.
    """

    folder: Path
    state: str
    error: str | None
    settings: Mapping[str, Any]
    complete: bool
    progress: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def file(self) -> Path | None:
        """The snapshot file, if there is one."""
        path = RunFolder(self.folder).snapshots
        return path if path.is_file() else None


def find_members(path: str | Path) -> tuple[Member, ...]:
    """The runs in a sweep's folder in the order of their numbers, failed ones included.

    Raises:
        OutputError: if there are none.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_dir():
        raise OutputError(f"there is no folder {path}", "the folder of a sweep")
    found = [child for child in path.iterdir() if RunFolder(child).contains_traces]
    if not found:
        raise OutputError(f"{path} holds no runs", "the folder of a sweep, with a folder per run")
    found.sort(key=lambda child: natural_order(child.name))
    members = [_read(child) for child in found]
    known = {name for member in members if member.complete for name in member.settings}
    return tuple(one if one.complete else _named(one, known) for one in members)


def is_sweep(path: str | Path) -> bool:
    """Whether a path is a folder of runs, and not itself a run or a file."""
    path = Path(os.path.expanduser(path))
    if not path.is_dir() or RunFolder(path).snapshots.is_file():
        return False
    return any(RunFolder(child).contains_traces for child in path.iterdir())


def differing_settings(members: Sequence[Member]) -> tuple[str, ...]:
    """The dotted names of settings in which runs differ, in the order in which they are stored.

    What only stores, draws or names a run is left out, but for ``label``; where equations differ,
    their formulas are left out, too, since ``equation.name`` says it.
    """
    # a word such as initial=noise chooses settings and is none
    complete = [member for member in members if member.complete] or members
    names = dict.fromkeys(name for member in complete for name in member.settings)
    differ = [name for name in names if len(_values(members, name)) > 1]
    several = "equation.name" in differ
    return tuple(
        name
        for name in differ
        if name not in _CONSEQUENCES
        and not lies_in(name, _NOT_PHYSICS)
        and not name.startswith(_DESCRIBED)
        and not (several and (name.startswith(_FORMULAS) or name in ("equation.solve",)))
    )


def _values(members: Sequence[Member], name: str) -> set:
    """All that runs have for a setting; one whose overrides are all that is known may have any."""
    knowing = [one for one in members if one.complete or name in one.settings]
    return {_frozen(one.settings.get(name)) for one in knowing}


def short_names(names: Iterable[str]) -> dict[str, str]:
    """``{"equation.F": "F", "stepper.name": "stepper", "time.dt": "time.dt"}``: as people say."""
    short = {}
    for name in names:
        section, _, key = name.partition(".")
        short[name] = section if key == "name" else key if section == "equation" else name
    return short


def setting_text(value: Any) -> str:
    """A setting's value as text: numbers so that they read back exactly, lists as YAML."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple | Mapping):
        return dump_yaml(value, one_line=True)
    return str(value)


def _read(folder: Path) -> Member:
    run = RunFolder(folder)
    progress, file, config = run.read_status_or_empty(), run.snapshots, {}
    if not file.is_file():
        state, error = _without_frames(folder, progress)
    else:
        try:
            with Snapshots(file) as found:
                state, error = run_state(found, progress)
                config = read_config(found.attributes)
        except OutputError as problem:
            state, error = "unreadable", problem.problem
    # what Hydra noted of a run that left no frames: all settings, or at least its overrides
    config = config or read_yaml(run.config)
    complete = isinstance(config, dict) and bool(config)
    settings = dict(_leaves(config)) if complete else _overrides(folder)
    return Member(folder, state, error, settings, complete, progress)


def _without_frames(folder: Path, progress: Mapping[str, Any]) -> tuple[str, str | None]:
    if lock.is_held(folder):
        return "running", None
    state, error = progress.get("state"), progress.get("error")
    if state == "running":
        return "killed", error
    if state in (None, "finished"):
        return "failed", error or "it ended before its first frame"
    return str(state), error


def _overrides(folder: Path) -> dict[str, Any]:
    found = read_yaml(RunFolder(folder).overrides)
    settings = {}
    for word in found if isinstance(found, list) else []:
        name, equals, text = str(word).lstrip("+").partition("=")
        if equals:
            settings |= dict(_leaves({name: _value(text)}))
    return settings


def _named(member: Member, known: set[str]) -> Member:
    """``stepper=euler`` among the overrides is the setting ``stepper.name``."""
    named = {
        name if name in known or f"{name}.name" not in known else f"{name}.name": value
        for name, value in member.settings.items()
    }
    return replace(member, settings=named)


def _value(text: str) -> Any:
    try:
        return load_yaml(text)
    except OutputError:
        return text


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _frozen(value: Any) -> Any:
    """The same for equal settings only; 1 and 1.0 are equal, 1 and true are not."""
    return (isinstance(value, bool), value if isinstance(value, int | float) else repr(value))
