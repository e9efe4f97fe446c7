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
    from pdesim.config.folders import check_config_dir, other_configs

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
        raise ConfigError(f"no equation or group is called {name}", nearest(name, known))


def _equations(config_dir: str | None, folders: Sequence[Path]) -> Iterator[Section]:
    from pdesim.config.compose import choices

    for name in choices("equation", folders):
        try:
            yield name, [*_equation(name, config_dir), ""]
        except PdesimError as error:  # an error in one file must not hide the other equations
            yield name, [f"cannot be read: {error.problem}", ""]


def _equation(name: str, config_dir: str | None, details: bool = False) -> list[str]:
    """Return the description of an equation: formulas, parameters and defaults."""
    from pdesim.config import compose_settings
    from pdesim.formula.language import AXES
    from pdesim.model.equation_settings import KEYS, build_equation
    from pdesim.model.grid import build_grid
    from pdesim.settings import read_settings

    settings = compose_settings([f"equation={name}"], config_dir).values
    spec = settings["equation"]
    if name == "custom":
        return [spec["about"]]
    axes: tuple[str, ...] = AXES
    metric, domain = None, settings["domain"]
    if domain["geometry"] != "cartesian" or domain["stretch"]:
        grid = build_grid(read_settings(settings))
        axes, metric = grid.axes, grid.metric
    equation = build_equation(spec, axes, name, metric)
    given = {
        key: value
        for key, value in spec.items()
        if key in equation.parameters or (key not in KEYS and isinstance(value, str))
    }
    end, extent = settings["time"]["end"], settings["domain"]["extent"]
    when = "" if equation.steady else f", until t = {end:g}"
    when = f", {end:g} iterations" if equation.iterated else when
    lines = [
        equation.about,
        *(f"    {line}" for line in equation.text.splitlines()),
        f"    parameters: {', '.join(f'{key} = {value}' for key, value in given.items())}",
        f"    defaults: grid {settings['grid']}, extent {extent}{when}",
    ]
    if details:
        initial = {key: value for key, value in settings["initial"].items() if key != "name"}
        lines += [f"    initial {key}: {value}" for key, value in initial.items()]
        lines += [f"    boundary: {settings['boundary']}"]
        lines += [f"    reference: {spec['reference']}"] if spec.get("reference") else []
    return lines


def _steppers() -> Iterator[Section]:
    from pdesim.steppers.tableaux import METHODS

    yield "auto", ["chosen automatically for each problem"]
    for name, method in METHODS.items():
        order = f"order {method.order}, " if method.order else ""
        yield name, [f"{order}{method.family}: {method.about}", f"    {method.citation}"]


def _functions() -> Iterator[Section]:
    from pdesim.formula import language
    from pdesim.formula.kernels import CONVOLUTION

    tables = {
        "functions": language.FUNCTIONS,
        "vectors": language.VECTOR_FUNCTIONS,
        "reductions": language.REDUCTIONS,
        "convolutions": {language.CONVOLVE: CONVOLUTION},
        "initial states only": language.GENERATORS,
    }
    abouts = {
        "functions": "as in NumPy",
        "vectors": "in equations and observables; v is a field, a parameter, [a, b] or gradient(f)",
        "reductions": "numbers of the whole domain, in equations, boundary values and observables",
        "convolutions": "in equations with time derivatives, on periodic axes",
        "initial states only": "evaluated on the grid",
    }
    for title, table in tables.items():
        lines = (
            f"    {name}({', '.join(word.arguments)}{', ...' if word.variadic else ''})".ljust(44)
            + word.about
            for name, word in table.items()
        )
        yield title, [abouts[title], *lines]
    yield "operators", [", ".join((*language.OPERATORS, language.GRADIENT))]
    yield "other names", [", ".join(f"{a} = {b}" for a, b in language.ALIASES.items())]
