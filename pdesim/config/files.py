"""Reading of configuration files, with error messages that show the file, the line and the column.

The line ``# @package`` may be anywhere among the comments at the top of a file. Hydra itself would
find this line only before all other comments.
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

from pdesim.config.flat import GLOBAL, complete_form
from pdesim.config.folders import config_folder
from pdesim.config.trust import GUARDED
from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_aliases, load_yaml
from pdesim.keys import check_keys

#: limit of the number of values in one file after its aliases are expanded, because OmegaConf is
#: slow; the shipped files have fewer than 100 values
MOST_SETTINGS = 5_000
#: part of a PyYAML error message -> what is expected
_ALLOWED = {
    "character '\\t'": "spaces for indentation; YAML does not allow tabs",
    "duplicate key": "each name once in a section",
    "mapping values are not allowed": "one `name: value` per line, values with a colon in quotes",
    "could not find expected ':'": "`name: value`, with a space after the colon",
    "found unexpected end of stream": "a closing quote or bracket",
    "tag": "plain values; no tags such as !!python",
    "expected a single document": "one document in a file, without a line ---",
    "merging": "a mapping after <<",
    "alphabetic or numeric character": "quotes around text that begins with * or &, as in '*x'",
    "undefined alias": "quotes around text that begins with * or &, as in '*x'",
    "cannot start any token": "quotes around text that begins with a special character, as % @ `",
    "expected <block end>": "the lines of one section indented by the same number of spaces",
}


class FileConfigSource(file_config_source.FileConfigSource):
    """A replacement of Hydra's reader of files, with other error messages.

    This class must have the same name as Hydra's class, because the workers of Hydra's launchers
    register Hydra's class again, and Hydra's registry refuses a different name for the same scheme.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a configuration file and its header (the lines ``# @...``).

        Raises:
            ConfigError: if the file is not valid YAML, or not a mapping from names to values.
        """
        path = Path(self.path, self._normalize_file_name(config_path))
        if not path.exists():
            raise ConfigLoadError(f"no such configuration file: {path}")
        text = read_text(path)
        shown = _shown(path)
        try:
            header = ConfigSource._get_header_dict(_header(text))
        except ValueError as error:
            raise ConfigError(
                f"{shown}: the line that begins with # @ is invalid ({error})",
                "# @package _global_",
            ) from None
        try:
            check_aliases(text, MOST_SETTINGS)
        except OutputError as error:
            raise ConfigError(f"{shown}: {error.problem}", error.expected, error.hint) from None
        except (yaml.YAMLError, ValueError):
            pass  # OmegaConf raises the error again below
        try:
            config = OmegaConf.create(text)
        except yaml.YAMLError as error:
            raise yaml_error(error, shown, text) from None
        except RecursionError:
            raise ConfigError(f"{shown} is nested too deeply to read") from None
        _check(config, shown, text)
        group, package = config_path.rpartition("/")[0], header.get("package")
        values: Any = OmegaConf.to_container(config, resolve=False)
        if complete := complete_form(group, values, package):
            config, header["package"] = OmegaConf.create(dict(complete)), GLOBAL
        address = f"{self.scheme()}://{self.path}"
        return ConfigResult(config=config, path=address, provider=self.provider, header=header)


def use() -> None:
    """Make Hydra read files with :class:`FileConfigSource`."""
    Plugins.instance()  # must come first, since it registers Hydra's own class
    SourcesRegistry.instance().types["file"] = FileConfigSource


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        ConfigError: if the file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{_shown(path)} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{_shown(path)}, line {line}: this is not UTF-8 text", "a file that is saved as UTF-8"
        ) from None


def about_choice(group: str, name: str, folders: Sequence[Path] = ()) -> str:
    """Return the description of a config.

    It is ``experiment.about`` of an experiment; of other configs, and where this is missing, the
    comment at the top, without the lines ``# @...``.

    Args:
        group: the group of the config.
        name: its name.
        folders: folders with the user's configs, which take precedence over the shipped ones.
    """
    paths = [folder / group / f"{name}.yaml" for folder in (*folders, config_folder())]
    text = read_text(next(path for path in paths if path.is_file()))
    if group == "experiment" and (stated := _stated_about(text)):
        return stated
    about = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            about.append(line.lstrip("# ").rstrip())
    return " ".join(about)


def _stated_about(text: str) -> str:
    """Return ``experiment.about`` in the text of a file; empty if there is none."""
    try:
        return str(load_yaml(text)["experiment"]["about"])
    except (OutputError, KeyError, TypeError):
        return ""


def yaml_error(error: yaml.YAMLError, name: str, text: str) -> ConfigError:
    """Return the error for invalid YAML, which shows the line with a caret at the position.

    Args:
        error: the exception of PyYAML.
        name: the name of the file.
        text: the contents of the file.
    """
    if isinstance(error, yaml.reader.ReaderError):
        place = text.find(chr(error.character)) if isinstance(error.character, int) else -1
        line = text.count("\n", 0, max(0, place))
        problem = f"a character that YAML does not allow ({chr(error.character)!a})"
        return ConfigError(_located(name, text, line, None, problem), "printable characters")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    context = getattr(error, "context", None)
    problem = str(getattr(error, "problem", None) or context or error)
    if problem.startswith("but found") and context:
        problem = f"{context}, {problem}"
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
    """Return the number of the last line with a missing space, such as ``D:1``; None if none.

    Only the lines ``first`` to ``last``, counted from 0, are considered. The result is counted
    from 1.
    """
    lines = text.splitlines()
    for number in range(min(last, len(lines) - 1), max(first, last - 20) - 1, -1):
        if re.match(r"\s*[\w.-]+:[^\s:/]", lines[number]):
            return number + 1
    return None


def _header(text: str) -> str:
    """Return the lines ``# @...`` among the comments at the top of a file."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if re.match(r"\s*#\s*@", line):
            found.append(line)
    return "\n".join(found)


def _check(config: Any, name: str, text: str) -> None:
    """Check that a file is a mapping from names to values.

    Args:
        config: the contents of the file.
        name: the name of the file, for errors.
        text: the text of the file, for errors.

    Raises:
        ConfigError: if the file is not a mapping, is nested too deeply, or contains an invalid key,
            section or integer.
    """
    if not OmegaConf.is_dict(config):
        raise ConfigError(
            f"{name} contains {'a list' if OmegaConf.is_list(config) else 'text'}, not settings",
            "lines such as `name: value`",
        )
    try:
        values: Any = OmegaConf.to_container(config, resolve=False)
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply to read") from None
    if large := _too_large(values):
        raise ConfigError(f"{name}: {large} is an integer of more than 300 digits")
    for section in GUARDED:
        if not isinstance(values.get(section, {}), Mapping):
            raise ConfigError(f"{name}: {section} is {values[section]!r}", "a section of settings")
    try:
        check_keys(values)
    except ConfigError as error:
        lines = enumerate(text.splitlines(), 1)
        number = next((n for n, line in lines if _STRANGE_KEY.match(line)), None)
        where = f"{name}, line {number}" if number else name
        raise ConfigError(f"{where}: {error.problem}", error.expected, error.hint) from None


def _too_large(values: Any, place: str = "") -> str | None:
    """Return the dotted name of an integer beyond the range of floats; None if there is none."""
    if isinstance(values, Mapping):
        found = (_too_large(value, f"{place}.{key}".lstrip(".")) for key, value in values.items())
    elif isinstance(values, list):
        found = (_too_large(value, f"{place}[{n}]") for n, value in enumerate(values))
    else:
        return place if isinstance(values, int) and abs(values) >= 10**300 else None
    return next((one for one in found if one), None)


#: a line whose key YAML reads as a boolean, null or a number
_STRANGE_KEY = re.compile(r"\s*(on|off|yes|no|true|false|null|~|[-+.\d]+)\s*:(\s|$)", re.IGNORECASE)


def _shown(path: Path) -> str:
    """Return a path as text, relative to the current directory if it is inside this directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
