"""The folder of a new run, for commands that start one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pdesim.errors import ConfigError, OutputError

#: the setting that chooses the folder
SETTING = "hydra.run.dir"


def new_run_folder(equation: str, chosen: Sequence[str], folder: str | None) -> Path:
    """Return the folder of a new run, which is created if no folder is given.

    Args:
        equation: the name of the equation.
        chosen: overrides of ``hydra.run.dir``.
        folder: the value of ``--folder``; None if it is not given.

    Raises:
        ConfigError: if the folder is given twice.
        OutputError: if the folder cannot be written, or contains a run.
    """
    from pdesim.config.compose import compose_settings
    from pdesim.files import as_path, check_creatable, check_folder, new_folder
    from pdesim.output import RunFolder

    if len(chosen) + (folder is not None) > 1 or folder == "":
        raise ConfigError("the folder must be given once", f"--folder DIR or {SETTING}=DIR")
    target = compose_settings(chosen).run_folder
    if folder is not None:
        target = as_path(folder)
    elif not chosen:  # outputs/EQUATION/TIME
        target = target.parent.with_name(equation) / target.name
    setting = SETTING if folder is None else "--folder"
    check_creatable(target, setting)
    if RunFolder(target).contains_run:
        raise OutputError(
            f"{target} already contains a run; nothing was overwritten",
            hint="another folder (--folder DIR), or none: then a new one is created",
        )
    check_folder(target)
    return new_folder(target) if folder is None and not chosen else target
