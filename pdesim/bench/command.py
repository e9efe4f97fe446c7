"""``pdesim bench``: from flags and settings to a table, JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdesim.config.compose import compose_settings
from pdesim.engine.device import Placement, start_tensorflow
from pdesim.engine.startup import start_for
from pdesim.errors import ConfigError
from pdesim.plan import Plan, build_grid, build_plan
from pdesim.settings import Device

#: cells per axis, by the number of axes, where neither --sizes nor grid= says anything
SIZES = {
    1: (1024, 16384, 262144),
    2: (64, 128, 256, 512, 1024, 2048),
    3: (32, 64, 128),
}
REPEATS, FEWEST = 5, 3
#: seconds of one turn of one device, about
TURN = 0.3


@dataclass(frozen=True)
class Options:
    """What a benchmark measures besides the settings, and the files for its results.

    ``sizes`` are cells per axis, separated by commas; ``repeats`` is the number of rounds.
    """

    sizes: str | None = None
    repeats: str = str(REPEATS)
    json: bool = False
    markdown: str | None = None
    plot: str | None = None
    config_dir: str | None = None


def run_bench(overrides: Sequence[str], options: Options) -> int:
    """Measure and report; returns the exit code.

    Raises:
        ConfigError: for sizes or repeats that cannot be used, and for steady problems.
    """
    repeats = _whole("--repeats N", options.repeats, FEWEST)
    config_dir = options.config_dir
    jobs = [[*overrides, *grid] for grid in _grids(options.sizes, overrides, config_dir)]
    first = _plan(jobs[0], config_dir)  # mistakes are told before TensorFlow starts
    placements = _placements([first, *(_plan(words, config_dir) for words in jobs[1:])])
    from pdesim.bench import report  # needs TensorFlow, which has started quietly now

    rows = list(_rows(jobs, config_dir, placements, repeats))
    from pdesim.bench.numpy_reference import lacking

    about = _describe(first, repeats)
    if options.json:
        print(json.dumps(report.as_json(rows, about), indent=1))
    else:
        _show(report, rows, about, lacking(first))
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(rows), "utf-8")
    if options.plot:
        report.plot(rows, Path(options.plot), _title(about))
    return 0


def _show(report, rows: Sequence, about: Mapping, no_numpy: str) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(width=140, highlight=False)
    console.print(_title(about), markup=False)
    console.print(report.rich_table(rows))
    if no_numpy:
        console.print(f"no row for NumPy: {no_numpy}", markup=False)
    copies = {row.device: row.copy for row in rows if row.copy}
    for device, copy in copies.items():
        console.print(f"{device} copies {copy / 1e9:.3g} GB/s, reading and writing counted")


def _title(about: Mapping) -> str:
    told = "{equation}, {stepper} ({stages} stages), {operators}, {precision}"
    return told.format(**about) + f"; medians of {about['repeats']} turns"


def _rows(jobs, config_dir, placements: Sequence[Placement], repeats: int) -> Iterator:
    from rich.console import Console

    from pdesim.bench.measure import copy_bandwidth, measure

    with Console(stderr=True).status("measuring the copy bandwidth") as status:
        copies = {p.name: copy_bandwidth(p, repeats) for p in placements}
        for words in jobs:
            status.update(f"measuring {words[-1]}")
            yield from measure(_plan(words, config_dir), placements, copies, repeats, TURN)


def _plan(words: Sequence[str], config_dir: str | None) -> Plan:
    composed = compose_settings(words, config_dir)
    plan = build_plan(composed.settings, composed.equation)
    if plan.equation.steady:
        raise ConfigError(
            f"{plan.equation.name} is solved at once and takes no steps", "an equation with rhs"
        )
    return plan


def _placements(plans: Sequence[Plan]) -> list[Placement]:
    """The device asked for; with ``device=auto`` and a GPU, the CPU as well."""
    asked = start_for(plans)
    both = plans[0].settings.device.name == "auto" and asked.is_gpu
    return [start_tensorflow(Device(name="cpu")), asked] if both else [asked]


def _grids(chosen: str | None, overrides: Sequence[str], config_dir) -> list[list[str]]:
    """The settings that make each size."""
    given = any(word.startswith("grid=") for word in overrides)
    if chosen is not None and given:
        raise ConfigError("both --sizes and grid= are given", "one of them")
    if given:
        return [[]]
    dimensions = build_grid(compose_settings(overrides, config_dir).settings).dimensions
    sizes = SIZES[dimensions]
    if chosen is not None:
        sizes = [_whole("--sizes 64,128,256", word, 4) for word in chosen.split(",")]
    return [[f"grid=[{','.join([str(n)] * dimensions)}]"] for n in sorted(set(sizes))]


def _whole(example: str, word: str, least: int) -> int:
    flag = example.partition(" ")[0]
    if not word.strip().isdecimal() or int(word) < least:
        spread = "; fewer say nothing about the spread" if flag == "--repeats" else ""
        raise ConfigError(
            f"{flag} got {word}", f"whole numbers of at least {least}{spread}", example
        )
    return int(word)


def _describe(plan: Plan, repeats: int) -> dict:
    import os
    from importlib.metadata import version

    from pdesim.bench.measure import evaluations

    scheme = plan.problem.discretisation
    return {
        "equation": plan.equation.name,
        "stepper": plan.stepper.method.name,
        "stages": evaluations(plan.stepper),
        "operators": f"{scheme.name} {scheme.order or ''}".strip(),
        "precision": plan.settings.device.precision,
        "repeats": repeats,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in ("pdesim", "tensorflow", "numpy")},
    }
