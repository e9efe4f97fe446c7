"""The places and labels of the runs of a sweep in a montage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, clip, nearest
from pdesim.output.sweeps import Member, differing_settings, setting_text, short_names
from pdesim.render.text import LONGEST
from pdesim.settings import Montage

_MAX_IN_ROW = 8  # if a single setting has more values, they are arranged in several rows
_MIN_FILLED = 0.5  # smallest filled fraction for which tiles are placed by the values of settings
_MAX_LINES = 3  # largest number of lines of a caption
_MAX_PLAIN_INTEGER = 1e6  # smaller integers are written with all digits
_PREFERRED_RATIO = 1.5  # width divided by height of a montage without axes


@dataclass(frozen=True)
class AxisLabels:
    """The name of the setting along an axis of the montage, and the labels of its values.

    There is a label per column, from the left, or per row, from the bottom.
    """

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Arrangement:
    """The places of the members in a grid of tiles, and their labels.

    ``cells`` contains the index of each tile's member, row by row from the top left, or None for an
    empty tile. If columns and rows stand for the values of settings (``is_plane``), ``x`` and ``y``
    label them. Otherwise ``captions`` contains alternative sets of captions, the preferred set
    first. A set has a caption for every member, and all its captions have the same number of lines.
    If ``titled`` is True, the first line of each caption is a title.
    """

    columns: int
    rows: int
    cells: tuple[int | None, ...]
    x: AxisLabels | None = None
    y: AxisLabels | None = None
    captions: tuple[tuple[tuple[str, ...], ...], ...] = ()
    titled: bool = False

    @property
    def is_plane(self) -> bool:
        return self.x is not None or self.y is not None


def arrange(members: Sequence[Member], options: Montage, ratio: float) -> Arrangement:
    """Arrange the members of a sweep in tiles.

    If ``montage.x`` or ``montage.y`` is given, or if the members differ in two settings (or in a
    single setting with few values), columns and rows stand for the values of these settings, which
    increase to the right and upwards. Otherwise the tiles are in the order of the members, and each
    has a caption.

    Args:
        members: the members of the sweep.
        options: the settings of the montage.
        ratio: the width of a tile divided by its height.

    Raises:
        ConfigError: if the members do not differ in a requested setting, or if several members
            would have the same place.
    """
    differing = differing_settings(members)
    if options.x or options.y:
        return _requested_plane(members, options, differing)
    swept = [name for name in differing if name != "label"]
    if "label" not in differing and options.columns is None and 1 <= len(swept) <= 2:
        x, y = (swept[0], None) if len(swept) == 1 else swept
        plane, shared = _plane(members, x, y)
        filled = len(members) >= _MIN_FILLED * plane.columns * plane.rows
        if shared is None and filled and (y is not None or plane.columns <= _MAX_IN_ROW):
            return plane
    return _list(members, differing, options.columns, ratio)


def _requested_plane(
    members: Sequence[Member], options: Montage, differing: Sequence[str]
) -> Arrangement:
    names = {"x": _full_name(options.x, "x", differing), "y": _full_name(options.y, "y", differing)}
    if names["x"] == names["y"]:
        raise ConfigError(f"montage.x and montage.y are both {options.x}", "two different settings")
    plane, shared = _plane(members, names["x"], names["y"])
    if shared is not None:
        rest = [name for name in differing if name not in names.values()]
        raise ConfigError(
            f"the members {members[shared[0]].name} and {members[shared[1]].name} "
            f"have the same place; they differ in {', '.join(rest) or 'nothing'}",
            f"two settings that distinguish all members, among {', '.join(differing)}",
            "without montage.x and montage.y, every member has a tile with its label",
        )
    return plane


def _full_name(given: str | None, axis: str, differing: Sequence[str]) -> str | None:
    """The full name of the setting given for an axis, such as ``equation.F`` for ``F``."""
    if given is None or given in differing:
        return given
    for name, short in short_names(differing).items():
        if short == given:
            return name
    raise ConfigError(
        f"montage.{axis}={given}: the members do not differ in this setting",
        nearest(given, differing),
    )


def _plane(
    members: Sequence[Member], x: str | None, y: str | None
) -> tuple[Arrangement, tuple[int, int] | None]:
    """Arrange the members with the values of a setting along each axis.

    Returns:
        The arrangement, and the indices of two members that have the same place (None if all places
        are different).
    """
    across, upwards = _values(members, x), _values(members, y)
    columns, rows = len(across), len(upwards)
    cells: list[int | None] = [None] * (columns * rows)
    shared = None
    for number, member in enumerate(members):
        column = across.index(_key(member, x))
        row = rows - 1 - upwards.index(_key(member, y))
        occupant = cells[row * columns + column]
        if occupant is not None:
            shared = shared or (occupant, number)
        cells[row * columns + column] = number
    edges = (_axis_labels(members, x, across), _axis_labels(members, y, upwards))
    return Arrangement(columns, rows, tuple(cells), *edges), shared


def _key(member: Member, name: str | None) -> str:
    return "" if name is None else setting_text(member.settings.get(name))


def _values_by_key(members: Sequence[Member], name: str | None) -> dict[str, Any]:
    return {_key(m, name): None if name is None else m.settings.get(name) for m in members}


def _values(members: Sequence[Member], name: str | None) -> list[str]:
    """The values of a setting as texts: numbers ascending, others in the order of the members."""
    values = _values_by_key(members, name)
    if all(_is_number(value) for value in values.values()):
        return sorted(values, key=values.__getitem__)
    return list(values)


def _axis_labels(
    members: Sequence[Member], name: str | None, keys: Sequence[str]
) -> AxisLabels | None:
    if name is None:
        return None
    known = _values_by_key(members, name)
    digits = _digits(list(known.values()))
    return AxisLabels(
        short_names([name])[name], tuple(value_text(known[key], digits) for key in keys)
    )


def _list(
    members: Sequence[Member], differing: Sequence[str], columns: int | None, ratio: float
) -> Arrangement:
    count = len(members)
    columns = min(columns or best_columns(count, ratio), count)
    rows = math.ceil(count / columns)
    cells = (*range(count), *[None] * (columns * rows - count))
    captions = _captions(members, differing)
    return Arrangement(columns, rows, cells, captions=captions, titled="label" in differing)


def _captions(
    members: Sequence[Member], differing: Sequence[str]
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """The alternative sets of captions, the preferred set first.

    In these sets, a caption has all settings on one line, or a line per setting, or only the
    member's label or name.
    """
    swept = short_names(name for name in differing if name != "label")
    labelled = "label" in differing
    joined, stacked, alone = [], [], []
    for member in members:
        settings = [f"{s} {value_text(member.settings.get(n), 4)}" for n, s in swept.items()]
        label = (clip(str(member.settings.get("label") or member.name), LONGEST),)
        head = label if labelled else ()
        joined.append((*head, ", ".join(settings)))
        stacked.append((*head, *settings))
        alone.append(label)
    several = 1 < len(swept) <= _MAX_LINES - labelled
    captions = [joined] * bool(swept) + [stacked] * several + [alone]
    return tuple(map(tuple, captions))


def best_columns(count: int, ratio: float) -> int:
    """The number of columns: a compromise between few empty tiles and the preferred ratio."""
    best = math.sqrt(count * _PREFERRED_RATIO / ratio)
    near = range(max(1, math.floor(0.75 * best)), math.ceil(1.35 * best) + 1)

    def cost(columns: int) -> float:
        empty = 2 * (-count % columns) / count
        return empty + abs(math.log(columns / best))

    return min(near, key=cost)


def value_text(value: Any, digits: int = 6) -> str:
    """The value of a setting as text: integers with all digits, others with ``digits`` digits."""
    if not _is_number(value):
        return clip(setting_text(value), LONGEST) or "none"
    is_integer = abs(value) < _MAX_PLAIN_INTEGER and value == int(value)
    return (str(int(value)) if is_integer else f"{value:.{digits}g}").replace("-", "−")


def _digits(values: Sequence[Any]) -> int:
    """The smallest number of significant digits, at least 3, that distinguishes the values.

    Rounding changes a value by at most 2 % of the smallest difference between two values.
    """
    numbers = np.array(sorted(value for value in values if _is_number(value)), dtype=np.float64)
    room = 0.02 * np.diff(numbers).min(initial=np.inf)
    for digits in range(3, 12):
        if all(abs(float(f"{value:.{digits}g}") - value) <= room for value in numbers):
            return digits
    return 12


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
