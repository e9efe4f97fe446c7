"""Parsing of the arguments of commands: options, and words (paths and settings)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pdesim.completion.words import PATH, SETTING
from pdesim.errors import ConfigError
from pdesim.files import as_path, check_target, is_path


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises :class:`ConfigError` and allows words between options.

    Args:
        command: the name of the command.
        usage: the arguments, for the first line of the help.
        description: what the command does.
        examples: lines with examples.
        completes: the words that shells complete, as in :class:`pdesim.completion.words.Command`;
            None: paths (``PATH``, ``RUN``), settings (``SETTING=VALUE``) and settings of sections
            (``animation.NAME=VALUE``), if they are in the usage.
    """

    def __init__(
        self,
        command: str,
        usage: str,
        description: str,
        examples: str = "",
        completes: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(
            prog=f"pdesim {command}",
            usage=f"pdesim {command} {usage}",
            description=description,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("words", nargs="*", help=argparse.SUPPRESS)
        self.completes = _completed(usage) if completes is None else completes

    def error(self, message: str) -> NoReturn:
        """Raise :class:`ConfigError` with a message of argparse and the usage."""
        usage = (self.usage or "").strip()
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            raise ConfigError(f"{self.prog} does not take {unknown}", usage)
        raise ConfigError(f"{self.prog}: {message.removeprefix('argument ')}", usage)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options, and a list ``words`` of all other arguments.

        Raises:
            ConfigError: for unknown options and for missing values of options.
        """
        return self.parse_intermixed_args(list(arguments))

    def add_overwrite(self) -> None:
        """Add the option ``--overwrite``."""
        self.add_argument("--overwrite", action="store_true", help="replace existing files")

    def add_config_dir(self) -> None:
        """Add the option ``--config-dir``."""
        self.add_argument(
            "--config-dir", "-cd", metavar="DIR", help="a folder with your own configs"
        )


def _completed(usage: str) -> tuple[str, ...]:
    """Return the kinds of words in a usage that shells can complete."""
    kinds = {PATH: r"\b(PATH|RUN|SWEEP)\b", SETTING: r"\bSETTING=VALUE\b"}
    found = [kind for kind, pattern in kinds.items() if re.search(pattern, usage)]
    return (*found, *re.findall(r"\b(\w+\.)NAME=VALUE\b", usage))


def one_path(parser: Parser, words: Sequence[str]) -> str:
    """Return the only word, which is a path.

    Raises:
        ConfigError: if there is not exactly one word.
        OutputError: if no file can have this name.
    """
    if len(words) != 1 or not words[0]:
        given = f"{len(words)}: {' '.join(words)}" if any(words) else "none"
        parser.error(f"expected one path, got {given}")
    as_path(words[0])
    return words[0]


def path_and_settings(parser: Parser, words: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the path and the settings among the words.

    Raises:
        ConfigError: if there is not exactly one path.
    """
    paths = [word for word in words if is_path(word)]
    return Path(one_path(parser, paths)), [word for word in words if not is_path(word)]


def settings_only(parser: Parser, words: Sequence[str]) -> list[str]:
    """Check that all words are settings, and return them.

    Raises:
        ConfigError: for the first word that is not a setting.
    """
    for word in words:
        if "=" not in word:
            parser.error(f"unrecognized arguments: {word}")
    return list(words)


def check_outputs(
    options: Mapping[str, str | None], overwrite: bool, suffixes: Mapping[str, Sequence[str]] = {}
) -> None:
    """Check the output files of a command before it computes anything.

    Args:
        options: option -> the name of its file, or None if the option was not given.
        overwrite: whether existing files may be replaced.
        suffixes: option -> the allowed suffixes; any suffix is allowed for other options.

    Raises:
        OutputError: if a file cannot be written, or exists and must not be replaced.
        ConfigError: if two options name the same file.
    """
    given = {option: Path(name) for option, name in options.items() if name is not None}
    for option, path in given.items():
        check_target(path, option, overwrite, suffixes.get(option, ()))
    if len({path.resolve() for path in given.values()}) < len(given):
        raise ConfigError(f"{' and '.join(given)} name the same file", "different files")
