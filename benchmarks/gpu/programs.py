"""The compiled step loops of the benchmark, in the form for GPUs, and their export as HLO."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from gpu.common import Row, guarded
from gpu.hlo import made_state
from pdesim.bench.measure import evaluations
from pdesim.config.compose import compose_settings
from pdesim.engine.step import GPU_TARGET, StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import Plan, build_plan

#: cells per axis and length of the domain of Pearson's Gray-Scott square
SQUARE = 512, 2.5
#: cells of a grid -> steps of the comparison with the expected result. Steps are taken in groups,
#: the largest of 128 on small grids and of 16 on others, and these numbers contain all of them
CHECKED = {2**20: 150, 2**40: 25}
#: states above this number of bytes are computed by ``made_state`` instead of being exported
LARGE = 1 << 20
#: number of values of the expected result that are exported
SAMPLES = 1 << 16


def gray_scott(n: int, words: str) -> str:
    """Settings of Gray-Scott on a square of n x n cells, whose size is that of Pearson's."""
    return f"equation=gray_scott grid={n} domain.extent={SQUARE[1] * n / SQUARE[0]} {words}"


#: name -> settings of a step, for a number of cells per axis
FORMS: Mapping[str, Callable[[int], str]] = {
    "euler": lambda n: gray_scott(n, "stepper=euler"),
    "euler_f64": lambda n: gray_scott(n, "stepper=euler device.precision=float64"),
    "neumann": lambda n: gray_scott(n, "stepper=euler boundary=neumann"),
    "dirichlet": lambda n: gray_scott(n, "stepper=euler boundary=dirichlet"),
    "robin": lambda n: gray_scott(
        n, "stepper=euler boundary.x='{robin: {a: 1, b: 2, value: 1}}' boundary.y=neumann"
    ),
    "rk4": lambda n: gray_scott(n, "stepper=rk4"),
    "rkl2_heat": lambda n: f"equation=heat grid={n} stepper=rkl2",
    "euler_heat": lambda n: f"equation=heat grid={n} stepper=euler",
    "verlet_wave": lambda n: f"equation=wave grid={n} stepper=verlet",
    "conv": lambda n: gray_scott(n, "stepper=euler operators=conv"),
    "etdrk4": lambda n: gray_scott(n, "stepper=etdrk4 operators=spectral"),
    "euler_3d": lambda n: f"equation=gray_scott grid=[{n},{n},{n}] stepper=euler",
}
#: the exported programs: form -> numbers of cells per axis
EXPORTED = {
    "euler": (512, 1024, 2048, 4096, 8192),
    "euler_f64": (4096,),
    "neumann": (4096,),
    "dirichlet": (512,),
    "robin": (2048,),
    "rk4": (512, 2048),
    "rkl2_heat": (2048,),
    "euler_heat": (4096,),
    "verlet_wave": (2048,),
    "conv": (512, 2048),
    "etdrk4": (512,),
    "euler_3d": (256,),
}
#: cells per axis with ``--quick``
SMALL = 24


def cases(quick: bool) -> dict[str, str]:
    """The exported programs: name -> settings."""
    sizes = dict.fromkeys(("euler", "rk4", "etdrk4"), (SMALL,)) if quick else EXPORTED
    return {f"{form}_{n}": FORMS[form](n) for form, ns in sizes.items() for n in ns}


def plan_of(words: str, *more: str) -> Plan:
    """Return the plan of a program with fixed steps."""
    settings = [*shlex.split(words), "output.frames=1", *more]
    composed = compose_settings(settings)
    return build_plan(composed.settings, composed.equation)


class GpuProgram:
    """The step loop of a plan in the form that GPUs execute, on any device.

    Args:
        plan: a plan with fixed steps.
        state: the initial state; None: that of the plan.
    """

    def __init__(self, plan: Plan, state: np.ndarray | None = None) -> None:
        self.plan, dtype = plan, tf.as_dtype(plan.settings.device.precision)
        self.loop = TimeLoop(StepContext(plan.problem, plan.stepper, dtype, GPU_TARGET))
        self._start = tf.constant(float(plan.times[0]), tf.float64)
        self._dt = tf.constant(plan.shortest_step, tf.float64)
        numbers = self.loop.coefficients.host(plan.shortest_step, plan.equation.parameters)
        self._numbers = self.loop.parameters, self.loop.coefficients.as_tensors(numbers)
        first = tf.constant(plan.state if state is None else state, dtype)
        self.carry = self.loop.init(first, self._start, self._dt, *self._numbers)

    def arguments(self, steps: int) -> tuple:
        """Return the arguments of ``loop.advance`` for a number of steps."""
        count = tf.constant(0, tf.int64), tf.constant(steps, tf.int64)
        return self.carry, self._start, self._dt, *count, *self._numbers

    def run(self, steps: int) -> np.ndarray:
        """Take a number of steps from the initial state, and return the last state."""
        return self.loop.advance(*self.arguments(steps))[1].numpy()


