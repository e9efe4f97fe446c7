"""The JSON Schema of configuration files: an equation, an experiment, or overrides of settings.

The schema uses only keywords that draft 7 and draft 2020-12 of JSON Schema have in common, apart
from ``$defs``, so that editors with support for either can use it. What applies is decided by
``if`` and not by ``anyOf``: a validator then reports an error at the setting that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

import pdesim
from pdesim.config.flat import SINGLE
from pdesim.config.folders import choices, groups
from pdesim.errors import ConfigError, nearest
from pdesim.model.formula_sections import FORMULAS
from pdesim.operators.schemes import ABOUT, ORDERS
from pdesim.schema.comments import choices_text, setting_comments
from pdesim.schema.sections import Schema, boundary_schemas, equation_schema, initial_schema
from pdesim.settings import Settings
from pdesim.steppers.tableaux import METHODS

#: kinds of files; "any" serves both of the others
KINDS = ("any", "equation", "experiment")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTERPOLATION = {"$ref": "#/$defs/Interpolation"}


def build_schema(kind: str = "any", folders: Sequence[Path] = ()) -> Schema:
    """Return the JSON Schema of configuration files.

    Args:
        kind: an element of :data:`KINDS`.
        folders: folders with the user's configs, whose names are added to those of the shipped
            ones.

    Raises:
        ConfigError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"no schema is called {kind}", nearest(kind, KINDS[1:]))
    definitions = _definitions(folders)
    sections = {"anyOf": [{"required": [name]} for name in definitions["Settings"]["properties"]
                          if name != "defaults"]}  # fmt: skip
    settings, own = {"$ref": "#/$defs/Settings"}, {"$ref": "#/$defs/EquationFile"}
    whose = [{"required": [key]} for key in FORMULAS]
    plain: Schema = {"anyOf": [*whose, {"minProperties": 1, "not": sections}]}
    if kind == "experiment":
        # experiment/none.yaml has only the keys of the section experiment
        own, plain = {"$ref": "#/$defs/Experiment"}, {"not": sections, "required": ["name"]}
    files = "equation and experiment files" if kind == "any" else f"{kind} files"
    return {
        "$schema": _DIALECT,
        "title": f"{files} of pdesim {pdesim.__version__}",
        "type": "object",
        "if": plain,
        "then": own,
        "else": settings,
        "$defs": definitions,
    }


def _definitions(folders: Sequence[Path]) -> dict[str, Schema]:
    """Return the schemas of all sections, and of the two forms of a file."""
    settings = Settings.model_json_schema()
    definitions: dict[str, Schema] = settings.pop("$defs")
    _add_known_names(definitions)
    comments = setting_comments()
    properties = settings["properties"]
    initial = properties.pop("initial")
    initial.pop("title", None)
    for name, value in properties.items():
        # older versions of pydantic put the reference into a list
        reference = value.get("allOf", [value])[0].get("$ref", "")
        section = definitions.get(reference.rpartition("/")[2])
        if section is None:
            properties[name] = _setting(value, comments.get(name, ""))
            continue
        section.pop("title", None)
        for key, setting in section["properties"].items():
            section["properties"][key] = _setting(setting, comments.get(f"{name}.{key}", ""))
        properties[name] = {"$ref": reference}
    boundary = boundary_schemas()
    properties |= {
        "equation": {"$ref": "#/$defs/Equation"},
        "initial": initial_schema(initial),
        "boundary": {"$ref": "#/$defs/Boundary"},
        "defaults": {"$ref": "#/$defs/Defaults"},
        "hydra": {
            "description": "Hydra's own settings. Files of others may choose run.dir and "
            "sweep.dir inside outputs/ only.",
            "type": "object",
        },
    }
    equation = equation_schema()
    for group in groups():
        if group not in ("equation", "experiment"):
            properties[group] = _section_or_choice(group, properties[group], definitions, folders)
    # a number or a text of one of these names may be a parameter
    sections = {name: one for name, one in properties.items() if name not in SINGLE}
    own = {**sections, **equation["properties"]}
    return {
        **definitions,
        **boundary,
        "Defaults": _defaults(definitions, folders),
        "Equation": equation,
        "EquationFile": {**equation, "properties": own},
        "Interpolation": {"type": "string", "pattern": r"\$\{"},
        "Settings": {
            "description": "Settings that replace those of other files; the first line of such a "
            "file is # @package _global_",
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        },
    }


