"""Composition of the settings of a sweep's members.

Hydra composes the settings only once for all members that differ only in numbers.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pdesim.config.compose import Composed, compose_settings, open_override

#: an override such as ``equation.F=0.03``; a number does not select a configuration file, so the
#: override changes only this value
_NUMBER = re.compile(
    r"(?:\+\+)?(?P<key>[A-Za-z_]\w*(?:\.\w+)*)="
    r"(?:(?P<integer>[-+]?(?:0|[1-9]\d*))|(?P<real>[-+]?\d+(?:\.\d*(?:[eE][-+]?\d+)?|[eE][-+]?\d+)))",
    re.ASCII,
)


class Composer:
    """Composes the settings of a sweep's members.

    Hydra is called only once for all members that differ only in numbers.

    Args:
        config_dir: folder of the user's configuration files.
        trusted: whether the user trusts these files (``--trust-config``).
    """

    def __init__(self, config_dir: str | None = None, trusted: bool = False) -> None:
        self.config_dir, self.trusted = config_dir, trusted
        self._families: dict[tuple[str, ...], Composed] = {}

    def __call__(self, overrides: Sequence[str]) -> Composed:
        """Return the result of :func:`pdesim.config.compose.compose_settings` for these overrides.

        Raises:
            ConfigError: for settings that Hydra or pdesim does not accept.
        """
        numbers: dict[str, float] = {}
        form = []
        for word in overrides:
            match = _NUMBER.fullmatch(word)
            if match:
                integer, real = match["integer"], match["real"]
                numbers[match["key"]] = float(real) if integer is None else int(integer)
            form.append(match["key"] if match else word)
        family = self._families.get(tuple(form))
        if family is None:
            composed = compose_settings(overrides, self.config_dir).check_trust(self.trusted)
            if composed.independent and _are_leaves(numbers, composed, form):
                self._families[tuple(form)] = composed
            return composed
        values = copy.deepcopy(family.values)
        for key, number in numbers.items():
            section, name = _find_section(values, key)
            if isinstance(section, dict):  # always true, since _are_leaves has checked this
                section[name] = number
        words = tuple(open_override(word) for word in overrides)
        return replace(family, values=values, overrides=words)


def _are_leaves(numbers: dict[str, float], composed: Composed, form: Sequence[str]) -> bool:
    """Return whether the numbers can be replaced without composing the settings again.

    This is so if each number is the value of a setting, and no override sets an entire section that
    contains such a setting.
    """
    words = [word.lstrip("+").partition("=") for word in form]
    sections = [key for key, _, value in words if value.lstrip().startswith("{")]
    for key, number in numbers.items():
        section, name = _find_section(composed.values, key)
        if not isinstance(section, dict) or section.get(name) != number:
            return False
        if any(key.startswith(f"{one}.") for one in sections):
            return False
    return True


def _find_section(values: dict[str, Any], key: str) -> tuple[object, str]:
    """Return the section that contains a setting, and the setting's name in this section."""
    *sections, name = key.split(".")
    section: object = values
    for part in sections:
        section = section.get(part) if isinstance(section, dict) else None
    return section, name
