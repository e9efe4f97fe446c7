"""Throughput, compile time and memory of a plan's step loop, device beside device, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pdesim.bench.numpy_reference import NumpyProgram, lacking
from pdesim.bench.program import Program
from pdesim.bench.timing import pace
from pdesim.engine.device import Placement
from pdesim.plan import Plan

#: bytes of the array that is copied: far more than caches hold
COPIED = 2**28
NUMPY = "NumPy"


@dataclass(frozen=True)
class Row:
    """One device on one grid; ``seconds`` has every turn's time of ``steps`` steps.

    ``traffic`` is what a step has to move, ``2 * stages * state`` bytes: at each evaluation of the
    right-hand side every field is read once and written once. ``copy`` is the device's measured
    copy bandwidth in the same terms, bytes a second read and written.
    """

    device: str
    points: tuple[int, ...]
    steps: int
    seconds: tuple[float, ...]
    traffic: int
    state: int
    copy: float | None = None
    compile_seconds: float | None = None
    #: bytes beyond what was held before the program was built
    peak: int | None = None

    @property
    def cells(self) -> int:
        return int(np.prod(self.points))

    @property
    def rates(self) -> np.ndarray:
        """Cell updates per second of every turn."""
        return self.cells * self.steps / np.array(self.seconds)

    @property
    def step_seconds(self) -> float:
        return float(np.median(self.seconds)) / self.steps

    @property
    def bandwidth(self) -> float:
        """Bytes a second that the steps had to move."""
        return self.traffic / self.step_seconds


def evaluations(stepper) -> int:
    """How often a step evaluates the right-hand side (implicit methods: at least)."""
    method = stepper.method
    if method.family == "stabilized":
        return stepper.stages
    if method.tableau is not None:
        return len(method.tableau.b)
    return len(method.weights)


def measure(
    plan: Plan, placements: Sequence[Placement], copies: dict[str, float], repeats: int, turn: float
) -> Iterator[Row]:
    """All devices on one plan, NumPy where it can, in turns of about ``turn`` seconds."""
    size = 4 if plan.settings.device.precision == "float32" else 8
    state = size * len(plan.equation.fields) * plan.grid.cells
    traffic = 2 * evaluations(plan.stepper) * state
    runners: list[tuple[Callable, dict]] = []
    for placement in placements:
        forget_peak(placement)
        held, began = peak_bytes(placement), time.perf_counter()
        program = Program(plan, placement)
        program.run(1)
        facts = {"device": placement.about, "copy": copies[placement.name]}
        facts["compile_seconds"] = time.perf_counter() - began
        runners.append((program.run, facts))
        facts["paced"] = pace(program.run)
        facts["peak"] = max(0, peak_bytes(placement) - held)
    if not lacking(plan):
        numpy = NumpyProgram(plan)
        runners.append((numpy.run, {"device": NUMPY, "paced": pace(numpy.run)}))
    turns = [max(1, round(turn / facts.pop("paced"))) for _, facts in runners]
    seconds = take_turns([run for run, _ in runners], turns, repeats)
    for (_, facts), steps, taken in zip(runners, turns, seconds, strict=True):
        yield Row(
            points=plan.grid.points, steps=steps, seconds=tuple(taken), traffic=traffic,
            state=state, **facts,
        )  # fmt: skip


def take_turns(runs: Sequence[Callable], steps: Sequence[int], repeats: int) -> list[list[float]]:
    """Seconds of every turn; the first round warms up and is not told."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats + 1):
        for own, run, count in zip(taken, runs, steps, strict=True):
            began = time.perf_counter()
            run(count)
            own.append(time.perf_counter() - began)
    return [own[1:] for own in taken]


def copy_bandwidth(placement: Placement, repeats: int) -> float:
    """Bytes a second, read and written, by a compiled loop over an array larger than caches."""
    with tf.device(placement.name):
        values, one = tf.zeros(COPIED // 4, tf.float32), tf.constant(1.0)

        # a plain copy would be optimised away
        @tf.function(jit_compile=True, autograph=False)
        def copy(values, one, count):
            return tf.while_loop(lambda i, _: i < count, lambda i, v: (i + 1, v + one), (0, values))

        def run(count: int) -> None:
            with tf.device(placement.name):
                copy(values, one, tf.constant(count))[0].numpy()

        run(1)
        # the difference leaves out what a call costs by itself: pages of fresh memory
        few, many = 4, 36
        short, long = take_turns([run, run], [few, many], repeats)
    return 2 * COPIED * (many - few) / float(np.median(long) - np.median(short))


def forget_peak(placement: Placement) -> None:
    """Let the peak begin anew, where that can be done."""
    if placement.is_gpu:
        tf.config.experimental.reset_memory_stats(placement.name.strip("/"))
    elif (switch := Path("/proc/self/clear_refs")).exists():
        switch.write_text("5")


def peak_bytes(placement: Placement) -> int:
    """The largest memory held: the device's own, or this process's."""
    if placement.is_gpu:
        return tf.config.experimental.get_memory_info(placement.name.strip("/"))["peak"]
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    import resource  # macOS counts in bytes

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
