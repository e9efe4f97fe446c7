"""``pdesim rerun``: compute a run again from its stored settings."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdesim.cli.arguments import Parser, path_and_settings
from pdesim.cli.new_run import SETTING, new_run_folder
from pdesim.errors import ConfigError, PdesimError

if TYPE_CHECKING:
    from pdesim.run.rerun import Rerun


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "rerun",
        "RUN [--folder DIR | hydra.run.dir=DIR]",
        "Compute a run again from its stored settings, in a new folder, and say whether the\n"
        "result is equal to the original. Other settings cannot be changed.",
        "  pdesim rerun outputs/heat/RUN\n  pdesim rerun RUN --folder again",
    )
    result.add_argument("--folder", metavar="DIR", help="the new folder")
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command, print the folder of the new run, and return the exit code.

    The exit code does not depend on whether the results are equal.
    """
    from rich.console import Console

    from pdesim.cli.crash_report import reported_in
    from pdesim.run.execute import Options, execute_single
    from pdesim.run.job import Job
    from pdesim.run.rerun import plan_rerun

    command = parser()
    options = command.read(arguments)
    path, overrides = path_and_settings(command, options.words)
    _check_settings(path, overrides)
    again = plan_rerun(path)
    folder = new_run_folder(again.plan.equation.name, overrides, options.folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in again.notes:
        console.print(note, markup=False)
    job = Job(again.plan, folder, again.config_yaml, attributes=again.attributes)
    failure: PdesimError | None = None
    with reported_in(folder):
        try:
            execute_single(job, console, Options(owns_process=True))
        except PdesimError as error:  # the original may have failed in the same way
            failure = error
        for line in _result(again, folder, failure):
            console.print(line, markup=False)
    if failure is not None:
        raise failure
    print(folder)
    return 0


def _check_settings(path: Path, overrides: Sequence[str]) -> None:
    """Check that only the folder is chosen, and only once.

    Raises:
        ConfigError: for other settings, and if the folder is given twice.
    """
    others = [text for text in overrides if text.partition("=")[0] != SETTING]
    if others:
        raise ConfigError(
            f"pdesim rerun computes a run again with its own settings; it does not take "
            f"{' '.join(others)}",
            f"--folder DIR or {SETTING}=DIR",
            f"a run with other settings: {shlex.join(['pdesim', 'branch', str(path), *others])}",
        )


def _result(again: Rerun, folder: Path, failure: PdesimError | None) -> list[str]:
    """Return the comparison with the original as lines of text.

    After a failure, the result is empty if there is nothing to compare.
    """
    from pdesim.run.rerun import describe_result

    try:
        return describe_result(again.original, folder)
    except PdesimError as error:
        return [] if failure else [f"cannot be compared with the original: {error.problem}"]
