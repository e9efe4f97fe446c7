"""The commands that are no runs. None of them imports TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pdesim.errors import ConfigError, PdesimError, printable


def show_list(arguments: Sequence[str]) -> int:
    """``pdesim list [--config-dir DIR]``: equations and the choices of every group."""
    from rich.console import Console
    from rich.markup import escape

    from pdesim.config.compose import choices, compose_settings, groups

    folder = _config_dir(arguments)
    folders = [Path(folder)] if folder else []
    console = Console(highlight=False, soft_wrap=True)
    for name in choices("equation", folders):
        try:
            settings = compose_settings([f"equation={name}"], folder).values
            lines = _equation_lines(name, settings)
        except PdesimError as error:  # the others are worth seeing
            lines = [f"cannot be read: {error.problem}"]
        first, *rest = map(printable, lines)
        console.print(f"[bold]{escape(printable(name))}[/]  {escape(first)}")
        for line in (*rest, ""):
            console.print(line, markup=False)
    for group in groups():
        if group != "equation":
            console.print(f"[bold]{group}[/]  {', '.join(choices(group, folders))}")
    return 0


def _equation_lines(name: str, settings: Mapping) -> list[str]:
    """What an equation is about, its formulas, its parameters and its defaults."""
    from pdesim.formula.language import AXES
    from pdesim.model.equation import build_equation

    spec = settings["equation"]
    if name == "custom":
        return [spec["about"]]
    equation = build_equation(spec, AXES, name)
    given = {k: v for k, v in spec.items() if k in equation.parameters}
    given |= {k: v for k, v in spec.items() if _is_definition(k, v)}
    end, extent = settings["time"]["end"], settings["domain"]["extent"]
    when = "" if equation.steady else f", until t = {end:g}"
    return [
        equation.about,
        *(f"    {line}" for line in equation.text.splitlines()),
        f"    parameters: {', '.join(f'{key} = {value}' for key, value in given.items())}",
        f"    defaults: grid {settings['grid']}, extent {extent}{when}",
    ]


def _is_definition(key: str, value: object) -> bool:
    from pdesim.model.equation import KEYS

    return key not in KEYS and isinstance(value, str)


def _config_dir(arguments: Sequence[str]) -> str | None:
    if not arguments:
        return None
    if len(arguments) == 2 and arguments[0] in ("--config-dir", "-cd"):
        return arguments[1]
    raise ConfigError(f"pdesim list does not take {' '.join(arguments)}", "[--config-dir DIR]")


def render_again(arguments: Sequence[str]) -> int:
    """``pdesim render PATH [animation.KEY=VALUE ...]``: a run's animation again, from files.

    Of a sweep's folder the montage, which ``montage.KEY=VALUE`` arranges.
    """
    from pdesim.files import is_path, reading
    from pdesim.output import Snapshots
    from pdesim.output.metadata import read_config
    from pdesim.output.sweeps import is_sweep
    from pdesim.render import render

    paths = [word for word in arguments if is_path(word)]
    overrides = [word for word in arguments if not is_path(word)]
    if len(paths) != 1:
        usage = "pdesim render PATH [animation.fps=30 ...]"
        raise ConfigError(f"pdesim render got {len(paths)} paths", usage)
    sweep = is_sweep(paths[0])
    sections = ("animation.", "animation=", *(["montage."] if sweep else []))
    for word in overrides:
        if not word.startswith(sections):
            raise ConfigError(
                f"pdesim render does not take {word}",
                "settings of animation, such as animation.fps=30"
                + (", or montage, such as montage.x=NAME" if sweep else ""),
            )
    if sweep:
        return _render_sweep(Path(paths[0]), overrides)
    with reading(Path(paths[0])), Snapshots(paths[0]) as snapshots:
        source = snapshots.path
        fields = snapshots.fields
        if snapshots.offer:
            print(f"pdesim: {snapshots.offer}", file=sys.stderr)
        stored = read_config(snapshots.attributes)
    animation = _look("animation", stored, overrides, fields)
    if animation.name == "none":
        raise ConfigError("animation=none draws nothing", "animation=gif or animation=mp4")
    print(render(source, animation))
    return 0


def _render_sweep(folder: Path, overrides: Sequence[str]) -> int:
    from pdesim.files import reading
    from pdesim.output import Snapshots
    from pdesim.output.metadata import read_config
    from pdesim.output.sweeps import find_members
    from pdesim.render import montage

    stored, fields = {}, ()
    for member in find_members(folder):
        if member.file and member.state != "unreadable":
            with reading(member.file), Snapshots(member.file) as snapshots:
                stored, fields = read_config(snapshots.attributes), snapshots.fields
            break
    animation = _look("animation", stored, overrides, fields)
    for path in montage(folder, animation, _look("montage", stored, overrides)):
        print(path)
    return 0


def _look(name: str, stored: Mapping, overrides: Sequence[str], fields: Sequence[str] = ()):
    """A section of settings: a run's own look, and over it what is asked for now."""
    from pdesim.config.compose import compose_settings
    from pdesim.formula.language import AXES
    from pdesim.render.quantity import is_available
    from pdesim.settings import Animation, Montage, read_section

    values = dict(compose_settings(overrides).values[name])
    chosen = {word.partition("=")[0].removeprefix(f"{name}.") for word in overrides}
    before = stored.get(name)
    for key, value in before.items() if isinstance(before, Mapping) else ():
        if key not in chosen and key != "name":
            values[key] = value
    asked = values.get("field")
    text = isinstance(asked, str)  # anything else is refused below
    if "field" not in chosen and text and not is_available(asked, fields, AXES):
        values["field"] = None  # the run did not store the field that its equation likes to show
    return read_section({"animation": Animation, "montage": Montage}[name], values, name)


