"""Constants in settings that are given as text, such as ``2*pi``."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pydantic import BeforeValidator

#: maximum number of times in a series
MOST_TIMES = 1_000_000


def evaluated(name: str) -> BeforeValidator:
    """Return a validator that evaluates a constant formula in text, such as ``2*pi``.

    In a list or a mapping, every element is evaluated.

    Args:
        name: the name of the setting, for errors.
    """

    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(part) for part in value]
        if isinstance(value, dict):
            return {key: number(part) for key, part in value.items()}
        # a word such as auto may be a valid value; if it is not, it is refused later
        if not isinstance(value, str) or (value.isidentifier() and value not in ("pi", "e")):
            return value
        from pdesim.formula import Scope, parse  # importing SymPy takes half a second

        return float(parse(value, Scope({}, ()), name))

    return BeforeValidator(number)


def series(value: Any) -> Any:
    """Return the numbers of ``linspace(a, b, n)`` or ``geomspace(a, b, n)``, given as text."""
    match = re.fullmatch(r"\s*(linspace|geomspace)\((.*),(.*),\s*(\d+)\s*\)\s*", str(value))
    if not match:
        return value
    from pdesim.formula import Scope, parse

    function, *ends, count = match.groups()
    first, last = (float(parse(end, Scope({}, ()), "output.times")) for end in ends)
    if not 2 <= int(count) <= MOST_TIMES:
        raise ValueError(f"{function} of {count} times; from 2 to {MOST_TIMES} are possible")
    if function == "geomspace" and not 0 < first < last:
        raise ValueError("geomspace(a, b, n) requires 0 < a < b")
    return getattr(np, function)(first, last, int(count)).tolist()
