"""``status.json``: how a run stands, replaced as a whole at every change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pdesim.errors import printable

#: raised whenever the meaning of an entry changes; files of every version are read
FORMAT_VERSION = 1
#: entries that are numbers, and those that are text; others are mappings or written by nobody
NUMBERS = (
    "seconds", "waited_for_disk", "compile_seconds", "steps", "rejected_steps", "dt", "residual",
    "steps_per_second", "cell_updates_per_second", "frames", "time", "resumed_at",
    "members_of_batch",
)  # fmt: skip
TEXTS = ("state", "equation", "started", "device", "stepper", "error")
#: beyond that, a number in a status file is no count and no time
LARGEST = 1e300


def valid_entries(found: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a status file whose values have the types that pdesim writes.

    The file may have been damaged, or written by somebody else; what depends on an entry treats a
    missing one as unknown.
    """
    valid = {}
    for name, value in found.items():
        if name in NUMBERS and not _is_number(value):
            continue
        if name in TEXTS and not isinstance(value, str):
            continue
        if isinstance(value, str):
            value = printable(value)
        if name == "time_error":
            errors = value.items() if isinstance(value, Mapping) else ()
            value = {field: error for field, error in errors if _is_number(error)}
        valid[name] = value
    return valid


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -LARGEST < value < LARGEST and math.isfinite(value)


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


def describe_overflows(overflows: Mapping[str, float]) -> str:
    """One line about fields that exceeded the range of the type they are stored in."""
    parts = ", ".join(f"{name} since t = {time:g}" for name, time in overflows.items())
    return f"warning: values beyond the range of output.dtype are stored as infinity: {parts}"
