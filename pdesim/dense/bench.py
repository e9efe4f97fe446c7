"""Times of the solution of random linear systems, beside ``numpy.linalg.solve``."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from rich.table import Table

from pdesim.dense.inputs import read_matrix, read_right, read_shapes
from pdesim.dense.memory import check_device, check_host
from pdesim.dense.settings import LinearSystem, read_request
from pdesim.engine.device import Placement, start_tensorflow
from pdesim.errors import ConfigError, DeviceError
from pdesim.settings import Device
from pdesim.tables import print_table, result_console

#: numbers of unknowns if --sizes is not given
SIZES = (10, 100, 1000, 2000, 5000, 10_000, 20_000)
REPEATS, MOST = 3, 1000
#: seconds that a single solution may take, if --seconds is not given
SECONDS = 60.0

#: times of fewer unknowns than this do not predict those of larger systems
SMALL = 500

#: median seconds of each solver, None if it was left out
Row = dict[str, float | None]


def run_bench_system(
    name: str, overrides: Sequence[str], sizes: str | None, repeats: str | None,
    seconds: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Measure, print a table or JSON, and return the exit code.

    Args:
        name: the name of the configuration file.
        overrides: settings as on the command line.
        sizes: numbers of unknowns, separated by commas; None: :data:`SIZES`.
        repeats: number of rounds, as text.
        seconds: the longest time of one solution, as text. A solver is left out if its time for the
            size before, multiplied by the cube of the ratio of the sizes, exceeds this.
        as_json: whether to print JSON.

    Raises:
        ConfigError: for invalid settings and options.
    """
    request = read_request(name, overrides)
    if (request.settings.A, request.settings.y) != ("random", "random"):
        raise ConfigError("the benchmark uses random systems", "no A= and no y=")
    chosen = _sizes(sizes)
    rounds = int(_number("--repeats", repeats or str(REPEATS), 1, MOST))
    limit = _number("--seconds", seconds or str(SECONDS), 0.001, 1e6)
    rows = dict(_rows(request.settings, chosen, rounds, limit))
    if as_json:
        print(json.dumps({"precision": request.settings.device.precision, "seconds": rows}))
    else:
        _print(rows, request.settings.device.precision, rounds)
    return 0


def _rows(
    settings: LinearSystem, sizes: Sequence[int], rounds: int, limit: float
) -> Iterator[tuple[int, Row]]:
    """Yield the number of unknowns and the median times of each solver."""
    solvers = _solvers(settings)
    last: dict[str, tuple[int, float]] = {}
    for n in sizes:
        sized = settings.model_copy(update={"n": n})
        row: Row = dict.fromkeys(solvers)
        known = {k: t * (n / m) ** 3 for k, (m, t) in last.items() if m >= SMALL}
        fast = {k: s for k, s in solvers.items() if known.get(k, 0.0) <= limit and _fits(sized, s)}
        if fast:
            system = _draw(sized)
            times: dict[str, list[float]] = {k: [] for k in fast}
            for _ in range(rounds + 1):  # interleaved; the first round is not counted
                for key, solver in fast.items():
                    began = time.perf_counter()
                    solver(*system)
                    times[key].append(time.perf_counter() - began)
            for key, found in times.items():
                median = statistics.median(found[1:])
                row[key], last[key] = median, (n, median)
        yield n, row


class _Solver:
    """Solution on one device, from arrays of the host to an array of the host."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    def __call__(self, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        from pdesim.dense.solve import solve_only

        return solve_only(a, y, self.placement)


def _solvers(settings: LinearSystem) -> dict[str, Callable[..., np.ndarray]]:
    """Return the solvers by their names: NumPy, the CPU and, if there is one, the GPU."""
    found: dict[str, Callable[..., np.ndarray]] = {"NumPy": np.linalg.solve}
    names = ["cpu", "gpu"] if settings.device.name == "auto" else [settings.device.name]
    for name in names:
        try:
            placement = start_tensorflow(
                Device.model_validate({"name": name, "precision": settings.device.precision})
            )
        except DeviceError:
            if len(names) == 1:
                raise
            continue
        found[placement.about] = _Solver(placement)
    return found


def _fits(settings: LinearSystem, solver: object) -> bool:
    """Return whether a system fits into the memory of a solver."""
    shapes = read_shapes(settings)
    try:
        check_host(shapes)
        if isinstance(solver, _Solver):
            check_device(shapes, solver.placement)
        else:  # NumPy computes in double precision, with a copy of A
            check_device(type(shapes)(shapes.n, shapes.y, 8), Placement("/CPU:0", "this machine"))
    except DeviceError:
        return False
    return True


def _draw(settings: LinearSystem) -> tuple[np.ndarray, np.ndarray]:
    shapes = read_shapes(settings)
    return read_matrix(settings, shapes), read_right(settings, shapes)


def _sizes(text: str | None) -> list[int]:
    if text is None:
        return list(SIZES)
    return [int(_number("--sizes", part, 1, 1e6)) for part in text.split(",")]


def _number(option: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    whole = option == "--seconds" or value == int(value)
    if not (low <= value <= high and whole):
        kind = "a number" if option == "--seconds" else "an integer"
        raise ConfigError(f"{option} is {text[:50]}", f"{kind} from {low:g} to {high:g}")
    return value


def _print(rows: Mapping[int, Row], precision: str, rounds: int) -> None:
    console = result_console()
    names = list(next(iter(rows.values())))
    console.print(f"solution of A x = y in {precision}, seconds; medians of {rounds} rounds")
    table = Table("unknowns", *names, *(f"NumPy / {name}" for name in names[1:]), box=None)
    for n, row in rows.items():
        times = ["-" if row[name] is None else f"{row[name]:.3g}" for name in names]
        table.add_row(f"{n:,}", *times, *(_ratio(row["NumPy"], row[name]) for name in names[1:]))
    print_table(table, console)
    console.print("- : too slow (--seconds), or not enough memory. NumPy computes in float64.")


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one and other else "-"