def resume(arguments: Sequence[str]) -> int:
    """``pdesim resume RUN_DIR [time.end=... ...]``: go on with a run that stopped."""
    from rich.console import Console

    folder, overrides = _path_and_settings("resume", arguments, "time.end=200")
    # the folder of a file is meant, too
    folder = folder.parent if folder.is_file() else folder
    return go_on(folder, overrides, Console(stderr=True))


def go_on(folder: Path, asked: Mapping, console, alone: bool = True) -> int:
    """The rest of a folder's run, if there is any; ``alone``: the process does nothing else."""
    from pdesim.run.continuation import continue_run
    from pdesim.run.execute import execute

    rest = continue_run(folder, asked)
    for note in rest.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if rest.plan is None:
        console.print(f"{folder} is finished", highlight=False, markup=False, soft_wrap=True)
    else:
        execute(rest.plan, folder, rest.config_yaml, console, goes_on=True, alone=alone)
    print(folder)
    return 0


def recover(arguments: Sequence[str]) -> int:
    """``pdesim recover PATH``: mend a snapshot file whose writer was killed."""
    from pdesim.output import recover

    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise ConfigError("pdesim recover takes one path", "pdesim recover PATH")
    done = recover(arguments[0])
    state = "recovered" if done.changed else "was whole already"
    print(f"{done.path} {state}: {done.frames} frames")
    return 0


def _path_and_settings(command: str, arguments: Sequence[str], example: str) -> tuple[Path, dict]:
    """The one path among the words, and the settings as a nested mapping."""
    from pdesim.config.compose import nested_values
    from pdesim.files import is_path

    paths = [word for word in arguments if is_path(word) and not word.startswith("-")]
    if len(paths) != 1:
        usage = f"pdesim {command} PATH [{example} ...]"
        raise ConfigError(f"pdesim {command} got {len(paths)} paths", usage)
    overrides = [word for word in arguments if not is_path(word)]
    if len(overrides) + 1 < len(arguments):
        flag = next(word for word in arguments if "=" not in word and word.startswith("-"))
        raise ConfigError(f"pdesim {command} does not take {flag}", f"settings such as {example}")
    return Path(paths[0]), nested_values(overrides)


def info(arguments: Sequence[str]) -> int:
    """``pdesim info PATH [--json]``: what a run was and how it went; of a sweep, a row per run."""
    from pdesim.cli.info import check_arguments, show_info

    show_info(*check_arguments(arguments))
    return 0


def export_runs(arguments: Sequence[str]) -> int:
    """``pdesim export PATH --to FORMAT [--output TARGET] [--overwrite]``; prints the target."""
    from pdesim.export import FORMATS, export

    paths, given, overwrite, rest = [], {}, False, iter(arguments)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag in ("--to", "--output"):
            given[flag] = value if equals else next(rest, "")
        elif word == "--overwrite":
            overwrite = True
        else:
            paths.append(word)
    usage = f"pdesim export PATH --to {'|'.join(FORMATS)} [--output TARGET] [--overwrite]"
    if len(paths) != 1 or paths[0].startswith("-"):
        raise ConfigError(f"pdesim export got {' '.join(paths) or 'no path'}", usage)
    if not given.get("--to") or given.get("--output") == "":
        raise ConfigError("pdesim export lacks a format, or the name of its output", usage)
    print(export(paths[0], given["--to"], given.get("--output"), overwrite=overwrite))
    return 0


def verify(arguments: Sequence[str]) -> int:
    """``pdesim verify [overrides]``: measured orders.

    ``--all`` measures the whole matrix, with ``equation=NAME`` that equation's part of it.
    ``--markdown FILE`` writes the table as Markdown. The exit code is 1 if an order is missed.
    """
    from pdesim.verify.command import run_verify

    valued = {"--markdown": "FILE", "--config-dir": "DIR"}
    flags, overrides = _flags("verify", arguments, ("--all",), valued)
    return run_verify(flags, overrides)


def _flags(
    command: str, arguments: Sequence[str], switches: Sequence[str], valued: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Flags with their values, and settings; ``valued`` says what a flag's value is."""
    flags, overrides, rest = {}, [], iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in switches:
            flags[word] = "yes"
        elif name in valued:
            flags[name] = value if equals else next(rest, "")
            if not flags[name]:
                raise ConfigError(f"{name} needs a value", f"{name} {valued[name]}")
            if valued[name].startswith("FILE") and not Path(flags[name]).parent.is_dir():
                raise ConfigError(f"there is no folder {Path(flags[name]).parent} for {name}")
        elif equals and not word.startswith("-"):
            overrides.append(word)
        else:
            known = [*switches, *(f"{flag} {what}" for flag, what in valued.items())]
            raise ConfigError(
                f"pdesim {command} does not take {word}",
                f"settings such as equation=heat, {', '.join(known)}",
            )
    return flags, overrides


def bench(arguments: Sequence[str]) -> int:
    """``pdesim bench [overrides]``: the speed of a run's step loop, over grid sizes."""
    from pdesim.bench.command import BENCH_FLAGS, run_bench

    flags, overrides = _flags("bench", arguments, ("--json",), BENCH_FLAGS)
    return run_bench(flags, overrides)


def converge(arguments: Sequence[str]) -> int:
    """``pdesim converge [overrides]`` or ``pdesim converge RUN_DIR``: the error in space."""
    from pdesim.converge.command import run_converge

    return run_converge(arguments)
