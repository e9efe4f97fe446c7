"""Metadata in the attributes of a snapshot file: settings, grid, boundary conditions, field order.

A file may lack metadata. Missing entries are then left out of the results.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError, PdesimError
from pdesim.files import load_yaml, read_text
from pdesim.model.equation_settings import KEYS
from pdesim.model.geometry import build_metric
from pdesim.model.grid import Grid, square_extents
from pdesim.settings import Domain
from pdesim.settings.drawn import with_drawn_numbers

#: attribute with the folder of the run that this one repeats (pdesim rerun)
RERUN_OF = "rerun_of"
#: attributes of the snapshot file of a branch: the folder of the earlier run, and the time
BRANCH_OF, BRANCHED_AT = "branch_of", "branched_at"
#: limit of the characters in the attribute ``boundary``. A condition takes about 40 characters, and
#: an equation has at most 64 fields on three axes
LONGEST_BOUNDARY = 2**16
#: a condition in the attribute ``boundary``, such as ``'u.x': ['dirichlet', 'neumann']``
_PAIR = r"'(\w+)\.([xyzr])':\s*[\[(]'(\w+)',\s*'(\w+)'[\])]"
_PAIRS = re.compile(rf"\s*\{{\s*{_PAIR}(?:,\s*{_PAIR})*\s*\}}\s*".replace("'", "['\"]"))
_ONE_PAIR = re.compile(_PAIR.replace("'", "['\"]"))


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names by the numbers in them: ``run2`` before ``run10``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def read_config(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings stored in the attribute ``config``, an empty mapping if it is missing."""
    try:
        values = load_yaml(str(attributes.get("config", "")))
    except OutputError:
        return {}
    return values if isinstance(values, dict) else {}


def read_yaml(path: Path) -> Any:
    """Return the contents of a YAML file; None if it is missing or cannot be read."""
    try:
        return load_yaml(read_text(path))
    except OutputError:
        return None


def read_grid(config: Mapping[str, Any], axes: Sequence[str]) -> Grid | None:
    """Return the computed grid, of which the stored grid may be only a part.

    Args:
        config: the settings of the run.
        axes: the names of the stored axes, in any order.

    Returns:
        The grid; None if the settings do not describe a grid with these axes.
    """

    def per_axis(value: Any) -> tuple:
        return tuple(value) if isinstance(value, list) else (value,) * len(axes)

    try:
        domain = config["domain"]
        points = tuple(int(n) for n in per_axis(config["grid"]))
        extent = domain["extent"]
        lengths = extent if isinstance(extent, list) else square_extents(points, extent)
        grid = Grid(
            points,
            tuple(float(length) for length in lengths),
            tuple(float(coordinate) for coordinate in per_axis(domain["origin"])),
        )
        known = {key: domain[key] for key in ("geometry", "stretch") if key in domain}
        grid = replace(grid, metric=build_metric(Domain.model_validate(known), grid))
    except (PdesimError, KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return grid if set(grid.names) == set(axes) else None


def read_parameters(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the parameters of the equation: numbers, or formulas as text.

    Random parameters are numbers; they remain text if the configuration is damaged.
    """
    equation = config.get("equation")
    if not isinstance(equation, Mapping):
        return {}
    with contextlib.suppress(PdesimError, TypeError, ValueError):
        equation = with_drawn_numbers(equation, config.get("seed", 0))
    return {
        str(key): value
        for key, value in equation.items()
        if key not in KEYS and isinstance(value, int | float | str) and not isinstance(value, bool)
    }


def read_boundary_kinds(attributes: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the kinds of boundary conditions, such as ``{"u": {"x": ("dirichlet", "neumann")}}``.

    The kind at the lower boundary comes first. The result is empty if the attribute ``boundary`` is
    missing, has another form, or has more than ``LONGEST_BOUNDARY`` characters.
    """
    text = str(attributes.get("boundary", ""))
    kinds: dict[str, dict[str, tuple[str, str]]] = {}
    if len(text) > LONGEST_BOUNDARY or not _PAIRS.fullmatch(text):
        return kinds
    for field, axis, lower, upper in _ONE_PAIR.findall(text):
        kinds.setdefault(field, {})[axis] = (lower, upper)
    return kinds


def listed_fields(attributes: Mapping[str, Any]) -> list[str]:
    """Return the names in the attribute ``fields``: the stored fields in the equation's order."""
    return listed(attributes, "fields")


def listed(attributes: Mapping[str, Any], key: str) -> list[str]:
    """Return the names in an attribute that is a list of names; empty if there is none."""
    return [str(name) for name in np.ravel(attributes.get(key, ()))]
