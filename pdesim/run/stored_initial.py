"""Initial states that are stored in the folder of a run, after this folder was moved."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: a formula that reads an array which was given from Python; see :mod:`pdesim.api.initial`
_STORED = re.compile(r"snapshot\((?P<path>'[^']*'|\"[^\"]*\"), (?P<field>'\w+')\)")


def with_moved_initial(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings that read a stored initial state from the folder of the run.

    The formulas contain the path at which the run was computed. If there is no such file any more,
    the file of the same name in ``folder`` is used.

    Args:
        values: the settings of a run.
        folder: the present folder of the run.
    """
    initial = values.get("initial")
    if not isinstance(initial, Mapping):
        return dict(values)
    return {**values, "initial": {name: _moved(text, folder) for name, text in initial.items()}}


def _moved(formula: Any, folder: Path) -> Any:
    match = _STORED.fullmatch(formula) if isinstance(formula, str) else None
    if match is None:
        return formula
    try:
        path = Path(ast.literal_eval(match["path"]))
    except (SyntaxError, ValueError):  # the file may be that of another person
        return formula
    if not path.name.startswith("initial") or os.path.exists(path):
        return formula
    here = folder.resolve() / path.name
    if not os.path.isfile(here):
        return formula
    return f"snapshot({str(here)!r}, {match['field']})"
