"""The Python interface, with the settings of the command line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from pdesim.config.compose import compose_settings, is_given, nested_values
from pdesim.files import as_path, new_folder
from pdesim.output import Snapshots
from pdesim.output.snapshots import FILE
from pdesim.plan import build_plan
from pdesim.run.continuation import continue_run
from pdesim.run.execute import Run, execute


def simulate(
    *overrides: str,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    trust_config: bool = False,
) -> Run:
    """Run a simulation.

    Args:
        overrides: settings as on the command line: ``"equation=heat"``, ``"grid=64"``,
            ``"equation.D=0.01"``.
        folder: the folder for the files; by default ``outputs/<equation>/<date>_<time>``.
        config_dir: a folder with your own configuration files, as ``--config-dir``.
        quiet: whether to hide the progress bar.
        trust_config: whether files in ``config_dir`` may set everything, as ``--trust-config``.

    Returns:
        The finished run, with ``run.folder``, ``run.snapshots`` and ``run.to_xarray()``.

    Raises:
        PdesimError: for invalid settings, and if the run fails.
    """
    composed = compose_settings(overrides, None if config_dir is None else str(config_dir))
    composed.check_trust(trust_config).check_single()
    new = folder is None and not is_given("hydra.run.dir", overrides)
    target = composed.run_folder if folder is None else as_path(folder)
    if composed.settings.resume == "auto" and (target / FILE).exists():
        return _resume(target, composed.values, quiet)
    plan = build_plan(composed.settings, composed.equation)
    if new:
        target = new_folder(target)  # another run may have started in the same second
    return execute(plan, target, composed.yaml, Console(stderr=True, quiet=quiet))


def resume(folder: str | Path, *overrides: str, quiet: bool = True) -> Run:
    """Resume a run that was stopped or killed, or extend a finished run.

    Args:
        folder: the folder of the run.
        overrides: settings that may change, such as ``"time.end=200"``.
        quiet: whether to hide the progress bar.

    Returns:
        The finished run.

    Raises:
        PdesimError: for settings that cannot change, and if the run fails.
    """
    return _resume(as_path(folder), nested_values(overrides), quiet)


def _resume(folder: Path, requested: Mapping, quiet: bool) -> Run:
    rest = continue_run(folder, requested)
    for note in rest.notes:
        warnings.warn(note, stacklevel=3)
    if rest.plan is None:
        return Run(folder)
    console = Console(stderr=True, quiet=quiet)
    return execute(rest.plan, folder, rest.config_yaml, console, goes_on=True)


def open_snapshots(path: str | Path) -> Snapshots:
    """Open the folder of a run or a snapshot file for reading.

    Args:
        path: the folder, or the file ``snapshots.h5``.

    Returns:
        The frames and coordinates, to be used as a context manager or closed after use.

    Raises:
        OutputError: if the file does not exist or cannot be read.
    """
    snapshots = Snapshots(path)
    if snapshots.offer:
        warnings.warn(snapshots.offer, stacklevel=2)
    return snapshots
