"""The catalogue of commands and settings, from the commands' parsers and the settings' schema."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from pdesim.completion.words import FILE, FOLDER, Catalog, Command, Option
from pdesim.config.folders import choices, groups
from pdesim.errors import clip
from pdesim.model.equation_settings import KEYS
from pdesim.schema import build_schema
from pdesim.schema.comments import about_choices

#: largest number of characters of a description
LONGEST = 80
#: metavar of an option -> its possible values
_VALUES: dict[str, tuple[str, ...]] = {
    "DIR": (FOLDER,),
    "FILE": (FILE,),
    "FILE.png": (FILE,),
    "TARGET": (FILE,),
}


def build_catalog(
    parsers: Mapping[str, argparse.ArgumentParser],
    words: Mapping[str, tuple[str, ...]],
    runs: Command,
    metavars: Mapping[str, tuple[str, ...]],
) -> Catalog:
    """Return the catalogue.

    Args:
        parsers: command -> its parser.
        words: command -> the kinds of its words; see :class:`Command`.
        runs: the options and words of runs, which have no command.
        metavars: metavar of an option -> its possible values.
    """
    commands = {
        name: Command(
            _short(parser.description),
            dict(_options(parser, {**_VALUES, **metavars})),
            words[name],
        )
        for name, parser in parsers.items()
    }
    described = {
        f"{group}={name}": _short(about)
        for group in groups()
        for name, about in about_choices(group, choices(group)).items()
    }
    return Catalog({"": runs, **commands}, dict(_settings()), described, KEYS)


def _short(text: str | None) -> str:
    """Return the first sentence of a description, or its beginning if the sentence is long."""
    return clip(" ".join((text or "").split()).partition(". ")[0].removesuffix("."), LONGEST)


def _options(
    parser: argparse.ArgumentParser, metavars: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, Option]]:
    """Yield the names and the descriptions of the options of a command."""
    for action in parser._actions:
        values = None if action.nargs == 0 else metavars.get(str(action.metavar), ())
        for name in action.option_strings:
            yield name, Option(_short(action.help), values)


def _settings() -> Iterator[tuple[str, Option]]:
    """Yield the dotted names, descriptions and values of all settings."""
    defined = build_schema()["$defs"]
    for name, schema in defined["Settings"]["properties"].items():
        schema = schema.get("else", schema)  # the section in place of which a file may be named
        section = defined.get(schema.get("$ref", "").rpartition("/")[2], schema)
        if "properties" not in section and name not in ("defaults", "hydra"):
            yield name, Option(_short(schema["description"]), tuple(_values(schema, defined)))
        for key, setting in section.get("properties", {}).items():
            if not (key == "name" and name in groups()):
                about = _short(setting.get("description"))
                yield f"{name}.{key}", Option(about, tuple(_values(setting, defined)))


def _values(schema: Mapping[str, Any], defined: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that the schema of a setting lists, as on the command line."""
    parts = [*schema.get("anyOf", ()), *(schema[key] for key in ("then", "else") if key in schema)]
    for part in parts:
        yield from _values(part, defined)
    if "$ref" in schema:
        yield from _values(defined[schema["$ref"].rpartition("/")[2]], defined)
    kinds = schema.get("type", ())
    values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
    values += [True, False] if kinds == "boolean" else []
    values += [None] if kinds == "null" else []
    yield from ("null" if value is None else str(value).lower() if isinstance(value, bool)
                else str(value) for value in values)  # fmt: skip
