"""``pdesim info``: the settings and the state of a run, or a table of the runs of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, one_path


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

    command = parser()
    options = command.read(arguments)
    show_info(one_path(command, options.words), options.json)
    return 0
