"""Words of a command line that a shell has split or expanded, and words that are no settings.

A shell splits ``equation.rhs={u: -u + 1}`` at its spaces, and expands ``{lower:a,upper:b}`` to two
words. The errors show the whole setting with the quotes that it needs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from pdesim.cli.hydra_options import WITH_VALUE
from pdesim.config.quoting import missing_end, quoted_setting, unclosed_error
from pdesim.errors import ConfigError, nearest

#: the beginning of a setting such as ``grid=``, but not of a comparison such as ``x==1``
_SETTING = re.compile(r"\+{0,2}[A-Za-z_][\w./@-]*=(?!=)")
#: a part of an expanded pair of braces, such as ``lower:dirichlet``
_PART = re.compile(r"[A-Za-z_][\w.]*:.+", re.DOTALL)
#: the beginning of a word, and the end of the word before it, within a formula or a list
_BEGINS, _ENDS = re.compile(r"[+*),<>]|/$|-$|-[\d.(]"), ("=", "+", "-", "*", "(", ",", "<", ">")
#: the name of a setting, with dashes before it or a colon after it
_NAME = re.compile(r"(?:--)?([A-Za-z_][\w.]*):?")


def check_split(arguments: Sequence[str]) -> None:
    """Check that the shell has not split or expanded a setting in braces or brackets.

    Raises:
        ConfigError: for the first setting that needs quotes for the shell.
    """
    for number, word in enumerate(arguments):
        if not _SETTING.match(word):
            continue
        key, _, value = word.partition("=")
        if value[:1] in ("{", "[") and missing_end(value):
            _check_closed(key, value, arguments[number + 1 :])
        others = [other.partition("=") for other in arguments[number:]]
        parts = [part for name, _, part in others if name == key]
        if len(parts) > 1 and all(map(_PART.fullmatch, parts)):
            raise ConfigError(
                f"{key} is given {len(parts)} times: {', '.join(parts)}",
                "the whole setting in quotes, or the shell expands its braces to several words",
                quoted_setting(key, "{" + ", ".join(parts) + "}"),
            )


def _check_closed(key: str, value: str, following: Sequence[str]) -> None:
    """Raise the error for a value with an open bracket, which a following word may close."""
    joined = value
    for count, word in enumerate(following, 2):
        if _SETTING.match(word):
            break
        joined = f"{joined} {word}"
        if not missing_end(joined):
            raise _split_error(key, joined, count)
    if error := unclosed_error(key, joined):
        raise error


def _split_error(key: str, value: str, count: int) -> ConfigError:
    return ConfigError(
        f"the shell has split {key}={value} into {count} words at its spaces",
        "the whole setting in quotes",
        quoted_setting(key, value),
    )


def check_words(arguments: Sequence[str], settings: Sequence[str]) -> None:
    """Check the words of a run that are neither settings nor options.

    Args:
        arguments: all words of the command line.
        settings: the names of all settings and sections.

    Raises:
        ConfigError: for a formula that the shell has split at its spaces (``initial.u=x + 1``),
            and a setting without ``=``, with spaces around it, or with dashes. Other words are
            not checked.
    """
    for number, word in enumerate(arguments):
        before = arguments[number - 1] if number else ""
        after = list(arguments[number + 1 :])
        if before in (*WITH_VALUE, "--config-dir", "-cd") or _SETTING.match(word):
            continue
        if _SETTING.match(before) and (_BEGINS.match(word) or before.endswith(_ENDS)):
            ends = (
                n for n, more in enumerate(after) if re.match(r"--|~", more) or _SETTING.match(more)
            )
            key, _, value = before.partition("=")
            parts = [value, word, *after[: next(ends, None)]]
            raise _split_error(key, " ".join(parts), len(parts))
        name, equals, value = word.partition("=")
        found = _NAME.fullmatch(name)
        if not found or found[1].partition(".")[0] not in settings:
            continue
        if not equals:
            value = next(
                (part for part in (more.removeprefix("=") for more in after[:2]) if part), ""
            )
        if value and not _SETTING.match(value) and not re.match(r"--|-[a-z]|~", value):
            raise ConfigError(
                f"{word!r} is not a setting",
                "NAME=VALUE, without spaces around = and without dashes",
                quoted_setting(found[1], value) if missing_end(value) else f"{found[1]}={value}",
            )


#: first words with which other programs start a computation
_STARTS = ("run", "start", "simulate", "solve", "compute", "sim", "exec", "execute")


def unknown_command(command: str, commands: Sequence[str], words: Sequence[str]) -> ConfigError:
    """Return the error for a first word that is neither a command nor a setting.

    Args:
        command: the first word.
        commands: all commands.
        words: the words after it.
    """
    from pdesim.config.folders import choices, other_configs

    known = {name.casefold(): name for name in (*choices("equation"), *other_configs())}
    rest, hint = list(words), "pdesim --help shows examples"
    names = [name for name in map(str.casefold, (command, *rest[:1])) if name in known]
    if command.casefold() in _STARTS and rest and (names or "=" in rest[0] or rest[0][0] == "-"):
        rest = [f"equation={known[names[0]]}", *rest[1:]] if names else rest
    elif command.casefold() in known:
        rest = [f"equation={known[command.casefold()]}", *rest]
    else:
        return ConfigError(f"unknown command {command!r}", nearest(command, commands), hint)
    line = " ".join(map(shlex.quote, rest))
    return ConfigError(
        f"unknown command {command!r}",
        "a command, or settings alone to compute an equation",
        f"pdesim {line}",
    )
