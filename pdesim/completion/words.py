"""The completions of a word on the command line. This module imports no other library.

PyYAML, which reads the parameters of an equation, is imported when it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdesim.config.folders import choices, config_folder, groups, other_configs

#: instead of a completion: the shell completes the names of files, or of folders
FILE, FOLDER = ":file", ":folder"
#: kinds of words of a command: paths, settings, and names of equations and groups
PATH, SETTING, NAME = "path", "setting", "name"
#: settings whose values are folders
FOLDER_SETTINGS = ("hydra.run.dir", "hydra.sweep.dir")
#: options that name the folder with the user's configs
CONFIG_DIR = ("--config-dir", "-cd")
#: larger files are not read; the shipped equations have up to 2 KiB
LARGEST_FILE = 2**20
#: largest number of files that are read, following the lists ``defaults`` of equations
MOST_FILES = 10


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        about: a description.
        values: the possible values, or one of ``FILE`` and ``FOLDER``; empty if any value is
            possible; None if the option has no value.
    """

    about: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Command:
    """A command with its options and the kinds of its words, or their values.

    Attributes:
        about: a description.
        options: name -> option.
        words: ``PATH``, ``SETTING``, ``NAME``, the name of a section and a dot (settings of this
            section), or possible words.
    """

    about: str
    options: Mapping[str, Option]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """All that can be completed without reading the user's files.

    Attributes:
        commands: name -> command; the command without a name describes runs.
        settings: dotted name -> setting, whose values are as in :class:`Option`.
        choices: ``GROUP=NAME`` -> the description of a shipped config.
        keys: keys of an equation that are not parameters.
    """

    commands: Mapping[str, Command]
    settings: Mapping[str, Option]
    choices: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()


#: completion -> description
Found = dict[str, str]


def complete(words: Sequence[str], catalog: Catalog) -> Found:
    """Return the completions of the last word, with their descriptions.

    Args:
        words: the words after ``pdesim``, up to the word at the cursor, which may be empty.
        catalog: the commands and settings.

    Returns:
        A mapping from completions, ``FILE`` and ``FOLDER`` to descriptions.
    """
    *before, current = words or ("",)
    command = catalog.commands[""]
    if before and before[0] in catalog.commands:
        command, before = catalog.commands[before[0]], before[1:]
    option, equals, _start = current.partition("=")
    if option in command.options and equals:
        values = command.options[option].values or ()
        return _starting(
            current, {v if v in (FILE, FOLDER) else f"{option}={v}": "" for v in values}
        )
    if before and (last := command.options.get(before[-1])) and last.values is not None:
        return _starting(current, dict.fromkeys(last.values, ""))
    if current.startswith("-"):
        names = {name: one.about for name, one in command.options.items() if name not in before}
        return _starting(current, names)
    found: Found = {}
    if command is catalog.commands[""] and not before:
        found = {name: one.about for name, one in catalog.commands.items() if name}
    return _starting(current, found | _words(command, before, current, catalog))


def _words(command: Command, before: Sequence[str], current: str, catalog: Catalog) -> Found:
    """Return the completions of a word of a command that is not an option."""
    found: Found = {}
    folders = _folders(before)
    for kind in command.words:
        if kind == PATH:
            found[FILE] = ""
        elif kind == SETTING or kind.endswith("."):
            settings = _Settings(catalog, folders, before).complete(current)
            inside = (kind, kind.replace(".", "=")) if kind.endswith(".") else ("",)
            found |= {text: about for text, about in settings.items() if text.startswith(inside)}
        elif kind == NAME:
            found |= dict.fromkeys(
                [*choices("equation", folders), *other_configs(), *groups(), "functions"], ""
            )
        else:
            found[kind] = ""
    return found


def _starting(start: str, found: Mapping[str, str]) -> Found:
    return {text: about for text, about in found.items()
            if text.startswith(start) or text in (FILE, FOLDER)}  # fmt: skip


def _folders(words: Sequence[str]) -> list[Path]:
    """Return the folders with the user's configs that the words name."""
    found = []
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        folder = value if equals else "".join(words[number + 1 : number + 2])
        if name in CONFIG_DIR and folder:
            found.append(Path(os.path.expanduser(folder)))
    return found


