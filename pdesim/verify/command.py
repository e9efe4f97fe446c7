"""``pdesim verify``: from settings to a table, JSON, a plot and the exit code."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from rich.console import Console

from pdesim.config.compose import choices, compose_settings, is_given
from pdesim.engine.device import start_tensorflow
from pdesim.errors import PdesimError
from pdesim.files import check_folder, make_folder, new_folder
from pdesim.plan import build_plan
from pdesim.settings import Device
from pdesim.verify.matrix import CASES, Choice, Part


def run_verify(
    overrides: list[str],
    matrix: bool = False,
    markdown: str | None = None,
    config_dir: str | None = None,
) -> int:
    """Measure and report; 1 if an order is below its claim, else 0.

    Args:
        overrides: settings.
        matrix: measure all equations and schemes, or those of the equation that is given.
        markdown: a file for the table as Markdown.
        config_dir: a folder with configs of the user's own.
    """
    console = Console(stderr=True)
    name, folder, rows = _verify_rows(overrides, matrix, config_dir)
    from pdesim.verify import report  # needs TensorFlow, which has started quietly now

    done = []
    with console.status("measuring") as status:
        for row in rows:
            done.append(row)
            status.update(f"measured {len(done)}: {' '.join(row.cells[:4])}")
            if not console.is_terminal:
                console.print("  ".join(row.cells), highlight=False, markup=False, soft_wrap=True)
    out = Console()
    if not out.is_terminal:
        out = Console(width=120)
    out.print(report.rich_table(done))
    given = is_given("hydra.run.dir", overrides)
    folder = folder if given else new_folder(folder)
    make_folder(folder)
    report.write_json(done, folder / "verify.json")
    if name != "all":
        report.plot(done, folder / "verify.png", f"{name}: measured orders")
    if markdown:
        Path(markdown).write_text(report.markdown(done), "utf-8")
    print(folder)
    missed = [row for row in done if not row.passed]
    if missed:
        print(f"pdesim: {len(missed)} of {len(done)} claims missed", file=sys.stderr)
    return 1 if missed else 0


def _verify_rows(overrides: list[str], matrix: bool, config_dir: str | None):
    """The name of what is verified, the folder for its files, and the rows as they come."""

    def plan_of(*more: str):
        composed = compose_settings(["device.precision=float64", *more, *overrides], config_dir)
        return composed, build_plan(composed.settings, composed.equation)

    composed, plan = plan_of()
    given = is_given("hydra.run.dir", overrides)
    stamp = composed.run_folder.name
    own = [word.partition("=")[2] for word in overrides if word.startswith("equation=")]
    name = "all" if matrix and not own else plan.equation.name
    folder = composed.run_folder if given else Path("outputs", "verify", name, stamp)
    check_folder(folder)
    start_tensorflow(Device(name="cpu"))
    if matrix:
        equations = own or [e for e in choices("equation") if e != "custom"]
        jobs = _matrix_jobs(equations, overrides, config_dir, whole=bool(own))
        return name, folder, _matrix_rows(jobs, config_dir)
    from pdesim.verify.run import verify_plan

    return name, folder, verify_plan(plan)


def _matrix_rows(jobs: Sequence[tuple[Sequence[str], object]], config_dir: str | None):
    """The rows of all jobs in order, each job in a process of its own, as many as there are cores.

    Compiled programs stay in a process until it ends: one alone would reach 10 GB.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for rows in pool.map(lambda job: _in_its_own_process(job[0], config_dir, job[1]), jobs):
            yield from rows


def _in_its_own_process(words: Sequence[str], config_dir: str | None, part=None):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as single:
        try:
            return single.submit(_measure_matrix, words, config_dir, part).result()
        except BrokenProcessPool as error:  # out of memory, say
            return _lost(words, error)


def _lost(words: Sequence[str], error: Exception):
    """The one row of an equation that could not be measured: the others keep theirs."""
    from pdesim.verify.report import failed_row

    name = next(word.partition("=")[2] for word in words if word.startswith("equation="))
    return [failed_row(name, "-", "-", "all", error)]


def _measure_matrix(words: Sequence[str], config_dir: str | None, part):
    """The rows of one job: of a part of the matrix, or those of the settings if there is none."""
    try:
        composed = compose_settings(words, config_dir)
        plan = build_plan(composed.settings, composed.equation)
        start_tensorflow(Device(name="cpu"))
        from pdesim.verify.run import verify_matrix, verify_plan

        return list(verify_plan(plan) if part is None else verify_matrix(plan, part=part))
    except Exception as error:
        return _lost(words, error)


def _matrix_jobs(
    equations: Sequence[str], overrides: Sequence[str], config_dir: str | None, whole: bool
) -> list[tuple[list[str], object]]:
    """Settings, and which part of the matrix is measured with them (``verify.matrix``).

    Equations along a line, or on a square if a line does not show them. If they are not given
    (``whole``), there follow the cases that no shipped equation has.
    """
    chosen, choice = [], Choice()
    double = ["device.precision=float64", "time.unsafe=true"]
    for name in equations:
        line = [*double, f"equation={name}", "grid=[32]", "boundary=periodic"]
        line += ["operators=stencil", "stepper=auto", *overrides]
        square = [word.replace("grid=[32]", "grid=[32,32]") for word in line]
        try:
            plan = build_plan(compose_settings(line, config_dir).settings, name)
        except PdesimError:
            chosen.append((square, Part()))
            continue
        part = Part() if whole else choice.part(plan.problem)
        chosen += [(line, part)]
        if plan.problem.self_adjoint and len(plan.equation.fields) == 1 and part.every_scheme:
            chosen.append((square, part))  # the linear diffusive ones: cheap, and corners matter
    return chosen if whole else chosen + [([*double, *words, *overrides], None) for words in CASES]
