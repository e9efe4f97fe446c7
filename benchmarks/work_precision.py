"""Work for accuracy, not only steps: the error that pdesim and its peers reach in given seconds.

    python benchmarks/work_precision.py [--quick] [--json FILE] [--plot FILE.png]

Gray-Scott on Pearson's square (2.5 x 2.5, periodic, F = 0.037, k = 0.06) from three smooth blobs to
t = 1000 on 256 x 256 cells, in float64, with the same numbers at the start for everybody. Every
method is run over a ladder of time steps or tolerances; its error is the largest difference from
a reference solution in u and v at any cell, its seconds are the median of runs taken turn by turn
after compilation and warm-up (coefficients for a time step count as set-up, too).

Errors are those of the time integration alone, so every method has the reference that it converges
to when its step goes to zero:

    spectral   all Fourier modes (pdesim operators=spectral; Exponax keeping all modes)
    stencil    second-order differences (pdesim operators=stencil; py-pde)
    dealiased  Exponax as it comes, which keeps half of the modes along each axis in the reactions

The references use a far smaller step and are checked by another method; how far they are from each
other, which is an error in space, is printed as well. A time means something only beside the
others of the same run: quote none alone, and none of ``--quick``, whose runs are too short to time.
The peers' versions are in ``requirements.txt``; whatever is not installed is left out. Each package
works in a process of its own, and only one at a time; NUMBA_NUM_THREADS=1 gives py-pde one thread,
which is faster where cores are few or busy.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import math
import multiprocessing
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

EXTENT, DU, DV, FEED, KILL = 2.5, 2e-5, 1e-5, 0.037, 0.06
#: centres of the blobs as fractions of the extent, and their radius
CENTRES, RADIUS = ((0.36, 0.40), (0.60, 0.46), (0.46, 0.66)), 0.12
PACKAGES = ("pdesim", "exponax", "py-pde")
#: errors closer to the references' own doubt than this factor say nothing about an order,
#: nor do errors so large that the patterns differ
TRUSTED, COARSE = 20.0, 0.05
#: a measured order may fall short of the claim by this much before it is marked
SLACK = 0.2
#: errors for which the seconds are interpolated
TARGETS = (1e-2, 1e-4, 1e-6, 1e-8)

Run = Callable[[], np.ndarray]
#: per space the reference solution, and how far another method is from it
References = dict[str, tuple[np.ndarray, float]]


@dataclass(frozen=True)
class Case:
    """What is solved: cells per axis, and the final time."""

    grid: int
    end: float

    def state(self) -> np.ndarray:
        """u and v at the cell centres, ``(2, y, x)``: periodic Gaussian-like blobs."""
        centres = (np.arange(self.grid) + 0.5) / self.grid
        x, y = np.meshgrid(centres, centres)
        width = math.pi * RADIUS / EXTENT
        blobs = np.zeros_like(x)
        for a, b in CENTRES:
            squares = np.sin(np.pi * (x - a)) ** 2 + np.sin(np.pi * (y - b)) ** 2
            blobs += np.exp(-squares / width**2)
        return np.stack([1 - 0.5 * blobs, 0.25 * blobs])


@dataclass(frozen=True)
class Rung:
    """One run to time: a method of a package with a step or a tolerance (dt is then 0)."""

    package: str
    method: str
    space: str
    order: int
    dt: float = 0.0
    tolerance: float = 0.0

    @property
    def adaptive(self) -> bool:
        return self.tolerance > 0

    @property
    def size(self) -> str:
        return f"tol {self.tolerance:.0e}" if self.adaptive else f"dt {self.dt:g}"

    @property
    def line(self) -> tuple[str, str, str]:
        """What the rungs of one ladder have in common."""
        return self.package, self.method, self.space


@dataclass
class Result:
    """What came of a rung: its error (nan: it failed, see ``trouble``) and all its seconds."""

    rung: Rung
    error: float = math.nan
    order: float = math.nan
    seconds: tuple[float, ...] = ()
    trouble: str = ""

    @property
    def median(self) -> float:
        return float(np.median(self.seconds)) if self.seconds else math.nan


def _ladder(line: tuple[str, str, str], order: int, dts=(), tolerances=()) -> list[Rung]:
    rungs = [Rung(*line, order, dt=dt) for dt in dts]
    return rungs + [Rung(*line, order, tolerance=tolerance) for tolerance in tolerances]


def _halved(first: float, count: int) -> list[float]:
    return [first / 2**n for n in range(count)]


def ladders(quick: bool) -> list[Rung]:
    """All that is timed. py-pde compiles for every step anew, so its ladders are short."""
    fine = 4 if quick else 5
    exponential = ((1, 2.5), (2, 5.0), (3, 10.0), (4, 10.0))
    own, exponax, pde = [], [], []
    for order, first in exponential:
        dts = _halved(first, fine)
        own += _ladder(("pdesim", f"etdrk{order}", "spectral"), order, dts)
        exponax += _ladder(("exponax", f"etdrk{order}", "spectral"), order, dts)
        if order in (2, 4):
            exponax += _ladder(("exponax", f"etdrk{order}", "dealiased"), order, dts)
    for name in ("cnab2", "sbdf2"):
        own += _ladder(("pdesim", name, "spectral"), 2, _halved(5.0, 5))
    own += _ladder(("pdesim", "rk4", "spectral"), 4, _halved(0.625, 2))
    tolerances = (1e-3, 1e-5, 1e-7, 1e-9)
    own += _ladder(("pdesim", "dormand_prince", "spectral"), 5, (), tolerances)
    own += _ladder(("pdesim", "euler", "stencil"), 1, _halved(1.0, 4))
    own += _ladder(("pdesim", "rkl2", "stencil"), 2, _halved(10.0, 5))
    own += _ladder(("pdesim", "rk4", "stencil"), 4, _halved(1.25, 3))
    own += _ladder(("pdesim", "dormand_prince", "stencil"), 5, (), tolerances)
    pde += _ladder(("py-pde", "euler", "stencil"), 1, _halved(1.0, 2 if quick else 3))
    if not quick:
        pde += _ladder(("py-pde", "scipy RK45", "stencil"), 5, (), tolerances)
        pde += _ladder(("py-pde", "runge-kutta", "stencil"), 4, _halved(1.25, 3))
        pde += _ladder(("py-pde", "runge-kutta adaptive", "stencil"), 4, (), (1e-4, 1e-6, 1e-8))
        pde += _ladder(("py-pde", "implicit euler", "stencil"), 1, _halved(1.0, 2))
        pde += _ladder(("py-pde", "crank-nicolson", "stencil"), 2, _halved(1.0, 2))
    return own + exponax + pde


#: per space: the reference, and another method that has to agree with it
REFERENCES = {
    "spectral": (
        Rung("pdesim", "etdrk4", "spectral", 4, dt=0.125),
        Rung("pdesim", "dormand_prince", "spectral", 5, tolerance=1e-12),
    ),
    "stencil": (
        Rung("pdesim", "etdrk4", "stencil", 4, dt=0.125),
        Rung("pdesim", "dormand_prince", "stencil", 5, tolerance=1e-12),
    ),
    "dealiased": (
        Rung("exponax", "etdrk4", "dealiased", 4, dt=0.25),
        Rung("exponax", "etdrk3", "dealiased", 3, dt=0.125),
    ),
}


class Pdesim:
    """Runs of pdesim: one compiled program per stepper, the time step being its argument."""

    def __init__(self, case: Case) -> None:
        from pdesim.device import start_tensorflow
        from pdesim.settings import Device

        self.case, self.placement, self.programs = case, start_tensorflow(Device(name="cpu")), {}

    def program(self, stepper: str, operators: str):
        """The compiled blocks of a stepper, and the step with which an adaptive one begins."""
        if (stepper, operators) not in self.programs:
            from pdesim.config import compose_settings
            from pdesim.plan import build_plan
            from pdesim.simulation import Simulation

            composed = compose_settings(
                [
                    "equation=gray_scott",
                    *(f"equation.{name}={value}" for name, value in _parameters().items()),
                    f"grid={self.case.grid}",
                    f"domain.extent={EXTENT}",
                    f"operators={operators}",
                    f"stepper={stepper}",
                    f"time.end={self.case.end}",
                    "output.frames=1",
                    "device=cpu",
                    "device.precision=float64",
                ]
            )
            plan = build_plan(composed.settings, composed.equation)
            blocks = Simulation(plan, self.placement).blocks
            self.programs[stepper, operators] = blocks, plan.step.dt
        return self.programs[stepper, operators]

    def runner(self, rung: Rung) -> Run:
        import tensorflow as tf

        def number(value):
            return tf.constant(value, tf.float64)

        def count(value):
            return tf.constant(value, tf.int64)

        blocks, first_dt = self.program(rung.method, rung.space)
        state, start, parameters = number(self.case.state()), number(0.0), blocks.parameters
        if rung.adaptive:
            end, first, tolerance = map(number, (self.case.end, first_dt, rung.tolerance))

            def follow(trials: int) -> np.ndarray:
                return blocks.follow(
                    state, start, end, first, count(trials), tolerance, parameters
                )[1].numpy()

            follow(2)
            return lambda: follow(10**9)
        steps = _steps(self.case, rung)
        dt = number(self.case.end / steps)
        coefficients = blocks.coefficients(self.case.end / steps)

        def march(steps: int) -> np.ndarray:
            carry = blocks.begin(state, start, dt, parameters, coefficients)
            return blocks.advance(
                carry, start, dt, count(0), count(steps), parameters, coefficients
            )[1].numpy()

        march(2)
        return lambda: march(steps)


class Exponax:
    """Runs of Exponax: all steps in Fourier space, compiled as one loop."""

    def __init__(self, case: Case) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        jax.config.update("jax_enable_x64", True)
        import equinox

        self.case, self.march = case, equinox.filter_jit(self._march)

    def _march(self, stepper, state, steps):
        import exponax
        import jax

        modes = exponax.fft(state, num_spatial_dims=2)
        modes = jax.lax.fori_loop(0, steps, lambda _, m: stepper.step_fourier(m), modes)
        return exponax.ifft(modes, num_spatial_dims=2, num_points=self.case.grid)

    def runner(self, rung: Rung) -> Run:
        import exponax
        import jax
        import jax.numpy as jnp

        steps = _steps(self.case, rung)
        # a fraction of 2 keeps every mode; without it half of the modes of each axis are kept
        kept = {} if rung.space == "dealiased" else {"dealiasing_fraction": 2.0}
        stepper = exponax.stepper.reaction.GrayScott(
            2,
            EXTENT,
            self.case.grid,
            self.case.end / steps,
            diffusivity_1=DU,
            diffusivity_2=DV,
            feed_rate=FEED,
            kill_rate=KILL,
            order=int(rung.method[-1]),
            **kept,
        )
        # numbers as arrays are arguments of the program: one serves all time steps
        stepper = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float) else x, stepper)
        state = jnp.asarray(self.case.state())

        def run(steps: int) -> np.ndarray:
            return np.asarray(self.march(stepper, state, jnp.asarray(steps)))

        run(2)
        return lambda: run(steps)


class PyPde:
    """Runs of py-pde with its Numba backend, on cells with the same centres."""

    def __init__(self, case: Case) -> None:
        # waiting threads sleep: where cores are shared, spinning ones slow the others thirtyfold
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import pde

        self.case = case
        size = [case.grid, case.grid]
        grid = pde.CartesianGrid([(0, EXTENT), (0, EXTENT)], size, periodic=True)
        fields = [pde.ScalarField(grid, values) for values in case.state()]
        self.state = pde.FieldCollection(fields, labels=["u", "v"])
        self.equation = pde.PDE(
            {
                "u": f"{DU} * laplace(u) - u * v**2 + {FEED} * (1 - u)",
                "v": f"{DV} * laplace(v) + u * v**2 - {FEED + KILL} * v",
            }
        )
        self.scipy = None

    def runner(self, rung: Rung) -> Run:
        if rung.method.startswith("scipy"):
            return self._by_scipy(rung)
        from pde import solvers

        kind, options = {
            "euler": (solvers.EulerSolver, {}),
            "runge-kutta": (solvers.RungeKuttaSolver, {}),
            "runge-kutta adaptive": (solvers.RungeKuttaSolver, {"adaptive": True}),
            # iterations are carried far enough to show the orders
            "implicit euler": (solvers.ImplicitSolver, {"maxerror": 1e-9}),
            "crank-nicolson": (solvers.CrankNicolsonSolver, {"maxerror": 1e-9}),
        }[rung.method]
        if rung.adaptive:
            options = {**options, "tolerance": rung.tolerance}
        solver = kind(self.equation, backend="numba", **options)
        first = solver.dt_default if rung.adaptive else self.case.end / _steps(self.case, rung)
        step = solver.make_stepper(self.state, first)

        def run(end: float) -> np.ndarray:
            solver.info["dt"] = first  # adaptive solvers keep their last step here
            state = self.state.copy()
            step(state, 0, end)
            return state.data

        run(2 * first)
        return lambda: run(self.case.end)

    def _by_scipy(self, rung: Rung) -> Run:
        """SciPy's integrator around the compiled right-hand side; one program for all rungs."""
        if self.scipy is None:
            from pde import solvers

            solver = solvers.ScipySolver(self.equation, backend="numba", method="RK45")
            self.scipy = solver, solver.make_stepper(self.state)
        solver, step = self.scipy

        def run(end: float) -> np.ndarray:
            solver.solver_params |= {"rtol": rung.tolerance, "atol": rung.tolerance}
            state = self.state.copy()
            step(state, 0, end)
            return state.data

        run(1.0)
        return lambda: run(self.case.end)


