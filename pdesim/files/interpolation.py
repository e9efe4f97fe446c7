"""The size of settings that are made from others (``${name}``), before they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pdesim.errors import ConfigError

#: characters in all settings once interpolations are carried out: the settings of a run are some
#: thousand, and thirty lines ``b: ${a}${a}`` that name the line before make 10^9
MOST_CHARACTERS = 1_000_000
#: characters that any value counts for: a list of 60,000 numbers would take OmegaConf 20 s
SHORTEST = 100
Path = tuple[str, ...]


def check_interpolations(values: Mapping[str, Any]) -> None:
    """Refuse settings whose interpolations multiply, by adding up sizes: nothing is expanded.

    Args:
        values: the configuration before interpolations are carried out.

    Raises:
        ConfigError: naming the limit.
    """
    known: dict[Path, int] = {}

    def size(path: Path) -> int:
        if path not in known:
            known[path] = 0  # a reference to itself is Hydra's to report
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
            f"the settings have more than {MOST_CHARACTERS:,} characters once each ${{name}} is "
            "replaced by its value",
            "settings without references that repeat each other",
        )


def _references(text: str) -> Iterator[str]:
    """The names in ``${name}``, and all that may be one in ``${resolver:argument, argument}``.

    Raises:
        ConfigError: for one inside another, whose name only Hydra could find out.
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
    """The path that a reference names; each dot at its beginning is one level up."""
    name = reference.lstrip(".")
    up = len(reference) - len(name)
    start = path[: len(path) - up] if up else ()
    return (*start, *(part for part in re.split(r"[.\[\]]+", name) if part))


def _lookup(values: Any, path: Path) -> Any:
    """The node at a path, an empty text where there is none."""
    for part in path:
        if isinstance(values, Mapping):
            values = next((v for key, v in values.items() if str(key) == part), "")
        elif isinstance(values, Sequence) and not isinstance(values, str) and part.isdigit():
            values = values[int(part)] if int(part) < len(values) else ""
        else:
            return ""
    return values
