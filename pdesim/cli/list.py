"""``pdesim list``: equations, the choices in every group, and the functions for formulas."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pdesim.cli.arguments import Parser
from pdesim.completion.words import NAME
from pdesim.errors import ConfigError, PdesimError, nearest, printable


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "list",
        "[NAME] [--config-dir DIR]",
        "List the names of the equations, by topic, and the choices of every group of settings.\n"
        "With a NAME, show more about an equation, a topic, a group (equation, stepper, boundary,\n"
        "initial, ...), a choice of a group, or functions.",
        "  pdesim list\n  pdesim list gray_scott\n  pdesim list steppers\n  pdesim list functions",
        completes=(NAME,),
    )
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from rich.console import Console
    from rich.markup import escape

    command = parser()
    options = command.read(arguments)
    name = " ".join(options.words)  # the names of some topics have two words
    if len(options.words) > 1 and name not in _topics():
        command.error(f"expected at most one name, got {len(options.words)}: {name}")
    console = Console(highlight=False, soft_wrap=True)
    for title, lines in _sections(name, options.config_dir, console.width):
        first, *rest = map(printable, lines)
        console.print(f"[bold]{escape(printable(title))}[/]  {escape(first)}")
        for line in rest:
            console.print(line, markup=False)
    return 0


Section = tuple[str, list[str]]
#: range of the width of the overview in characters
_NARROWEST, _WIDEST = 60, 100
_MORE = """\
    pdesim list NAME         an equation: formulas, parameters, initial state, reference
    pdesim list TOPIC        the equations of a topic, with descriptions
    pdesim list equation     all equations, with formulas, parameters and defaults
    pdesim list GROUP        the choices of a group, with descriptions
    pdesim list functions    the words of formulas""".splitlines()


def _sections(name: str, config_dir: str | None, width: int) -> Iterator[Section]:
    """Yield the titles and lines of the overview, or of one equation, topic, group or choice."""
    from pdesim.config.compose import choices, groups
    from pdesim.config.files import about_choice
    from pdesim.config.folders import check_config_dir, hint_of_file, other_configs

    folders = check_config_dir(config_dir)
    if not name:
        yield from _overview(config_dir, folders, max(_NARROWEST, min(width, _WIDEST)))
        return
    special: Mapping[str, Callable[[], Iterator[Section]]] = {
        "functions": _functions,
        "stepper": _steppers,
        "equation": lambda: _equations(config_dir, folders),
    }
    group = name if name in (*groups(), *special) else name.removesuffix("s")
    if name in choices("equation", folders):
        yield name, _equation(name, config_dir, details=True)
    elif name in other_configs():
        yield name, [about_choice("", name)]
    elif group in special:
        yield from special[group]()
    elif group in groups():
        for choice in choices(group, folders):
            yield choice, [about_choice(group, choice, folders)]
    elif name in _topics():
        yield from ((one, [about]) for one, about in _abouts(_topics()[name], None))
    elif found := [one for one in groups() if name in choices(one, folders)]:
        for one in found:
            about = dict(_steppers())[name] if one == "stepper" else []
            yield f"{one}={name}", about or [about_choice(one, name, folders)]
    else:
        known = [*other_configs(), *groups(), *_topics(), "functions"]
        known += [choice for one in groups() for choice in choices(one, folders)]
        raise ConfigError(
            f"no equation, topic, group or choice is called {name}",
            nearest(name, known),
            hint_of_file("equation", name, folders),
        )


def _topics() -> dict[str, list[str]]:
    from pdesim.config.library import topics

    return topics()


def _overview(config_dir: str | None, folders: Sequence[Path], width: int) -> Iterator[Section]:
    """Yield the names of all equations, by topic, and those of the choices of every group."""
    from pdesim.config.compose import choices, groups
    from pdesim.config.files import about_choice
    from pdesim.config.folders import other_configs

    by_topic = _topics()
    count = sum(map(len, by_topic.values()))
    rows = {topic or "any formulas": names for topic, names in by_topic.items()}
    yield "equation=NAME", [f"{count} equations, by topic", *_table(rows, width), ""]
    for folder in folders:
        own = [path.stem for path in sorted((folder / "equation").glob("*.yaml"))]
        for name, about in _abouts(own, config_dir):
            yield name, [about]
        if own:
            yield f"{len(own)} of {folder}", ["come before equations of the same name", ""]
    for system in other_configs():
        yield system, [about_choice("", system), ""]
    rest = {group: choices(group, folders) for group in groups() if group != "equation"}
    yield "GROUP=NAME", ["the groups of settings and their choices", *_table(rest, width), ""]
    yield "more", ["is shown by", *_MORE]


def _table(rows: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """Return a line for each title and its names, wrapped at a number of characters."""
    column = max(map(len, rows)) + 6
    lines = []
    for title, names in rows.items():
        lines += textwrap.wrap(
            ", ".join(names),
            width,
            initial_indent=f"    {title}".ljust(column),
            subsequent_indent=" " * column,
            break_on_hyphens=False,
        )
    return lines


def _abouts(names: Sequence[str], config_dir: str | None) -> Iterator[tuple[str, str]]:
    """Yield the names and descriptions of equations; an error in one file hides no other."""
    from pdesim.config.library import entry

    for name in names:
        try:
            yield name, entry(name, config_dir).about
        except PdesimError as error:
            yield name, f"cannot be read: {error.problem}"


def _equations(config_dir: str | None, folders: Sequence[Path]) -> Iterator[Section]:
    from pdesim.config.compose import choices

    for name in choices("equation", folders):
        try:
            yield name, [*_equation(name, config_dir), ""]
        except PdesimError as error:  # an error in one file must not hide the other equations
            yield name, [f"cannot be read: {error.problem}", ""]


def _equation(name: str, config_dir: str | None, details: bool = False) -> list[str]:
    """Return the description of an equation: formulas, parameters and defaults."""
    from pdesim.config.library import entry
    from pdesim.config.template import run_command

    found = entry(name, config_dir)
    if not found.formulas:
        return [found.about]
    parameters = ", ".join(f"{key} = {_text(value)}" for key, value in found.parameters.items())
    lines = [
        found.about,
        *(f"    {line}" for line in found.formulas),
        *([f"    parameters: {parameters}"] if parameters else []),
        f"    defaults: {found.defaults}",
    ]
    if details:
        lines += [f"    initial {key}: {_text(value)}" for key, value in found.initial.items()]
        lines += [f"    boundary: {_boundary(found.boundary)}"]
        lines += [f"    topic: {found.topic}"] if found.topic else []
        lines += [f"    reference: {found.reference}"] if found.reference else []
        lines += [f"    {line}" for line in found.measured.lines()] if found.measured else []
        lines += [f"    run it: {run_command(name, config_dir)}"]
    return lines


def _boundary(values: Mapping[str, Any]) -> str:
    """Return boundary conditions as words of the command line, in quotes where a shell needs them.

    The same conditions on every side are only their name, such as ``periodic``.
    """
    from shlex import quote

    if list(values) == ["default"] and isinstance(values["default"], str):
        return values["default"]
    return " ".join(quote(f"boundary.{key}={_text(value)}") for key, value in values.items())


def _text(value: Any) -> str:
    """Return a number or a text as it is, and a list or a mapping as YAML."""
    from pdesim.files import dump_yaml

    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if plain else dump_yaml(value, one_line=True).removesuffix("\n...")


def _steppers() -> Iterator[Section]:
    from pdesim.steppers.tableaux import METHODS

    yield "auto", ["chosen automatically for each problem"]
    for name, method in METHODS.items():
        order = f"order {method.order}, " if method.order else ""
        yield name, [f"{order}{method.family}: {method.about}", f"    {method.citation}"]


def _functions() -> Iterator[Section]:
    from pdesim.formula import vocabulary
    from pdesim.formula.language import ALIASES

    for section in vocabulary.SECTIONS:
        lines = (f"    {call}".ljust(44) + f" {about}" for call, about in section.calls())
        yield section.title, [section.where, *lines]
    syntax = (f"    {text}".ljust(44) + f" {about}" for text, about in vocabulary.SYNTAX.items())
    yield "syntax", ["formulas are parsed, never executed", *syntax]
    yield "other names", [", ".join(f"{a} = {b}" for a, b in ALIASES.items())]
