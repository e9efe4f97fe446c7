"""Simulations from Python: a run, its continuation and its branches, and stability analysis."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from pdesim.analysis import Analysis, analyze_settings
from pdesim.analysis.thresholds import parse_over
from pdesim.api.arguments import (
    Callback,
    as_directory,
    as_overrides,
    as_time,
    check_callback,
)
from pdesim.api.composing import (
    check_independent,
    compose_single,
    compose_with_initial,
    with_initial,
)
from pdesim.api.initial import Initial, check_shapes, move_files, write_arrays
from pdesim.api.run import Run
from pdesim.config.changes import changed_settings
from pdesim.config.compose import compose_settings, is_given, nested_values
from pdesim.errors import OutputError
from pdesim.files import as_path, check_path, make_folder, new_folder
from pdesim.model.grid import build_grid
from pdesim.output import RunFolder, Snapshots
from pdesim.plan import build_plan
from pdesim.run.branch import find_origin, plan_branch
from pdesim.run.continuation import continue_run
from pdesim.run.execute import execute_single
from pdesim.run.job import Job
from pdesim.run.options import Options


def simulate(
    *overrides: str,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    trust_config: bool = False,
    callback: Callback | None = None,
    initial: Any = None,
    **settings: Any,
) -> Run:
    """Run a simulation, and return when it has finished.

    >>> run = pdesim.simulate('gray_scott', grid=128, equation={"F": 0.03})  # doctest: +SKIP

    Args:
        overrides: settings as on the command line, such as ``"equation=heat"``, ``"grid=64"``. The
            first one may be the name of an equation: ``'heat'``.
        folder: folder for the files of the run; None: ``outputs/<equation>/<date>_<time>``.
        config_dir: a folder with your own configuration files (``--config-dir``).
        quiet: whether to print neither messages nor a progress bar.
        trust_config: whether files in ``config_dir`` may set everything (``--trust-config``).
        callback: a function that is called with the time and a mapping from fields to arrays
            (read-only, shape ``(y, x)`` in 2-D) of every frame. If it returns False, the run stops.
            After an error in this function, the run can be resumed from this frame.
        initial: the initial state: the name of a file of initial states; a mapping from fields to
            formulas, numbers, NumPy arrays of the grid's shape or ``xarray.DataArray``; an
            ``xarray.Dataset``; or another run, whose last frame is used. Values with coordinates
            are interpolated to the grid. Without the settings ``grid`` and ``domain``, these are
            the grid of the first array and the domain of its coordinates, or those of the run.
            Fields without values have those of the equation's file.
        settings: settings as keywords: ``grid=128``, ``stepper="rk4"``, ``time={"end": 500}``.
            They take precedence over ``overrides``.

    Returns:
        The finished run, with ``run.folder``, ``run.snapshots``, ``run.to_xarray()``.

    Raises:
        PdesimError: if the settings are invalid, or the run fails. The message states what was
            given, what is allowed and, if there is one, a remedy.
    """
    check_callback(callback)
    directory = as_directory(config_dir)
    composed, given, words = compose_with_initial(
        overrides, settings, initial, directory, trust_config
    )
    new = folder is None and not is_given("hydra.run.dir", words)
    target = check_path(composed.run_folder) if folder is None else as_path(folder)
    if composed.settings.resume == "auto" and RunFolder(target).contains_run:
        return _resume(target, composed.values, quiet, callback=callback)
    if not new:
        RunFolder(target).check_overwrite(composed.settings.output.overwrite, "folder")
        _check_source(given, target)
    with tempfile.TemporaryDirectory() as staging:
        check_shapes(given.arrays, build_grid(composed.settings).shape)
        files = write_arrays(Path(staging), given.arrays)
        composed = with_initial(composed, files)
        plan = build_plan(composed.settings, composed.equation)
        if new:
            target = new_folder(target)  # another run may have started in the same second
        existed = not new and target.exists()
        if files:
            make_folder(target)
            files = move_files(files, target)
            composed = with_initial(composed, files)
            plan = replace(plan, settings=composed.settings)
    try:
        return _execute(Job(plan, target, composed.yaml), quiet, callback)
    finally:
        if not RunFolder(target).contains_run:  # it could not be started
            _remove(files.values(), target, existed)


def _check_source(given: Initial, target: Path) -> None:
    """Check that a run does not overwrite the frame from which it starts.

    Raises:
        OutputError: if it does.
    """
    if given.source is not None and given.source.parent.resolve() == target.resolve():
        raise OutputError(
            f"the run in {target} would overwrite its initial state", "another folder"
        )


def _remove(files: Iterable[Path], folder: Path, keep: bool) -> None:
    """Remove files, and the folder unless ``keep`` or it is not empty."""
    for path in files:
        path.unlink(missing_ok=True)
    if not keep:
        with contextlib.suppress(OSError):
            folder.rmdir()


def branch(
    run: Run | str | Path,
    *overrides: str,
    at: float | None = None,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    callback: Callback | None = None,
    **settings: Any,
) -> Run:
    """Start a new run from a frame of another run, with any setting changed.

    The frame is interpolated if the grid or the domain is changed, and the time continues.

    Args:
        run: the earlier run, or its folder.
        overrides, settings: the changed settings; see :func:`simulate`.
        at: the time of the frame; None: the last frame.
        folder, config_dir, quiet, callback: see :func:`simulate`.

    Raises:
        PdesimError: if the earlier run cannot be read, the settings are invalid, or the run fails.
    """
    check_callback(callback)
    words = as_overrides(overrides, settings, equation_first=False)
    origin = find_origin(run.folder if isinstance(run, Run) else as_path(run), as_time("at", at))
    values = changed_settings(origin.config, words, as_directory(config_dir))
    given = [word.lstrip("+").partition("=")[0] for word in words]
    planned = plan_branch(origin, values, given)
    for note in planned.notes:
        warnings.warn(note, stacklevel=2)
    if folder is None:
        usual = compose_settings([]).run_folder
        target = new_folder(usual.parent.with_name(planned.plan.equation.name) / usual.name)
    else:
        target = as_path(folder)
        RunFolder(target).check_overwrite(False, "folder")
    job = Job(planned.plan, target, planned.config_yaml, attributes=origin.attributes)
    return _execute(job, quiet, callback)


def analyze(
    *overrides: str,
    over: str | None = None,
    config_dir: str | Path | None = None,
    trust_config: bool = False,
    **settings: Any,
) -> Analysis:
    """Analyse the linear stability of the uniform states of an equation.

    Args:
        overrides, settings: settings as for :func:`simulate`, such as ``"brusselator"``. The grid,
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
    overrides, directory = tuple(as_overrides(overrides, settings)), as_directory(config_dir)
    composed = compose_single(overrides, directory, trust_config)
    if over is not None and not composed.independent:
        interval = parse_over(over)
        check_independent(
            overrides, directory, interval.parameter, (interval.low, interval.high), "--over"
        )
    return analyze_settings(composed.settings, composed.equation, over)