def _add_known_names(definitions: dict[str, Schema]) -> None:
    """Add the allowed values of settings that are checked against tables, not by their types."""
    known: dict[tuple[str, str], list[Any]] = {
        ("Stepper", "name"): ["auto", *METHODS],
        ("Operators", "name"): [*ABOUT],
        ("Operators", "order"): [*ORDERS],
        ("Animation", "colormap"): sorted(matplotlib.colormaps, key=str.lower),
    }
    for (section, name), values in known.items():
        definitions[section]["properties"][name]["enum"] = values


def _section_or_choice(
    group: str, section: Schema, definitions: dict[str, Schema], folders: Sequence[Path]
) -> Schema:
    """Return the schema of a section, in place of which a file may be named."""
    names = choices(group, folders)
    text = {"description": choices_text(group, names), **_allowed(group, names, definitions)}
    return {"if": {"type": "string"}, "then": text, "else": section}


def _allowed(group: str, names: Sequence[str], definitions: dict[str, Schema]) -> Schema:
    """Return the schema of the name of a file of a group."""
    section = definitions.get(group.capitalize(), {}).get("properties", {})
    allowed: Schema = {"enum": [*names, None]}
    if "anyOf" in section.get("name", {}):
        return allowed
    return {"anyOf": [allowed, {"type": "string"}]}  # users may have files of their own


def _setting(schema: Schema, comment: str) -> Schema:
    """Return the schema of a setting with its description, to which ``${...}`` is added.

    Args:
        schema: the schema that is derived from the type of the setting.
        comment: the comment on the setting in the shipped files; may be empty.
    """
    schema = {key: value for key, value in schema.items() if key != "title"}
    about = [comment, schema.pop("description", "")]
    outer: Schema = {"description": ". ".join(text for text in about if text)}
    if "default" in schema:
        outer["default"] = schema.pop("default")
    parts = _alternatives(schema)
    if any(part == {"type": "string"} for part in parts):  # ${...} is a text, too
        return {**outer, **schema}
    return {**outer, "anyOf": [*parts, _INTERPOLATION]}


def _alternatives(schema: Schema) -> list[Schema]:
    """Return the alternatives of ``anyOf``, also of nested ones; otherwise the schema itself."""
    if set(schema) != {"anyOf"}:
        items = schema.get("items")
        if isinstance(items, dict):
            parts = _alternatives(items)
            schema = {**schema, "items": parts[0] if len(parts) == 1 else {"anyOf": parts}}
        return [schema]
    return [part for one in schema["anyOf"] for part in _alternatives(one)]


def _defaults(definitions: dict[str, Schema], folders: Sequence[Path]) -> Schema:
    """Return the schema of the list ``defaults``, which chooses configs of other groups."""
    properties, patterns = {}, {}
    for group in groups():
        names = choices(group, folders)
        allowed = _allowed(group, names, definitions)
        text = choices_text(group, names)
        properties[f"override /{group}"] = {"description": text, **allowed}
        patterns[f"^((override|optional) )*/?{group}(@.*)?$"] = allowed
    patterns["^((override|optional) )*/?hydra/"] = {"type": ["string", "null", "array"]}
    return {
        "description": "Other files that this one completes or chooses; later ones take "
        "precedence.",
        "type": "array",
        "items": {
            "type": ["string", "object"],
            "properties": properties,
            "patternProperties": patterns,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    }
