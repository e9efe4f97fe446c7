"""Which run of a sweep stands where in a montage, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, nearest
from pdesim.output.sweeps import Member, differing_settings, setting_text, short_names
from pdesim.settings import Montage

_ONE_ROW = 8  # so many values of one setting stand side by side; more of them are wrapped
_FILLED = 0.5  # the part of a plane that members must fill for it to be drawn as one
_LINES = 3  # over a tile, at most
_PLAIN = 1e6  # whole numbers below this are written in full
_FAVOURED = 1.5  # columns to rows, where nothing else decides


@dataclass(frozen=True)
class Edge:
    """An axis of tiles: the setting's name, and a text per column (or row, from below)."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Arrangement:
    """Tiles in ``rows`` of ``columns``, filled from the top left.

    ``cells`` holds for every tile, row by row, the number of its member, or None.
    ``x`` and ``y`` are there where tiles lie in a plane of settings; else ``captions`` are what can
    be written over the tiles, the best first: each has for every member the same number of lines,
    of which the first is a title where ``titled``.
    """

    columns: int
    rows: int
    cells: tuple[int | None, ...]
    x: Edge | None = None
    y: Edge | None = None
    captions: tuple[tuple[tuple[str, ...], ...], ...] = ()
    titled: bool = False

    @property
    def is_plane(self) -> bool:
        return self.x is not None or self.y is not None


def arrange(members: Sequence[Member], asked: Montage, ratio: float) -> Arrangement:
    """Find a place for every member.

    Where ``montage.x`` or ``montage.y`` name settings, or two settings (or one, with a few values)
    make the members differ, tiles lie in their plane, values growing rightwards and upwards. Else
    they follow each other by their numbers, each with its label.

    Args:
        ratio: width to height of a tile.

    Raises:
        ConfigError: if a setting is asked for in which the members do not differ, or if several
            members share a place.
    """
    differ = differing_settings(members)
    if asked.x or asked.y:
        return _asked_plane(members, asked, differ)
    swept = [name for name in differ if name != "label"]
    if "label" not in differ and asked.columns is None and 1 <= len(swept) <= 2:
        x, y = (swept[0], None) if len(swept) == 1 else swept
        plane, shared = _plane(members, x, y)
        filled = len(members) >= _FILLED * plane.columns * plane.rows
        if shared is None and filled and (y is not None or plane.columns <= _ONE_ROW):
            return plane
    return _list(members, differ, asked.columns, ratio)


def _asked_plane(members: Sequence[Member], asked: Montage, differ: Sequence[str]) -> Arrangement:
    names = {"x": _full_name(asked.x, "x", differ), "y": _full_name(asked.y, "y", differ)}
    if names["x"] == names["y"]:
        raise ConfigError(f"montage.x and montage.y are both {asked.x}", "two settings")
    plane, shared = _plane(members, names["x"], names["y"])
    if shared is not None:
        rest = [name for name in differ if name not in names.values()]
        raise ConfigError(
            f"the members {members[shared[0]].name} and {members[shared[1]].name} "
            f"share a place; they differ in {', '.join(rest) or 'nothing'}",
            f"montage.x and montage.y among {', '.join(differ)} that tell all members apart",
            "without montage.x and montage.y every member has a tile with its label",
        )
    return plane


def _full_name(asked: str | None, axis: str, differ: Sequence[str]) -> str | None:
    """``F`` is as good as ``equation.F``."""
    if asked is None or asked in differ:
        return asked
    for name, short in short_names(differ).items():
        if short == asked:
            return name
    raise ConfigError(
        f"montage.{axis}={asked} is no setting in which the members differ",
        nearest(asked, differ),
    )


def _plane(
    members: Sequence[Member], x: str | None, y: str | None
) -> tuple[Arrangement, tuple[int, int] | None]:
    """Tiles in a plane of settings, and two members that fall on one place, if any do."""
    across, upwards = _values(members, x), _values(members, y)
    columns, rows = len(across), len(upwards)
    cells: list[int | None] = [None] * (columns * rows)
    shared = None
    for number, member in enumerate(members):
        column = across.index(_key(member, x))
        row = rows - 1 - upwards.index(_key(member, y))
        if cells[row * columns + column] is not None:
            shared = shared or (cells[row * columns + column], number)
        cells[row * columns + column] = number
    edges = (_edge(members, x, across), _edge(members, y, upwards))
    return Arrangement(columns, rows, tuple(cells), *edges), shared


def _key(member: Member, name: str | None) -> str:
    return "" if name is None else setting_text(member.settings.get(name))


def _values(members: Sequence[Member], name: str | None) -> list[str]:
    """The texts of a setting's values: numbers by size, all else in the order of the members."""
    found = {_key(member, name): member.settings.get(name) for member in members}
    if all(_is_number(value) for value in found.values()):
        return sorted(found, key=found.__getitem__)
    return list(found)


def _edge(members: Sequence[Member], name: str | None, keys: Sequence[str]) -> Edge | None:
    if name is None:
        return None
    known = {_key(member, name): member.settings.get(name) for member in members}
    digits = _digits(list(known.values()))
    return Edge(short_names([name])[name], tuple(value_text(known[key], digits) for key in keys))


def _list(
    members: Sequence[Member], differ: Sequence[str], columns: int | None, ratio: float
) -> Arrangement:
    count = len(members)
    columns = min(columns or _columns(count, ratio), count)
    rows = math.ceil(count / columns)
    cells = (*range(count), *[None] * (columns * rows - count))
    captions = _captions(members, differ)
    return Arrangement(columns, rows, cells, captions=captions, titled="label" in differ)


def _captions(
    members: Sequence[Member], differ: Sequence[str]
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """All settings on a line, or each on its own, then the label or the number alone."""
    swept = short_names(name for name in differ if name != "label")
    labelled = "label" in differ
    joined, stacked, alone = [], [], []
    for member in members:
        told = [f"{s} {value_text(member.settings.get(n), 4)}" for n, s in swept.items()]
        label = (str(member.settings.get("label") or member.name),)
        head = label if labelled else ()
        joined.append((*head, ", ".join(told)))
        stacked.append((*head, *told))
        alone.append(label)
    several = 1 < len(swept) <= _LINES - labelled
    found = [joined] * bool(swept) + [stacked] * several + [alone]
    return tuple(map(tuple, found))


def _columns(count: int, ratio: float) -> int:
    """Few empty tiles, and a picture half again as wide as high, or nearly so."""
    best = math.sqrt(count * _FAVOURED / ratio)
    near = range(max(1, math.floor(0.75 * best)), math.ceil(1.35 * best) + 1)

    def cost(columns: int) -> float:
        empty = 2 * (-count % columns) / count
        return empty + abs(math.log(columns / best))

    return min(near, key=cost)


def value_text(value: Any, digits: int = 6) -> str:
    """A setting's value as people write it; whole numbers in full."""
    if not _is_number(value):
        return setting_text(value) or "none"
    whole = abs(value) < _PLAIN and value == int(value)
    return (str(int(value)) if whole else f"{value:.{digits}g}").replace("-", "−")


def _digits(values: Sequence[Any]) -> int:
    """The fewest digits, three at least, that leave values where they are among each other."""
    numbers = np.array(sorted(value for value in values if _is_number(value)), dtype=np.float64)
    room = 0.02 * np.diff(numbers).min(initial=np.inf)
    for digits in range(3, 12):
        if all(abs(float(f"{value:.{digits}g}") - value) <= room for value in numbers):
            return digits
    return 12


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
