"""What configuration files of others may set.

Hydra's own settings can run code: it imports and calls the targets that ``hydra.callbacks`` and
``hydra.job_logging`` name, sets environment variables, and writes into the folders that it is
given; ``workers.options`` holds shell commands for a cluster. A file that does not belong to pdesim
(in ``--config-dir`` or ``hydra.searchpath``) may set pdesim's settings, and of Hydra's the folders
of runs and sweeps inside ``outputs/``. The command line may set everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pdesim.errors import ConfigError

#: the folder below the current one that files may choose a folder in
OUTPUTS = "outputs"
#: settings of Hydra for such a folder
FOLDERS = ("run.dir", "sweep.dir")
#: what Hydra itself fills in, different in every composition
FILLED_IN = re.compile(
    r"(runtime|overrides|defaults|searchpath|mode|job\.(override_dirname|num|id|config_name))(\.|$)"
)
#: sections that only the command line may set
GUARDED = ("hydra", "workers")


def guarded_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides that concern Hydra or the workers."""
    return [text for text in overrides if setting_of(text).partition(".")[0] in GUARDED]


def setting_of(override: str) -> str:
    """The setting that an override names, ``hydra/launcher`` being ``hydra.launcher``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def untrusted_settings(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The guarded settings that files of others changed, by their dotted names.

    Args:
        found: the sections ``hydra`` and ``workers`` as composed, not resolved.
        expected: the same from the shipped files and the command line alone.
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
    """The folders that lie outside ``outputs/`` and were not given on the command line.

    Args:
        resolved: the values of the settings in ``FOLDERS``.
    """
    typed, root = {setting_of(text) for text in overrides}, Path(OUTPUTS).resolve()
    return [
        f"hydra.{name}={folder}"
        for name, folder in resolved.items()
        if not {f"hydra.{name}", f"hydra.{name.partition('.')[0]}"} & typed
        # a control character in a name would reach the terminal
        and not (str(folder).isprintable() and Path(folder).resolve().is_relative_to(root))
    ]


def trust_error(names: Sequence[str]) -> ConfigError:
    """The error for settings that files of others may not change."""
    return ConfigError(
        f"a file outside pdesim's own configs sets {', '.join(names)}",
        "settings of pdesim; of hydra only run.dir and sweep.dir, inside outputs/",
        "set it on the command line, or add --trust-config if you trust all files in --config-dir: "
        "they can then run any code",
    )


def check_swept(name: str, text: str) -> None:
    """Refuse settings that are one for a whole sweep, and packages other than a setting's own.

    Raises:
        ConfigError: naming them.
    """
    section = setting_of(name).partition(".")[0]
    if section in ("sweep", *GUARDED) or "@" in name:
        raise ConfigError(
            f"{text} cannot differ between the members of a sweep",
            f"one value for all of them, such as {section}=..., on the command line",
        )


def _leaves(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested mappings, with its dotted name."""
    if not isinstance(values, Mapping):
        yield name, values
        return
    for key, value in values.items():
        yield from _leaves(value, f"{name}.{key}" if name else str(key))
