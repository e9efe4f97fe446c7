"""The command ``pdesim verify``: measures orders of accuracy; writes a table, JSON and a plot."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from pdesim.config.compose import choices, compose_settings, is_given
from pdesim.engine.device import start_tensorflow
from pdesim.errors import ConfigError, OutputError, PdesimError
from pdesim.files import check_creatable, check_folder, make_folder, new_folder, writing
from pdesim.model.iterated_map import check_no_map
from pdesim.plan import build_plan
from pdesim.settings import Device
from pdesim.tables import print_table, result_console
from pdesim.verify.matrix import CASES, MatrixPart, PartSelector

if TYPE_CHECKING:
    from pdesim.verify.report import Row

#: names of the files with the results
RESULT, PLOT = "verify.json", "verify.png"
#: settings, and the part of the matrix that is measured with these; None: measure as without --all
Job = tuple[list[str], MatrixPart | None]


def run_verify(
    overrides: list[str],
    matrix: bool = False,
    markdown: str | None = None,
    config_dir: str | None = None,
    overwrite: bool = False,
) -> int:
    """Measure the orders of accuracy and report them.

    Args:
        overrides: settings.
        matrix: whether to measure the matrix, that is all combinations of schemes, for the given
            equation or, without one, for all equations.
        markdown: the file to which the table is written in Markdown.
        config_dir: a folder with additional configuration files.
        overwrite: whether existing files may be replaced.

    Returns:
        The exit code: 1 if a measured order is below the claimed order, else 0.
    """
    console = Console(stderr=True)
    name, folder, rows = _verify_rows(overrides, matrix, config_dir, overwrite)
    from pdesim.verify import report  # imports TensorFlow, which has to be configured before

    done = []
    with console.status("measuring") as status:
        for row in rows:
            done.append(row)
            line = f"measured {len(done)}: {' '.join(row.cells[:4])}"
            status.update(line)
            if not console.is_terminal or console.is_dumb_terminal:
                # all values, unless the table is printed to the same place
                line = line if is_same_file(sys.stdout, sys.stderr) else "  ".join(row.cells)
                console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not done:
        raise ConfigError(
            f"--all measures no order of {name} (most of its problems are in one dimension)",
            f"pdesim verify equation={name}, without --all",
        )
    print_table(report.rich_table(done), result_console(), report.OPTIONAL, RESULT)
    given = is_given("hydra.run.dir", overrides)
    folder = folder if given else new_folder(folder)
    make_folder(folder)
    with writing(folder / RESULT, "hydra.run.dir") as temporary:
        report.write_json(done, temporary)
    if name != "all":
        with writing(folder / PLOT, "hydra.run.dir") as temporary:
            report.plot(done, temporary, f"{name}: measured orders")
    if markdown:
        with writing(Path(markdown), "--markdown") as temporary:
            temporary.write_text(report.markdown(done), "utf-8")
    print(folder)
    missed = [row for row in done if not row.passed]
    if missed:
        print(f"pdesim: {len(missed)} of {len(done)} claimed orders not reached", file=sys.stderr)
    return 1 if missed else 0


def is_same_file(one: TextIO, other: TextIO) -> bool:
    """Return whether two streams write to the same terminal, pipe or file."""
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (AttributeError, OSError, ValueError):  # a stream without a file, as in notebooks
        return False


def _verify_rows(
    overrides: list[str], matrix: bool, config_dir: str | None, overwrite: bool
) -> tuple[str, Path, Iterator[Row]]:
    """Prepare the measurements.

    Returns:
        The name of the equation or ``all``, the folder for the results, and an iterator that
        measures and yields the rows.
    """
    composed = compose_settings(["device.precision=float64", *overrides], config_dir)
    check_no_map(composed.settings.equation, "verify")
    plan = build_plan(composed.settings, composed.equation)
    given = is_given("hydra.run.dir", overrides)
    stamp = composed.run_folder.name
    equations_given = [word.partition("=")[2] for word in overrides if word.startswith("equation=")]
    name = "all" if matrix and not equations_given else plan.equation.name
    folder = composed.run_folder if given else Path("outputs", "verify", name, stamp)
    check_creatable(folder)
    check_folder(folder)
    if not overwrite and any((folder / file).exists() for file in (RESULT, PLOT)):
        raise OutputError(
            f"{folder} already contains results of pdesim verify; nothing was overwritten",
            hint="--overwrite, or another folder (hydra.run.dir=DIR)",
        )
    start_tensorflow(Device(name="cpu"))
    if matrix:
        equations = equations_given or measured_equations()
        jobs = _matrix_jobs(equations, overrides, config_dir, complete=bool(equations_given))
        return name, folder, _matrix_rows(jobs, config_dir)
    from pdesim.verify.run import verify_plan

    return name, folder, verify_plan(plan)


def measured_equations() -> list[str]:
    """Return the names of the shipped equations that ``--all`` measures."""
    names = [name for name in choices("equation") if name != "custom"]
    settings = {name: compose_settings([f"equation={name}"]).values for name in names}
    return [name for name in names if not settings[name]["equation"].get("map")]


def _matrix_rows(jobs: Sequence[Job], config_dir: str | None) -> Iterator[Row]:
    """Yield the rows of all jobs in order.

    Each job runs in a separate process, because compiled programs remain in memory until a process
    ends; a single process would need 10 GB. As many processes run at a time as there are cores.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for rows in pool.map(lambda job: _measure_in_subprocess(job[0], config_dir, job[1]), jobs):
            yield from rows


