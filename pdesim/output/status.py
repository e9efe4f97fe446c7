"""``status.json``: how a run stands, replaced as a whole at every change."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger("pdesim")

FILE = "status.json"


def speed(steps: float, cell_updates: float | None) -> str:
    """``1,183 steps/s  310 Mcells/s``: steps and, where known, cell updates a second."""
    told = f"{_three_digits(steps)} steps/s"
    if not cell_updates:
        return told
    units = (("G", 1e9), ("M", 1e6), ("k", 1e3))
    fitting = (one for one in units if cell_updates >= 0.9995 * one[1])
    unit, size = next(fitting, ("", 1.0))
    return f"{told}  {_three_digits(cell_updates / size)} {unit}cells/s"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f}"


def describe_time_error(errors: Mapping[str, float] | None) -> str:
    """``error in time about 3e-04 of u's range``: of the field where it is largest."""
    if not errors:
        return ""
    name = max(errors, key=errors.__getitem__)
    if errors[name] == 0:
        return "error in time: not above rounding"
    return f"error in time about {errors[name]:.0e} of {name}'s range (estimated)"


def write_status(folder: Path, **values: Any) -> None:
    """Write the file under a temporary name and rename it, so no reader sees half of it.

    On a full disk the status of before stays; the run tells of the disk itself.
    """
    temporary = folder / f".{FILE}.tmp"
    try:
        temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
        os.replace(temporary, folder / FILE)
    except OSError as error:
        log.warning("%s not written: %s", FILE, error)
        with contextlib.suppress(OSError):
            temporary.unlink()
