"""``pdesim branch``: a new run from a frame of another run, with changed settings."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, path_and_settings
from pdesim.cli.new_run import new_run_folder


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "branch",
        "RUN [--at TIME] [--folder DIR] [SETTING=VALUE ...]",
        "Start a new run from a frame of another run. Any setting can be changed. The frame is\n"
        "interpolated if the grid or the domain is changed, and the time continues.",
        "  pdesim branch outputs/gray_scott/RUN equation.F=0.05 time.end=4000\n"
        "  pdesim branch RUN --at 500 grid=512 stepper=rk4",
    )
    result.add_argument("--at", metavar="TIME", type=float, help="time of the frame (the last)")
    result.add_argument("--folder", metavar="DIR", help="the new folder")
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command, print the folder of the new run, and return the exit code."""
    from rich.console import Console

    from pdesim.cli.crash_report import reported_in
    from pdesim.config.changes import changed_settings
    from pdesim.run.branch import find_origin, plan_branch
    from pdesim.run.execute import Options, execute_single
    from pdesim.run.job import Job

    command = parser()
    options = command.read(arguments)
    path, overrides = path_and_settings(command, options.words)
    chosen = [text for text in overrides if text.startswith("hydra.run.dir=")]
    overrides = [text for text in overrides if text not in chosen]
    origin = find_origin(path, options.at)
    values = changed_settings(origin.config, overrides, options.config_dir)
    given = [text.lstrip("+").partition("=")[0] for text in overrides]
    branch = plan_branch(origin, values, given)
    folder = new_run_folder(branch.plan.equation.name, chosen, options.folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in branch.notes:
        console.print(note, markup=False)
    job = Job(branch.plan, folder, branch.config_yaml, attributes=origin.attributes)
    with reported_in(folder):
        execute_single(job, console, Options(owns_process=True))
    print(folder)
    return 0
