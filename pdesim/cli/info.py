"""``pdesim info``: the settings and the state of a run, or a table of the runs of a sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pdesim.cli.arguments import Parser, one_path
from pdesim.errors import printable

if TYPE_CHECKING:
    from pdesim.fitting.folder import FitFolder


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "info",
        "PATH [--json]",
        "Print the settings, the state and the fields of a run, a table of a sweep's runs, or the\n"
        "result of a fit.",
        "  pdesim info outputs/heat/2026-01-01_12-00-00\n  pdesim info RUN/snapshots.h5 --json",
    )
    result.add_argument("--json", action="store_true", help="print JSON")
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pathlib import Path

    from pdesim.cli.run_table import show_info
    from pdesim.dense.result import describe_solution, find_solution
    from pdesim.fitting.folder import FitFolder

    command = parser()
    options = command.read(arguments)
    path = one_path(command, options.words)
    solution = find_solution(path)
    if solution is not None:
        _show(describe_solution(solution), options.json)
    elif FitFolder(Path(path)).contains_fit:
        show_fit(FitFolder(Path(path)), options.json)
    else:
        show_info(path, options.json)
    return 0


def show_fit(fit: FitFolder, as_json: bool) -> None:
    """Print the stored result of a fit."""
    found = fit.read_result()
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        from pdesim.files import dump_yaml

        print(dump_yaml(found), end="")


def _show(about: Mapping[str, Any], as_json: bool) -> None:
    """Print what is known about the solution of a linear system."""
    if as_json:
        print(json.dumps(about, indent=2))
        return
    width = max(map(len, about))
    for name, value in about.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        print(f"{name:{width}}  {printable(text)}")
