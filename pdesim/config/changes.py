"""Changes of the settings of an earlier run by overrides of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pdesim.config.compose import compose_settings, nested_values
from pdesim.config.folders import choices, groups
from pdesim.errors import ConfigError

#: settings that describe how a run or a sweep is started, which another run does not inherit
NOT_INHERITED = ("sweep", "workers", "experiment", "resume")


def changed_settings(
    values: Mapping[str, Any], overrides: Sequence[str], config_dir: str | None = None
) -> dict[str, Any]:
    """Return the settings of an earlier run with changes.

    ``stepper=rk4`` replaces a section by a file of this name, as for a new run; ``time.end=2``
    changes one setting.

    Args:
        values: the settings of the earlier run.
        overrides: the changes.
        config_dir: a folder with the user's configuration files.

    Raises:
        ConfigError: for a file that does not exist, and for values that are not valid.
    """
    result = {name: value for name, value in values.items() if name not in NOT_INHERITED}
    output = result.get("output")
    result["output"] = {**output, "overwrite": False} if isinstance(output, Mapping) else {}
    folders = [] if config_dir is None else [Path(config_dir)]
    single: list[str] = []
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key.startswith("hydra"):
            raise ConfigError(
                f"{override} is not a setting of a run", "--folder DIR for the new folder"
            )
        if key.split(".")[0] in NOT_INHERITED:
            raise ConfigError(f"{override} has no effect on a single run", "settings of the run")
        if key in groups() and not value.lstrip().startswith("{"):
            chosen = compose_settings([f"{key}={value}"], config_dir)
            result[key] = chosen.check_trust().values[key]
        elif override.startswith("~"):
            raise ConfigError(f"{override} cannot be removed here", "SETTING=VALUE")
        else:
            single.append(f"{key}={value}")
    _check_sections(single, result, folders)
    merged = OmegaConf.merge(OmegaConf.create(result), OmegaConf.create(nested_values(single)))
    container = OmegaConf.to_container(merged)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _check_sections(
    overrides: Sequence[str], values: Mapping[str, Any], folders: Sequence[Path]
) -> None:
    """Check that overrides do not replace a section by a value.

    Raises:
        ConfigError: for a name of a file that does not exist, such as ``stepper=rk5``.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        if isinstance(values.get(key), Mapping) and not value.lstrip().startswith("{"):
            names = choices(key, folders) if key in groups() else []
            raise ConfigError(
                f"{override} is not possible",
                f"one of {', '.join(names)}" if names else f"{key}.NAME=VALUE",
            )
