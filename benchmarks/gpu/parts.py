"""The parts of the benchmark that run pdesim. Each yields rows, of which those that fail say so."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gpu.common import Row, Scale, guarded, rates
from gpu.kernels import kernels_per_step
from gpu.programs import FORMS, SMALL, GpuProgram, gray_scott, plan_of, program_text
from pdesim.bench.measure import copy_bandwidth, measure, peak_bytes, reset_peak
from pdesim.bench.program import Program
from pdesim.engine.device import Placement, start_tensorflow
from pdesim.engine.memory import device_memory, least_bytes
from pdesim.output.checkpoint import read_checkpoint, write_checkpoint
from pdesim.plan import Plan, build_plan
from pdesim.settings import Device

Rows = Iterator[Row]

OPERATORS = {
    "stencil": "stepper=euler",
    "conv": "stepper=euler operators=conv",
    "spectral": "stepper=etdrk4 operators=spectral",
}
PRECISIONS = ("float32", "float64")


def placement(scale: Scale) -> Placement:
    return start_tensorflow(Device(name="cpu" if scale.device == "cpu" else "gpu"))


def speed(scale: Scale) -> Rows:
    """Throughput, and the traffic of a step as a fraction of the copy bandwidth."""
    device, copies = placement(scale), dict[str, float]()

    def copy() -> Row:
        copies[device.name] = copy_bandwidth(device, 1 if scale.quick else scale.repeats)
        return {"GB/s": copies[device.name] / 1e9}

    yield guarded({"operators": f"copy on {device.about}"}, copy)
    for n in (24,) if scale.quick else (512, 2048, 8192):
        for precision in PRECISIONS:
            for name, words in OPERATORS.items():
                case = {"operators": name, "n": n, "precision": precision}
                more = f"device.precision={precision}"
                yield guarded(
                    case, partial(_speed_of, gray_scott(n, words), more, device, copies, scale)
                )


def _speed_of(
    words: str, more: str, device: Placement, copies: Mapping[str, float], scale: Scale
) -> Row:
    plan = plan_of(words, more)
    known = {device.name: copies.get(device.name, float("nan"))}
    rows = measure(plan, [device], known, scale.repeats, scale.round_seconds, numpy=False)
    (row,) = rows
    return {
        **rates(row.cells, [one / row.steps for one in row.seconds]),
        "GB/s": row.bandwidth / 1e9,
        "of copy": row.bandwidth / known[device.name],
        "compile s": row.compile_seconds,
    }


def kernels(scale: Scale) -> Rows:
    """Kernels per step, in the compiled programs for this device."""
    import tensorflow as tf

    device, n = placement(scale), SMALL if scale.quick else 1024

    def count(words: str) -> Row:
        plan = plan_of(words)
        with tf.device(device.name):
            text = program_text(GpuProgram(plan))
        return {"stages": plan.stages, "kernels per step": kernels_per_step(text)}

    for name in ("euler", "rk4", "conv") if scale.quick else FORMS:
        size = n if name != "euler_3d" else 128
        yield guarded({"program": name, "n": size}, partial(count, FORMS[name](size)))


#: how often the difference of two devices may exceed the rounding error of a run: each of the two
#: has such an error, and another order of operations changes it by a factor near 2
ALLOWED = 4.0
#: rounding errors of float64 beside those of float32
DOUBLE = float(np.finfo(np.float64).eps / np.finfo(np.float32).eps)


def agreement(scale: Scale) -> Rows:
    """Fields after 1000 steps on the GPU and on the CPU.

    The bound follows from the rounding error of a run in float32 on the CPU, which is its
    difference from the same run in float64; that of float64 is smaller by the ratio of the
    precisions. Both contain how much the equation amplifies rounding errors in this time. With
    ``--device cpu``, the form for GPUs is compared with the form for CPUs.
    """
    n, steps = (32, 200) if scale.quick else (512, 1000)
    problems = {
        "stencil, euler": gray_scott(n, "stepper=euler"),
        "stencil, rk4, neumann": gray_scott(n, "stepper=rk4 boundary=neumann"),
        "conv, euler": gray_scott(n, "stepper=euler operators=conv"),
        "spectral, etdrk4": gray_scott(n, "stepper=etdrk4 operators=spectral"),
        "heat, rkl2": f"equation=heat grid={n} stepper=rkl2",
        "wave, verlet": f"equation=wave grid={n} stepper=verlet",
    }
    if scale.quick:
        problems = {name: problems[name] for name in ("stencil, rk4, neumann", "conv, euler")}
    cpu, device = start_tensorflow(Device(name="cpu")), placement(scale)
    for name, words in problems.items():
        states: dict[str, np.ndarray] = {}
        for precision in PRECISIONS:
            case = {"problem": name, "steps": steps, "precision": precision}
            yield guarded(case, partial(_compare, words, precision, steps, cpu, device, states))


def _compare(
    words: str,
    precision: str,
    steps: int,
    cpu: Placement,
    device: Placement,
    on_cpu: dict[str, np.ndarray],
) -> Row:
    """Compare a run on two devices; ``on_cpu`` keeps the states on the CPU for both precisions."""
    for one in PRECISIONS:
        if one not in on_cpu:
            plan = plan_of(words, f"device.precision={one}")
            on_cpu[one] = Program(plan, cpu).run(steps).numpy().astype(np.float64)
    plan = plan_of(words, f"device.precision={precision}")
    if device.is_gpu:
        state = Program(plan, device).run(steps).numpy()
    else:
        state = GpuProgram(plan).run(steps)
    size = np.abs(on_cpu["float64"]).max()
    rounding = np.abs(on_cpu["float32"] - on_cpu["float64"]).max() / size
    bound = ALLOWED * rounding * (DOUBLE if precision == "float64" else 1.0)
    difference = np.abs(state - on_cpu[precision]).max() / size
    return {
        "agrees": bool(difference <= bound),
        "difference": float(difference),
        "bound": float(bound),
    }


class _Stop(Exception):
    """Stops a run after a number of blocks."""


def resume(scale: Scale) -> Rows:
    """Frames of a run that is resumed from its checkpoint, and of one that is repeated."""
    n = 16 if scale.quick else 512
    problems = {
        "euler": gray_scott(n, "stepper=euler"),
        "rk4, float64": gray_scott(n, "stepper=rk4 device.precision=float64"),
        "conv": gray_scott(n, "stepper=euler operators=conv"),
        "spectral, etdrk4": gray_scott(n, "stepper=etdrk4 operators=spectral"),
        "adaptive": gray_scott(n, "stepper=bogacki_shampine"),
        "implicit": f"equation=heat grid={n} stepper=crank_nicolson",
    }
    if scale.quick:
        problems = {name: problems[name] for name in ("euler", "adaptive")}
    device = placement(scale)
    for name, words in problems.items():
        yield guarded({"problem": name}, partial(_resume, words, device))


def _resume(words: str, device: Placement) -> Row:
    plan = plan_of(words, "output.frames=3")
    end = plan.times[0] + 60 * plan.step.dt
    plan = plan_of(words, "output.frames=3", f"time.end={end}")
    complete = _frames(plan, device)
    repeated = _frames(plan, device)
    first: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _stopped(plan, device, first, Path(folder))
    rest = _frames(build_plan(plan.settings, plan.equation.name, checkpoint), device)
    return {
        "frames": len(complete),
        "repeated": repeated == complete,
        "resumed": len(first) < len(complete) and first + rest == complete,
    }


def _frames(plan: Plan, device: Placement) -> list[bytes]:
    from pdesim.engine.simulation import Simulation

    return [frame.state.tobytes() for frame in Simulation(plan, device).frames()]


def _stopped(plan: Plan, device: Placement, frames: list[bytes], folder: Path):
    """Stop a run in its second interval, and return its checkpoint as it is read from the file."""
    from pdesim.engine.simulation import Simulation

    simulation, blocks = Simulation(plan, device), 0
    simulation.steps_per_block = 3

    def report(progress) -> None:
        nonlocal blocks
        blocks += len(frames) > 1
        if blocks == 2:
            raise _Stop

    try:
        for frame in simulation.frames(report):
            frames.append(frame.state.tobytes())
    except _Stop:
        pass
    write_checkpoint(folder, simulation.checkpoint(), "settings")
    checkpoint, _ = read_checkpoint(folder / "checkpoint.h5")
    return checkpoint


def memory(scale: Scale) -> Rows:
    """Peak memory of the step loop, beside the smallest number of arrays that pdesim assumes."""
    device, n = placement(scale), 64 if scale.quick else 4096
    steppers = {
        "euler": "stepper=euler",
        "rk4": "stepper=rk4",
        "conv, euler": "stepper=euler operators=conv",
        "spectral, etdrk4": "stepper=etdrk4 operators=spectral",
        "dormand_prince": "stepper=dormand_prince",
    }
    if scale.quick:
        steppers = {"rk4": steppers["rk4"]}
    size = device_memory(device)
    yield {"stepper": f"memory of {device.about}", "peak MB": size / 1e6}
    for name, words in steppers.items():
        yield guarded({"stepper": name, "n": n}, partial(_peak, words, n, device))


def _peak(words: str, n: int, device: Placement) -> Row:
    plan = plan_of(gray_scott(n, words))
    reset_peak(device)
    before = peak_bytes(device)
    Program(plan, device).run(3)
    peak = peak_bytes(device) - before
    return {
        "state MB": plan.state_bytes / 1e6,
        "peak MB": peak / 1e6,
        "states": peak / plan.state_bytes,
        "assumed": least_bytes(plan) / plan.state_bytes,
    }


def sweep(scale: Scale) -> Rows:
    """Whole sweeps of Gray-Scott members, as commands that write their files."""
    grid, steps = (16, 50) if scale.quick else (128, 5000)
    for members in (3,) if scale.quick else (1, 64, 1024):
        yield guarded({"members": members}, partial(_sweep, members, grid, steps, scale))


def _sweep(members: int, grid: int, steps: int, scale: Scale) -> Row:
    values = ",".join(f"{0.02 + 0.04 * i / members:.6g}" for i in range(members))
    words = [
        "-m", "equation=gray_scott", f"grid={grid}", "stepper=euler", "time.dt=1",
        f"time.end={steps}", "output.frames=2", "animation=none", f"equation.F={values}",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        seconds = command(words, Path(folder), scale, sweep=True)
        finished = sum(
            json.loads(path.read_text())["state"] == "finished"
            for path in Path(folder).glob("*/status.json")
        )
    return {
        "grid": grid,
        "steps": steps,
        "finished": finished,
        "seconds": seconds,
        "Mcell/s": members * steps * grid**2 / seconds / 1e6,
    }


def default(scale: Scale) -> Rows:
    """Whole commands with all default output: frames, checkpoint, diagnostics, GIF."""
    runs = [["equation=heat"], ["equation=gray_scott", "grid=512"]]
    if scale.quick:
        runs = [["equation=gray_scott", "grid=16", "time.end=20", "output.frames=3"]]
    for words in runs:
        yield guarded({"command": " ".join(["pdesim", *words])}, partial(_default, words, scale))


def _default(words: Sequence[str], scale: Scale) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        seconds = command(words, Path(folder), scale)
        status = json.loads((Path(folder) / "status.json").read_text())
    return {
        "seconds": seconds,
        "compile s": status["compile_seconds"],
        "steps": status["steps"],
        "stepping s": status["steps"] / status["steps_per_second"],
        "Mcell/s": status["cell_updates_per_second"] / 1e6,
        "waited for disk s": status["waited_for_disk"],
        "device": status["device"],
    }


def command(words: Sequence[str], folder: Path, scale: Scale, sweep: bool = False) -> float:
    """Run a command of pdesim, and return its duration in seconds.

    Raises:
        RuntimeError: with its message if it fails.
    """
    target = f"hydra.{'sweep' if sweep else 'run'}.dir={folder}"
    device = "cpu" if scale.device == "cpu" else "gpu"
    line = [sys.executable, "-m", "pdesim", *words, f"device={device}", target]
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(next((one for one in lines if one.startswith("pdesim: ")), lines[-1]))
    return time.perf_counter() - began


#: name -> the part, in the order of execution
PARTS: Mapping[str, Callable[[Scale], Rows]] = {
    "speed": speed,
    "kernels": kernels,
    "agreement": agreement,
    "resume": resume,
    "sweep": sweep,
    "memory": memory,
    "default": default,
}