BUILDERS = {"pdesim": Pdesim, "exponax": Exponax, "py-pde": PyPde}


def _parameters() -> dict[str, float]:
    return {"Du": DU, "Dv": DV, "F": FEED, "k": KILL}


def _steps(case: Case, rung: Rung) -> int:
    return round(case.end / rung.dt)


def serve(package: str, case: Case, rungs: Sequence[Rung], connection) -> None:
    """A package's process: prepare all rungs, then run the one that is asked for, timed."""
    runs, troubles = {}, {}
    try:
        builder = BUILDERS[package](case)
        for rung in rungs:
            try:
                runs[rung] = builder.runner(rung)
            except Exception as error:
                troubles[rung] = f"{type(error).__name__}: {error}"
    except Exception as error:
        troubles = {rung: f"{type(error).__name__}: {error}" for rung in rungs}
    connection.send("ready")
    while (rung := connection.recv()) is not None:
        if rung in troubles:
            connection.send((math.nan, None, troubles[rung]))
            continue
        began = time.perf_counter()
        try:
            state = runs[rung]()
            connection.send((time.perf_counter() - began, state, ""))
        except Exception as error:
            connection.send((math.nan, None, f"{type(error).__name__}: {error}"))


class Workers:
    """The processes of all packages, prepared together, then asked one at a time.

    py-pde compiles longer than all others, so its ladders are shared out among as many processes
    as there are cores.
    """

    def __init__(self, case: Case, rungs: Sequence[Rung]) -> None:
        context, self.connections = multiprocessing.get_context("spawn"), {}
        self.places: dict[Rung, tuple[str, int]] = {}
        for package in dict.fromkeys(rung.package for rung in rungs):
            own = [rung for rung in rungs if rung.package == package]
            lines = list(dict.fromkeys(rung.line for rung in own))
            shares = min(len(lines), os.cpu_count() or 1) if package == "py-pde" else 1
            self.places |= {r: (package, lines.index(r.line) % shares) for r in own}
        for place in dict.fromkeys(self.places.values()):
            share = [rung for rung in self.places if self.places[rung] == place]
            here, there = context.Pipe()
            arguments = (place[0], case, share, there)
            context.Process(target=serve, args=arguments, daemon=True).start()
            there.close()
            self.connections[place] = here

    def wait(self) -> None:
        for (package, number), connection in self.connections.items():
            try:
                connection.recv()
                _tell(f"{package} ({number + 1}) is ready")
            except EOFError:
                _tell(f"{package} ({number + 1}): its process died while it prepared")

    def run(self, rung: Rung) -> tuple[float, np.ndarray | None, str]:
        """Seconds, the final state, and what went wrong."""
        connection = self.connections[self.places[rung]]
        try:
            connection.send(rung)
            return connection.recv()
        except (EOFError, BrokenPipeError):
            return math.nan, None, "its process died"

    def close(self) -> None:
        for connection in self.connections.values():
            with suppress(BrokenPipeError):
                connection.send(None)