def _measure_in_subprocess(
    words: Sequence[str], config_dir: str | None, part: MatrixPart | None = None
) -> list[Row]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as single:
        try:
            return single.submit(_measure_matrix, words, config_dir, part).result()
        except BrokenProcessPool as error:  # for instance, out of memory
            return _failed_rows(words, error)


def _failed_rows(words: Sequence[str], error: Exception) -> list[Row]:
    """A list with a single row, which reports that the equation could not be measured."""
    from pdesim.verify.report import failed_row

    name = next(word.partition("=")[2] for word in words if word.startswith("equation="))
    return [failed_row(name, "-", "-", "all", error)]


def _measure_matrix(
    words: Sequence[str], config_dir: str | None, part: MatrixPart | None
) -> list[Row]:
    """Measure one job: a part of the matrix or, if ``part`` is None, the settings alone."""
    try:
        composed = compose_settings(words, config_dir)
        plan = build_plan(composed.settings, composed.equation)
        start_tensorflow(Device(name="cpu"))
        from pdesim.verify.run import verify_matrix, verify_plan

        return list(verify_plan(plan) if part is None else verify_matrix(plan, part=part))
    except Exception as error:
        return _failed_rows(words, error)


def _matrix_jobs(
    equations: Sequence[str], overrides: Sequence[str], config_dir: str | None, complete: bool
) -> list[Job]:
    """The jobs that measure the matrix.

    Equations are measured in 1-D, or in 2-D if they are not defined in 1-D.

    Args:
        equations: the names of the equations.
        overrides: settings of the user.
        config_dir: see :func:`run_verify`.
        complete: whether to measure the entire matrix for every equation. Otherwise repetitions are
            omitted, and the cases of ``verify.matrix.CASES`` are added.
    """
    jobs: list[Job] = []
    selector = PartSelector()
    double = ["device.precision=float64", "time.unsafe=true"]
    for name in equations:
        line = [*double, f"equation={name}", "grid=[32]", "boundary=periodic"]
        line += ["operators=stencil", "stepper=auto", "domain.mask=null", *overrides]
        square = [word.replace("grid=[32]", "grid=[32,32]") for word in line]
        try:
            plan = build_plan(compose_settings(line, config_dir).settings, name)
        except PdesimError:
            jobs.append((square, MatrixPart()))
            continue
        part = MatrixPart() if complete else selector.part(plan.problem)
        jobs.append((line, part))
        if plan.problem.self_adjoint and len(plan.equation.fields) == 1 and part.every_scheme:
            jobs.append((square, part))  # linear diffusion is cheap, and corners may matter
    if not complete:
        jobs += [([*double, *words, *overrides], None) for words in CASES]
    return jobs
