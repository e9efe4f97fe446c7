"""Settings as Python values: keywords and mappings instead of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pdesim.config.folders import choices
from pdesim.config.override_text import override_text
from pdesim.errors import ConfigError, nearest
from pdesim.settings import Settings


def as_overrides(words: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return settings as overrides of the command line.

    Args:
        words: overrides such as ``"grid=64"``; the first one may be the name of an equation.
        settings: values by name: a value (``grid=64``), or a mapping of a section (``time={"end":
            2}``). Keywords take precedence over words.

    Raises:
        ConfigError: for an unknown name, and for a value that is not a setting. The message
            contains the argument.
    """
    overrides = []
    for number, word in enumerate(words):
        if not isinstance(word, str):
            raise ConfigError(
                f"argument {number + 1} is {_brief(word)}",
                "text, such as 'gray_scott' or 'grid=64'; other values have names: grid=64",
            )
        if "=" not in word and not word.startswith("~"):
            if number or not word.isidentifier():
                raise ConfigError(
                    f"argument {number + 1} is {word!r}",
                    "an override such as 'grid=64'; the first argument may be an equation",
                    nearest(word, choices("equation")) if not number else "",
                )
            word = f"equation={word}"
        overrides.append(word)
    for name, value in settings.items():
        if name not in Settings.model_fields:
            raise ConfigError(
                f"the argument {name}={_brief(value)} is not a setting",
                nearest(name, Settings.model_fields),
            )
        overrides += _section(name, value)
    return overrides


def _section(name: str, value: Any) -> Iterator[str]:
    """Yield the overrides of a setting, or of all entries of a section."""
    if not isinstance(value, Mapping):
        yield f"{name}={_text(name, value)}"
        return
    # the file of a group precedes its other settings
    ordered = sorted(value.items(), key=lambda item: item[0] != "name")
    for key, part in ordered:
        if not isinstance(key, str):
            raise ConfigError(f"{name} has the key {key!r}", "text, such as 'u'")
        chooses = key == "name" and choices(name)
        yield f"{name if chooses else f'{name}.{key}'}={_text(f'{name}.{key}', part)}"


def _text(name: str, value: Any) -> str:
    """Return a value in the syntax of overrides."""
    try:
        return override_text(plain_value(value))
    except TypeError:
        raise ConfigError(
            f"the argument {name} is {_brief(value)}", "a number, text, a list or a mapping"
        ) from None


def plain_value(value: Any) -> Any:
    """Return a value with Python numbers and lists in place of those of NumPy.

    Raises:
        TypeError: for other types.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain_value(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(type(value).__name__)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:40]}..."
