"""The commands that are no runs. None of them imports TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pdesim.errors import ConfigError


def show_list(arguments: Sequence[str]) -> int:
    """``pdesim list [--config-dir DIR]``: equations and the choices of every group."""
    from rich.console import Console

    from pdesim.config import choices, compose_settings, groups
    from pdesim.equation import build_equation
    from pdesim.formula.language import AXES

    folder = _config_dir(arguments)
    folders = [Path(folder)] if folder else []
    console = Console(highlight=False, soft_wrap=True)
    for name in choices("equation", folders):
        settings = compose_settings([f"equation={name}"], folder).values
        if name == "custom":
            console.print(f"[bold]{name}[/]  {settings['equation']['about']}\n", markup=True)
            continue
        equation = build_equation(settings["equation"], AXES, name)
        console.print(f"[bold]{name}[/]  {equation.about}")
        for line in equation.text.splitlines():
            console.print(f"    {line}", markup=False)
        given = {k: v for k, v in settings["equation"].items() if k in equation.parameters}
        given |= {k: v for k, v in settings["equation"].items() if _is_definition(k, v)}
        told = ", ".join(f"{key} = {value}" for key, value in given.items())
        console.print(f"    parameters: {told}", markup=False)
        end, extent = settings["time"]["end"], settings["domain"]["extent"]
        when = "" if equation.steady else f", until t = {end:g}"
        console.print(f"    defaults: grid {settings['grid']}, extent {extent}{when}\n")
    for group in groups():
        if group != "equation":
            console.print(f"[bold]{group}[/]  {', '.join(choices(group, folders))}")
    return 0


def _is_definition(key: str, value: object) -> bool:
    from pdesim.equation import KEYS

    return key not in KEYS and isinstance(value, str)


def _config_dir(arguments: Sequence[str]) -> str | None:
    if not arguments:
        return None
    if len(arguments) == 2 and arguments[0] in ("--config-dir", "-cd"):
        return arguments[1]
    raise ConfigError(f"pdesim list does not take {' '.join(arguments)}", "[--config-dir DIR]")


def render_again(arguments: Sequence[str]) -> int:
    """``pdesim render PATH [animation.KEY=VALUE ...]``: the animation again, from files."""
    from omegaconf import OmegaConf

    from pdesim.config import compose_settings
    from pdesim.output import Snapshots
    from pdesim.render import render
    from pdesim.settings import Animation, read_section

    paths = [word for word in arguments if "=" not in word]
    overrides = [word for word in arguments if "=" in word]
    if len(paths) != 1:
        raise ConfigError(
            f"pdesim render got {len(paths)} paths", "pdesim render PATH [animation.fps=30 ...]"
        )
    for word in overrides:
        if not word.startswith(("animation.", "animation=")):
            raise ConfigError(
                f"pdesim render does not take {word}",
                "settings of animation, such as animation.fps=30",
            )
    with Snapshots(paths[0]) as snapshots:
        source = snapshots.path
        stored = OmegaConf.create(str(snapshots.attributes.get("config", "")))
    # the run's own look, and over it what is asked for now
    asked = compose_settings(overrides).values["animation"]
    chosen = {w.partition("=")[0].removeprefix("animation.") for w in overrides}
    values = dict(asked)
    for key, value in OmegaConf.to_container(stored).get("animation", {}).items():
        if key not in chosen and key != "name":
            values[key] = value
    animation = read_section(Animation, values, "animation")
    if animation.name == "none":
        raise ConfigError("animation=none draws nothing", "animation=gif or animation=mp4")
    print(render(source, animation))
    return 0
