"""The command ``pdesim bench``: measures the step loop and writes a table, JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdesim.bench.output import write_files
from pdesim.config.compose import compose_settings
from pdesim.engine.device import Placement, start_tensorflow
from pdesim.engine.startup import start_for
from pdesim.errors import ConfigError, clip
from pdesim.model.grid import build_grid
from pdesim.plan import Plan, build_plan
from pdesim.settings import Device

if TYPE_CHECKING:
    from pdesim.bench.measure import Row

#: number of dimensions -> cells per axis, if neither --sizes nor grid= is given
SIZES: dict[int, tuple[int, ...]] = {
    1: (1024, 16384, 262144),
    2: (64, 128, 256, 512, 1024, 2048),
    3: (32, 64, 128),
}
REPEATS, FEWEST, MOST = 5, 3, 10_000
#: largest number of cells per axis, as in the settings of the grid
MOST_CELLS = 2**31 - 1
#: approximate duration of a round on one device in seconds
ROUND_SECONDS = 0.3


@dataclass(frozen=True)
class Options:
    """The options of a benchmark besides its settings.

    Args:
        sizes: the numbers of cells per axis, separated by commas.
        repeats: the number of rounds, as text.
        json: whether to print JSON instead of a table.
        markdown: the file to which the table is written in Markdown.
        plot: the file to which the plot is written.
        config_dir: a folder with additional configuration files.
        devices: the numbers of devices, separated by commas, of which strong and weak scaling is
            measured; None to measure one device.
    """

    sizes: str | None = None
    repeats: str = str(REPEATS)
    json: bool = False
    markdown: str | None = None
    plot: str | None = None
    config_dir: str | None = None
    devices: str | None = None


def run_bench(overrides: Sequence[str], options: Options) -> int:
    """Measure the step loop, and report the results.

    Returns:
        The exit code.

    Raises:
        ConfigError: if the sizes or the number of rounds are invalid, or if the problem is steady.
    """
    repeats = integer("--repeats N", options.repeats, FEWEST, MOST)
    config_dir = options.config_dir
    jobs = [[*overrides, *grid] for grid in grids_of(options.sizes, overrides, config_dir, SIZES)]
    first = plan_of(jobs[0], config_dir)  # reports mistakes before TensorFlow starts
    if first.settings.device.count > 1:
        raise ConfigError(
            f"a benchmark without --devices got device.count={first.settings.device.count}",
            f"--devices 1,{first.settings.device.count}, which measures several devices",
        )
    placements = _placements([first, *(plan_of(words, config_dir) for words in jobs[1:])])
    from pdesim.bench import report  # imports TensorFlow, which has to be configured before

    rows = list(_rows(jobs, config_dir, placements, repeats))
    from pdesim.bench.numpy_reference import unsupported_reason

    about = describe(first, repeats)
    if options.json:
        print(json.dumps(report.as_json(rows, about), indent=1))
    else:
        _show(rows, about, unsupported_reason(first))
    write_files(
        options.markdown, options.plot, lambda: report.markdown(rows),
        lambda path, form: report.plot(rows, path, title_of(about), form),
    )  # fmt: skip
    return 0


def _show(rows: Sequence[Row], about: Mapping[str, object], no_numpy: str) -> None:
    from pdesim.bench import report
    from pdesim.tables import print_table, result_console

    console = result_console(140)
    console.print(title_of(about), markup=False, soft_wrap=True)
    print_table(report.rich_table(rows), console, report.OPTIONAL, "--json")
    if no_numpy:
        console.print(f"no row for NumPy: {no_numpy}", markup=False, soft_wrap=True)
    copies = {row.device: row.copy for row in rows if row.copy}
    for device, copy in copies.items():
        console.print(f"{device}: copy bandwidth {copy / 1e9:.3g} GB/s, reads plus writes")


def title_of(about: Mapping[str, object]) -> str:
    """Return the title of the tables and plots of a benchmark that :func:`describe` describes."""
    text = "{equation}, {stepper} ({stages} stages), {operators}, {precision}"
    return text.format(**about) + f"; medians of {about['repeats']} rounds"


def _rows(
    jobs: Sequence[Sequence[str]],
    config_dir: str | None,
    placements: Sequence[Placement],
    repeats: int,
) -> Iterator[Row]:
    from rich.console import Console

    from pdesim.bench.measure import copy_bandwidth, measure

    with Console(stderr=True).status("measuring the copy bandwidth") as status:
        copies = {p.name: copy_bandwidth(p, repeats) for p in placements}
        for words in jobs:
            status.update(f"measuring {words[-1]}")
            yield from measure(
                plan_of(words, config_dir), placements, copies, repeats, ROUND_SECONDS
            )


def plan_of(words: Sequence[str], config_dir: str | None) -> Plan:
    """Return the plan of settings.

    Raises:
        ConfigError: if the problem is steady.
    """
    composed = compose_settings(words, config_dir)
    plan = build_plan(composed.settings, composed.equation)
    if plan.equation.steady:
        raise ConfigError(
            f"{plan.equation.name} is a steady problem, which takes no steps",
            "an equation with rhs",
        )
    return plan


def _placements(plans: Sequence[Plan]) -> list[Placement]:
    """The devices to measure: the requested one, and the CPU as well if ``auto`` finds a GPU."""
    requested = start_for(plans)
    both = plans[0].settings.device.name == "auto" and requested.is_gpu
    return [start_tensorflow(Device(name="cpu")), requested] if both else [requested]


def grids_of(
    given_sizes: str | None,
    overrides: Sequence[str],
    config_dir: str | None,
    defaults: Mapping[int, tuple[int, ...]],
) -> list[list[str]]:
    """For each size, the settings of its grid.

    Args:
        given_sizes: the value of ``--sizes``.
        overrides: the given settings.
        config_dir: a folder with additional configuration files.
        defaults: number of dimensions -> cells per axis, if no size is given.

    Raises:
        ConfigError: if sizes are invalid or given twice.
    """
    given = any(word.startswith("grid=") for word in overrides)
    if given_sizes is not None and given:
        raise ConfigError("both --sizes and grid= are given", "only one of them")
    if given:
        return [[]]
    dimensions = build_grid(compose_settings(overrides, config_dir).settings).dimensions
    sizes = defaults[dimensions]
    if given_sizes is not None:
        sizes = tuple(
            integer("--sizes 64,128,256", n, 4, MOST_CELLS) for n in given_sizes.split(",")
        )
    return [[f"grid=[{','.join([str(n)] * dimensions)}]"] for n in sorted(set(sizes))]


def integer(example: str, word: str, least: int, most: int) -> int:
    """Return the value of an option.

    Args:
        example: the option with an example of its value.
        word: the given text.
        least, most: the smallest and the largest allowed value.

    Raises:
        ConfigError: if the text is not an integer in this range.
    """
    flag, digits = example.partition(" ")[0], word.strip()
    # Python refuses to convert texts of more than 4300 digits
    if not digits.isdecimal() or len(digits) > 20 or not least <= int(digits) <= most:
        spread = "; fewer rounds would not show the spread" if flag == "--repeats" else ""
        raise ConfigError(
            f"{flag} got {clip(word, 100)}", f"integers from {least} to {most:,}{spread}", example
        )
    return int(digits)


def describe(plan: Plan, repeats: int) -> dict:
    """Return what is measured and on which machine, as values for JSON."""
    import os
    from importlib.metadata import version

    from pdesim.bench.measure import evaluations

    scheme, stepper = plan.problem.discretisation, plan.stepper
    return {
        "equation": plan.equation.name,
        "stepper": stepper.method.name,
        "stages": evaluations(stepper),
        "operators": f"{scheme.name} {scheme.order or ''}".strip(),
        "precision": plan.settings.device.precision,
        "repeats": repeats,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in ("pdesim", "tensorflow", "numpy")},
    }
