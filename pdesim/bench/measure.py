"""Measures the throughput, compile time and memory of the step loop on several devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from pdesim.bench.numpy_reference import NumpyProgram, unsupported_reason
from pdesim.bench.program import Program
from pdesim.bench.timing import Rounds, estimate_step_time
from pdesim.engine.device import Placement
from pdesim.plan import Plan

#: size in bytes of the array that is copied to measure the bandwidth, far larger than any cache
COPY_BYTES = 2**28
NUMPY = "NumPy"

#: a function that performs a given number of time steps
Run = Callable[[int], object]


@dataclass(frozen=True)
class Row(Rounds):
    """The measurement of one device on one grid.

    Args:
        device: the name of the device.
        points: the number of cells per axis.
        steps: the number of steps per round.
        seconds: the duration of every round in seconds.
        traffic: the bytes that a step has to move, ``2 * stages * state``: at each evaluation of
            the right-hand side, every field is read once and written once.
        state: the size of the state in bytes.
        copy: the copy bandwidth of the device in bytes per second, counting reads and writes.
        compile_seconds: the time to build and compile the program and to take the first step.
        peak: the peak memory in bytes, minus the memory in use before the program was built.
    """

    device: str
    points: tuple[int, ...]
    steps: int
    seconds: tuple[float, ...]
    traffic: int
    state: int
    copy: float | None = None
    compile_seconds: float | None = None
    peak: int | None = None

    @property
    def bandwidth(self) -> float:
        """The memory traffic of the steps in bytes per second, from ``traffic``."""
        return self.traffic / self.step_seconds


def evaluations(stepper) -> int:
    """The number of evaluations of the right-hand side per step; for implicit methods a minimum."""
    method = stepper.method
    if method.family == "stabilized":
        return stepper.stages
    if method.tableau is not None:
        return len(method.tableau.b)
    return len(method.weights)


def measure(
    plan: Plan,
    placements: Sequence[Placement],
    copies: Mapping[str, float],
    repeats: int,
    round_seconds: float,
    numpy: bool = True,
) -> Iterator[Row]:
    """Measure one plan on all devices, and with NumPy if the NumPy reference supports the plan.

    Args:
        plan: the plan.
        placements: the devices.
        copies: name of the placement -> copy bandwidth.
        repeats: the number of rounds.
        round_seconds: the approximate duration of a round on one device in seconds.
        numpy: whether to measure NumPy, which takes seconds per step on large grids.
    """
    size = 4 if plan.settings.device.precision == "float32" else 8
    state = size * len(plan.equation.fields) * plan.grid.cells
    traffic = 2 * evaluations(plan.stepper) * state
    runs: list[Run] = []
    rows: list[Row] = []

    def add(run: Run, row: Row) -> None:
        steps = max(1, round(round_seconds / estimate_step_time(run)))
        runs.append(run)
        rows.append(replace(row, steps=steps))

    for placement in placements:
        reset_peak(placement)
        before, began = peak_bytes(placement), time.perf_counter()
        program = Program(plan, placement)
        program.run(1)
        compiled = time.perf_counter() - began
        row = Row(placement.about, plan.grid.points, 0, (), traffic, state)
        add(program.run, replace(row, copy=copies[placement.name], compile_seconds=compiled))
        rows[-1] = replace(rows[-1], peak=max(0, peak_bytes(placement) - before))
    if numpy and not unsupported_reason(plan):
        add(NumpyProgram(plan).run, Row(NUMPY, plan.grid.points, 0, (), traffic, state))
    rounds = time_rounds(runs, [row.steps for row in rows], repeats)
    for row, seconds in zip(rows, rounds, strict=True):
        yield replace(row, seconds=tuple(seconds))


def time_rounds(runs: Sequence[Run], steps: Sequence[int], repeats: int) -> list[list[float]]:
    """For each run, the duration of every round in seconds.

    In a round, all runs are timed once, one after the other. An additional first round is a
    warm-up, whose durations are not returned.

    Args:
        runs: functions that perform a given number of time steps.
        steps: for each run, the number of steps per round.
        repeats: the number of rounds.
    """
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats + 1):
        for times, run, count in zip(seconds, runs, steps, strict=True):
            began = time.perf_counter()
            run(count)
            times.append(time.perf_counter() - began)
    return [times[1:] for times in seconds]


def copy_bandwidth(placement: Placement, repeats: int) -> float:
    """The bandwidth of copying a large array in bytes per second, counting reads and writes."""
    with tf.device(placement.name):
        values, one = tf.zeros(COPY_BYTES // 4, tf.float32), tf.constant(1.0)

        # adds 1 to every element, since XLA would remove a plain copy
        @tf.function(jit_compile=True, autograph=False)
        def copy(values, one, count):
            return tf.while_loop(lambda i, _: i < count, lambda i, v: (i + 1, v + one), (0, values))

        def run(count: int) -> None:
            with tf.device(placement.name):
                copy(values, one, tf.constant(count))[0].numpy()

        run(1)
        # the difference of two runs excludes the cost of a call, such as allocating memory
        few, many = 4, 36
        short, long = time_rounds([run, run], [few, many], repeats)
    return 2 * COPY_BYTES * (many - few) / float(np.median(long) - np.median(short))


def reset_peak(placement: Placement) -> None:
    """Restart the recording of the peak memory, if the system supports this."""
    if placement.is_gpu:
        tf.config.experimental.reset_memory_stats(placement.name.strip("/"))
    elif (switch := Path("/proc/self/clear_refs")).exists():
        switch.write_text("5")


def peak_bytes(placement: Placement) -> int:
    """The peak memory in bytes: that of the GPU, or that of this process."""
    if placement.is_gpu:
        return tf.config.experimental.get_memory_info(placement.name.strip("/"))["peak"]
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    import resource  # for macOS, which reports bytes

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
