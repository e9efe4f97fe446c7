"""Descriptions of settings, from comments in configuration files and from docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from pdesim.config.files import about_choice, read_text
from pdesim.config.folders import CONFIG_NAME, choices, config_folder, groups
from pdesim.files import load_yaml
from pdesim.steppers.tableaux import METHODS

#: a line ``key: value  # comment``; the value contains no #
_LINE = re.compile(r"(?P<indent> *)(?P<key>\w+):(?P<value>[^#]*?)(?:#\s*(?P<comment>.*))?$")
_COMMENT = re.compile(r"\s*#\s*(?P<comment>.*)$")
#: an entry in the section ``Attributes`` of a docstring
_ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def setting_comments() -> dict[str, str]:
    """Return the comments on settings in the shipped files, by the dotted names of the settings."""
    folder = config_folder()
    found = comments_in(read_text(folder / f"{CONFIG_NAME}.yaml"))
    for group in groups():
        for choice in choices(group):
            text = read_text(folder / group / f"{choice}.yaml")
            if "@package" in text:  # an equation or an experiment
                continue
            for name, comment in comments_in(text).items():
                found.setdefault(f"{group}.{name}", comment)
    return found


def comments_in(text: str) -> dict[str, str]:
    """Return the comments after the values in a YAML text, by the dotted names of the settings.

    A comment continues in the next lines if these contain nothing else and begin at least as far to
    the right.
    """
    found: dict[str, str] = {}
    sections: list[tuple[int, str]] = []
    name, column = "", 0
    for line in text.splitlines():
        start = line.find("#")
        if (more := _COMMENT.match(line)) and name in found and start >= column:
            found[name] += f" {more['comment']}"
            continue
        match = _LINE.match(line)
        name = ""
        if not match:
            continue
        indent = len(match["indent"])
        sections = [*(one for one in sections if one[0] < indent), (indent, match["key"])]
        if match["comment"]:
            name, column = ".".join(key for _, key in sections), start
            found[name] = match["comment"]
    return found


def attributes_of(kind: type) -> dict[str, str]:
    """Return the descriptions in the section ``Attributes`` of a class's docstring."""
    text = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    return {name: " ".join(about.split()) for name, about in _ENTRY.findall(text)}


def description_of(function: Any) -> str:
    """Return the docstring of a function without the sections on arguments and errors."""
    text = inspect.getdoc(function) or ""
    return re.split(r"\n\n(?:Args|Returns|Raises):\n", text)[0].replace("``", "`")


def about_choices(group: str, names: Sequence[str]) -> dict[str, str]:
    """Return the descriptions of those configs of a group that are shipped, by their names."""
    found = {}
    for name in names:
        path = config_folder() / group / f"{name}.yaml"
        if not path.is_file():
            continue
        found[name] = about_choice(group, name)
        if group == "stepper" and name in METHODS:
            found[name] = METHODS[name].about
        if group in ("equation", "experiment"):
            values = load_yaml(read_text(path))
            own = values.get(group, values)
            found[name] = str(own.get("about", found[name]))
    return found


def choices_text(group: str, names: Sequence[str]) -> str:
    """Return a list of the choices of a group with their descriptions, as Markdown."""
    about = about_choices(group, names)
    lines = (f"- `{name}`" + (f": {about[name]}" if about.get(name) else "") for name in names)
    return "\n".join(lines)
