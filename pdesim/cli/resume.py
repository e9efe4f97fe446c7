"""``pdesim resume``: continue a run that stopped, or carry it on to a later time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdesim.cli.arguments import Parser, path_and_settings

if TYPE_CHECKING:
    from pdesim.run.continuation import Continuation


def parser() -> Parser:
    return Parser(
        "resume",
        "RUN [SETTING=VALUE ...]",
        "Continue a run that stopped or was killed, with equal bits, or carry a finished run on\n"
        "to a later time.end. Of the settings, time.end, time.wall_limit, output.checkpoint,\n"
        "device and animation may change.",
        "  pdesim resume outputs/heat/RUN\n  pdesim resume outputs/heat/RUN time.end=200",
    )


def run(arguments: Sequence[str]) -> int:
    """Carry out the command; returns the exit code."""
    from rich.console import Console

    from pdesim.config import nested_values
    from pdesim.run.continuation import continue_run

    folder, overrides = path_and_settings(parser(), parser().read(arguments).words)
    # the folder of a file is meant, too
    folder = folder.parent if folder.is_file() else folder
    rest = continue_run(folder, nested_values(overrides))
    return carry_on(rest, folder, Console(stderr=True))


def carry_on(rest: Continuation, folder: Path, console, owns_process: bool = True) -> int:
    """Compute the rest of a run, if there is any; see :class:`pdesim.run.execute.Options`."""
    from pdesim.run.execute import Options, execute_single
    from pdesim.run.job import Job

    for note in rest.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if rest.plan is None:
        console.print(f"{folder} is finished", highlight=False, markup=False, soft_wrap=True)
    else:
        job = Job(rest.plan, folder, rest.config_yaml, resume=True)
        execute_single(job, console, Options(owns_process=owns_process))
    print(folder)
    return 0
