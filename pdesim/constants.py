"""Constants in settings that are given as text, such as ``2*pi``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

#: maximum number of times in a series
MOST_TIMES = 1_000_000
#: regular expressions for JSON Schema: texts that may be constant formulas, which excludes words
#: such as auto, and series of times. An expression of JSON Schema may match any part of a text
FORMULA_PATTERN = r"^\s*(pi|e)\s*$|[^A-Za-z0-9_\s]|^\s*[0-9]"
SERIES_PATTERN = r"^\s*(linspace|geomspace)\((.*),(.*),\s*([0-9]+)\s*\)\s*$"


@dataclass(frozen=True)
class _Text:
    """An annotation of a setting that also accepts text of some form.

    Attributes:
        convert: the function that converts the text. It returns other values unchanged.
        extend: the function that adds the text to the JSON Schema of the setting.
    """

    convert: Callable[[Any], Any]
    extend: Callable[[dict[str, Any]], dict[str, Any]]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.convert, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.extend(handler(schema))


def evaluated(name: str) -> _Text:
    """Return an annotation that evaluates a constant formula in text, such as ``2*pi``.

    In a list or a mapping, every element is evaluated.

    Args:
        name: the name of the setting, for errors.
    """

    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(part) for part in value]
        if isinstance(value, dict):
            return {key: number(part) for key, part in value.items()}
        # a word such as auto may be a valid value; if it is not, it is refused later
        if not isinstance(value, str) or (value.isidentifier() and value not in ("pi", "e")):
            return value
        from pdesim.formula import Scope, parse  # importing SymPy takes half a second

        return float(parse(value, Scope({}, ()), name))

    return _Text(number, _with_formulas)


def series() -> _Text:
    """Return an annotation that evaluates series of times, such as ``linspace(0, 1, 11)``."""

    def extend(schema: dict[str, Any]) -> dict[str, Any]:
        text = {"type": "string", "pattern": SERIES_PATTERN}
        return {**schema, "anyOf": [*schema["anyOf"], text]}

    return _Text(series_values, extend)


def series_values(value: Any) -> Any:
    """Return the numbers of ``linspace(a, b, n)`` or ``geomspace(a, b, n)``, given as text."""
    match = re.match(SERIES_PATTERN, value) if isinstance(value, str) else None
    if not match:
        return value
    from pdesim.formula import Scope, parse

    function, *ends, count = match.groups()
    first, last = (float(parse(end, Scope({}, ()), "output.times")) for end in ends)
    if not 2 <= int(count) <= MOST_TIMES:
        raise ValueError(f"{function} of {count} times; from 2 to {MOST_TIMES} are possible")
    if function == "geomspace" and not 0 < first < last:
        raise ValueError("geomspace(a, b, n) requires 0 < a < b")
    return getattr(np, function)(first, last, int(count)).tolist()


def _with_formulas(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema in which every number may also be text with a formula."""
    if schema.get("type") == "number":
        return {"anyOf": [schema, {"type": "string", "pattern": FORMULA_PATTERN}]}
    changed = dict(schema)
    if "items" in schema:
        changed["items"] = _with_formulas(schema["items"])
    if "anyOf" in schema:
        changed["anyOf"] = [_with_formulas(part) for part in schema["anyOf"]]
    return changed