def resume(
    folder: Run | str | Path,
    *overrides: str,
    quiet: bool = True,
    callback: Callback | None = None,
    **settings: Any,
) -> Run:
    """Continue a run that was stopped or killed, or extend a finished run to a later time.

    Args:
        folder: the run, or its folder.
        overrides, settings: changed settings, such as ``"time.end=200"`` or ``time={"end": 200}``;
            most settings may not change.
        quiet: whether to print neither messages nor a progress bar.
        callback: see :func:`simulate`; called with the new frames only.

    Raises:
        PdesimError: if the folder contains no run, if its files are damaged, if a setting may not
            change, or if the run fails.
    """
    folder = folder.folder if isinstance(folder, Run) else as_path(folder)
    check_callback(callback)
    requested = nested_values(as_overrides(overrides, settings, equation_first=False))
    return _resume(folder, requested, quiet, explicit=True, callback=callback)


def _resume(
    folder: Path,
    requested: Mapping[str, Any],
    quiet: bool,
    explicit: bool = False,
    callback: Callback | None = None,
) -> Run:
    rest = continue_run(folder, requested, explicit)
    for note in rest.notes:
        warnings.warn(note, stacklevel=3)
    if rest.plan is None:
        return Run(folder)
    return _execute(Job(rest.plan, folder, rest.config_yaml, resume=True), quiet, callback)


def _execute(job: Job, quiet: bool, callback: Callback | None = None) -> Run:
    execute_single(job, Console(stderr=True, quiet=quiet), Options(callback=callback))
    return Run(job.folder)


def open_snapshots(path: str | Path) -> Snapshots:
    """Open the snapshot file of a run for reading.

    Args:
        path: the folder of the run, or its file ``snapshots.h5``.

    Returns:
        The frames and coordinates. Use the result as a context manager, or close it after use.

    Raises:
        OutputError: if the file does not exist, cannot be read, or has no frames.
    """
    snapshots = Snapshots(path)
    try:
        snapshots.check_frames()
    except OutputError:
        snapshots.close()
        raise
    if snapshots.recovery_hint:
        warnings.warn(snapshots.recovery_hint, stacklevel=2)
    return snapshots