@contextmanager
def started(case: Case, rungs: Sequence[Rung]) -> Iterator[Workers]:
    workers = Workers(case, rungs)
    try:
        workers.wait()
        yield workers
    finally:
        workers.close()


def solve_references(
    workers: Workers, spaces: Sequence[str]
) -> dict[str, tuple[np.ndarray, float]]:
    """Per space the reference solution and how far another method is from it."""
    found = {}
    for space in spaces:
        states = []
        for rung in REFERENCES[space]:
            seconds, state, trouble = workers.run(rung)
            if state is None:
                sys.exit(f"the {space} reference failed ({rung.method}, {rung.size}): {trouble}")
            _tell(f"{space} reference: {rung.package} {rung.method} {rung.size}, {seconds:.1f} s")
            states.append(state)
        found[space] = states[0], float(np.abs(states[0] - states[1]).max())
    return found


def measure(
    workers: Workers, rungs: Sequence[Rung], references: References, repeats: int, patience: float
):
    """All rungs turn by turn, shuffled so that a busy minute hits nobody alone.

    One that has taken ``patience`` seconds altogether rests.
    """
    results = {rung: Result(rung) for rung in rungs}
    for turn in range(repeats):
        for rung, result in random.Random(turn).sample(list(results.items()), len(results)):
            if result.trouble or (turn > 0 and sum(result.seconds) > patience):
                continue
            seconds, state, result.trouble = workers.run(rung)
            if state is None:
                continue
            if not np.isfinite(state).all():
                result.trouble = "diverged"
                continue
            result.seconds += (seconds,)
            result.error = float(np.abs(state - references[rung.space][0]).max())
        _tell(f"turn {turn + 1} of {repeats} done")
    _measure_orders(list(results.values()))
    return list(results.values())


