"""The runs in a sweep's folder: their settings and states, and the settings that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pdesim.errors import OutputError
from pdesim.files import as_path, dump_yaml, load_yaml
from pdesim.output.metadata import natural_order, read_yaml
from pdesim.output.parts import are_being_written
from pdesim.output.reader import Snapshots
from pdesim.output.run_folder import RunFolder
from pdesim.settings import INCIDENTAL, lies_in

#: settings that do not change the computed values of a run, without the label
_NOT_PHYSICS = {*INCIDENTAL, "output", "hydra"} - {"label"}
#: keys of an equation that only describe the equation or follow from other keys
_CONSEQUENCES = {f"equation.{key}" for key in ("title", "topic", "about", "reference", "fields")}
_DESCRIBED = ("equation.labels.", "equation.units.")
_FORMULAS = ("equation.rhs.", "equation.solve.")


@dataclass(frozen=True)
class Member:
    """One run of a sweep, whose files may be incomplete.

    Args:
        folder: folder of the run.
        state: the state that ``pdesim info`` prints, or "unreadable".
        error: the error that ended the run; None if there was no error.
        settings: dotted name -> value.
        complete: True if ``settings`` contains all settings, False if only those that were given on
            the command line are known.
        progress: entries of ``status.json``.
    """

    folder: Path
    state: str
    error: str | None
    settings: Mapping[str, Any]
    complete: bool
    progress: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the folder, which is the number of the member."""
        return self.folder.name

    @cached_property
    def file(self) -> Path | None:
        """Path of the snapshot file; None if the file does not exist."""
        path = RunFolder(self.folder).snapshots
        return path if path.is_file() else None


def find_members(path: str | Path) -> tuple[Member, ...]:
    """Return the runs in the folder of a sweep, in the order of their numbers.

    Runs that failed before their first frame are included.

    Raises:
        OutputError: if the folder does not exist or contains no runs.
    """
    path = as_path(path)
    if not path.is_dir():
        raise OutputError(f"there is no folder {path}", "the folder of a sweep")
    folders = [child for child in path.iterdir() if RunFolder(child).contains_traces]
    if not folders:
        raise OutputError(
            f"{path} contains no runs", "the folder of a sweep, with a folder per run"
        )
    folders.sort(key=lambda child: natural_order(child.name))
    members = [_read(child) for child in folders]
    known = {name for member in members if member.complete for name in member.settings}
    return tuple(one if one.complete else _named(one, known) for one in members)


def is_sweep(path: str | Path) -> bool:
    """Return whether a path is a folder that contains runs, but is not the folder of a run."""
    path = as_path(path)
    if not path.is_dir() or RunFolder(path).contains_run:
        return False
    return any(RunFolder(child).contains_traces for child in path.iterdir())


def differing_settings(members: Sequence[Member]) -> tuple[str, ...]:
    """Return the dotted names of the settings in which runs differ, in the configuration's order.

    The settings of output, pictures and names, except ``label``, are left out. If runs have
    different equations, the formulas are left out, because ``equation.name`` identifies them.
    """
    # an override such as initial=noise selects a file with settings, but is not a setting itself
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
    """Return the different values of a setting in the runs for which the setting is known."""
    known = [one for one in members if one.complete or name in one.settings]
    return {_frozen(one.settings.get(name)) for one in known}


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return short names for tables: ``{"equation.F": "F", "stepper.name": "stepper", ...}``."""
    short = {}
    for name in names:
        section, _, key = name.partition(".")
        short[name] = section if key == "name" else key if section == "equation" else name
    return short


def setting_text(value: Any) -> str:
    """Return the value of a setting as text: numbers with all digits, lists as YAML."""
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
    if not file.is_file() and (not run.contains_run or are_being_written(folder)):
        state, error = _without_frames(folder, progress)
    else:
        try:
            with Snapshots(file) as frames:
                state, error = frames.run_state(progress)
                config = frames.config
        except OutputError as problem:
            state, error = "unreadable", problem.problem
    # if there are no frames, the folder .hydra contains all settings, or at least the overrides
    config = config or read_yaml(run.config)
    complete = isinstance(config, dict) and bool(config)
    settings = dict(leaves(config)) if complete else _overrides(folder)
    return Member(folder, state, error, settings, complete, progress)


def _without_frames(folder: Path, progress: Mapping[str, Any]) -> tuple[str, str | None]:
    if are_being_written(folder):
        return "running", None
    state, error = progress.get("state"), progress.get("error")
    if state == "running":
        return "killed", error
    if state in (None, "finished"):
        return "failed", error or "the run ended before its first frame"
    return str(state), error


def _overrides(folder: Path) -> dict[str, Any]:
    words = read_yaml(RunFolder(folder).overrides)
    settings: dict[str, Any] = {}
    for word in words if isinstance(words, list) else []:
        name, equals, text = str(word).lstrip("+").partition("=")
        if equals:
            settings |= dict(leaves({name: _value(text)}))
    return settings


def _named(member: Member, known: set[str]) -> Member:
    """Replace names such as ``stepper`` by ``stepper.name`` if only the latter are known."""
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


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings, each with its dotted name."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _frozen(value: Any) -> Any:
    """Return a hashable value that is equal for equal settings: 1 equals 1.0, but not true."""
    return (isinstance(value, bool), value if isinstance(value, int | float) else repr(value))
