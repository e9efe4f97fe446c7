"""YAML text that others may have written."""

from __future__ import annotations

from typing import Any

import yaml

from pdesim.errors import OutputError

#: libyaml where PyYAML was built with it: many times faster
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: values and keys in one text after every alias is replaced by what it stands for: the settings of
#: a run are a few hundred, and nine lines that name the line before nine times each make 10^9
MOST_NODES = 100_000
#: levels of nesting; settings have four, and Python's parser fails near a thousand
MOST_LEVELS = 100


def load_yaml(text: str) -> Any:
    """The contents of a YAML text.

    Raises:
        OutputError: if it is not YAML, or expands to more than ``MOST_NODES`` values.
    """
    try:
        check_aliases(text)
        return yaml.load(text, _LOADER)
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        # a date such as 2001-99-99 and a number of 5000 digits raise ValueError
        raise _unreadable(error) from None


def check_aliases(text: str) -> None:
    """Refuse a text whose aliases multiply, by counting parse events: nothing is expanded.

    Raises:
        OutputError: naming the limit.
        yaml.YAMLError: for text that is not YAML.
        ValueError: for values that YAML cannot build.
    """
    # sizes of the collections that are open, with their anchors; sizes of the finished anchors
    open_, finished = [], {}
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append([1, event.anchor])
            if len(open_) > MOST_LEVELS:
                raise OutputError(f"the YAML is nested more than {MOST_LEVELS} levels deep")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            size, anchor = open_.pop()
        elif isinstance(event, yaml.ScalarEvent):
            size, anchor = 1, event.anchor
        elif isinstance(event, yaml.AliasEvent):
            # an alias inside its own anchor has no end; one without an anchor is an error later
            own = any(event.anchor == anchor for _, anchor in open_)
            size, anchor = MOST_NODES + 1 if own else finished.get(event.anchor, 1), None
        else:
            continue
        if anchor is not None:
            finished[anchor] = size
        if open_:
            open_[-1][0] += size
        if size > MOST_NODES:
            raise OutputError(
                f"the YAML stands for more than {MOST_NODES:,} values once its aliases are "
                "expanded",
                "settings without aliases that repeat each other",
            )


def printable(text: str) -> str:
    """The text with U+FFFD for what must not reach a terminal: control characters (escape
    sequences begin with one) and bytes that were no UTF-8."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _unreadable(error: Exception) -> OutputError:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return OutputError(f"the text is not YAML ({problem}{place})")
