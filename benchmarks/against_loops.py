"""One program for many values, beside loops: an ensemble of runs, and an elementwise formula.

    python benchmarks/against_loops.py [--members 64] [--grid 64] [--steps 2000] [--cells 10000000]
                                       [--repeats 3] [--json]

The ensemble: Gray-Scott runs with different F, one after the other by a compiled program, and as
members of one program; both programs are compiled beforehand, and no files are written. The
formula ``(a - b)**2``, and one with transcendental functions: in a loop over Python numbers (a part
of them, extrapolated), by NumPy, and compiled for the device. Variants follow each other in every
turn; prints medians, and medians of the ratios within a turn.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import numpy as np
import sympy
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine.simulation import Simulation
from pdesim.engine.startup import start_for
from pdesim.formula import NUMPY, Evaluator, Scope, parse
from pdesim.operators.tensor_library import tensor_library
from pdesim.plan import Plan, build_plan

#: the range of F of the ensemble
LOW, HIGH = 0.03, 0.06
#: formulas of two arrays, and the same for one pair of Python numbers
FORMULAS: dict[str, Callable[[float, float], float]] = {
    "(a - b)**2": lambda a, b: (a - b) ** 2,
    "sin(a)**2 + exp(-b**2)": lambda a, b: math.sin(a) ** 2 + math.exp(-(b**2)),
}
#: number of pairs in a loop over Python numbers
IN_LOOP = 100_000


def planned(value: float, grid: int, steps: int) -> Plan:
    words = ["equation=gray_scott", "stepper=euler", "output.frames=1", f"grid={grid}"]
    composed = compose_settings(
        [*words, "domain.extent=0.6", "time.dt=1", f"time.end={steps}", f"equation.F={value}"]
    )
    return build_plan(composed.settings, composed.equation)


def run(plans: list[Plan], placement) -> list[np.ndarray]:
    """Return the last states of runs that are computed together."""
    last = None
    for frame in Simulation(plans if len(plans) > 1 else plans[0], placement).frames():
        last = frame.state
    assert last is not None
    return list(last.copy()) if len(plans) > 1 else [last.copy()]


def seconds(function: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def ensemble(members: int, grid: int, steps: int, repeats: int) -> dict[str, object]:
    """Time the members one by one and together, and compare their results."""
    plans = [planned(value, grid, steps) for value in np.linspace(LOW, HIGH, members)]
    placement = start_for(plans[:1])
    variants = {
        "one by one": lambda: [run([plan], placement)[0] for plan in plans],
        "together": lambda: run(plans, placement),
    }
    for function in variants.values():
        function()  # compiles the program
    times: dict[str, list[float]] = {name: [] for name in variants}
    results = {}
    for _ in range(repeats):
        for name, function in variants.items():
            taken, results[name] = seconds(function)
            times[name].append(taken)
    ratios = np.array(times["one by one"]) / np.array(times["together"])
    difference = max(float(np.abs(a - b).max()) for a, b in zip(*results.values(), strict=True))
    return {
        "members": members,
        "seconds one by one": float(np.median(times["one by one"])),
        "seconds together": float(np.median(times["together"])),
        "one by one / together": float(np.median(ratios)),
        "largest difference": difference,
    }


def elementwise(text: str, cells: int, repeats: int) -> dict[str, object]:
    """Time a formula in a loop, by NumPy, and compiled."""
    symbols = {name: sympy.Symbol(name, real=True) for name in "ab"}
    formula = parse(text, Scope(symbols, ("x",)))
    random = np.random.default_rng(0)
    a, b = (random.normal(size=cells).astype(np.float32) for _ in range(2))
    on_device = [tf.constant(values) for values in (a, b)]

    @tf.function(jit_compile=True, autograph=False)
    def compiled(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return Evaluator({"a": a, "b": b}, tensor_library(tf.float32))(formula)

    some = list(zip(a[:IN_LOOP].tolist(), b[:IN_LOOP].tolist(), strict=True))
    scale, plain = cells / len(some), FORMULAS[text]
    variants: dict[str, Callable[[], object]] = {
        "loop": lambda: [plain(*pair) for pair in some],
        "NumPy": lambda: Evaluator({"a": a, "b": b}, NUMPY)(formula),
        "device": lambda: tf.reduce_max(compiled(*on_device)[:1]).numpy(),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for function in variants.values():
        function()
    for _ in range(repeats):
        for name, function in variants.items():
            times[name].append(seconds(function)[0] * (scale if name == "loop" else 1))
    expected = Evaluator({"a": a, "b": b}, NUMPY)(formula)
    np.testing.assert_allclose(compiled(*on_device), expected, rtol=1e-5, atol=1e-6)
    numpy = np.array(times["NumPy"])
    return {
        "formula": text,
        "pairs": cells,
        **{f"seconds {name}": float(np.median(values)) for name, values in times.items()},
        "loop / NumPy": float(np.median(np.array(times["loop"]) / numpy)),
        "NumPy / device": float(np.median(numpy / np.array(times["device"]))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--grid", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--cells", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {
        "ensemble": ensemble(options.members, options.grid, options.steps, options.repeats),
        "formulas": [elementwise(text, options.cells, options.repeats) for text in FORMULAS],
    }
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    for group in (figures["ensemble"], *figures["formulas"]):
        for name, value in group.items():
            print(f"{name:24} {value:.4g}" if isinstance(value, float) else f"{name:24} {value}")
        print()


if __name__ == "__main__":
    main()
