"""``pdesim render``: the animation of a run, or the montage of a sweep, from their files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pdesim.cli.arguments import Parser, path_and_settings
from pdesim.errors import ConfigError


def parser() -> Parser:
    return Parser(
        "render",
        "PATH [animation.NAME=VALUE ...] [montage.NAME=VALUE ...]",
        "Draw the animation of a run again, or the montage of a sweep, from their files.",
        "  pdesim render RUN animation.colormap=magma animation=mp4\n"
        "  pdesim render SWEEP montage.x=F montage.y=k",
    )


def run(arguments: Sequence[str]) -> int:
    """Carry out the command; returns the exit code."""
    from pdesim.files import reading
    from pdesim.output import Snapshots
    from pdesim.output.metadata import read_config
    from pdesim.output.sweeps import is_sweep
    from pdesim.render import render

    path, overrides = path_and_settings(parser(), parser().read(arguments).words)
    sweep = is_sweep(path)
    sections = ("animation.", "animation=", *(["montage."] if sweep else []))
    for word in overrides:
        if not word.startswith(sections):
            raise ConfigError(
                f"pdesim render does not take {word}",
                "settings of animation, such as animation.fps=30"
                + (", or montage, such as montage.x=NAME" if sweep else ""),
            )
    if sweep:
        return _render_sweep(path, overrides)
    with reading(path), Snapshots(path) as snapshots:
        source = snapshots.path
        fields = snapshots.fields
        if snapshots.recovery_hint:
            print(f"pdesim: {snapshots.recovery_hint}", file=sys.stderr)
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