def _measure_orders(results: Sequence[Result]) -> None:
    """From each rung of fixed step and the one before it in its ladder."""
    for before, result in itertools.pairwise(results):
        same = before.rung.line == result.rung.line and not result.rung.adaptive
        if same and before.error > 0 and result.error > 0:
            ratio = before.rung.dt / result.rung.dt
            result.order = math.log(before.error / result.error) / math.log(ratio)


def finest_orders(results: Sequence[Result], references: References) -> list[Result]:
    """Of every ladder of fixed steps, the finest rung whose order can be trusted."""
    found = {}
    for result in results:
        if not math.isnan(result.order) and _trusted(result, references):
            found[result.rung.line] = result
    return list(found.values())


def _trusted(result: Result, references: References) -> bool:
    return TRUSTED * references[result.rung.space][1] <= result.error <= COARSE


def misses(result: Result) -> bool:
    """Whether the order falls short of the claim."""
    return result.order < result.rung.order - SLACK


def lines_of(results: Sequence[Result]) -> dict[tuple[str, str, str], list[Result]]:
    found: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        found.setdefault(result.rung.line, []).append(result)
    return found


def seconds_for(results: Sequence[Result], error: float) -> float:
    """Seconds to reach an error, between two rungs by powers; nan outside the ladder."""
    good = sorted((r.error, r.median) for r in results if r.error > 0 and r.seconds)
    for (low, slow), (high, fast) in itertools.pairwise(good):
        if low <= error <= high:
            share = math.log(error / low) / math.log(high / low) if high > low else 0.0
            return slow * (fast / slow) ** share
    return math.nan


