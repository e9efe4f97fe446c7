"""The parts of the benchmark for linear systems, gradients, maps, fits and data sets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from gpu.common import Row, Scale, guarded

Rows = Iterator[Row]
COMMAND = [sys.executable, "-m", "pdesim"]


def device_name(scale: Scale) -> str:
    return "cpu" if scale.device == "cpu" else "gpu"


def printed(words: list[str], allowed: tuple[int, ...] = (0,)) -> tuple[str, str]:
    """Run a command of pdesim, and return what it prints.

    Raises:
        RuntimeError: with its message if it fails.
    """
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True)
    if done.returncode not in allowed:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(next((one for one in lines if one.startswith("pdesim: ")), lines[-1]))
    return done.stdout, done.stderr


def linear(scale: Scale) -> Rows:
    """Dense linear systems: seconds beside NumPy, and the residual of whole commands."""
    sizes = "10,50" if scale.quick else "100,1000,2000,5000,10000,20000"
    repeats = str(1 if scale.quick else min(scale.repeats, 3))
    for precision in ("float32", "float64"):
        yield from _linear_bench(precision, sizes, repeats, scale)
        for method in ("lu", "cholesky"):
            n = 50 if scale.quick else 5000
            case = {"unknowns": n, "precision": precision, "method": method}
            yield guarded(case, partial(_linear_run, n, precision, method, scale))


def _linear_bench(precision: str, sizes: str, repeats: str, scale: Scale) -> Rows:
    words = ["bench", "linear_system", f"device={device_name(scale)}", "--json"]
    words += [f"device.precision={precision}", "--sizes", sizes, "--repeats", repeats]
    try:
        rows = json.loads(printed(words)[0])["seconds"]
    except Exception as error:
        yield {"unknowns": sizes, "precision": precision, "error": str(error)[:200]}
        return
    for n, times in rows.items():
        numpy, device = times.values()
        ratio = numpy / device if numpy and device else None
        yield {
            "unknowns": n,
            "precision": precision,
            "NumPy s": numpy,
            "s": device,
            "NumPy / here": ratio,
        }


def _linear_run(n: int, precision: str, method: str, scale: Scale) -> Row:
    random = np.random.default_rng(0)
    a = random.standard_normal((n, n)).astype(precision)
    if method == "cholesky":
        a = (a @ a.T / n + np.eye(n)).astype(precision)
        a = (a + a.T) / 2
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "A.npy"), a)
        words = ["equation=linear_system", f"A={folder}/A.npy", f"method={method}"]
        words += [f"device={device_name(scale)}", f"device.precision={precision}"]
        _, text = printed([*words, f"hydra.run.dir={folder}/out"])
    residual = re.search(r"relative residual (\S+)", text)
    seconds = re.search(r"in (\S+) s", text)
    assert residual and seconds
    rounding = float(np.finfo(precision).eps)
    return {
        "s": float(seconds[1]),
        "residual / rounding": float(residual[1].rstrip(".,;")) / rounding,
    }


def gradients(scale: Scale) -> Rows:
    """A gradient beside the run itself, and its difference from that of the CPU."""
    n, steps = (16, 40) if scale.quick else (256, 1000)
    for stepper in ("euler", "rk4", "etdrk4", "dormand_prince"):
        case = {"stepper": stepper, "n": n, "steps": steps}
        yield guarded(case, partial(_gradient, stepper, n, steps, scale))


def _gradient(stepper: str, n: int, steps: int, scale: Scale) -> Row:
    import tensorflow as tf

    import pdesim

    def loss(frames):
        return tf.reduce_mean(frames["v"][-1] ** 2)

    def model(device: str, precision: str, n: int, steps: int) -> pdesim.ForwardModel:
        return pdesim.ForwardModel(
            "gray_scott", grid=n, stepper=stepper, output={"frames": 1},
            time={"dt": 0.25, "end": 0.25 * steps}, device={"name": device, "precision": precision},
        )  # fmt: skip

    wrt = ["equation.F", "equation.k", "initial.u"]
    timed, times = model(device_name(scale), "float32", n, steps), []
    for _ in range(3):
        began = time.perf_counter()
        timed.frames()
        middle = time.perf_counter()
        timed.gradient(loss, wrt)
        times.append((middle - began, time.perf_counter() - middle))
    run, gradient = np.median(times[1:], axis=0)  # the first turn compiles
    here, there = (
        model(device, "float64", 16, 40).gradient(loss, wrt).gradient
        for device in (device_name(scale), "cpu")
    )
    difference = max(
        float(np.max(np.abs(np.subtract(here[name], there[name]))) / np.max(np.abs(there[name])))
        for name in wrt
    )
    return {"run s": run, "gradient / run": gradient / run, "difference from CPU": difference}


def maps(scale: Scale) -> Rows:
    """The Mandelbrot set: counts on the device and on the CPU, and the time of both."""
    n = 64 if scale.quick else 2048
    for precision in ("float32", "float64"):
        yield guarded({"n": n, "precision": precision}, partial(_map, n, precision, scale))


def _map(n: int, precision: str, scale: Scale) -> Row:
    import pdesim

    counts, seconds = {}, {}
    for device in dict.fromkeys((device_name(scale), "cpu")):
        with tempfile.TemporaryDirectory() as folder:
            run = pdesim.simulate(
                "mandelbrot", grid=n, output={"frames": 1}, animation="none", folder=folder,
                device={"name": device, "precision": precision},
            )  # fmt: skip
            status = run.status
            seconds[device] = status["steps"] / status["steps_per_second"]
            counts[device] = np.asarray(run.snapshots["count"][-1])
    here, there = counts[device_name(scale)], counts["cpu"]
    return {
        "s": seconds[device_name(scale)],
        "s on CPU": seconds["cpu"],
        "other counts": float(np.mean(np.floor(here) != np.floor(there))),
    }


def fits(scale: Scale) -> Rows:
    """A parameter fit and a field fitted by exact gradients, as whole commands."""
    n = 16 if scale.quick else 64
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film")
        words = ["equation=heat", "equation.D=0.01", f"grid={n}", "animation=none", "time.end=1"]
        printed([*words, "output.frames=5", "device=cpu", f"hydra.run.dir={film}"])
        for free in ("{equation.D: [1e-3, 1e-1]}", "{initial.u: free}"):
            case = {"fit": free, "n": n}
            yield guarded(case, partial(_fit, [*words[2:], f"fit={free}"], film, folder, scale))


def _fit(words: list[str], film: Path, folder: str, scale: Scale) -> Row:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as target:
        printed(
            ["fit", "equation=heat", *words, f"data={film}/snapshots.h5", "output.frames=5",
             f"device={device_name(scale)}", f"hydra.run.dir={target}"],
        )  # fmt: skip
        seconds = time.perf_counter() - began
        result = yaml.safe_load(Path(target, "fit.yaml").read_text())
    return {"s": seconds, "result": str(result.get("parameters", result.get("residuals")))[:120]}


def dataset(scale: Scale) -> Rows:
    """The Gray-Scott recipe of The Well: cell updates per second with the files."""
    repeats, end, grid = (1, 20, 32) if scale.quick else (8, 2000, 128)
    yield guarded({"trajectories": 12 * repeats}, partial(_dataset, repeats, end, grid, scale))


def _dataset(repeats: int, end: int, grid: int, scale: Scale) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        words = ["dataset", "experiment=well_gray_scott", f"repeats={repeats}", "splits=[1,0,0]"]
        words += [f"time.end={end}", f"output.frames={end // 10}", f"grid={grid}"]
        words += [f"device={device_name(scale)}", "--to", "well", "--output", f"{folder}/well"]
        printed(words, allowed=(0, 3))
        seconds = time.perf_counter() - began
        work = yaml.safe_load(Path(folder, "well/dataset.yaml").read_text())["computation"]
    return {
        "steps": end,
        "Mcell/s": work["cell_updates"] / work["seconds"] / 1e6,
        "s": work["seconds"],
        "whole command s": seconds,
    }


#: name -> the part, in the order of execution
PARTS: Mapping[str, Callable[[Scale], Rows]] = {
    "linear": linear,
    "gradients": gradients,
    "maps": maps,
    "fits": fits,
    "dataset": dataset,
}
