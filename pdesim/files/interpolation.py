"""A limit of the size of settings after interpolation, which replaces ``${name}`` by a value.

The size is computed before anything is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pdesim.errors import ConfigError

#: limit of the number of characters in all settings after interpolation. The settings of a run have
#: a few thousand characters. Thirty lines such as ``b: ${a}${a}``, each of which refers to the line
#: before, would have 10^9 characters
MOST_CHARACTERS = 1_000_000
#: every value counts as at least this number of characters, because OmegaConf is slow: a list of
#: 60,000 numbers takes 20 s
SHORTEST = 100
Path = tuple[str, ...]


def check_interpolations(values: Mapping[str, Any]) -> None:
    """Check that the settings do not become too large by interpolation.

    Args:
        values: the configuration before interpolation.

    Raises:
        ConfigError: if the settings would have more than ``MOST_CHARACTERS`` characters.
    """
    known: dict[Path, int] = {}

    def size(path: Path) -> int:
        if path not in known:
            known[path] = 0  # used if a value refers to itself, which Hydra reports as an error
            known[path] = total(_lookup(values, path), path)
        return known[path]

    def total(node: Any, path: Path) -> int:
        if isinstance(node, Mapping):
            return sum(size((*path, str(key))) for key in node)
        if isinstance(node, (list, tuple)):
            return sum(size((*path, str(index))) for index in range(len(node)))
        text = str(node)
        named = sum(size(_absolute(name, path)) for name in _references(text))
        return max(len(text), SHORTEST) + named

    if size(()) > MOST_CHARACTERS:
        raise ConfigError(
            f"the settings have more than {MOST_CHARACTERS:,} characters after every ${{name}} is "
            "replaced by its value",
            "settings with fewer nested references",
        )


def _references(text: str) -> Iterator[str]:
    """Yield the names in ``${name}``, and the arguments in ``${resolver:argument, argument}``.

    An argument may be the name of a setting.

    Raises:
        ConfigError: for nested interpolations.
    """
    for part in text.split("${")[1:]:
        inner, closed, _ = part.partition("}")
        if not closed:
            if "}" in text:
                raise ConfigError(
                    "a value has ${...} inside ${...}", "${name} with the name of another setting"
                )
            continue
        _, colon, arguments = inner.partition(":")
        yield from map(str.strip, arguments.split(",") if colon else (inner,))


def _absolute(reference: str, path: Path) -> Path:
    """Return the absolute path of a reference. Every leading dot stands for one level up."""
    name = reference.lstrip(".")
    up = len(reference) - len(name)
    start = path[: len(path) - up] if up else ()
    return (*start, *(part for part in re.split(r"[.\[\]]+", name) if part))


def _lookup(values: Any, path: Path) -> Any:
    """Return the value at a path, or an empty text if there is no such value."""
    for part in path:
        if isinstance(values, Mapping):
            values = next((v for key, v in values.items() if str(key) == part), "")
        elif isinstance(values, Sequence) and not isinstance(values, str) and part.isdigit():
            values = values[int(part)] if int(part) < len(values) else ""
        else:
            return ""
    return values
