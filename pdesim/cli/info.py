"""``pdesim info``: the settings and the state of a run, or a table of the runs of a sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pdesim.cli.arguments import Parser, one_path
from pdesim.errors import printable


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "info",
        "PATH [--json]",
        "Print the settings, the state and the fields of a run, or a table of a sweep's runs.",
        "  pdesim info outputs/heat/2026-01-01_12-00-00\n  pdesim info RUN/snapshots.h5 --json",
    )
    result.add_argument("--json", action="store_true", help="print JSON")
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.cli.run_table import show_info
    from pdesim.dense.result import describe_solution, find_solution

    command = parser()
    options = command.read(arguments)
    path = one_path(command, options.words)
    solution = find_solution(path)
    if solution is None:
        show_info(path, options.json)
    else:
        _show(describe_solution(solution), options.json)
    return 0


def _show(about: Mapping[str, Any], as_json: bool) -> None:
    """Print what is known about the solution of a linear system."""
    if as_json:
        print(json.dumps(about, indent=2))
        return
    width = max(map(len, about))
    for name, value in about.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        print(f"{name:{width}}  {printable(text)}")