def program_text(program: GpuProgram) -> str:
    """Return the optimised program as text, for the current device of TensorFlow."""
    ir = program.loop.advance.experimental_get_compiler_ir(*program.arguments(1))
    return ir(stage="optimized_hlo")


def export_all(folder: Path, quick: bool, chosen: Sequence[str] = ()) -> list[Row]:
    """Write the programs into a folder, each guarded, and return a row for each."""
    folder.mkdir(parents=True, exist_ok=True)
    with tf.device("/CPU:0"):
        return [
            guarded({"program": name}, partial(export, name, words, folder))
            for name, words in cases(quick).items()
            if not chosen or name in chosen
        ]


def checked_steps(plan: Plan) -> int:
    """Return the number of steps after which the state is compared with the expected result."""
    return next(steps for most, steps in CHECKED.items() if plan.grid.cells <= most)


def fields_equal(value: np.ndarray, state: np.ndarray) -> tuple[int, int] | None:
    """Return the range of the fields of a state that are equal to a carried array, or None."""
    ranges = [(0, len(state)), *((field, field + 1) for field in range(len(state)))]
    for first, last in ranges:
        if np.array_equal(value.reshape(-1), state[first:last].reshape(-1)):
            return first, last
    return None


def export(name: str, words: str, folder: Path) -> Row:
    """Write ``NAME.hlo``, ``NAME.json`` and ``NAME.npz``: a program, its inputs and its result.

    The inputs are in the order of the program's arguments. Fields of a state above ``LARGE`` bytes
    are not written: :func:`gpu.hlo.made_state` computes them.
    """
    plan = plan_of(words)
    precision = plan.settings.device.precision
    state = made_state(plan.state.shape, precision) if plan.state_bytes > LARGE else None
    program = GpuProgram(plan, state)
    steps = checked_steps(plan)
    arguments = program.arguments(steps)
    serialized = program.loop.advance.experimental_get_compiler_ir(*arguments)(
        stage="hlo_serialized"
    )
    concrete = program.loop.advance.get_concrete_function(*arguments)
    inputs = [*tf.nest.flatten(arguments), *concrete.captured_inputs]
    parts = len(tf.nest.flatten(program.carry))
    made: dict[str, list[int]] = {}
    arrays: dict[str, np.ndarray] = {}
    for i, tensor in enumerate(inputs):
        value = tensor.numpy()
        fields = None if state is None or i >= parts else fields_equal(value, state)
        if fields is None:
            arrays[f"input_{i}"] = value
        else:
            made[str(i)] = [*fields, *value.shape]
    carried, result, _ = program.loop.advance(*arguments)
    expected = result.numpy().reshape(-1)
    stride = max(1, expected.size // SAMPLES)
    arrays["expected"] = expected[::stride]
    np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    (folder / f"{name}.hlo").write_bytes(serialized)
    about = {
        "settings": words,
        "inputs": len(inputs),
        # the arguments: the carried data, start, dt, first, last, ...
        "steps_input": parts + 3,
        # number of an input -> range of the fields of ``made_state``, and the shape of the input
        "made": made,
        "state": list(plan.state.shape),
        "precision": precision,
        "result": 0 if carried is None else len(tf.nest.flatten(carried)),
        "stride": stride,
        "checked_steps": steps,
        "cells": plan.grid.cells,
        "state_bytes": plan.state_bytes,
        "bytes_per_step": 2 * evaluations(plan.stepper) * plan.state_bytes,
        # the sums of a cell have about 10 terms in a stage, and a transform of 2**18 values has 18
        # levels; each rounds once, and no step of a stable scheme amplifies rounding errors
        "bound": 30 * plan.stages * steps * float(np.finfo(precision).eps),
    }
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n")
    size = sum((folder / f"{name}.{end}").stat().st_size for end in ("hlo", "npz"))
    return {"HLO kB": len(serialized) / 1e3, "files MB": size / 1e6, "inputs": len(inputs)}
