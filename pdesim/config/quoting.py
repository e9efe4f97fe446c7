"""The quotes that settings need in a shell and in the syntax of Hydra.

This module imports no other library.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from pdesim.errors import ConfigError

_CLOSING = {"{": "}", "[": "]", "(": ")"}
#: values that need no quotes inside of braces and brackets: numbers and names
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[A-Za-z_]\w*|")
#: characters that a shell changes between double quotes; a backslash only before some of them
_UNSAFE = re.compile(r"""["$`!]|\\(?!')""")
NOTE = "   (outer quotes for the shell, inner quotes for the formula)"


def _positions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the position of each character, the character, and what is open before it.

    What is open are the closing brackets in the order in which they are expected, and last the
    quotation mark of the text in quotes that contains the character.
    """
    stack, skip = "", False
    for place, character in enumerate(text):
        yield place, character, stack
        if skip:
            skip = False
        elif stack[-1:] in ("'", '"'):
            skip = character == "\\"
            stack = stack[:-1] if character == stack[-1] else stack
        elif character in "'\"":
            stack += character
        elif character in _CLOSING:
            stack += _CLOSING[character]
        elif stack and character == stack[-1]:
            stack = stack[:-1]


def missing_end(text: str) -> str:
    """Return the closing brackets, or the quotation mark, that are missing at the end of a text."""
    *_, (_, _, still_open) = _positions(text + " ")
    return still_open[::-1]


def _split(text: str) -> list[str]:
    """Return the parts of a text between commas outside of brackets and quotes."""
    ends = [
        place for place, character, inside in _positions(text) if character == "," and not inside
    ]
    pairs = zip([-1, *ends], [*ends, len(text)], strict=True)
    return [text[start + 1 : end].strip() for start, end in pairs]


def _is_enclosed(text: str, marks: str) -> bool:
    """Return whether the first and the last character of a text are a pair of ``marks``."""
    if len(text) < 2 or text[0] not in marks or missing_end(text):
        return False
    return all(inside for place, _, inside in _positions(text) if place)


def with_inner_quotes(value: str) -> str:
    """Return a value in which all formulas are in single quotes, as Hydra requires.

    ``{u: -u + 1}`` becomes ``{u: '-u + 1'}``. Numbers, names and text in quotes are unchanged.
    """
    value = value.strip()
    if _is_enclosed(value, "{"):
        entries = [part.partition(":") for part in _split(value[1:-1])]
        if all(colon for _, colon, _ in entries):
            return "{" + ", ".join(f"{k}: {with_inner_quotes(v)}" for k, _, v in entries) + "}"
    if _is_enclosed(value, "["):
        return "[" + ", ".join(map(with_inner_quotes, _split(value[1:-1]))) + "]"
    if _PLAIN.fullmatch(value) or _is_enclosed(value, "'\""):
        return value
    return "'" + value.replace("'", "\\'") + "'"


def for_shell(setting: str) -> str:
    """Return a setting in the quotes that a shell needs: double quotes, wherever this suffices."""
    return shlex.quote(setting) if _UNSAFE.search(setting) else f'"{setting}"'


def quoted_setting(key: str, value: str) -> str:
    """Return a setting for a shell, with quotes around it and around each formula.

    Values between commas are those of a sweep, ``grid=64,128``; each has its own quotes.
    """
    return for_shell(f"{key}={','.join(map(with_inner_quotes, _split(value)))}")


def unclosed_error(key: str, value: str) -> ConfigError | None:
    """Return the error for a value with a bracket or quotation mark that is not closed, or None."""
    end = missing_end(value)
    if not end:
        return None
    kind = "quotation mark" if end[0] in "'\"" else "bracket"
    return ConfigError(
        f"the value of {key} cannot be read: {value}",
        f"the closing {kind} {end[0]}",
        quoted_setting(key, value.rstrip(", ") + end),
    )
