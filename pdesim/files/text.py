"""YAML text: safe reading of untrusted texts, and writing."""

from __future__ import annotations

from typing import Any

import yaml

from pdesim.errors import OutputError

#: limit of the number of values and keys in a text after its aliases are expanded. The settings of
#: a run have a few hundred values. Nine lines, each of which repeats the line before nine times,
#: have 10^9 values
MOST_NODES = 100_000
#: limit of the levels of nesting; settings have four levels, and Python fails near a thousand
MOST_LEVELS = 100
#: limit of the number of binary digits of an integer, which must be in the range of floats; Python
#: cannot print integers with more than 4300 decimal digits
MOST_BITS = 1023


#: the YAML types of settings, without dates, sets and binary data
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")

# libyaml is many times faster than pure Python, but PyYAML may have been built without libyaml
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
#: a width of lines at which PyYAML does not wrap them
_ONE_LINE = 10**6


class _Loader(_SafeLoader):
    """A loader for the types of ``_KINDS`` that refuses very large integers."""

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
    """Read a YAML text.

    Raises:
        OutputError: if the text is not valid YAML, has more than ``MOST_NODES`` values after its
            aliases are expanded, or contains an integer with more than ``MOST_BITS`` binary digits.
    """
    try:
        check_aliases(text)
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, LookupError) as error:
        # ValueError for a number of 5000 digits, LookupError for the tag !!bool before a word
        raise _unreadable(error) from None


def dump_yaml(values: Any, *, one_line: bool = False) -> str:
    """Return values as YAML text.

    Args:
        values: the values; the order of keys is kept, except with ``one_line``.
        one_line: whether to write lists and mappings in brackets on a single line, without a line
            break at its end. Keys are then sorted.
    """
    if not one_line:
        return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    text = yaml.dump(values, Dumper=_Dumper, default_flow_style=True, width=_ONE_LINE)
    return text.strip()


def check_aliases(text: str, most: int = MOST_NODES) -> None:
    """Check the size of a YAML text after expansion of its aliases, without expanding them.

    Args:
        text: the YAML text.
        most: the largest allowed number of values.

    Raises:
        OutputError: if the text has more values, or is nested too deeply.
        yaml.YAMLError: if it is not valid YAML.
        ValueError: if it contains values that cannot be constructed.
    """
    sizes, anchors = [], []  # of the lists and mappings that have not ended yet
    finished: dict[str | None, int] = {}  # anchor -> size of the value with this anchor
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            anchors.append(event.anchor)
            if len(sizes) > MOST_LEVELS:
                raise OutputError(f"the YAML is nested more than {MOST_LEVELS} levels deep")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), anchors.pop()
        elif isinstance(event, yaml.ScalarEvent):
            size, anchor = 1, event.anchor
        elif isinstance(event, yaml.AliasEvent):
            # an alias inside the value to which it refers has an infinite size; an alias without an
            # anchor is refused when the text is loaded
            recursive = event.anchor in anchors
            size, anchor = most + 1 if recursive else finished.get(event.anchor, 1), None
        else:
            continue
        if anchor is not None:
            finished[anchor] = size
        if sizes:
            sizes[-1] += size
        if size > most:
            raise OutputError(
                f"the YAML has more than {most:,} values after its aliases are expanded",
                "settings with fewer nested aliases",
            )


def _unreadable(error: Exception) -> OutputError:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or (str(error).splitlines() or ["?"])[0]
    return OutputError(f"the YAML cannot be read ({problem}{place})")
