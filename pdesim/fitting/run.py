"""A fit from its settings to its files, and its continuation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from pdesim.config.compose import Composed, is_given
from pdesim.errors import ConfigError, InterruptedRun, OutputError, PdesimError
from pdesim.files import make_folder, new_folder, replacing
from pdesim.fitting.compute import compute
from pdesim.fitting.descent import LOG
from pdesim.fitting.folder import PICTURE, SETTINGS, FitFolder
from pdesim.fitting.model_file import write_result
from pdesim.fitting.plot import Comparison, compare_parameters, plot
from pdesim.fitting.prepare import Task, prepare, prepare_again
from pdesim.fitting.result import FitResult
from pdesim.fitting.train import TrainingResult, train
from pdesim.output.lock import hold

#: the file of data that were given as arrays
ARRAYS = "data.npz"


def run_fit(
    composed: Composed,
    recompose: Callable[[Sequence[str]], Composed],
    console: Console,
    folder: Path | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> FitResult | TrainingResult:
    """Compute a fit.

    Args:
        composed: the composed settings.
        recompose: composes settings from overrides.
        console: the console for notes and progress.
        folder: the folder of the fit; None: that of ``hydra.run.dir``, or a new one in
            ``outputs/fits``.
        arrays: the data, if they are not in a file: the arrays of an ``.npz`` file.

    Raises:
        PdesimError: for invalid settings or data, if no run is possible, and after a request to
            stop.
    """
    given = folder is not None or is_given("hydra.run.dir", composed.overrides)
    target = composed.run_folder if folder is None else folder
    if not given:
        target = composed.sweep_folder.parent.with_name("fits") / composed.sweep_folder.name
    files = FitFolder(target)
    resumes = composed.settings.resume == "auto" and files.contains_fit
    if given and not resumes:
        files.check_new("hydra.run.dir" if folder is None else "folder")
    with tempfile.TemporaryDirectory() as staging:
        if arrays is not None:
            composed = _with_arrays(composed, arrays, Path(staging) / ARRAYS)
        task = prepare(composed, recompose)
        if not given:
            target = new_folder(target)
        make_folder(target)
        if arrays is not None:
            task = _moved(task, target / ARRAYS)
    return _execute(task, target, console, new=not resumes)


def _with_arrays(composed: Composed, arrays: Mapping[str, np.ndarray], path: Path) -> Composed:
    """Write arrays into a file, and return settings that name the file."""
    if refused := [name for name, values in arrays.items() if values.dtype.kind not in "fiub"]:
        raise ConfigError(
            f"the data {refused[0]!r} have the type {arrays[refused[0]].dtype}", "real numbers"
        )
    np.savez(path, **arrays)  # type: ignore[arg-type]
    data = {**composed.values["data"], "file": str(path)}
    return replace(composed, values={**composed.values, "data": data})


def _moved(task: Task, path: Path) -> Task:
    """Copy the file of the data, and return the task with the copy."""
    assert task.data.file is not None
    try:
        with replacing(path) as temporary:
            shutil.copyfile(task.data.file, temporary)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from None
    values = {**task.values, "data": {**task.values["data"], "file": str(path.resolve())}}
    data = task.data.model_copy(update={"file": str(path)})
    return replace(task, values=values, data=data)


def resume_fit(
    folder: Path, overrides: Sequence[str], console: Console
) -> FitResult | TrainingResult:
    """Continue a fit that was stopped; the result is that of an uninterrupted fit.

    Raises:
        ConfigError: if settings are given.
        PdesimError: if the folder contains no fit, and see :func:`run_fit`.
    """
    if overrides:
        raise ConfigError(
            f"a fit is resumed with its own settings; it does not take {' '.join(overrides)}",
            f"pdesim resume {folder}",
        )
    values, equation = FitFolder(folder).read_settings()
    return _execute(prepare_again(values, equation), folder, console, new=False)


@contextmanager
def _removed_if_not_started(files: FitFolder, new: bool) -> Iterator[None]:
    """Remove the settings of a new fit that is refused before it has computed anything."""
    try:
        yield
    except InterruptedRun:
        raise
    except PdesimError:
        if new and not (files.log.exists() or (files.path / LOG).exists()):
            for name in (SETTINGS, ARRAYS):
                (files.path / name).unlink(missing_ok=True)
        raise


def _execute(task: Task, folder: Path, console: Console, new: bool) -> FitResult | TrainingResult:
    """Compute a fit in its folder, which is locked."""
    files = FitFolder(folder)
    with hold(folder), _removed_if_not_started(files, new):
        if new:
            files.write_settings(task)
        for note in task.notes:
            console.print(note, highlight=False, markup=False, soft_wrap=True)
        result: FitResult | TrainingResult
        compared: Callable[[], Comparison]
        if task.free:
            result, compared = train(task, folder, console)
        else:
            computed = compute(task, folder, console)
            result, compared = computed.result, partial(compare_parameters, task, computed)
        write_result(folder, task, result)
        try:
            with console.status("drawing"):
                plot(task, compared(), folder / PICTURE)
        except PdesimError as error:  # the result is already on the disk
            console.print(f"no picture: {error.problem}", highlight=False, markup=False)
    return result
