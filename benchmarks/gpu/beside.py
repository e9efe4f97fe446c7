"""The same Gray-Scott Euler step written by hand in JAX, CuPy and PyTorch, and pdesim's program.

The arithmetic is that of ``benchmarks/peers``. Every package has its own process. A package may
have several forms of the step. All are compared with NumPy before they are timed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import numpy as np
from peers.problems import DU, DV, FEED, KILL, PROBLEMS, SPACING, around, gray_scott, roll

from gpu.common import Row, Scale, first_line, guarded, rates, seconds_per_step

PROBLEM = PROBLEMS["gray_scott"]
#: steps after which the states are compared with NumPy
CHECKED = 50
#: cells per axis up to which they are compared; NumPy would take a minute on larger grids
LARGEST_CHECKED = 2048
#: ``run(steps)`` starts at the initial state, waits for the device, and returns its arrays
Run = Callable[[int], Sequence]

#: one thread per cell; the neighbours of all edges are on the opposite side
CUDA_KERNEL = r"""
extern "C" __global__
void step(const float* u, const float* v, float* new_u, float* new_v, int n,
          float a_u, float a_v, float dt, float feed, float kill) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= n || y >= n) return;
    int west = x ? x - 1 : n - 1, east = x == n - 1 ? 0 : x + 1;
    size_t row = (size_t)y * n;
    size_t north = (size_t)(y ? y - 1 : n - 1) * n, south = (size_t)(y == n - 1 ? 0 : y + 1) * n;
    float U = u[row + x], V = v[row + x], uvv = U * V * V;
    float lu = u[north + x] + u[south + x] + u[row + west] + u[row + east] - 4.0f * U;
    float lv = v[north + x] + v[south + x] + v[row + west] + v[row + east] - 4.0f * V;
    new_u[row + x] = U + a_u * lu + dt * (feed * (1.0f - U) - uvv);
    new_v[row + x] = V + a_v * lv + dt * (uvv - (feed + kill) * V);
}
"""


def pdesim_forms(n: int, device: str) -> dict[str, Run]:
    from dataclasses import replace

    from pdesim.bench.program import Program
    from pdesim.config.compose import compose_settings
    from pdesim.engine.startup import start_for
    from pdesim.plan import InitialState, build_plan

    settings = [
        *PROBLEM.settings, f"grid={n}", f"domain.extent={n * SPACING}", f"time.dt={PROBLEM.dt}",
        f"time.end={PROBLEM.dt}", "output.frames=1", f"device={device}",
    ]  # fmt: skip
    composed = compose_settings(settings)
    plan = build_plan(composed.settings, composed.equation)
    plan = replace(plan, initial=InitialState(PROBLEM.state(n)))
    program = Program(plan, start_for([plan]))
    return {"stencil": program.run}


def jax_forms(n: int, device: str) -> dict[str, Run]:
    import jax
    import jax.numpy as jnp

    place = jax.devices("cpu" if device == "cpu" else "gpu")[0]
    first = tuple(jax.device_put(field, place) for field in PROBLEM.state(n))

    def compiled(laplacian) -> Run:
        def march(steps, fields):
            def step(_, fields):
                return tuple(gray_scott(laplacian, *fields))

            return jax.lax.fori_loop(0, steps, step, fields)

        loop = jax.jit(march)
        return lambda steps: jax.block_until_ready(loop(steps, first))

    return {
        "roll": compiled(roll(jnp)),
        "pad": compiled(lambda f: around(jnp.pad(f, 1, mode="wrap"))),
    }


def cupy_forms(n: int, device: str) -> dict[str, Run]:
    if device == "cpu":
        raise RuntimeError("CuPy computes on GPUs only")
    import cupy

    first = [cupy.asarray(field) for field in PROBLEM.state(n)]
    kernel = cupy.RawKernel(CUDA_KERNEL, "step")
    dt = PROBLEM.dt
    numbers = np.array([dt * DU / SPACING**2, dt * DV / SPACING**2, dt, FEED, KILL], np.float32)
    blocks, threads = (-(-n // 32), -(-n // 8)), (32, 8)

    def raw(steps: int) -> Sequence:
        old, new = [f.copy() for f in first], [cupy.empty_like(f) for f in first]
        for _ in range(steps):
            kernel(blocks, threads, (*old, *new, np.int32(n), *numbers))
            old, new = new, old
        cupy.cuda.Device().synchronize()
        return old

    def arrays(steps: int) -> Sequence:
        fields = first
        for _ in range(steps):
            fields = gray_scott(roll(cupy), *fields)
        cupy.cuda.Device().synchronize()
        return fields

    return {"CUDA kernel": raw, "arrays": arrays}


def torch_forms(n: int, device: str) -> dict[str, Run]:
    import torch

    place = torch.device("cpu" if device == "cpu" else "cuda")
    first = [torch.from_numpy(np.array(field)).to(place) for field in PROBLEM.state(n)]

    def looped(step) -> Run:
        @torch.inference_mode()
        def run(steps: int) -> Sequence:
            fields = first
            for _ in range(steps):
                fields = step(*fields)
            if device != "cpu":
                torch.cuda.synchronize()
            return fields

        return run

    def step(u, v):
        return gray_scott(roll(torch), u, v)

    forms = {"eager": looped(step), "compiled": looped(torch.compile(step, dynamic=False))}
    if device != "cpu":
        forms["graph"] = _torch_graph(torch, step, first)
    return forms


def _torch_graph(torch, step, first) -> Run:
    """Two compiled steps in a CUDA graph, which is replayed; steps are rounded up to pairs."""
    compiled = torch.compile(step, dynamic=False)
    fields = [field.clone() for field in first]

    @torch.inference_mode()
    def pair() -> None:
        for field, new in zip(fields, compiled(*compiled(*fields)), strict=True):
            field.copy_(new)

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        pair()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        pair()

    def run(steps: int) -> Sequence:
        for field, start in zip(fields, first, strict=True):
            field.copy_(start)
        for _ in range(-(-steps // 2)):
            graph.replay()
        torch.cuda.synchronize()
        return fields

    return run


#: package -> (the module to look for, its forms)
PACKAGES: Mapping[str, tuple[str, Callable[[int, str], dict[str, Run]]]] = {
    "pdesim": ("pdesim", pdesim_forms),
    "JAX": ("jax", jax_forms),
    "CuPy": ("cupy", cupy_forms),
    "PyTorch": ("torch", torch_forms),
}


def missing(package: str, device: str) -> str:
    """Return the reason why a package is skipped; empty if it is measured."""
    module, _ = PACKAGES[package]
    if importlib.util.find_spec(module) is None:
        return f"{module} is not installed"
    if package == "pdesim" and importlib.util.find_spec("tensorflow") is None:
        return "tensorflow is not installed"
    if package == "CuPy" and device == "cpu":
        return "CuPy computes on GPUs only"
    return ""


def measure(package: str, scale: Scale) -> Iterator[Row]:
    """Yield a row for each size and form of a package."""
    if reason := missing(package, scale.device):
        yield {"package": package, "error": f"skipped: {reason}"}
        return
    for n in (24,) if scale.quick else (512, 2048, 8192):
        case = {"package": package, "n": n}
        try:
            forms = PACKAGES[package][1](n, scale.device)
        except Exception as error:
            yield {**case, "error": first_line(error)}
            continue
        for name, run in forms.items():
            yield guarded({**case, "form": name}, partial(_measure_form, run, n, scale))


def _measure_form(run: Run, n: int, scale: Scale) -> Row:
    """Return the difference from NumPy and the throughput of one form."""
    difference = None
    if n <= LARGEST_CHECKED:
        expected = _expected(n)
        state = np.stack([_as_numpy(field) for field in run(CHECKED)])
        difference = float(np.abs(state - expected).max() / np.abs(expected).max())
    seconds = seconds_per_step(run, scale.repeats, scale.round_seconds)
    agrees = None if difference is None else difference <= PROBLEM.tolerance
    return {"agrees": agrees, "difference": difference, **rates(n * n, seconds)}


@cache
def _expected(n: int) -> np.ndarray:
    """Return the state after ``CHECKED`` steps in NumPy."""
    fields, laplacian = list(PROBLEM.state(n)), roll(np)
    for _ in range(CHECKED):
        fields = list(gray_scott(laplacian, *fields))
    return np.stack(fields)


def _as_numpy(field) -> np.ndarray:
    """Return an array of any of the packages as an array of NumPy."""
    if hasattr(field, "get"):  # CuPy
        return field.get()
    return np.asarray(field.cpu() if hasattr(field, "cpu") else field)
