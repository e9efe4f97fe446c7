"""``pdesim bench``: the speed of the time steps of a run on grids of several sizes, or devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdesim.cli.arguments import Parser, check_outputs, settings_only
from pdesim.config.folders import other_configs

#: suffixes of plots, which determine their format
PLOTS = (".png", ".pdf", ".svg", ".eps", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "bench",
        "[linear_system] [SETTING=VALUE ...] [--sizes 64,128] [--devices 1,2,4] [--repeats N] "
        "[--seconds S] [--json] "
        "[--markdown FILE] "
        "[--plot FILE.png] [--overwrite] [--config-dir DIR]",
        "Measure the speed of time steps on grids of several sizes, and compare it with NumPy and\n"
        "the memory bandwidth; or measure the strong and weak scaling on several devices.",
        "  pdesim bench equation=heat --sizes 64,256,1024\n"
        "  pdesim bench equation=gray_scott stepper=euler grid=1024 --devices 1,2,4\n"
        "  pdesim bench linear_system --sizes 1000,5000 --seconds 20",
    )
    result.add_argument("--sizes", metavar="64,128", help="cells per axis")
    result.add_argument(
        "--devices",
        metavar="1,2,4",
        help="numbers of devices that share one grid (strong scaling), or of which each has a grid "
        "of this size (weak scaling)",
    )
    result.add_argument(
        "--repeats", metavar="N", help="number of measurements whose median is reported"
    )
    result.add_argument(
        "--seconds", metavar="S", help="of linear systems: the longest time of one solution"
    )
    result.add_argument("--json", action="store_true", help="print JSON")
    result.add_argument("--markdown", metavar="FILE", help="write the table as Markdown, too")
    result.add_argument("--plot", metavar="FILE.png", help="write a plot")
    result.add_overwrite()
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.bench.command import Options, run_bench
    from pdesim.bench.scaling_command import run_scaling

    command = parser()
    given = vars(command.read(arguments))
    seconds = given.pop("seconds")
    if given["words"] and given["words"][0] in other_configs():
        return _run_system(command, given, seconds)
    if seconds is not None:
        command.error("--seconds applies to linear systems only")
    overrides = settings_only(command, given.pop("words"))
    files = {f"--{name}": given[name] for name in ("markdown", "plot")}
    check_outputs(files, given.pop("overwrite"), {"--plot": PLOTS})
    chosen = {name: value for name, value in given.items() if value is not None}
    options = Options(**chosen)
    measure = run_bench if options.devices is None else run_scaling
    return measure(overrides, options)


def _run_system(command: Parser, given: dict[str, Any], seconds: str | None) -> int:
    """Measure the solution of linear systems, and return the exit code."""
    from pdesim.dense.bench import run_bench_system

    name, *words = given["words"]
    others = ("markdown", "plot", "config_dir", "devices")
    unused = [f"--{key.replace('_', '-')}" for key in others if given[key] is not None]
    if unused:
        command.error(f"{', '.join(unused)} cannot be used with {name}")
    overrides = settings_only(command, words)
    return run_bench_system(
        name, overrides, given["sizes"], given["repeats"], seconds, given["json"]
    )
