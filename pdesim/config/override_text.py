"""Values in the syntax of Hydra's overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

#: text that needs no quotes, and that Hydra does not read as another type
_PLAIN_WORD = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_][\w-]*", re.I | re.A)


def override_text(value: Any) -> str:
    """Convert a value to the syntax of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return (
            "{" + ",".join(f"{override_text(k)}:{override_text(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(override_text, value)) + "]"
    if _PLAIN_WORD.fullmatch(str(value)):
        return str(value)
    return QuotedString(str(value), Quote.single).with_quotes()
