"""Throughput, compile time and memory of a plan's step loop; devices are timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from pdesim.bench.numpy_reference import NumpyProgram, unsupported_reason
from pdesim.bench.program import Program
from pdesim.bench.timing import estimate_step_time
from pdesim.engine.device import Placement
from pdesim.plan import Plan

#: bytes of the array that is copied, far larger than caches
COPY_BYTES = 2**28
NUMPY = "NumPy"

#: takes a number of steps
Run = Callable[[int], object]


@dataclass(frozen=True)
class Row:
    """The measurement of one device on one grid.

    Args:
        device: the name of the device.
        points: cells per axis.
        steps: steps per round.
        seconds: seconds of every round.
        traffic: bytes that a step has to move, ``2 * stages * state``: at each evaluation of the
            right-hand side, every field is read once and written once.
        state: bytes of the state.
        copy: the copy bandwidth of the device in bytes per second, reads plus writes.
        compile_seconds: seconds from the plan to the end of the first step.
        peak: bytes in use at the peak, less those before the program was built.
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
    def cells(self) -> int:
        return int(np.prod(self.points))

    @property
    def rates(self) -> np.ndarray:
        """Cell updates per second of every round."""
        return self.cells * self.steps / np.array(self.seconds)

    @property
    def step_seconds(self) -> float:
        """The median of the seconds per step."""
        return float(np.median(self.seconds)) / self.steps

    @property
    def bandwidth(self) -> float:
        """Bytes per second that the steps have to move."""
        return self.traffic / self.step_seconds


def evaluations(stepper) -> int:
    """The number of right-hand-side evaluations per step, a lower bound for implicit methods."""
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
) -> Iterator[Row]:
    """Measure all devices on one plan, and NumPy if it supports the plan.

    Args:
        plan: the plan.
        placements: the devices.
        copies: the copy bandwidth by the name of the placement.
        repeats: the number of rounds.
        round_seconds: the approximate duration of a round of one device.
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
    if not unsupported_reason(plan):
        add(NumpyProgram(plan).run, Row(NUMPY, plan.grid.points, 0, (), traffic, state))
    rounds = time_rounds(runs, [row.steps for row in rows], repeats)
    for row, seconds in zip(rows, rounds, strict=True):
        yield replace(row, seconds=tuple(seconds))


def time_rounds(runs: Sequence[Run], steps: Sequence[int], repeats: int) -> list[list[float]]:
    """The seconds of every round of each run.

    In a round, all runs are timed once, one after the other. An additional first round warms up
    and is not returned.

    Args:
        runs: functions that take a number of steps.
        steps: the number of steps per round of each run.
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
    """The copy bandwidth in bytes per second, reads plus writes, of an array larger than caches."""
    with tf.device(placement.name):
        values, one = tf.zeros(COPY_BYTES // 4, tf.float32), tf.constant(1.0)

        # adds 1, since XLA would remove a copy
        @tf.function(jit_compile=True, autograph=False)
        def copy(values, one, count):
            return tf.while_loop(lambda i, _: i < count, lambda i, v: (i + 1, v + one), (0, values))

        def run(count: int) -> None:
            with tf.device(placement.name):
                copy(values, one, tf.constant(count))[0].numpy()

        run(1)
        # the difference excludes the cost of a call, such as the allocation of memory
        few, many = 4, 36
        short, long = time_rounds([run, run], [few, many], repeats)
    return 2 * COPY_BYTES * (many - few) / float(np.median(long) - np.median(short))


def reset_peak(placement: Placement) -> None:
    """Reset the peak of the memory in use, if the system supports it."""
    if placement.is_gpu:
        tf.config.experimental.reset_memory_stats(placement.name.strip("/"))
    elif (switch := Path("/proc/self/clear_refs")).exists():
        switch.write_text("5")


def peak_bytes(placement: Placement) -> int:
    """The peak of the memory in use in bytes, of the GPU or of this process."""
    if placement.is_gpu:
        return tf.config.experimental.get_memory_info(placement.name.strip("/"))["peak"]
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    import resource  # macOS counts in bytes

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
