"""The size of settings after interpolation (``${name}``), determined without interpolating."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pdesim.errors import ConfigError

#: limit of the characters of all interpolated settings. The settings of a run have some thousand;
#: thirty lines ``b: ${a}${a}``, each with the name of the line before, have 10^9
MOST_CHARACTERS = 1_000_000
#: characters that a value counts for at least; OmegaConf takes 20 s for a list of 60,000 numbers
SHORTEST = 100
Path = tuple[str, ...]


def check_interpolations(values: Mapping[str, Any]) -> None:
    """Check that interpolated settings do not become too large.

    Args:
        values: the configuration before interpolation.

    Raises:
        ConfigError: if they exceed ``MOST_CHARACTERS``.
    """
    known: dict[Path, int] = {}

    def size(path: Path) -> int:
        if path not in known:
            known[path] = 0  # for a reference to itself, which Hydra reports
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
            "settings without references that repeat each other",
        )


def _references(text: str) -> Iterator[str]:
    """Yield the names in ``${name}``, and possible names in ``${resolver:argument, argument}``.

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
    """Return the path of a reference, in which every leading dot is one level up."""
    name = reference.lstrip(".")
    up = len(reference) - len(name)
    start = path[: len(path) - up] if up else ()
    return (*start, *(part for part in re.split(r"[.\[\]]+", name) if part))


def _lookup(values: Any, path: Path) -> Any:
    """Return the node at a path, an empty text if there is none."""
    for part in path:
        if isinstance(values, Mapping):
            values = next((v for key, v in values.items() if str(key) == part), "")
        elif isinstance(values, Sequence) and not isinstance(values, str) and part.isdigit():
            values = values[int(part)] if int(part) < len(values) else ""
        else:
            return ""
    return values