def print_tables(results: Sequence[Result], references: References, case: Case) -> None:
    finest = finest_orders(results, references)
    for space, (_, doubt) in references.items():
        rung, check = REFERENCES[space]
        print(f"\nCompared with the {space} reference: {rung.package} {rung.method} {rung.size};")
        print(f"{check.package} {check.method} {check.size} differs from it by {doubt:.1e}")
        print(f"{'':31}{'steps by':>12}{'error':>10}{'order':>8}{'seconds':>10}  (min-max, runs)")
        for line, ladder in lines_of(results).items():
            if line[2] != space:
                continue
            for number, result in enumerate(ladder):
                mark = ("<" if misses(result) else "*") if result in finest else " "
                mark = mark if _trusted(result, references) or result.error > COARSE else "~"
                print(_row(result, mark, first=number == 0))
    _print_targets(results, references)
    _print_spaces(references, case)


def _row(result: Result, mark: str, first: bool) -> str:
    rung = result.rung
    name = f"{rung.package:9}{rung.method}" if first else ""
    head = f"{name:31}{rung.size:>12}"
    if result.trouble:
        return f"{head}  {result.trouble.splitlines()[0][:60]}"
    order = "-" if math.isnan(result.order) else f"{result.order:.2f}"
    spread = f"({min(result.seconds):.3g}-{max(result.seconds):.3g}, {len(result.seconds)})"
    return f"{head}{result.error:>10.1e}{order:>7}{mark}{result.median:>10.3f}  {spread}"


