"""Settings as Python values: keywords and mappings instead of text."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from pydantic import BaseModel

from pdesim.config.compose import Composed
from pdesim.config.folders import choices
from pdesim.config.override_text import override_text
from pdesim.errors import ConfigError
from pdesim.files import as_path
from pdesim.model.equation_settings import given_fields, given_formulas
from pdesim.model.scalars import given_scalars
from pdesim.settings import Settings
from pdesim.settings.other_names import suggest_settings

#: ``callback(time, fields)``: called with every frame; if it returns False, the run stops
Callback = Callable[[float, dict[str, np.ndarray]], Any]


def as_overrides(
    words: Sequence[str], settings: Mapping[str, Any], equation_first: bool = True
) -> list[str]:
    """Return settings as overrides of the command line.

    Args:
        words: overrides such as ``"grid=64"``; the first one may be the name of an equation.
        settings: values by name: a value (``grid=64``), or a mapping of a section (``time={"end":
            2}``). Keywords take precedence over words: a value replaces all words about this
            section, a mapping those about its entries.
        equation_first: whether the first word may be the name of an equation.

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
            if number or not word.isidentifier() or not equation_first:
                first = "; the first argument may be an equation" if equation_first else ""
                raise ConfigError(
                    f"argument {number + 1} is {word!r}", f"an override such as 'grid=64'{first}"
                )
            word = f"equation={word}"
        overrides.append(word)
    for name, value in settings.items():
        if name not in Settings.model_fields:
            raise ConfigError(
                f"the argument {name}={_brief(value)} is not a setting",
                suggest_settings(name, Settings, Settings.model_fields),
                _keyword_hint(name, value),
            )
        if not isinstance(value, Mapping):
            overrides = [word for word in overrides if not _is_about(word, name)]
        overrides += _section(name, value)
    return overrides


def _keyword_hint(name: str, value: Any) -> str:
    """Return the keyword for a setting that lies in a section: ``time={"end": 1}``."""
    similar = suggest_settings(name, Settings, Settings.model_fields).similar
    parts = similar[0].split(".") if similar else []
    if parts == ["hydra", "run", "dir"]:
        return f"folder={_brief(value)}"
    if len(parts) == 2:
        return f"{parts[0]}={{{parts[1]!r}: {_brief(value)}}}"
    return "" if parts else f"equation={{{name!r}: {_brief(value)}}}, if {name} is a parameter"


def _is_about(word: str, name: str) -> bool:
    """Return whether an override concerns a section or one of its settings."""
    key = word.lstrip("+~").partition("=")[0]
    return key == name or key.startswith(f"{name}.")


def _section(name: str, value: Any) -> Iterator[str]:
    """Yield the overrides of a setting, or of all entries of a section."""
    if not isinstance(value, Mapping):
        if _is_section(name) and not isinstance(value, str):
            raise ConfigError(
                f"the argument {name} is {_brief(value)}",
                f"a mapping from settings to values, such as {name}={{{_example(name)!r}: ...}}"
                + (", or the name of a file" if choices(name) else ""),
            )
        yield f"{name}={_text(name, value)}"
        return
    # the file of a group precedes its other settings
    ordered = sorted(value.items(), key=lambda item: item[0] != "name")
    for key, part in ordered:
        if not isinstance(key, str):
            raise ConfigError(f"{name} has the key {key!r}", "text, such as 'u'")
        chooses = key == "name" and choices(name)
        yield f"{name if chooses else f'{name}.{key}'}={_text(f'{name}.{key}', part)}"


def _is_section(name: str) -> bool:
    kind = Settings.model_fields[name].annotation
    return typing.get_origin(kind) is dict or (
        isinstance(kind, type) and issubclass(kind, BaseModel)
    )


def _example(name: str) -> str:
    """Return the name of a setting in a section."""
    settings = getattr(Settings.model_fields[name].annotation, "model_fields", {})
    return "end" if name == "time" else next(iter(settings), "u")


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


def fields_of(composed: Composed) -> list[str]:
    """Return the fields of the chosen equation, and the real fields of which they consist."""
    equation = composed.values["equation"]
    names = (*given_formulas(equation), *given_fields(equation), *given_scalars(equation))
    return list(dict.fromkeys(names))


def check_callback(callback: Any) -> None:
    """Check that a callback can be called.

    Raises:
        ConfigError: if it cannot.
    """
    if callback is not None and not callable(callback):
        raise ConfigError(
            f"the argument callback is {_brief(callback)}", "a function of the time and the fields"
        )


def as_time(name: str, value: Any) -> float | None:
    """Return an argument that is a time, or None.

    Raises:
        ConfigError: for other values.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(f"the argument {name} is {_brief(value)}", "the time of a frame")
    return float(value)


def as_directory(config_dir: Any) -> str | None:
    """Return the argument ``config_dir``.

    Raises:
        ConfigError: if it is not a folder.
        OutputError: if it is not a path.
    """
    if config_dir is None:
        return None
    path = as_path(config_dir)
    if not path.is_dir():
        raise ConfigError(f"the argument config_dir is {str(path)!r}", "an existing folder")
    return str(path)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:40]}..."
