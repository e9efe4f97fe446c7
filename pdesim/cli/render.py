"""``pdesim render``: draw the animation of a run, or the montage of a sweep, from files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from pdesim.cli.arguments import Parser, path_and_settings
from pdesim.errors import ConfigError, PdesimError
from pdesim.settings import Animation, Montage

_Section = TypeVar("_Section", bound=BaseModel)


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "render",
        "PATH [--film | --page] [animation.NAME=VALUE ...] [montage.NAME=VALUE ...]",
        "Draw the animation of a run, or the montage of a sweep, from the stored frames, or write\n"
        "an interactive page of them.",
        "  pdesim render RUN animation.colormap=magma animation=mp4\n"
        "  pdesim render RUN animation=png animation.time=1200\n"
        "  pdesim render SWEEP montage.x=F montage.y=k\n"
        "  pdesim render SWEEP --film\n"
        "  pdesim render RUN --page",
    )
    result.add_argument(
        "--film", action="store_true", help="a film of the members' last frames, one by one"
    )
    result.add_argument(
        "--page", action="store_true", help="one HTML file, index.html, to be opened in a browser"
    )
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.files import reading
    from pdesim.output import Snapshots
    from pdesim.output.sweeps import is_sweep
    from pdesim.render import render

    command = parser()
    options = command.read(arguments)
    path, overrides = path_and_settings(command, options.words)
    sweep = is_sweep(path)
    if options.film and not sweep:
        raise ConfigError(f"--film needs the folder of a sweep, and {path} is not one")
    if options.film and options.page:
        raise ConfigError("--film and --page are given", "one of them")
    sections = ("animation.", "animation=", *(["montage."] if sweep else []))
    for word in overrides:
        if not word.startswith(sections):
            raise ConfigError(
                f"pdesim render does not take {word}",
                "settings of animation, such as animation.fps=30"
                + (", or montage, such as montage.x=NAME" if sweep else ""),
            )
    if sweep:
        return _render_sweep(path, overrides, options.film, options.page)
    with reading(path), Snapshots(path) as snapshots:
        source = snapshots.path
        fields = snapshots.fields
        if snapshots.recovery_hint:
            print(f"pdesim: {snapshots.recovery_hint}", file=sys.stderr)
        stored = snapshots.config
    animation = _settings(Animation, "animation", stored, overrides, fields)
    drawn = _page(source, animation) if options.page else render(source, animation)
    _note((drawn,), animation, stored)
    print(drawn)
    return 0


def _note(
    drawn: Sequence[Path],
    animation: Animation,
    stored: Mapping,
    montage: Montage | None = None,
) -> None:
    """Store the settings of pictures, with which they are drawn again when the run is resumed."""
    from pdesim.output.pictures import DrawnPicture, note_pictures
    from pdesim.settings import read_section

    try:
        own = read_section(Animation, stored.get("animation") or {}, "animation")
        own_montage = read_section(Montage, stored.get("montage") or {}, "montage")
    except (PdesimError, TypeError, ValueError):
        return  # the run cannot be resumed
    names = [path.name for path in drawn]
    note_pictures(drawn[0].parent, names, DrawnPicture(animation, own, montage, own_montage))


def _page(path: Path, animation: Animation) -> Path:
    from pdesim.page import write_page

    return write_page(path, animation)


def _render_sweep(folder: Path, overrides: Sequence[str], as_film: bool, as_page: bool) -> int:
    from pdesim.files import reading
    from pdesim.output import Snapshots
    from pdesim.output.sweeps import find_members
    from pdesim.render import film, montage

    stored: Mapping = {}
    fields: Sequence[str] = ()
    for member in find_members(folder):
        if member.file and member.state != "unreadable":
            with reading(member.file), Snapshots(member.file) as snapshots:
                stored, fields = snapshots.config, snapshots.fields
            break
    animation = _settings(Animation, "animation", stored, overrides, fields)
    own_fields = not any(word.startswith("animation.field=") for word in overrides)
    options = None
    if as_page:
        drawn: Sequence[Path] = (_page(folder, animation),)
    elif as_film:
        drawn = (film(folder, animation, own_fields),)
    else:
        options = _settings(Montage, "montage", stored, overrides)
        drawn = montage(folder, animation, options, own_fields)
    _note(drawn, animation, stored, options)
    for path in drawn:
        print(path)
    return 0


def _settings(
    section: type[_Section],
    name: str,
    stored: Mapping,
    overrides: Sequence[str],
    fields: Sequence[str] = (),
) -> _Section:
    """Return a section of the settings of a run, with overrides.

    Args:
        section: the class of the section.
        name: the name of the section.
        stored: the settings of the run.
        overrides: the overrides of the command line.
        fields: names of the stored fields.
    """
    from pdesim.config.compose import compose_settings
    from pdesim.formula.language import AXES
    from pdesim.render.quantity import is_available
    from pdesim.settings import read_section

    values = dict(compose_settings(overrides).values[name])
    chosen = {word.partition("=")[0].removeprefix(f"{name}.") for word in overrides}
    before = stored.get(name)
    for key, value in before.items() if isinstance(before, Mapping) else ():
        if key not in chosen and key != "name":
            values[key] = value
    if values.get("name") in ("gif", "mp4") and "time" not in chosen:
        values.pop("time", None)  # the run was drawn as a PNG, and is now drawn as a film
    field = values.get("field")
    # values that are not text are refused by read_section
    if "field" not in chosen and isinstance(field, str) and not is_available(field, fields, AXES):
        values["field"] = None  # the run did not store the default field of its equation
    return read_section(section, values, name)
