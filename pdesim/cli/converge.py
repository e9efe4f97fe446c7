"""``pdesim converge``: estimate the discretisation error in space from runs on three grids."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "converge",
        "[SETTING=VALUE ... | RUN] [--json] [--config-dir DIR]",
        "Run a problem on three grids (half, the same, and twice the number of cells per axis)\n"
        "and estimate its error in space. RUN is the folder of a run whose problem is used;\n"
        "pdesim info RUN then shows the result.",
        "  pdesim converge equation=heat grid=64\n  pdesim converge outputs/heat/RUN",
    )
    result.add_argument("--json", action="store_true", help="print JSON")
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.converge.command import run_converge

    options = parser().read(arguments)
    return run_converge(options.words, not options.json, options.config_dir)
