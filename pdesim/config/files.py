"""How Hydra reads configuration files here: mistakes in them named by file, line and column.

A user's file may have its ``# @package`` line anywhere among the comments at its top. Hydra itself
reads it only where no other comment stands before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from pdesim.config.trust import GUARDED
from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_aliases
from pdesim.settings import check_keys

CONFIG_NAME = "config"
#: values in one file, aliases expanded; OmegaConf is slow, and the shipped ones have fewer than 100
MOST_SETTINGS = 5_000
#: part of a message of PyYAML -> what is allowed there
_ALLOWED = {
    "character '\\t'": "spaces for indentation; YAML does not allow tabs",
    "duplicate key": "each name once in a section",
    "mapping values are not allowed": "one `name: value` a line, values with a colon in quotes",
    "could not find expected ':'": "`name: value`, with a space after the colon",
    "found unexpected end of stream": "a closing quote or bracket",
    "tag": "plain values; no tags such as !!python",
    "expected a single document": "one document in a file, without a line ---",
    "merging": "a mapping after <<",
    "alphabetic or numeric character": "quotes around text that begins with * or &, as in '*x'",
    "undefined alias": "quotes around text that begins with * or &, as in '*x'",
    "cannot start any token": "quotes around text that begins with % @ ` or another special sign",
    "expected <block end>": "the lines of one section indented by the same number of spaces",
}


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's source for files, with its errors in our words.

    It has the name of Hydra's own: workers of Hydra's launchers register that one again, and the
    registry refuses another name for the same kind of source.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """A file's content and header.

        Raises:
            ConfigError: for a file that is no YAML, or no mapping from names to values.
        """
        path = Path(self.path, self._normalize_file_name(config_path))
        if not path.exists():
            raise ConfigLoadError(f"Config not found : {path}")
        text = read_text(path)
        shown = _shown(path)
        try:
            header = ConfigSource._get_header_dict(_header(text))
        except ValueError as error:
            raise ConfigError(
                f"{shown}: the line that begins with # @ is wrong ({error})", "# @package _global_"
            ) from None
        try:
            check_aliases(text, MOST_SETTINGS)
        except OutputError as error:
            raise ConfigError(f"{shown}: {error.problem}", error.expected) from None
        except (yaml.YAMLError, ValueError):
            pass  # named with its place below
        try:
            config = OmegaConf.create(text)
        except yaml.YAMLError as error:
            raise yaml_error(error, shown, text) from None
        except RecursionError:
            raise ConfigError(f"{shown} is nested too deeply to read") from None
        _check(config, shown, text)
        address = f"{self.scheme()}://{self.path}"
        return ConfigResult(config=config, path=address, provider=self.provider, header=header)


def config_folder() -> Path:
    """The shipped configs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return folder
    raise ConfigError("the shipped configs are missing", "a complete installation of pdesim")


def groups() -> list[str]:
    return sorted(path.name for path in config_folder().iterdir() if path.is_dir())


def choices(group: str, folders: Sequence[Path] = ()) -> list[str]:
    """The names that a group offers, in the shipped folder and in others."""
    found = set()
    for folder in (config_folder(), *folders):
        found |= {path.stem for path in (folder / group).glob("*.yaml") if path.is_file()}
    return sorted(found)


def use() -> None:
    """Let Hydra read files by :class:`FileConfigSource`."""
    Plugins.instance()  # registers Hydra's own source, which would not be replaced later
    SourcesRegistry.instance().types["file"] = FileConfigSource


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: if it cannot be read, or is not encoded as UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{_shown(path)} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{_shown(path)}, line {line}: this is not text in UTF-8", "a file saved as UTF-8"
        ) from None


def yaml_error(error: yaml.YAMLError, name: str, text: str) -> ConfigError:
    """What is wrong with YAML text, with the line and a caret under the place."""
    if isinstance(error, yaml.reader.ReaderError):
        place = text.find(chr(error.character)) if isinstance(error.character, int) else -1
        line = text.count("\n", 0, max(0, place))
        problem = f"a character that YAML does not allow ({chr(error.character)!a})"
        return ConfigError(_located(name, text, line, None, problem), "printable characters")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "context", None) or error)
    if problem.startswith("but found") and error.context:
        problem = f"{error.context}, {problem}"
    if mark is None:
        return ConfigError(f"{name}: {problem}", "YAML, as in the shipped files")
    allowed = next((text for part, text in _ALLOWED.items() if part in problem), "")
    first = getattr(error, "context_mark", None)
    if glued := _without_space(text, first.line if first else mark.line, mark.line):
        allowed = f"a space after the colon in line {glued}"
    return ConfigError(_located(name, text, mark.line, mark.column, problem), allowed)


def _located(name: str, text: str, line: int, column: int | None, problem: str) -> str:
    lines = text.splitlines()
    written = lines[line] if line < len(lines) else ""
    written = "".join(sign if sign.isprintable() else " " for sign in written)
    if column is None:
        return f"{name}, line {line + 1}: {problem}\n    {written[:100]}"
    start = max(0, column - 60)
    return (
        f"{name}, line {line + 1}, column {column + 1}: {problem}\n"
        f"    {written[start : start + 100]}\n    {' ' * (column - start)}^"
    )


def _without_space(text: str, first: int, last: int) -> int | None:
    """The number of the nearest line like ``D:1`` between two lines, counted from 0."""
    lines = text.splitlines()
    for number in range(min(last, len(lines) - 1), max(first, last - 20) - 1, -1):
        if re.match(r"\s*[\w.-]+:[^\s:/]", lines[number]):
            return number + 1
    return None


def _header(text: str) -> str:
    """The lines of the comments at the top of a file that Hydra takes for its header."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if re.match(r"\s*#\s*@", line):
            found.append(line)
    return "\n".join(found)


def _check(config: Any, name: str, text: str) -> None:
    """Refuse what is no mapping from names to values."""
    if not OmegaConf.is_dict(config):
        raise ConfigError(
            f"{name} holds {'a list' if OmegaConf.is_list(config) else 'text'}, not settings",
            "lines such as `name: value`",
        )
    try:
        values = OmegaConf.to_container(config, resolve=False)
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply to read") from None
    if number := _too_large(values):
        raise ConfigError(f"{name}: {number} is a whole number of more than 300 digits")
    for section in GUARDED:
        if not isinstance(values.get(section, {}), Mapping):
            raise ConfigError(f"{name}: {section} is {values[section]!r}", "a section of settings")
    try:
        check_keys(values)
    except ConfigError as error:
        lines = enumerate(text.splitlines(), 1)
        number = next((n for n, line in lines if _STRANGE_KEY.match(line)), None)
        where = f"{name}, line {number}" if number else name
        raise ConfigError(f"{where}: {error.problem}", error.expected) from None


def _too_large(values: Any, place: str = "") -> str | None:
    """Where a whole number stands that no float can hold, and that Python may refuse to print."""
    if isinstance(values, Mapping):
        found = (_too_large(value, f"{place}.{key}".lstrip(".")) for key, value in values.items())
    elif isinstance(values, list):
        found = (_too_large(value, f"{place}[{n}]") for n, value in enumerate(values))
    else:
        return place if isinstance(values, int) and abs(values) >= 10**300 else None
    return next((one for one in found if one), None)


#: a line whose key YAML takes for a truth value, for nothing or for a number
_STRANGE_KEY = re.compile(r"\s*(on|off|yes|no|true|false|null|~|[-+.\d]+)\s*:(\s|$)", re.IGNORECASE)


def _shown(path: Path) -> str:
    """A path as the user would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
