"""Conversion of errors of Hydra and OmegaConf to :class:`pdesim.errors.ConfigError`."""

from __future__ import annotations

import contextlib
import re
import shlex
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from pdesim.config.folders import choices, find_file, groups, hint_of_file
from pdesim.config.quoting import NOTE, quoted_setting, unclosed_error
from pdesim.errors import MOST_NAMES, ConfigError, OutputError, PdesimError, nearest
from pdesim.files import load_yaml
from pdesim.model.equation_settings import KEYS
from pdesim.model.side_names import condition_hint
from pdesim.settings import Settings, lies_in
from pdesim.settings.other_names import meant_setting, suggest_settings


@contextlib.contextmanager
def translate_errors(overrides: Sequence[str], config_dir: str | None = None) -> Iterator[None]:
    """Convert exceptions of Hydra and OmegaConf in this context to :class:`ConfigError`.

    Args:
        overrides: the overrides that are composed in this context, for the messages.
        config_dir: the folder with the user's configs.
    """
    try:
        yield
    except PdesimError:
        raise
    except RecursionError:
        raise ConfigError("the settings are nested too deeply to read") from None
    except _FROM_HYDRA as error:
        if _is_ours(error):
            raise
        folders = [Path(config_dir)] if config_dir else []
        raise _explain(error, overrides, folders) from None


#: exceptions that Hydra and OmegaConf raise for invalid overrides and files
_FROM_HYDRA = (
    HydraException,
    OmegaConfBaseException,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    AssertionError,
    NotImplementedError,
    ArithmeticError,
)


