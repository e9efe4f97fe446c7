"""``pdesim list``: equations, the choices in every group, and the functions for formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pdesim.cli.arguments import Parser
from pdesim.completion.words import NAME
from pdesim.errors import ConfigError, PdesimError, nearest, printable


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "list",
        "[NAME] [--config-dir DIR]",
        "List the equations and the choices of every group of settings. With a NAME, show more\n"
        "about an equation, a group (steppers, operators, boundary, initial, ...) or functions.",
        "  pdesim list\n  pdesim list gray_scott\n  pdesim list steppers",
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
    if len(options.words) > 1:
        command.error(
            f"expected at most one name, got {len(options.words)}: {' '.join(options.words)}"
        )
    console = Console(highlight=False, soft_wrap=True)
    name = next(iter(options.words), None)
    for title, lines in _sections(name, options.config_dir):
        first, *rest = map(printable, lines)
        console.print(f"[bold]{escape(printable(title))}[/]  {escape(first)}")
        for line in rest:
            console.print(line, markup=False)
    return 0


Section = tuple[str, list[str]]


def _sections(name: str | None, config_dir: str | None) -> Iterator[Section]:
    """Yield the titles and lines of the overview, or of one equation or group."""
    from pdesim.config.compose import choices, groups
    from pdesim.config.files import about_choice
    from pdesim.config.folders import check_config_dir, hint_of_file, other_configs

    folders = check_config_dir(config_dir)
    if name is None:
        yield from _equations(config_dir, folders)
        for system in other_configs():
            yield system, [about_choice("", system), ""]
        for group in groups():
            if group != "equation":
                yield group, [", ".join(choices(group, folders))]
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
    else:
        known = [*choices("equation", folders), *other_configs(), *groups(), "functions"]
        raise ConfigError(
            f"no equation or group is called {name}",
            nearest(name, known),
            hint_of_file("equation", name, folders),
        )


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
    parameters = ", ".join(f"{key} = {value}" for key, value in found.parameters.items())
    lines = [
        found.about,
        *(f"    {line}" for line in found.formulas),
        f"    parameters: {parameters}",
        f"    defaults: {found.defaults}",
    ]
    if details:
        lines += [f"    initial {key}: {value}" for key, value in found.initial.items()]
        lines += [f"    boundary: {found.boundary}"]
        lines += [f"    topic: {found.topic}"] if found.topic else []
        lines += [f"    reference: {found.reference}"] if found.reference else []
        lines += [f"    {line}" for line in found.measured.lines()] if found.measured else []
        lines += [f"    run it: {run_command(name, config_dir)}"]
    return lines


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