@dataclass(frozen=True)
class _Settings:
    """Completions of settings.

    Attributes:
        catalog: the known settings.
        folders: folders with the user's configs.
        before: the words before the current one, which may choose an equation.
    """

    catalog: Catalog
    folders: Sequence[Path]
    before: Sequence[str]

    def complete(self, current: str) -> Found:
        """Return the completions of a word that is a setting, or the beginning of one."""
        name, equals, value = current.partition("=")
        if not equals:
            return self._names(current)
        if name in FOLDER_SETTINGS:
            return {FOLDER: ""}
        done = value[: value.rfind(",") + 1]  # several values in a sweep
        return {f"{name}={done}{text}": about for text, about in self._values(name).items() if text}

    def _names(self, current: str) -> Found:
        """Return the names that begin with ``current``, up to the next dot."""
        found: Found = {}
        for name, about in self._all_names():
            if name.startswith(current):
                section, dot, _ = name[len(current) :].partition(".")
                found.setdefault(
                    f"{current}{section}." if dot else f"{name}=", "" if dot else about
                )
        return found

    def _all_names(self) -> Iterator[tuple[str, str]]:
        for group in groups():
            yield group, ""
        for name, setting in self.catalog.settings.items():
            yield name, setting.about
        for name in FOLDER_SETTINGS:
            yield name, ""
        equation = self._equation()
        for key, value in equation.items():
            if key not in self.catalog.keys and isinstance(value, int | float | str):
                # Python refuses to print integers of thousands of digits
                yield f"equation.{key}", str(value)[:60] if _is_short(value) else ""
        for name in self._fields(equation):
            yield f"initial.{name}", ""
            yield f"equation.rhs.{name}", ""

    def _values(self, name: str) -> Found:
        """Return the values of a setting with their descriptions."""
        if name in groups():
            names = choices(name, self.folders)
            names += other_configs() if name == "equation" else []
            return {text: self.catalog.choices.get(f"{name}={text}", "") for text in names}
        setting = self.catalog.settings.get(name)
        found = dict.fromkeys(setting.values or () if setting else (), "")
        if name == "animation.field":
            found |= dict.fromkeys(self._fields(self._equation()), "")
        return found

    def _equation(self) -> dict[str, Any]:
        """Return the settings of the chosen equation, an empty mapping if none is chosen."""
        chosen = [word.partition("=")[2] for word in self.before if word.startswith("equation=")]
        return _equation_values(chosen[-1], self.folders) if chosen else {}

    @staticmethod
    def _fields(equation: Mapping[str, Any]) -> list[str]:
        formulas = equation.get("rhs") or equation.get("solve") or equation.get("map")
        return [str(name) for name in formulas] if isinstance(formulas, dict) else []


def _is_short(value: int | float | str) -> bool:
    return not isinstance(value, int) or abs(value) < 10**60


def _equation_values(name: str, folders: Iterable[Path]) -> dict[str, Any]:
    """Return the settings in an equation's file and in those that its list ``defaults`` names.

    At most ``MOST_FILES`` files are read. The result is empty if there is no such file, or if it
    cannot be read.
    """
    found: list[dict[str, Any]] = []
    waiting, seen = [name], {name}
    while waiting and len(found) < MOST_FILES:
        values = _read_equation(waiting.pop(), folders)
        own, others = values.get("equation", values), values.get("defaults")
        found.append(own if isinstance(own, dict) else {})
        for other in others if isinstance(others, list) else ():
            if isinstance(other, str) and other not in {"_self_", *seen}:
                waiting.append(other)
                seen.add(other)
    merged: dict[str, Any] = {}
    for own in reversed(found):  # a file takes precedence over those in its list
        merged |= {key: v for key, v in own.items() if isinstance(key, str) and key != "defaults"}
    return merged


def _read_equation(name: str, folders: Iterable[Path]) -> dict[str, Any]:
    """Return the contents of an equation file; an empty mapping if it cannot be read."""
    import yaml

    paths = [folder / "equation" / f"{name}.yaml" for folder in (config_folder(), *folders)]
    try:
        path = next(path for path in paths if path.is_file())
        if path.stat().st_size > LARGEST_FILE:
            return {}
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        text = path.read_text(encoding="utf-8-sig")
        # merged mappings (<<) could be larger than the file by a factor of a million
        values = None if "<<" in text else yaml.load(text, loader)
    except (OSError, StopIteration, ValueError, TypeError, RecursionError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