def _is_ours(error: Exception) -> bool:
    """Return whether pdesim raised an exception, and not Hydra, OmegaConf or their dependencies."""
    packages = [
        str(frame.f_globals.get("__name__", "")).partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    known = [name for name in packages if name in ("pdesim", "hydra", "omegaconf")]
    return not isinstance(error, (HydraException, OmegaConfBaseException)) and (
        known[-1:] == ["pdesim"]
    )


def _explain(error: Exception, overrides: Sequence[str], folders: Sequence[Path]) -> ConfigError:
    message = str(error)
    first = message.strip().splitlines()[0] if message.strip() else "the configuration is invalid"
    if several := re.search(r"Ambiguous value for argument '([^\n]*)'", message):
        return _several_values(several.group(1), overrides)
    if several := re.search(r"Sweep parameters '([^\n]*)' requires --multirun", message):
        return _several_values(several.group(1), overrides)
    if found := re.search(r"Could not find '([^'\n]+/[^'\n]*)'", message):
        return _unknown_choice(found.group(1), folders)
    reason = f"{message} {error.__cause__ or ''}"
    if found := re.search(r"Key '[^']+' is not in struct\s+full_key: (\S+)", reason):
        return _unknown_key(found.group(1), overrides, folders)
    if found := re.search(r"Could not override '([^']*)'", message):
        return _unknown_key(found.group(1), overrides, folders)
    if "nterpolation" in first or "resolver" in first:
        return _interpolation(message)
    if (found := re.search(r"You must specify '([\w/]+)'", message)) or "Missing" in first:
        return ConfigError(first)
    if "config group" in message.lower() and (group := _group_in(message, overrides)):
        given = next((o for o in overrides if o.startswith(f"{group}=")), group)
        value = given.partition("=")[2]
        hint = condition_hint(group, value) if group == "boundary" else ""
        hint = f"{meant_setting(group)}={value}" if meant_setting(group) and value else hint
        return ConfigError(
            f"{given} does not choose a config", nearest("", choices(group, folders)), hint
        )
    wrong = next((text for text in overrides if not _is_override(text)), None)
    settings = [override.removeprefix("++") for override in overrides]
    # an unknown function, such as sin(1,2), is also treated as a value that needs quotes
    in_grammar = isinstance(error, OverrideParseException) or wrong is not None
    if not in_grammar and "while evaluating" not in first:
        given = next((o for o in settings if o and o in message), "")
        given = given or (settings[0] if len(settings) == 1 else "")
        if isinstance(error, ArithmeticError):
            return ConfigError(f"{given or 'a setting'} cannot be evaluated", "finite numbers")
        about = f"{message} {error.__cause__ or ''}".replace("++", "")
        about = " ".join(about.split())[:300] or type(error).__name__
        return ConfigError(
            f"{given or 'the configuration'} is invalid: {about}",
            hint="pdesim --help shows the form of settings",
        )
    if wrong is not None:
        return _grammar(first, *wrong.removeprefix("++").partition("="))
    # the message quotes a part of the wrong override. If the whole override occurs in the message,
    # this is more reliable than its value alone, and a long match is more reliable than a short one
    read = re.search(r"at input '(.+)'$", first)
    named = [s for s in settings if s in message or (read and read.group(1) in s)]
    named = named or [s for s in settings if s.partition("=")[2] and s.partition("=")[2] in message]
    if named:
        return _grammar(first, *max(named, key=len).partition("="))
    return ConfigError(first, hint="pdesim --help shows the form of settings")


def _unknown_choice(path: str, folders: Sequence[Path]) -> ConfigError:
    """Return the error for a configuration file that does not exist, such as ``equation/heta``."""
    known = [group for group in groups() if path.startswith(f"{group}/")]
    group = max(known, key=len, default=path.rpartition("/")[0])
    name = path[len(group) + 1 :]
    parent = name.rpartition("/")[0]
    names = choices(group, folders)
    if parent and not name.startswith("/") and ".." not in parent.split("/"):
        inside = choices(f"{group}/{parent}", folders)
        names = [f"{parent}/{choice}" for choice in inside] or names
    hint = hint_of_file(group, name, folders)
    if not hint and group == "output":
        hint = f"hydra.run.dir={name} chooses the folder of a run, hydra.sweep.dir that of a sweep"
    if not hint and group == "boundary":
        hint = condition_hint(group, name)
    if not hint and len(names) > MOST_NAMES:
        hint = f"pdesim list {group} shows all"
    return ConfigError(f"{group}={name} is unknown", nearest(name, names), hint)


def _is_override(text: str) -> bool:
    """Return whether an override is valid in Hydra's grammar."""
    try:
        OverridesParser.create().parse_override(text)
    except HydraException:
        return False
    return True


def _several_values(override: str, overrides: Sequence[str]) -> ConfigError:
    """Return the error for a setting of a single run that has several values, or a range."""
    key, _, value = override.removeprefix("++").partition("=")
    words = " ".join(shlex.quote(text.removeprefix("++")) for text in overrides)
    return ConfigError(
        f"{key} has several values, {value}, but a single run was requested",
        f"one value, or [{value}] for a list" if "(" not in value else "one value",
        f"use -m to compute a sweep over these values:  pdesim -m {words}",
    )


def _interpolation(message: str) -> ConfigError:
    """Return the error for a ``${...}`` that cannot be resolved."""
    first = " ".join(message.split("full_key:")[0].split())[:200]
    key = re.search(r"full_key: (\S+)", message)
    name = key.group(1) if key else "a setting"
    return ConfigError(
        f"{name} has a value with ${{...}} that cannot be resolved: {first}",
        "${NAME} with the full name of another setting, such as ${time.end}",
    )


def _grammar(first: str, key: str, equals: str, value: str) -> ConfigError:
    if not equals:
        return ConfigError(f"{key!r} is not a setting", "name=value, such as grid=512")
    if re.fullmatch(r"\([\d\s.,+-]+\)", value):
        return ConfigError(f"{key}={value} cannot be read", f"a list: {key}=[{value[1:-1]}]")
    if key.partition(".")[0] == "boundary" and "=" in value:
        kind, _, number = value.partition("=")
        return ConfigError(
            f"{key}={value} cannot be read", f"{key}={{{kind}: {number}}}, in quotes"
        )
    return unclosed_error(key, value) or ConfigError(
        f"the value of {key} cannot be read: {value}",
        "a number, a name, or text in quotes",
        f"{quoted_setting(key, value)}{NOTE}",
    )


def _unknown_key(key: str, overrides: Sequence[str], folders: Sequence[Path]) -> ConfigError:
    group, *rest = key.split(".")
    removed = [text[1:].partition("=")[0] for text in overrides if text.startswith("~")]
    for text in overrides:
        name = text.lstrip("+").partition("=")[0]
        for section in removed:
            if lies_in(key, (section,)) and lies_in(name, (section,)):
                return ConfigError(
                    f"{text} sets a part of {section}, which ~{section} removes",
                    "only one of these two",
                )
    known = _known_keys(key.split(".")[:-1])
    if not rest or rest[-1] not in known:
        return _unknown_setting(key, known, overrides, folders)
    # the setting exists only in other configs of this group
    chosen = next((o for o in reversed(overrides) if o.startswith(f"{group}=")), group)
    reason = ": spectral operators have no order" if key == "operators.order" else ""
    return ConfigError(
        f"{chosen} has no setting {key}{reason}", hint=f"leave {key} out, or choose another {group}"
    )


def _own_parameters(name: str, overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return the parameters with a name in the file of the equation, in upper or lower case."""
    chosen = [text.partition("=")[2] for text in overrides if text.startswith("equation=")]
    path = find_file("equation", chosen[-1], folders) if chosen else None
    if path is None:
        return []
    try:
        values = load_yaml(path.read_text("utf-8"))
    except (OSError, ValueError, OutputError):
        return []
    values = values if isinstance(values, Mapping) else {}
    values = values["equation"] if isinstance(values.get("equation"), Mapping) else values
    parameters = [str(key) for key in values if key not in (*KEYS, *Settings.model_fields)]
    exact = [one for one in parameters if one == name]
    return exact or [one for one in parameters if one.casefold() == name.casefold()]


def _unknown_setting(
    key: str, known: Sequence[str], overrides: Sequence[str], folders: Sequence[Path]
) -> ConfigError:
    """Return the error for an unknown setting; it suggests settings of the same name elsewhere."""
    last = key.split(".")[-1]
    given = (text.lstrip("+").partition("=")[0] for text in overrides)
    whole = next((one for one in given if one.startswith(f"{key}.")), key)
    names, hint = suggest_settings(whole, Settings, known), ""
    if key == last and (own := _own_parameters(last, overrides, folders)):
        names = replace(names, similar=tuple(f"equation.{name}" for name in own))
    elif not names.similar and key == last:
        hint = f"equation.{key}, if {key} is a parameter of the equation"
    return ConfigError(f"unknown setting {key}", names, hint)


def _known_keys(parents: Sequence[str]) -> list[str]:
    model: Any = Settings
    for part in parents:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return []
        model = fields[part].annotation
    return list(getattr(model, "model_fields", {}))


#: regular expression that matches names of configs
_NAME = r"(?!(null|true|false)$)[A-Za-z_][\w./-]*"


def _group_in(message: str, overrides: Sequence[str]) -> str | None:
    """Return the group that a message names.

    If it names none, return the first group whose value on the command line is not a name.
    """
    named = next((g for g in groups() if re.search(rf"\b{g}\b", message)), None)
    keys = [(o.partition("=")[0], o.partition("=")[2]) for o in overrides]
    wrong = [k for k, v in keys if k in groups() and not re.fullmatch(_NAME, v)]
    return named or next(iter(wrong), None)
