"""The names of settings in files, before their values are validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdesim.errors import ConfigError


def check_keys(values: Any, place: str = "") -> None:
    """Check that all keys of nested mappings and lists are text.

    Args:
        values: the settings.
        place: the name of the section or the file, for errors.

    Raises:
        ConfigError: for the first key that is not text.
    """
    if isinstance(values, list):
        for value in values:
            check_keys(value, place)
    if not isinstance(values, Mapping):
        return
    for key, value in values.items():
        if not isinstance(key, str):
            section = f"{place} has" if place else "there is"
            truth = isinstance(key, bool)
            hint = "; YAML reads on, off, yes, no, true and false as booleans" if truth else ""
            raise ConfigError(
                f"{section} the name {key!r}, which is not text{hint}",
                "a name in quotes, such as 'no': 1" if truth else "a name, such as u",
            )
        check_keys(value, f"{place}.{key}" if place else key)
