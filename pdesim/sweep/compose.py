"""Command lines that differ in numbers only share one composition."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace

from pdesim.config.compose import Composed, compose_settings, open_override

#: ``equation.F=0.03``: a number chooses no config, so that all it changes is one value
_NUMBER = re.compile(
    r"(?:\+\+)?(?P<key>[A-Za-z_]\w*(?:\.\w+)*)="
    r"(?:(?P<whole>[-+]?(?:0|[1-9]\d*))|(?P<real>[-+]?\d+(?:\.\d*(?:[eE][-+]?\d+)?|[eE][-+]?\d+)))",
    re.ASCII,
)


class Composer:
    """Composes the members of a sweep; Hydra is asked once for those that differ in numbers."""

    def __init__(self, config_dir: str | None = None, trusted: bool = False) -> None:
        self.config_dir, self.trusted = config_dir, trusted
        self._families: dict[tuple[str, ...], Composed] = {}

    def __call__(self, overrides: Sequence[str]) -> Composed:
        """What :func:`pdesim.config.compose.compose_settings` makes of these words.

        Raises:
            ConfigError: as there.
        """
        numbers, form = {}, []
        for word in overrides:
            found = _NUMBER.fullmatch(word)
            if found:
                whole, real = found["whole"], found["real"]
                numbers[found["key"]] = float(real) if whole is None else int(whole)
            form.append(found["key"] if found else word)
        family = self._families.get(tuple(form))
        if family is None:
            composed = compose_settings(overrides, self.config_dir).check_trust(self.trusted)
            if composed.independent and _are_leaves(numbers, composed, form):
                self._families[tuple(form)] = composed
            return composed
        values = copy.deepcopy(family.values)
        for key, number in numbers.items():
            section, name = _place(values, key)
            section[name] = number
        words = tuple(open_override(word) for word in overrides)
        return replace(family, values=values, overrides=words)


def _are_leaves(numbers: dict[str, float], composed: Composed, form: Sequence[str]) -> bool:
    """Whether each number is a setting's value, and no word sets the section that it lies in."""
    words = [word.lstrip("+").partition("=") for word in form]
    sections = [key for key, _, value in words if value.lstrip().startswith("{")]
    for key, number in numbers.items():
        section, name = _place(composed.values, key)
        if not isinstance(section, dict) or section.get(name) != number:
            return False
        if any(key.startswith(f"{one}.") for one in sections):
            return False
    return True


def _place(values: dict, key: str) -> tuple[object, str]:
    """The section that holds a setting, and its name there."""
    *sections, name = key.split(".")
    for section in sections:
        values = values.get(section) if isinstance(values, dict) else None
    return values, name
