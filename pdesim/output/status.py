"""Entries of ``status.json``: checks of their types, and their conversion to readable text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pdesim.errors import printable

#: increased when the meaning of an entry changes; files of all earlier versions can be read
FORMAT_VERSION = 1
#: names of the entries that are numbers; those in ``TEXTS`` are text
NUMBERS = (
    "seconds", "waited_for_disk", "compile_seconds", "steps", "rejected_steps", "dt", "residual",
    "steps_per_second", "cell_updates_per_second", "frames", "time", "resumed_at",
    "members_of_batch", "stopped_at",
)  # fmt: skip
TEXTS = ("state", "equation", "started", "device", "stepper", "error", "stopped")
#: upper bound of the magnitude of numbers in a status file
LARGEST = 1e300


def valid_entries(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a status file whose values have valid types.

    The file may be damaged, or another program may have written it. Invalid entries are left out,
    and missing entries are treated as unknown.
    """
    valid = {}
    for name, value in entries.items():
        if name in NUMBERS and not _is_number(value):
            continue
        if name in TEXTS and not isinstance(value, str):
            continue
        if isinstance(value, str):
            value = printable(value)
        if name in ("time_error", "observed"):
            errors = value.items() if isinstance(value, Mapping) else ()
            value = {field: error for field, error in errors if _is_number(error)}
        valid[name] = value
    return valid


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -LARGEST < value < LARGEST and math.isfinite(value)


def speed(steps: float, cell_updates: float | None) -> str:
    """Return a speed as text, such as ``1,183 steps/s  310 Mcells/s``.

    Args:
        steps: steps per second.
        cell_updates: cell updates per second; None if unknown.
    """
    text = f"{_three_digits(steps)} steps/s"
    if not cell_updates:
        return text
    units = (("G", 1e9), ("M", 1e6), ("k", 1e3))
    fitting = (one for one in units if cell_updates >= 0.9995 * one[1])
    unit, size = next(fitting, ("", 1.0))
    return f"{text}  {_three_digits(cell_updates / size)} {unit}cells/s"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f}"


def describe_time_error(errors: Mapping[str, float] | None) -> str:
    """Return the largest relative error of all fields as text.

    An example is ``error in time about 3e-04 of u's range (estimated)``.
    """
    if not errors:
        return ""
    name = max(errors, key=errors.__getitem__)
    if errors[name] == 0:
        return "error in time: not above the rounding error"
    return f"error in time about {errors[name]:.0e} of {name}'s range (estimated)"


def describe_overflows(overflows: Mapping[str, float]) -> str:
    """Return a warning about fields with values beyond the range of the stored type."""
    parts = ", ".join(f"{name} since t = {time:g}" for name, time in overflows.items())
    return f"warning: values beyond the range of output.dtype are stored as infinity: {parts}"
