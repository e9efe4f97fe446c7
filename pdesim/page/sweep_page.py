"""The page of a sweep: a table of its runs, and their last frames as tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pdesim.errors import ConfigError, OutputError
from pdesim.output.sweep_csv import sweep_table
from pdesim.output.sweeps import Member, differing_settings, find_members, short_names
from pdesim.page import facts
from pdesim.page.colormaps import colormaps
from pdesim.page.document import document, escaped
from pdesim.page.layers import Layer, find_layer_limits, pack_layer
from pdesim.render.field_reader import open_field
from pdesim.render.text import LONGEST
from pdesim.settings import Animation

#: rounded bytes of all tiles before compression, and the cells on the longer side of a tile
BUDGET, LARGEST_TILE, SMALLEST_TILE = 3_000_000, 128, 8
#: with more tiles, only the field that is shown first has tiles
MOST_TILES = 4000
#: columns of ``sweep.csv`` that are shown first, besides those of the settings
_SHOWN = ("number", "state", "frames", "time", "seconds")


def sweep_page(folder: Path, animation: Animation) -> str:
    """Return the page of a sweep as text.

    Args:
        folder: the folder of the sweep.
        animation: the field that is shown first, and its colours.

    Raises:
        OutputError: if no run of the sweep has frames that can be read.
    """
    members = find_members(folder)
    columns, rows = sweep_table(members)
    found = _contents(members, animation)
    if not found:
        raise OutputError(
            f"no run in {folder} can be drawn", "at least one run that has frames and did not fail"
        )
    fields = _fields(found, animation, len(members))
    side = min(LARGEST_TILE, int((BUDGET / (len(found) * len(fields))) ** 0.5))
    tiles = {
        field: _tiles(members, found, field, animation, max(side, SMALLEST_TILE))
        for field in fields
    }
    settings = short_names(differing_settings(members))
    title = next(iter(dict.fromkeys(_title(member) for member in members)), "") or folder.name
    data = {
        "columns": columns,
        "labels": {name: settings.get(name, name) for name in columns},
        "settings": [name for name in settings if name in columns],
        "shown": _shown(columns, list(settings)),
        "rows": [[row.get(name, "") for name in columns] for row in rows],
        "links": [_link(member) for member in members],
        "fields": [_field(name, tiles[name], animation) for name in fields],
        "colormaps": colormaps(animation.colormap),
        "colormap": animation.colormap,
    }
    config = next((m.settings for m in members if m.complete), {})
    return document(
        "sweep.html",
        ("common.js", "tiles.js", "sweep.js"),
        data,
        title=escaped(f"{title}: {len(members)} runs", 200),
        equation=facts.equations(_equation(config, settings), ()),
        downloads=facts.downloads(folder),
        note=escaped(_note(tiles[fields[0]])),
    )


def _contents(members: Sequence[Member], animation: Animation) -> dict[int, tuple[str, ...]]:
    """The stored fields of every member that can be drawn."""
    found = {}
    for number, member in enumerate(members):
        if member.file is None or member.state in ("failed", "unreadable"):
            continue
        try:
            with open_field(member.file, None, animation.slice) as reader:
                found[number] = reader.snapshots.ordered_fields
        except OutputError:
            continue  # the tile of this member will be marked as empty
    return found


def _fields(found: dict[int, tuple[str, ...]], animation: Animation, count: int) -> list[str]:
    """The quantities with tiles; the one that is shown first comes first."""
    stored = list(dict.fromkeys(name for names in found.values() for name in names))
    first = animation.field or stored[0]
    names = list(dict.fromkeys((first, *stored)))
    return names if len(names) * count <= MOST_TILES else names[:1]


def _tiles(
    members: Sequence[Member],
    found: dict[int, tuple[str, ...]],
    field: str,
    animation: Animation,
    side: int,
) -> list[Layer | None]:
    tiles: list[Layer | None] = []
    for number, member in enumerate(members):
        tile = None
        if number in found and member.file is not None:
            try:
                with open_field(member.file, field, animation.slice) as reader:
                    last = len(reader.times) - 1
                tile = pack_layer(member.file, field, animation, [last], BUDGET, side)
            except (OutputError, ConfigError):
                tile = None  # this run has no such field, or its last frame is damaged
        tiles.append(tile)
    return tiles


def _field(name: str, tiles: Sequence[Layer | None], animation: Animation) -> dict[str, Any]:
    known = [tile for tile in tiles if tile is not None]
    runs = [(tile.statistics, 1) for tile in known]
    curve = any(len(tile.stored) == 1 for tile in known)
    return {
        "name": name,
        "label": known[0].label if known else name,
        "unit": known[0].unit if known else "",
        "limits": list(find_layer_limits(runs, name, animation, curve).ends),
        "tiles": [tile and _tile(tile) for tile in tiles],
    }


def _tile(tile: Layer) -> dict[str, Any]:
    names = ("rows", "columns", "curve", "bits", "modes", "lows", "highs", "data")
    values = tile.as_json()
    lengths = [axis.upper - axis.lower for axis in tile.axes]
    return {name: values[name] for name in names} | {"lengths": lengths}


def _title(member: Member) -> str:
    for name in ("equation.title", "equation.name"):
        if isinstance(value := member.settings.get(name), str):
            return value[:LONGEST]
    return ""


def _equation(settings: Any, differing: dict[str, str]) -> dict[str, Any]:
    """The formulas of the first run as a configuration; none if the runs' equations differ."""
    if "equation.name" in differing:
        return {}
    equation: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        section, _, rest = name.removeprefix("equation.").partition(".")
        if name.startswith("equation.") and section in ("rhs", "solve", "map") and rest:
            equation.setdefault(section, {})[rest] = value
    return {"equation": equation}


def _shown(columns: Sequence[str], settings: Sequence[str]) -> list[str]:
    means = [name for name in columns if name.endswith(("_mean", "_max", "_wavelength"))]
    return [name for name in columns if name in (*_SHOWN, *settings, *means[:6])]


def _link(member: Member) -> str | None:
    """The page of a member, if there is one and its name needs no escapes in a URL."""
    plain = member.name.replace("_", "").replace("-", "").isalnum() and member.name.isascii()
    return (
        f"{member.name}/index.html" if plain and (member.folder / "index.html").exists() else None
    )


def _note(tiles: Sequence[Layer | None]) -> str:
    known = [tile for tile in tiles if tile is not None]
    text = "Tiles show the last frame of each run, rounded to 8 bits"
    if any(tile.packing.bits == 16 for tile in known):
        text = "Tiles show the last frame of each run as a curve"
    shapes = {tile.shape for tile in known if tile.shape[0] * tile.shape[1] < _cells(tile)}
    if shapes:
        most = max(max(shape) for shape in shapes)
        text += f" and averaged over cells to at most {most} on the longer side"
    if plane := next((tile.plane for tile in known if tile.plane), ""):
        text += f", in the plane {plane}"
    return f"{text}."


def _cells(tile: Layer) -> int:
    cells = 1
    for length in tile.stored:
        cells *= length
    return cells
