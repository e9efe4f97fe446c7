"""Equation files with sections of other settings, with and without ``# @package _global_``.

A file of the folder ``equation/`` without the line ``# @package`` contains the keys of the section
``equation``. If it contains other sections as well, such as ``initial: {u: exp(-r**2)}`` or
``time: {end: 20}``, it is read as if it had the line ``# @package _global_`` and its other keys
were in a section ``equation``. In both forms ``boundary: neumann`` chooses the file
``boundary/neumann.yaml``, as on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pdesim.config.folders import groups
from pdesim.model.boundary_conditions import KINDS
from pdesim.settings import Settings

#: the package of a file whose keys are those of all settings
GLOBAL = "_global_"
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_WORD = re.compile(r"\b[^\W\d]\w*\b")
#: names of settings that are not sections, which may be names of parameters as well
SINGLE = ("grid", "seed", "label", "resume", "observe_every")


def complete_form(
    group: str, values: Mapping[str, Any], package: str | None
) -> Mapping[str, Any] | None:
    """Return the contents of a file in the form with ``# @package _global_``.

    Args:
        group: the folder of the file, such as ``equation``.
        values: the contents of the file.
        package: the package that the file states; None if it states none.

    Returns:
        The contents for the package ``_global_``; None if the file is to be read as it is.
    """
    if group == "equation" and package is None:
        sections = {key: value for key, value in values.items() if _is_setting(key, values)}
        if not set(sections) - {"defaults"}:
            return None
        own = {key: value for key, value in values.items() if key not in sections}
        if own:
            stated = sections.get("equation", {})
            sections["equation"] = {**own, **stated} if isinstance(stated, Mapping) else own
        return _with_choices(sections)
    if group in ("equation", "experiment") and package == GLOBAL:
        chosen = _with_choices(values)
        return None if chosen == values else chosen
    return None


def _is_setting(key: str, values: Mapping[str, Any]) -> bool:
    """Return whether a key of an equation file is a setting, and not a key of the equation.

    A number or a text is a parameter if a formula of the file contains the name.
    """
    value = values[key]
    if key in ("defaults", "hydra"):
        return True
    if key not in Settings.model_fields:
        return False
    if isinstance(value, Mapping):
        return True
    if key not in SINGLE and not (key in groups() and isinstance(value, str)):
        return False
    others = str({name: other for name, other in values.items() if name != key})
    return key not in _WORD.findall(others)


def _with_choices(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which names of files are in the list ``defaults``.

    A condition or a formula in place of a section applies to all sides, and to all fields.
    """
    result, defaults = dict(values), list(values.get("defaults") or [])
    for group in groups():
        value = result.get(group)
        if group == "boundary" and isinstance(value, Mapping) and value and set(value) <= {*KINDS}:
            result[group] = {"default": dict(value)}
        if group in ("equation", "experiment") or not isinstance(value, str):
            continue
        if _NAME.fullmatch(value):
            defaults.append({f"override /{group}": value})
            del result[group]
        elif group == "initial":
            result[group] = {"default": value}
    return {**result, "defaults": defaults} if defaults else result
