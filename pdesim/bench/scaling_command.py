"""The command ``pdesim bench --devices``: strong and weak scaling on several devices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pdesim.bench.command import (
    FEWEST,
    MOST,
    ROUND_SECONDS,
    Options,
    describe,
    grids_of,
    integer,
    plan_of,
    title_of,
)
from pdesim.bench.output import write_files
from pdesim.bench.scaling import (
    STRONG,
    WEAK,
    Load,
    ScalingRow,
    predict_speed_up,
    single,
)
from pdesim.engine.device import Placement
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.link import Link
from pdesim.engine.startup import start_for
from pdesim.errors import ConfigError
from pdesim.plan import Plan

#: number of dimensions -> cells per axis, if neither --sizes nor grid= is given
SIZES: dict[int, tuple[int, ...]] = {1: (262144,), 2: (1024,), 3: (64,)}
MOST_DEVICES = 1024


@dataclass(frozen=True)
class Machine:
    """The devices of a scaling benchmark.

    Args:
        placements: number of devices -> the devices.
        threads: on a CPU, the number of threads of each device.
        parallel: the number of devices that can compute at the same time.
    """

    placements: Mapping[int, list[Placement]]
    threads: int
    parallel: int

    @property
    def one(self) -> Placement:
        return self.placements[1][0]

    @property
    def text(self) -> str:
        """A description for the table."""
        if self.one.is_gpu:
            return f"each device is a {self.one.about}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        text = f"{self.one.about}: each device is {threads}"
        if max(self.placements) > self.parallel:
            text += f"; at most {self.parallel} compute at the same time"
        return text


@dataclass(frozen=True)
class Case:
    """One measurement: a plan on a number of devices (``plan.settings.device.count``)."""

    scaling: str
    plan: Plan

    @property
    def devices(self) -> int:
        return self.plan.settings.device.count


def run_scaling(overrides: Sequence[str], options: Options) -> int:
    """Measure the strong and weak scaling, and report the results.

    Returns:
        The exit code.

    Raises:
        ConfigError: if an option is invalid, or if the problem is steady.
        DeviceError: if a problem cannot be computed on one of the numbers of devices.
    """
    repeats = integer("--repeats N", options.repeats, FEWEST, MOST)
    counts = device_counts(options.devices or "")
    grids = grids_of(options.sizes, overrides, options.config_dir, SIZES)
    groups = [_cases([*overrides, *grid], counts, options.config_dir) for grid in grids]
    machine = _start(groups)
    rows = list(_rows(groups, machine, repeats))
    from pdesim.bench import scaling_report as report

    about = describe(groups[0][0].plan, repeats) | {
        "device": machine.one.about,
        "threads_per_device": None if machine.one.is_gpu else machine.threads,
        "parallel_devices": machine.parallel,
    }
    if options.json:
        print(json.dumps(report.as_json(rows, about), indent=1))
    else:
        report.show(rows, title_of(about), machine.text)
    write_files(
        options.markdown, options.plot, lambda: report.markdown(rows),
        lambda path, form: report.plot(rows, path, title_of(about), form),
    )  # fmt: skip
    return 0


def device_counts(text: str) -> list[int]:
    """Return the numbers of devices of ``--devices``, ascending, with 1.

    Raises:
        ConfigError: if the text is not a list of integers, or if none is above 1.
    """
    given = {integer("--devices 1,2,4", word, 1, MOST_DEVICES) for word in text.split(",")}
    if max(given) == 1:
        raise ConfigError(
            f"--devices got {text}", "at least one number of devices above 1", "--devices 1,2,4"
        )
    return sorted(given | {1})


def _cases(words: Sequence[str], counts: Sequence[int], config_dir: str | None) -> list[Case]:
    """Return the cases of one grid, of which the first is that of one device."""
    one = plan_of(words, config_dir)
    if one.settings.device.count > 1:
        raise ConfigError(
            f"both --devices and device.count={one.settings.device.count} are given",
            "only one of them",
        )
    cases = [Case(STRONG, one)]
    for scaling in (STRONG, WEAK):
        for count in counts[1:]:
            grown = _grown(one, count) if scaling == WEAK else []
            plan = plan_of([*words, *grown, f"device.count={count}"], config_dir)
            check_distributed(plan)
            cases.append(Case(scaling, plan))
    return cases


def _grown(plan: Plan, count: int) -> list[str]:
    """Return settings with which the last axis of the grid is longer, in cells and in length.

    The spacing of the cells, and with it the stability limit, remains the same.
    """
    grid = plan.grid
    points = [*grid.points[:-1], grid.points[-1] * count]
    extent = [*grid.extent[:-1], grid.extent[-1] * count]
    return [
        f"grid=[{','.join(map(str, points))}]",
        f"domain.extent=[{','.join(repr(float(length)) for length in extent)}]",
    ]


def _start(groups: Sequence[Sequence[Case]]) -> Machine:
    """Start TensorFlow and return the devices.

    On a CPU, every device has the same number of threads: that with which all devices together use
    all cores.
    """
    cases = sorted((case for group in groups for case in group), key=lambda case: -case.devices)
    requested = start_for([case.plan for case in cases])
    placements = {case.devices: requested.all_of(case.devices) for case in cases}
    from pdesim.engine.flat.tuning import TUNING

    most = cases[0].devices
    threads = max(1, TUNING.threads // most)
    return Machine(placements, threads, most if requested.is_gpu else TUNING.threads // threads)


def _rows(groups: Sequence[Sequence[Case]], machine: Machine, repeats: int) -> Iterator[ScalingRow]:
    from rich.console import Console

    from pdesim.bench.distributed_program import measure_link

    with Console(stderr=True).status("measuring exchanges") as status:
        links = {
            count: measure_link(placements, repeats)
            for count, placements in machine.placements.items()
            if count > 1
        }
        for cases in groups:
            status.update(f"measuring {'x'.join(map(str, cases[0].plan.grid.points))}")
            yield from _measure(cases, machine, links, repeats)


def _measure(
    cases: Sequence[Case], machine: Machine, links: Mapping[int, Link], repeats: int
) -> list[ScalingRow]:
    """Measure the cases of one grid in interleaved rounds."""
    from pdesim.bench.distributed_program import DistributedProgram, single_program
    from pdesim.bench.measure import time_rounds
    from pdesim.bench.timing import estimate_step_time

    programs: list[Any] = [single_program(cases[0].plan, machine.one, machine.threads)]
    programs += [
        DistributedProgram(case.plan, machine.placements[case.devices], machine.threads)
        for case in cases[1:]
    ]
    loads: list[Load] = [single(cases[0].plan.grid.shape[0])]
    loads += [program.load for program in programs[1:]]
    steps = []
    for program, load in zip(programs, loads, strict=True):
        number = max(1, round(ROUND_SECONDS / estimate_step_time(program.run)))
        steps.append(-(-number // load.steps) * load.steps)  # complete intervals of exchanges
    rounds = time_rounds([program.run for program in programs], steps, repeats)
    rows: list[ScalingRow] = []
    for case, program, load, count, seconds in zip(
        cases, programs, loads, steps, rounds, strict=True
    ):
        exchanges = tuple(program.exchange_seconds[-repeats:]) if rows else (0.0,) * repeats
        row = ScalingRow(
            case.scaling, case.plan.grid.points, load, count, tuple(seconds), exchanges
        )
        rows.append(_predicted(row, rows[0], machine.parallel, links) if rows else row)
    first_weak = next(n for n, row in enumerate(rows) if row.scaling == WEAK)
    return [*rows[:first_weak], replace(rows[0], scaling=WEAK), *rows[first_weak:]]


def _predicted(
    row: ScalingRow, one: ScalingRow, parallel: int, links: Mapping[int, Link]
) -> ScalingRow:
    """Return a row with the prediction of the model, from the measurement of one device."""
    link = links[row.load.devices]
    predicted = predict_speed_up(row.load, one.load, one.step_seconds, parallel, link)
    return replace(row, link=link, predicted=predicted, one=one)
