"""The folders and the names of configuration files. This module imports no other library.

Shell completion needs these names within a fraction of a second, the time that Hydra takes to
import.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pdesim.errors import ConfigError

CONFIG_NAME = "config"


@cache
def config_folder() -> Path:
    """Return the folder of the shipped configs, in the installed package or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return folder
    raise ConfigError("the shipped configs are missing", "a complete installation of pdesim")


def groups() -> list[str]:
    """Return the names of all config groups."""
    return list(_groups(config_folder()))


@cache
def _groups(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))


def other_configs() -> list[str]:
    """Return the names of the configs of problems that are not differential equations.

    Each is a file beside the primary config, and is chosen by ``equation=NAME``.
    """
    return sorted(p.stem for p in config_folder().glob("*.yaml") if p.stem != CONFIG_NAME)


def choices(group: str, folders: Sequence[Path] = ()) -> list[str]:
    """Return the names of the configs of a group, in the shipped folder and in other folders."""
    found = set()
    for folder in (config_folder(), *folders):
        found |= {path.stem for path in (folder / group).glob("*.yaml") if path.is_file()}
    return sorted(found)


def find_file(group: str, name: str, folders: Sequence[Path] = ()) -> Path | None:
    """Return the file of a config of a group, as :func:`choices` names it; None if there is none.

    Folders with the user's configs take precedence over the shipped ones.
    """
    if name not in choices(group, folders):
        return None
    paths = [folder / group / f"{name}.yaml" for folder in (*folders, config_folder())]
    return next(path for path in paths if path.is_file())


def hint_of_file(group: str, name: str, folders: Sequence[Path] = ()) -> str:
    """Return a hint for a config that is not found, but whose file exists near the current folder.

    The current folder, the folders in it, and the folders above ``folders`` are searched.

    Args:
        group: the group, such as ``equation``.
        name: the name that was given, which may be the path of the file.
        folders: the folders that were searched.
    """
    path = Path(f"{name.removesuffix('.yaml')}.yaml")
    file, choice = path.name, path.stem
    try:
        inside = sorted(p for p in Path().iterdir() if p.is_dir() and not p.name.startswith("."))
        near = [path.parent.parent, Path(), *inside, *(folder.parent for folder in folders)]
        for folder in near:
            if (folder / group / file).is_file() and folder not in folders:
                return (
                    f"the file {folder / group / file} exists; --config-dir lets pdesim find it:\n"
                    f"pdesim --config-dir {shlex.quote(str(folder))} {group}={choice}"
                )
        for folder in (path.parent, Path(), *inside):
            if (folder / file).is_file():
                right = folder / group / file
                return f"the file {folder / file} exists; move it to {right} and add " + (
                    f"--config-dir {shlex.quote(str(folder))}"
                )
    except (OSError, ValueError):  # a folder that cannot be read, or a name that no file can have
        pass
    return ""


def check_config_dir(config_dir: str | None) -> list[Path]:
    """Return a list of the folder with the user's configs, which is empty if there is none.

    Args:
        config_dir: the value of ``--config-dir``.

    Raises:
        ConfigError: if there is no such folder.
    """
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise ConfigError(f"no such folder: {config_dir}", "--config-dir DIR with configs in it")
    return [Path(config_dir)]
