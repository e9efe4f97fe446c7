"""Other names of the sides of a domain, such as ``left`` and ``top``, for the hints of errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LOWER = ("lower", "left", "bottom", "front", "min", "low", "lo", "start", "west", "south", "inner")
_UPPER = ("upper", "right", "top", "back", "max", "high", "hi", "end", "east", "north", "outer")
#: words for a side -> the number of the axis; words that are not here apply to every axis
_AXES = {
    "left": 0, "right": 0, "west": 0, "east": 0, "inner": 0, "outer": 0,
    "bottom": 1, "top": 1, "south": 1, "north": 1, "front": 2, "back": 2,
}  # fmt: skip
_WORD = re.compile(rf"(?:([a-z]+?)_?)?({'|'.join((*_LOWER, *_UPPER))})")


#: the kind of a condition -> its names in other programs, without underscores and hyphens
_KINDS = {
    "neumann": "noflux zeroflux noflow insulated insulating reflective reflecting reflect "
    "symmetric symmetry closed zerogradient free natural neuman vonneumann mirror adiabatic",
    "dirichlet": "fixed zero value fixedvalue constant wall walls absorb cold dirchlet",
    "periodic": "wrap wrapped cyclic torus loop period periodical",
    "outflow": "open outlet extrapolate extrapolated transmissive",
    "absorbing": "radiation radiating sommerfeld nonreflecting transparent",
    "robin": "mixed convective convection impedance",
    "clamped": "clamp builtin",
    "simply_supported": "simplysupported hinged pinned supported",
}
_EXAMPLES = {"absorbing": "{absorbing: 1}", "robin": "{robin: {a: 1, b: 1, value: 0}}"}


def condition_hint(where: str, value: object) -> str:
    """Return a hint for a condition with another name, or a number or a formula in its place.

    Args:
        where: the setting, such as ``boundary.x``.
        value: its value, which names no condition.
    """
    if isinstance(value, bool) or value is None:
        return ""
    text = str(value).strip()
    plain = re.sub(r"[\s_-]", "", text).casefold()
    kind = next((kind for kind, words in _KINDS.items() if plain in words.split()), None)
    if kind is not None:
        example = _EXAMPLES.get(kind, kind)
        if where == "boundary" and example.startswith("{"):
            where = "boundary.default"
        setting = f"{where}={example}"
        return f'"{setting}"' if example.startswith("{") else setting
    if isinstance(value, int | float) or re.fullmatch(r"[-+]?[\d.][\d.eE+-]*", text):
        where = "boundary.default" if where == "boundary" else where
        return (
            f'"{where}={{dirichlet: {text}}}" fixes the value,\n'
            f'"{where}={{neumann: {text}}}" the normal derivative'
        )
    return ""


def side_hint(key: str, where: str, axes: Sequence[str], axis: str | None = None) -> str:
    """Return a hint with the settings of a side for a key that names the side, else an empty text.

    For example, ``left is the lower side of x: "boundary.x={lower: neumann, upper: dirichlet}"``.

    Args:
        key: an unknown key, such as ``left``, ``x_min`` or ``top``.
        where: the section that contains it, such as ``boundary`` or ``boundary.u``; if ``axis`` is
            given, the section of this axis.
        axes: the names of the axes of the grid.
        axis: the axis whose section contains the key; None if it is not the section of one axis.
    """
    found = _WORD.fullmatch(key.casefold())
    if found is None or (found[1] and found[1] not in axes):
        return ""
    side = "lower" if found[2] in _LOWER else "upper"
    number = axes.index(found[1]) if found[1] else _AXES.get(found[2])
    if axis is None and number is not None and number >= len(axes):
        return f"the axes are {' and '.join(axes)}" if len(axes) > 1 else f"the axis is {axes[0]}"
    name = axis or axes[number or 0]
    section = where if axis else f"{where}.{name}"
    example = f'"{section}={{lower: neumann, upper: dirichlet}}"'
    if key == side:
        return f"sides are those of an axis, for example {example}"
    return f"{key} is the {side} side of {name}, for example {example}"
