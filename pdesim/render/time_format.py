"""The format of times that a user chooses: ``animation.time_format``."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from pdesim.errors import ConfigError

#: a numeric format specification of Python without fill characters, of limited width
_SPEC = re.compile(r"[ +-]?0?\d{0,2}[,_]?(\.\d{1,2})?[eEfFgG%]?")


def check_time_format(text: str | None) -> None:
    """Raise ConfigError unless ``text`` is None or a format with the field ``{t}`` only.

    Other fields, attributes, indices and conversions are refused, since a format of another
    person's file must not read anything but the time.
    """
    if text is None:
        return
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise _refused(text, str(error)) from None
    fields = [part for part in parts if part[1] is not None]
    for _, name, spec, conversion in fields:
        if name != "t" or conversion:
            raise _refused(text, f"the field is {name!r}")
        if not _SPEC.fullmatch(spec or ""):
            raise _refused(text, f"the format of t is {spec!r}")
    if not fields:
        raise _refused(text, "it does not contain the time")


def _refused(text: str, reason: str) -> ConfigError:
    return ConfigError(
        f"animation.time_format is {text!r}: {reason}",
        "text with the field {t} and a numeric format, such as 't = {t:.1f} s'",
        "write {{ and }} for braces in the text",
    )


def formatted_times(times: Sequence[float], text: str) -> list[str]:
    """The labels of times according to a format; see :func:`check_time_format`."""
    check_time_format(text)
    # negative zero is written without a sign
    return [" ".join(text.format(t=float(time) + 0.0).split()) for time in times]
