"""The Python interface, in which settings are written as on the command line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pdesim.analysis import Analysis, analyze_settings
from pdesim.analysis.thresholds import parse_over
from pdesim.config.compose import Composed, compose_settings, is_given, nested_values
from pdesim.errors import ConfigError
from pdesim.files import as_path, check_path, new_folder
from pdesim.output import RunFolder, Snapshots
from pdesim.plan import build_plan
from pdesim.run.continuation import continue_run
from pdesim.run.execute import Options, execute_single
from pdesim.run.job import Job

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path

    @property
    def snapshots(self) -> Snapshots:
        """The stored frames, opened for reading."""
        return Snapshots(self.folder)

    def to_xarray(self) -> xarray.Dataset:
        """Return the stored frames as an ``xarray.Dataset``."""
        with self.snapshots as snapshots:
            return snapshots.to_xarray()


def simulate(
    *overrides: str,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    trust_config: bool = False,
) -> Run:
    """Run a simulation, and return when it has finished.

    Args:
        overrides: settings as on the command line, such as ``"equation=heat"``, ``"grid=64"``,
            ``"equation.D=0.01"``.
        folder: folder for the files of the run; None: ``outputs/<equation>/<date>_<time>``.
        config_dir: a folder with your own configuration files (``--config-dir``).
        quiet: whether to print neither messages nor a progress bar.
        trust_config: whether files in ``config_dir`` may set everything (``--trust-config``).

    Returns:
        The finished run, with ``run.folder``, ``run.snapshots`` and ``run.to_xarray()``.

    Raises:
        PdesimError: if the settings are invalid, or the run fails. The message states what was
            given, what is allowed and, if there is one, a remedy.
    """
    composed = _compose(overrides, config_dir, trust_config)
    new = folder is None and not is_given("hydra.run.dir", overrides)
    target = check_path(composed.run_folder) if folder is None else as_path(folder)
    if composed.settings.resume == "auto" and RunFolder(target).contains_run:
        return _resume(target, composed.values, quiet)
    plan = build_plan(composed.settings, composed.equation)
    if new:
        target = new_folder(target)  # another run may have started in the same second
    return _execute(Job(plan, target, composed.yaml), quiet)


def _compose(
    overrides: Sequence[str], config_dir: str | Path | None, trust_config: bool
) -> Composed:
    """Return the configuration of a single run; see :func:`simulate`."""
    composed = compose_settings(overrides, None if config_dir is None else str(config_dir))
    return composed.check_trust(trust_config).check_single()


def analyze(
    *overrides: str,
    over: str | None = None,
    config_dir: str | Path | None = None,
    trust_config: bool = False,
) -> Analysis:
    """Analyse the linear stability of the uniform states of an equation.

    Args:
        overrides: settings as on the command line, such as ``"equation=brusselator"``. The grid,
            the domain and the boundary conditions determine which waves fit.
        over: a parameter and an interval, such as ``"equation.B=1..5"``, over which the thresholds
            of stability are sought.
        config_dir: a folder with your own configuration files (``--config-dir``).
        trust_config: whether files in ``config_dir`` may set everything (``--trust-config``).

    Returns:
        The states with growth rates and wavelengths, and the thresholds. ``print`` shows tables.

    Raises:
        PdesimError: if the settings are invalid, or the equation is a steady problem or has
            coefficients that depend on position.
    """
    composed = _compose(overrides, config_dir, trust_config)
    if over is not None and not composed.independent:
        _check_independent(overrides, config_dir, over)
    return analyze_settings(composed.settings, composed.equation, over)


def _check_independent(overrides: Sequence[str], config_dir: str | Path | None, over: str) -> None:
    """Check that no other setting refers to the parameter of ``over``.

    Raises:
        ConfigError: for the first section that changes with the parameter.
    """
    interval = parse_over(over)
    key, folder = f"equation.{interval.parameter}", None if config_dir is None else str(config_dir)
    low, high = (
        compose_settings([*overrides, f"{key}={end!r}"], folder).values
        for end in (interval.low, interval.high)
    )
    for values in (low, high):
        values["equation"] = {**values["equation"], interval.parameter: None}
    for section in low:
        if low[section] != high[section]:
            raise ConfigError(
                f"--over does not apply to {key}, because {section} refers to it by ${{{key}}}",
                "a parameter that appears in formulas only",
            )


def resume(folder: str | Path, *overrides: str, quiet: bool = True) -> Run:
    """Continue a run that was stopped or killed, or extend a finished run to a later time.

    Args:
        folder: folder of the run.
        overrides: changed settings, such as ``"time.end=200"``; most settings may not change.
        quiet: whether to print neither messages nor a progress bar.

    Raises:
        PdesimError: if the folder contains no run, if its files are damaged, if a setting may not
            change, or if the run fails.
    """
    return _resume(as_path(folder), nested_values(overrides), quiet, explicit=True)


def _resume(folder: Path, requested: Mapping[str, Any], quiet: bool, explicit: bool = False) -> Run:
    rest = continue_run(folder, requested, explicit)
    for note in rest.notes:
        warnings.warn(note, stacklevel=3)
    if rest.plan is None:
        return Run(folder)
    return _execute(Job(rest.plan, folder, rest.config_yaml, resume=True), quiet)


def _execute(job: Job, quiet: bool) -> Run:
    execute_single(job, Console(stderr=True, quiet=quiet), Options())
    return Run(job.folder)


def open_snapshots(path: str | Path) -> Snapshots:
    """Open the snapshot file of a run for reading.

    Args:
        path: the folder of the run, or its file ``snapshots.h5``.

    Returns:
        The frames and coordinates. Use the result as a context manager, or close it after use.

    Raises:
        OutputError: if the file does not exist or cannot be read.
    """
    snapshots = Snapshots(path)
    if snapshots.recovery_hint:
        warnings.warn(snapshots.recovery_hint, stacklevel=2)
    return snapshots
