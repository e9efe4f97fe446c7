"""pdesim from Python: the same words as in the shell."""

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
    """Run a simulation and wait for it.

    Args:
        overrides: as in the shell: ``"equation=heat"``, ``"grid=64"``, ``"equation.D=0.01"``.
        folder: where the files go; None: ``outputs/<equation>/<date>_<time>``.
        config_dir: a folder with configs of one's own, as ``--config-dir``.
        quiet: no progress bar.
        trust_config: files in ``config_dir`` may set everything, as ``--trust-config``.

    Returns:
        The run: ``run.folder``, ``run.snapshots``, ``run.to_xarray()``.

    Raises:
        PdesimError: with what came, what was expected and the hint.
    """
    composed = compose_settings(overrides, None if config_dir is None else str(config_dir))
    composed.check_trust(trust_config).check_single()
    new = folder is None and not is_given("hydra.run.dir", overrides)
    target = composed.run_folder if folder is None else as_path(folder)
    if composed.settings.resume == "auto" and (target / FILE).exists():
        return _go_on(target, composed.values, quiet)
    plan = build_plan(composed.settings, composed.equation)
    if new:
        target = new_folder(target)  # another run may have started in the same second
    return execute(plan, target, composed.yaml, Console(stderr=True, quiet=quiet))


def resume(folder: str | Path, *overrides: str, quiet: bool = True) -> Run:
    """Go on with a run that was stopped or killed, or up to a later ``time.end``.

    Args:
        folder: of the run.
        overrides: what may change, such as ``"time.end=200"``.

    Raises:
        PdesimError: with what came, what was expected and the hint.
    """
    return _go_on(as_path(folder), nested_values(overrides), quiet)


def _go_on(folder: Path, asked: Mapping, quiet: bool) -> Run:
    rest = continue_run(folder, asked)
    for note in rest.notes:
        warnings.warn(note, stacklevel=3)
    if rest.plan is None:
        return Run(folder)
    console = Console(stderr=True, quiet=quiet)
    return execute(rest.plan, folder, rest.config_yaml, console, goes_on=True)


def open_snapshots(path: str | Path) -> Snapshots:
    """Open a run's folder or a snapshot file for reading."""
    snapshots = Snapshots(path)
    if snapshots.offer:
        warnings.warn(snapshots.offer, stacklevel=2)
    return snapshots
