"""Parsing of the commands' arguments: words (paths and settings) and options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pdesim.errors import ConfigError
from pdesim.files import is_path


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises :class:`ConfigError` and allows words between options."""

    def __init__(self, command: str, usage: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=f"pdesim {command}",
            usage=f"pdesim {command} {usage}",
            description=description,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("words", nargs="*", help=argparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        """Raise an error of argparse as :class:`ConfigError`."""
        usage = (self.usage or "").strip()
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            raise ConfigError(f"{self.prog} does not take {unknown}", usage)
        raise ConfigError(f"{self.prog}: {message.removeprefix('argument ')}", usage)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options, and all other arguments as ``words``.

        Raises:
            ConfigError: for unknown options, and options without a value.
        """
        return self.parse_intermixed_args(list(arguments))

    def add_config_dir(self) -> None:
        """Add the option ``--config-dir``."""
        self.add_argument(
            "--config-dir", "-cd", metavar="DIR", help="a folder with your own configs"
        )


def one_path(parser: Parser, words: Sequence[str]) -> str:
    """Return the only word.

    Raises:
        ConfigError: if there is not exactly one.
    """
    if len(words) != 1 or not words[0]:
        parser.error(f"expected one path, got {len(words)}: {' '.join(words) or 'nothing'}")
    return words[0]


def path_and_settings(parser: Parser, words: Sequence[str]) -> tuple[Path, list[str]]:
    """Separate the path from the settings.

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


def existing_folder(parser: Parser, option: str, target: str | None) -> None:
    """Check that the folder of an output file exists.

    Raises:
        ConfigError: if it does not.
    """
    if target is not None and not Path(target).parent.is_dir():
        parser.error(f"no such folder: {Path(target).parent} ({option})")