def _print_targets(results: Sequence[Result], references: References) -> None:
    print("\nSeconds to an error, between the rungs above (-: outside the ladder)")
    print(f"{'':44}" + "".join(f"{target:>10.0e}" for target in TARGETS))
    for space in references:
        for (package, method, where), ladder in lines_of(results).items():
            if where == space:
                times = (seconds_for(ladder, target) for target in TARGETS)
                cells = ("-" if math.isnan(t) else f"{t:.3g}" for t in times)
                print(f"{package:9}{method:22}{space:13}" + "".join(f"{c:>10}" for c in cells))


def _print_spaces(references, case: Case) -> None:
    print(
        "\norder: from the rung before; * the finest that can be trusted, < the same but short of"
    )
    print("the claim by more than 0.2; ~ the error is too near the reference's own to tell")
    if "spectral" in references:
        for other in references:
            if other != "spectral":
                gap = float(np.abs(references[other][0] - references["spectral"][0]).max())
                print(
                    f"the {other} reference is {gap:.1e} from the spectral one: an error in space"
                )
    u, v = next(iter(references.values()))[0]
    print(f"at t = {case.end:g}: u in [{u.min():.3f}, {u.max():.3f}], v up to {v.max():.3f}")


def as_json(results: Sequence[Result], references: References, case: Case, about: dict) -> dict:
    finest = finest_orders(results, references)
    return {
        **about,
        **asdict(case),
        "extent": EXTENT,
        **_parameters(),
        "references": {
            space: {"rungs": [asdict(r) for r in REFERENCES[space]], "agreement": doubt}
            for space, (_, doubt) in references.items()
        },
        "results": [
            {
                **asdict(r.rung),
                "error": _plain(r.error),
                "measured_order": _plain(r.order),
                "misses_order": r in finest and misses(r),
                "seconds": r.seconds,
                "median_seconds": _plain(r.median),
                "trouble": r.trouble,
            }
            for r in results
        ],
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


#: one family of colours per package; the shade and the marker tell its methods apart
COLOURS = {"pdesim": "Blues", "exponax": "Oranges", "py-pde": "Greens"}
MARKERS = "osD^vP*Xph"


def draw(
    results: Sequence[Result], references: References, case: Case, about: dict, path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = {
        "all Fourier modes": ("spectral", "dealiased"),
        "second-order differences": ("stencil",),
    }
    figure, panels = plt.subplots(
        1, 2, figsize=(12, 6.8), sharex=True, sharey=True, layout="constrained"
    )
    for panel, (title, spaces) in zip(panels, groups.items(), strict=True):
        _draw_panel(panel, results, [s for s in spaces if s in references])
        doubt = references[spaces[0]][1] if spaces[0] in references else math.nan
        panel.axhline(doubt, color="0.6", linewidth=0.8, linestyle=":")
        panel.set_title(f"in space: {title}", fontsize=11)
        panel.set_xlabel("seconds (median, after compilation)")
    panels[0].set_ylabel("largest error of u and v against the reference")
    figure.suptitle(
        f"Gray-Scott to t = {case.end:g} on {case.grid} x {case.grid} cells, float64, "
        f"{about['cores']} cores; lower left is better",
        fontsize=12,
    )
    figure.savefig(path, dpi=150)


def _draw_panel(panel, results: Sequence[Result], spaces: Sequence[str]) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import NullFormatter

    lines = {k: v for k, v in lines_of(results).items() if k[2] in spaces}
    for package, family in COLOURS.items():
        methods = list(dict.fromkeys(m for p, m, _ in lines if p == package))
        shades = colormaps[family](np.linspace(1.0, 0.35, max(len(methods), 2)))
        for (owner, method, space), ladder in lines.items():
            good = [r for r in ladder if r.error > 0 and r.seconds]
            if owner != package or not good:
                continue
            which, own = methods.index(method), space == "dealiased"
            panel.loglog(
                [r.median for r in good],
                [r.error for r in good],
                color=shades[which],
                marker=MARKERS[which % len(MARKERS)],
                markersize=6,
                markerfacecolor="white" if own else shades[which],
                linestyle="--" if good[0].rung.adaptive else ":" if own else "-",
                linewidth=1.6,
                label=f"{package} {method}" + (", half the modes (own reference)" if own else ""),
            )
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(True, which="major", color="0.9", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)


def describe(packages: Sequence[str]) -> dict:
    """The machine, the versions, and how busy it was at the start."""
    names = ["numpy"]
    names += ["pdesim", "tensorflow"] if "pdesim" in packages else []
    names += ["exponax", "jax"] if "exponax" in packages else []
    names += ["py-pde", "numba", "scipy"] if "py-pde" in packages else []
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        _tell(f"{package} is not installed and left out: see benchmarks/requirements.txt")
        return False
    return True


def _tell(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="64 x 64 cells to t = 100")
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=PACKAGES)
    parser.add_argument("--repeats", type=int, default=3, help="turns for every rung")
    parser.add_argument(
        "--patience", type=float, default=20.0, help="seconds after which a rung is run no more"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything measured")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="error against seconds")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    case = Case(64, 100.0) if options.quick else Case(256, 1000.0)
    packages = [p for p in PACKAGES if p in options.packages and _installed(p)]
    if not packages:
        sys.exit("nothing to measure")
    about = describe(packages)
    rungs = [rung for rung in ladders(options.quick) if rung.package in packages]
    spaces = list(dict.fromkeys(rung.space for rung in rungs))
    needed = [rung for space in spaces for rung in REFERENCES[space]]
    with started(case, list(dict.fromkeys([*needed, *rungs]))) as workers:
        references = solve_references(workers, spaces)
        results = measure(workers, rungs, references, options.repeats, options.patience)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"Gray-Scott {case.grid} x {case.grid} to t = {case.end:g}, float64, {versions}")
    print(f"{about['cores']} cores, load {about['load']} at the start; quote no time alone")
    print_tables(results, references, case)
    if options.json:
        text = json.dumps(as_json(results, references, case, about), indent=1)
        options.json.write_text(text + "\n")
    if options.plot:
        draw(results, references, case, about, options.plot)


if __name__ == "__main__":
    main()
