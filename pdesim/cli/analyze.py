"""``pdesim analyze``: the linear stability of uniform states, patterns and thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, check_outputs, settings_only
from pdesim.cli.bench import PLOTS


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "analyze",
        "[SETTING=VALUE ...] [--over equation.NAME=LOW..HIGH] [--json] [--plot FILE.png] "
        "[--overwrite] [--config-dir DIR]",
        "Find the uniform steady states of an equation and the growth rates of small waves about\n"
        "them: whether patterns grow, with which wavelength, and whether the grid and the domain\n"
        "of the settings suit it. Nothing is simulated.",
        "  pdesim analyze equation=brusselator equation.Dv=8\n"
        "  pdesim analyze equation=brusselator --over equation.B=1..12",
    )
    result.add_argument(
        "--over",
        metavar="equation.NAME=LOW..HIGH",
        help="find the thresholds of stability over a parameter",
    )
    result.add_argument("--json", action="store_true", help="print JSON")
    result.add_argument("--plot", metavar="FILE.png", help="write a plot of the growth rates")
    result.add_overwrite()
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    command = parser()
    options = command.read(arguments)
    check_outputs({"--plot": options.plot}, options.overwrite, {"--plot": PLOTS})
    overrides = settings_only(command, options.words)
    from pdesim.api import analyze

    found = analyze(*overrides, over=options.over, config_dir=options.config_dir)
    if options.json:
        import json

        print(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        from pdesim.analysis.report import WIDTH, print_analysis
        from pdesim.tables import result_console

        print_analysis(found, result_console(WIDTH))
    if options.plot is not None:
        from pathlib import Path

        from pdesim.analysis.plot import plot

        plot(found, Path(options.plot))
    return 0
