"""``pdesim resume``: resume a run that was stopped, or extend a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdesim.cli.arguments import Parser, path_and_settings
from pdesim.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from pdesim.run.continuation import Continuation


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    return Parser(
        "resume",
        "RUN [SETTING=VALUE ...]",
        "Resume a run or a fit that was stopped or killed, bit for bit, or extend a finished run\n"
        "to a later time.end. Only time.end, time.wall_limit, output.checkpoint, device, label\n"
        "and animation of a run can be changed.",
        "  pdesim resume outputs/heat/RUN\n  pdesim resume outputs/heat/RUN time.end=200",
    )


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from rich.console import Console

    from pdesim.cli.other_hosts import compute_part, given_device, is_other_host, own_rows
    from pdesim.config import nested_values
    from pdesim.fitting.folder import FitFolder
    from pdesim.run.continuation import continue_run
    from pdesim.run.on_hosts import wait_until_joined

    command = parser()
    folder, overrides = path_and_settings(command, command.read(arguments).words)
    folder = folder.parent if folder.is_file() else folder
    if FitFolder(folder).contains_fit:
        from pdesim.cli.fit import show
        from pdesim.fitting.run import resume_fit

        show(resume_fit(folder, overrides, Console(stderr=True, highlight=False)))
        return 0
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        if key.partition(".")[0] == "hydra":
            raise ConfigError(
                f"{word} has no effect: a run is resumed in its own folder, {folder}",
                "only time.end, time.wall_limit, output.checkpoint, device, label and animation",
                f"pdesim branch {folder} --folder {value or 'DIR'}   starts a new run from its "
                "last frame",
            )
    values = nested_values(overrides)
    device = given_device(values)
    other_host = is_other_host(device)
    if other_host:
        wait_until_joined(folder)
    rest = continue_run(folder, values, explicit=True, rows=own_rows(device))
    if other_host:
        compute_part(rest, folder, rest.config_yaml)
        return 0
    return carry_on(rest, folder, Console(stderr=True))


def carry_on(rest: Continuation, folder: Path, console: Console, owns_process: bool = True) -> int:
    """Execute the remaining part of a run, if there is one, and return the exit code.

    Args:
        rest: the remaining part.
        folder: the folder of the run.
        console: the console for notes and progress.
        owns_process: whether the process computes nothing else.
    """
    from pdesim.run.execute import Options, execute_single
    from pdesim.run.job import Job

    for note in rest.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if rest.plan is None:
        console.print(f"{folder} is finished", highlight=False, markup=False, soft_wrap=True)
    else:
        job = Job(rest.plan, folder, rest.config_yaml, resume=True)
        options = Options(owns_process=owns_process, allows_hosts=owns_process)
        execute_single(job, console, options)
    print(folder)
    return 0
