"""Settings that untrusted configuration files may not change.

Hydra's own settings can run code: Hydra calls the functions that are named in ``hydra.callbacks``
and ``hydra.job_logging``, sets environment variables, and writes into the folders that its settings
name. The section ``workers.options`` contains shell commands for a cluster. Files in
``--config-dir`` or ``hydra.searchpath`` may therefore only set the settings of pdesim, and choose
folders for runs and sweeps inside ``outputs/``. The command line may set everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pdesim.errors import ConfigError

#: untrusted files may choose the folder of a run only inside this folder
OUTPUTS = "outputs"
#: settings of Hydra that choose the folder of a run or a sweep
FOLDERS = ("run.dir", "sweep.dir")
#: settings that Hydra itself fills in, and which may differ between two compositions
FILLED_IN = re.compile(
    r"(runtime|overrides|defaults|searchpath|mode|job\.(override_dirname|num|id|config_name))(\.|$)"
)
#: sections with settings that only the command line may set
GUARDED = ("hydra", "workers")


def guarded_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of the guarded sections."""
    return [text for text in overrides if setting_of(text).partition(".")[0] in GUARDED]


def setting_of(override: str) -> str:
    """Return the dotted name of the setting in an override, without signs such as ``+``.

    A slash is replaced by a dot: ``hydra/launcher=...`` gives ``hydra.launcher``.
    """
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def untrusted_settings(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of guarded settings that untrusted files have changed.

    Args:
        found: the composed sections ``hydra`` and ``workers``, not resolved.
        expected: the same sections composed from the shipped files and the command line only.
    """
    one, other = dict(_leaves(found["hydra"])), dict(_leaves(expected["hydra"]))
    names = [
        f"hydra.{name}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name) and not FILLED_IN.match(name) and name not in FOLDERS
    ]
    if not isinstance(found["workers"], Mapping):
        names.append("workers")
    elif found["workers"].get("options") != expected["workers"].get("options"):
        names.append("workers.options")
    return names


def outside_folders(resolved: Mapping[str, str], overrides: Sequence[str]) -> list[str]:
    """Return the folders outside ``outputs/`` that were not given on the command line.

    Args:
        resolved: the values of the settings in ``FOLDERS``.
        overrides: the overrides of the command line.
    """
    typed, root = {setting_of(text) for text in overrides}, Path(OUTPUTS).resolve()
    return [
        f"hydra.{name}={folder}"
        for name, folder in resolved.items()
        if not {f"hydra.{name}", f"hydra.{name.partition('.')[0]}"} & typed
        # a name with control characters is refused, because names are printed on the terminal
        and not (str(folder).isprintable() and Path(folder).resolve().is_relative_to(root))
    ]


def trust_error(names: Sequence[str]) -> ConfigError:
    """Return the error for settings that untrusted files may not change."""
    return ConfigError(
        f"a file outside pdesim's own configs sets {', '.join(names)}",
        "settings of pdesim, and hydra.run.dir and hydra.sweep.dir inside outputs/",
        "set this on the command line; or add --trust-config if you trust all files in "
        "--config-dir, which can then run any code",
    )


def check_swept(name: str, text: str) -> None:
    """Check that a setting can differ between the members of a sweep.

    Args:
        name: the name of the setting.
        text: the override, for errors.

    Raises:
        ConfigError: for settings of the sweep itself, and for names that contain ``@``.
    """
    section = setting_of(name).partition(".")[0]
    if section in ("sweep", *GUARDED) or "@" in name:
        raise ConfigError(
            f"{text} cannot differ between the members of a sweep",
            f"one value for all members, such as {section}=..., on the command line",
        )


def _leaves(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and values in nested mappings."""
    if not isinstance(values, Mapping):
        yield name, values
        return
    for key, value in values.items():
        yield from _leaves(value, f"{name}.{key}" if name else str(key))
