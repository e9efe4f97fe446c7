"""``pdesim fit``: fit parameters to data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pdesim.cli.arguments import Parser, settings_only
from pdesim.cli.hydra_options import TRUST

if TYPE_CHECKING:
    from pdesim.fitting.result import FitResult
    from pdesim.fitting.train import TrainingResult


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "fit",
        "SETTING=VALUE ... data=FILE fit={...} [--json] [--config-dir DIR]",
        "Find the parameters with which runs fit data best, their standard errors and\n"
        "correlations. data is a snapshots.h5, a file of The Well or PDEBench, .npz or .npy;\n"
        "fit contains bounds for each parameter. pdesim resume FOLDER continues a stopped fit.",
        "  pdesim fit equation=heat data=film.h5 'fit={equation.D: [1e-4, 1e-2]}'\n"
        "  pdesim fit equation=gray_scott data=RUN 'fit={equation.F: [0.02, 0.06],\n"
        "      equation.k: {bounds: [0.05, 0.07], scale: linear, start: 0.06}, starts: 4}'\n"
        "  pdesim fit equation=heat data=film.npz data.noise=0.1 'fit={equation.D: [1e-4, 1e-2]}'",
    )
    result.add_argument("--json", action="store_true", help="print JSON")
    result.add_argument(TRUST, dest="trust", action="store_true", help="trust all configs")
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command, print the result, and return the exit code."""
    from rich.console import Console

    from pdesim.fitting.run import run_fit
    from pdesim.sweeps.compose import Composer

    command = parser()
    options = command.read(arguments)
    words = settings_only(command, options.words)
    compose = Composer(options.config_dir, options.trust)
    composed = compose(words).check_single()
    result = run_fit(composed, compose, Console(stderr=True, highlight=False))
    show(result, options.json)
    return 0


def show(result: FitResult | TrainingResult, as_json: bool = False) -> None:
    """Print a result on standard output, and where its files are."""
    if as_json:
        import json

        print(json.dumps(result.as_dict(), indent=1, allow_nan=False))
        return

    from pdesim.fitting.report import print_result
    from pdesim.fitting.train import TrainingResult
    from pdesim.tables import result_console

    if isinstance(result, TrainingResult):
        print(f"{result}\n{result.folder}: fit.yaml, fit.png\n{result.command}")
        return
    print_result(result, result_console())
    print(f"{result.folder}: fit.yaml, fit.png\n{result.command}")
