"""YAML text: reading texts of unknown origin safely, and writing."""

from __future__ import annotations

from typing import Any

import yaml

from pdesim.errors import OutputError

#: values and keys in one text after every alias is replaced by what it stands for: the settings of
#: a run are a few hundred, and nine lines that name the line before nine times each make 10^9
MOST_NODES = 100_000
#: levels of nesting; settings have four, and Python's parser fails near a thousand
MOST_LEVELS = 100
#: binary digits of an integer: all that a float can hold. Larger ones can neither be computed with
#: nor, beyond 4300 decimal digits, be printed
MOST_BITS = 1023


#: the kinds of values that settings have; dates, sets and binary data are none of them
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")

#: from libyaml where PyYAML was built with it, which is many times faster
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
#: characters of a line that is not wrapped
_ONE_LINE = 10**6


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """libyaml where PyYAML was built with it, many times faster; only for ``_KINDS``."""

    def construct_yaml_int(self, node: yaml.Node) -> int:
        value = super().construct_yaml_int(node)
        if value.bit_length() > MOST_BITS:
            raise ValueError("an integer of more than 307 digits")
        return value


_Loader.yaml_constructors = {
    None: _Loader.construct_undefined,
    **{f"tag:yaml.org,2002:{kind}": getattr(_Loader, f"construct_yaml_{kind}") for kind in _KINDS},
}


def load_yaml(text: str) -> Any:
    """The contents of a YAML text.

    Raises:
        OutputError: if it is not YAML, expands to more than ``MOST_NODES`` values, or has an
            integer of more than ``MOST_BITS`` binary digits.
    """
    try:
        check_aliases(text)
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, LookupError) as error:
        # a number of 5000 digits raises ValueError, the tag !!bool before a word LookupError
        raise _unreadable(error) from None


def dump_yaml(values: Any, *, one_line: bool = False) -> str:
    """Return values as YAML text, with keys in their order.

    Args:
        one_line: write lists and mappings in brackets, on one line without its end.
    """
    if not one_line:
        return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    text = yaml.dump(values, Dumper=_Dumper, default_flow_style=True, width=_ONE_LINE)
    return text.strip()


def check_aliases(text: str, most: int = MOST_NODES) -> None:
    """Refuse a text whose aliases multiply, by counting parse events: nothing is expanded.

    Args:
        most: values that it may have.

    Raises:
        OutputError: naming the limit.
        yaml.YAMLError: for text that is not YAML.
        ValueError: for values that YAML cannot build.
    """
    # sizes of the collections that are open, with their anchors; sizes of the finished anchors
    open_, finished = [], {}
    for event in yaml.parse(text, _Loader):
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
            size, anchor = most + 1 if own else finished.get(event.anchor, 1), None
        else:
            continue
        if anchor is not None:
            finished[anchor] = size
        if open_:
            open_[-1][0] += size
        if size > most:
            raise OutputError(
                f"the YAML stands for more than {most:,} values once its aliases are expanded",
                "settings without aliases that repeat each other",
            )


def _unreadable(error: Exception) -> OutputError:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or (str(error).splitlines() or ["?"])[0]
    return OutputError(f"the text is not YAML ({problem}{place})")
