"""``converge.json``: the discretisation error in space that ``pdesim converge`` has estimated."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdesim.errors import OutputError
from pdesim.files import read_text
from pdesim.output.checkpoint import fingerprint

FILE = "converge.json"
NOT_ESTIMATED = "not estimated (pdesim converge)"


def read_convergence(folder: Path) -> dict[str, Any] | None:
    """Return the result that ``pdesim converge`` has stored in a folder; None if there is none.

    Raises:
        OutputError: if the file cannot be read, or is not such a result.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        result = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{path} cannot be read ({error})") from None
    try:  # derives everything that is printed from the result, so that invalid entries are found
        title(result), rows(result), error_in_space(result), json.dumps(result, allow_nan=False)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        raise OutputError(f"{path} is not the result of pdesim converge") from None
    return result


def settings_digest(config: Mapping[str, Any]) -> str:
    """Return a digest of the settings that determine the computed values of a run."""
    return hashlib.sha256(fingerprint(config).encode()).hexdigest()[:16]


def error_in_space(result: Mapping[str, Any] | None) -> str:
    """Return the estimated errors as one line.

    An example is "about u 1.2e-3 of its range (order 2.01), at t = 5".
    """
    if result is None:
        return NOT_ESTIMATED
    parts = []
    for name, numbers in result["fields"].items():
        error, order = numbers["relative_max"], numbers["order_rms"]
        size = f"{numbers['error_max']:.2g}" if error is None else f"{error:.2g} of its range"
        size = size if numbers["reliable"] else f"more than {size}"
        verdict = re.split("[:,]", str(numbers["verdict"]))[0]
        trust = "" if numbers["reliable"] else f", {verdict}"
        parts.append(
            f"{name} {size}" + (f" (order {order:.2f}{trust})" if order is not None else "")
        )
    return "about " + ", ".join(parts) + f", at t = {result['time']:g}"


#: columns that a narrow table may lack, the least important one first
OPTIONAL = ("RMS / range", "error RMS", "order (max)", "error max")


def header() -> tuple[str, ...]:
    """Return the names of the columns of :func:`rows`."""
    return ("field", "order (RMS)", "order (max)", "error RMS", "error max",
            "RMS / range", "max / range", "verdict")  # fmt: skip


def rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the result as rows of a table, one per field, with the columns of :func:`header`."""
    return [
        (
            name,
            _text(numbers["order_rms"], ".2f"),
            _text(numbers["order_max"], ".2f"),
            *(
                ("" if numbers["reliable"] else "> ") + _text(numbers[kind], ".2e")
                for kind in ("error_rms", "error_max", "relative_rms", "relative_max")
            ),
            str(numbers["verdict"]),
        )
        for name, numbers in result["fields"].items()
    ]


def title(result: Mapping[str, Any]) -> str:
    """Return one line that names the equation, the time and the grids that were compared."""
    cells = [" x ".join(map(str, level["grid"])) for level in result["levels"]]
    expected = result["expected_order"]
    promise = "" if expected is None else f", expected order {expected:g}"
    return (
        f"{result['equation']}: error in {result['refined']} on {cells[1]} cells at "
        f"t = {result['time']:g}, from {cells[0]}, {cells[1]} and {cells[2]} cells{promise}"
    )


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
