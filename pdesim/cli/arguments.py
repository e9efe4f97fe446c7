"""The arguments of the commands: words (paths and settings) and options, parsed by argparse."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pdesim.errors import ConfigError
from pdesim.files import is_path


class Parser(argparse.ArgumentParser):
    """A parser whose errors are :class:`ConfigError`; words and options may be mixed."""

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
        usage = (self.usage or "").strip()
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            raise ConfigError(f"{self.prog} does not take {unknown}", usage)
        raise ConfigError(f"{self.prog}: {message.removeprefix('argument ')}", usage)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options, and all other words as ``words``.

        Raises:
            ConfigError: for unknown options, and options without a value.
        """
        return self.parse_intermixed_args(list(arguments))

    def add_config_dir(self) -> None:
        self.add_argument(
            "--config-dir", "-cd", metavar="DIR", help="a folder with configs of your own"
        )


def one_path(parser: Parser, words: Sequence[str]) -> str:
    """The only word.

    Raises:
        ConfigError: if there are others, or none.
    """
    if len(words) != 1 or not words[0]:
        parser.error(f"one path is needed, not {len(words)}: {' '.join(words) or 'no words'}")
    return words[0]


def path_and_settings(parser: Parser, words: Sequence[str]) -> tuple[Path, list[str]]:
    """The one path among words, and the settings.

    Raises:
        ConfigError: for several paths, or none.
    """
    paths = [word for word in words if is_path(word)]
    return Path(one_path(parser, paths)), [word for word in words if not is_path(word)]


def settings_only(parser: Parser, words: Sequence[str]) -> list[str]:
    """The words, all of which have to be settings.

    Raises:
        ConfigError: naming the first that is none.
    """
    for word in words:
        if "=" not in word:
            parser.error(f"unrecognized arguments: {word}")
    return list(words)


def existing_folder(parser: Parser, option: str, target: str | None) -> None:
    """Refuse the name of a file whose folder does not exist, before any work is done."""
    if target is not None and not Path(target).parent.is_dir():
        parser.error(f"there is no folder {Path(target).parent} for {option}")
