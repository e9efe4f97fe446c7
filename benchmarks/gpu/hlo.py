"""Exported programs, compiled by JAX alone: their results, times and memory on this device.

Neither TensorFlow nor pdesim is imported. Internal functions of JAX compile the programs; they are
those of JAX 0.10 and 0.11.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gpu.common import Row, guarded, rates, seconds_per_step
from gpu.kernels import kernels_per_step

#: bytes of the array that is copied to measure the bandwidth, far larger than any cache
COPY_BYTES = 2**28


def made_state(shape: Sequence[int], precision: str) -> np.ndarray:
    """Return a periodic state of triangular waves, equal to the last bit on every machine.

    Args:
        shape: ``(fields, *grid)``.
        precision: the type of the values.
    """
    wave = np.full((1,) * (len(shape) - 1), 0.1)
    for axis, n in enumerate(shape[1:]):
        column = np.abs(2.0 * np.arange(n) - n) / n
        wave = wave * column.reshape([-1 if a == axis else 1 for a in range(len(shape) - 1)])
    return np.stack([(0.4 - 0.1 * field + wave).astype(precision) for field in range(shape[0])])


def made_input(about: Mapping, made: Sequence[int]) -> np.ndarray:
    """Return an input that consists of fields of ``made_state``."""
    first, last, *shape = made
    return made_state(about["state"], about["precision"])[first:last].reshape(shape)


def run_all(folder: Path, repeats: int, quick: bool) -> Iterator[Row]:
    """Check and time all programs of a folder, each guarded.

    Yields:
        A row for the copy bandwidth, and a row for each program.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    device, copy = jax.devices()[0], 0.0

    def measure_copy() -> Row:
        nonlocal copy
        copy = copy_bandwidth(repeats, 2**24 if quick else COPY_BYTES)
        return {"GB/s": copy / 1e9}

    yield guarded({"program": f"copy on {device.device_kind}"}, measure_copy)
    paths = sorted(folder.glob("*.hlo"))
    for path in paths:
        yield guarded({"program": path.stem}, partial(run, path, device, repeats, quick, copy))
    if not paths:
        yield {"program": str(folder), "error": "there are no exported programs (*.hlo)"}


def copy_bandwidth(repeats: int, size: int) -> float:
    """Return the bandwidth of reading and writing an array, in bytes per second."""
    import jax
    import jax.numpy as jnp

    values, calls = jnp.ones(size // 4, jnp.float32), 20
    add = jax.jit(lambda v: v + 1)
    add(values).block_until_ready()
    best = 0.0
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(calls):
            values = add(values)
        values.block_until_ready()
        best = max(best, calls * 2 * values.nbytes / (time.perf_counter() - began))
    return best


def compile_hlo(serialized: bytes, device):
    """Return a program for a device, from HLO as bytes."""
    from jax._src.lib import xla_client

    computation = xla_client.XlaComputation(serialized)
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    devices = xla_client.DeviceList((device,))
    return device.client.compile_and_load(module, devices, xla_client.CompileOptions())


def run(path: Path, device, repeats: int, quick: bool, copy: float) -> Row:
    """Compile an exported program, compare its result with the expected one, and time it."""
    import jax

    about = json.loads(path.with_suffix(".json").read_text())
    began = time.perf_counter()
    program = compile_hlo(path.read_bytes(), device)
    compiled = time.perf_counter() - began
    with np.load(path.with_suffix(".npz")) as arrays:
        expected = arrays["expected"]
        values = [
            made_input(about, about["made"][str(i)])
            if str(i) in about["made"]
            else arrays[f"input_{i}"]
            for i in range(about["inputs"])
        ]

    place = partial(jax.device_put, device=device)
    placed = [place(value) for value in values]

    def take(steps: int) -> list:
        placed[about["steps_input"]] = place(np.asarray(steps, np.int64))
        parts = program.execute_sharded(placed).disassemble_into_single_device_arrays()
        return [part[0].block_until_ready() for part in parts]

    result = np.asarray(take(about["checked_steps"])[about["result"]]).reshape(-1)
    difference = np.abs(result[:: about["stride"]] - expected).max() / np.abs(expected).max()
    rate = rates(about["cells"], seconds_per_step(take, repeats, 0.01 if quick else 0.2))
    moved = about["bytes_per_step"] / (float(rate["us/step"]) / 1e6)  # type: ignore[arg-type]
    memory = program.get_compiled_memory_stats()
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return {
        "agrees": bool(difference <= about["bound"]),
        "difference": float(difference),
        "bound": about["bound"],
        **rate,
        "GB/s": moved / 1e9,
        "of copy": moved / copy if copy else None,
        "kernels": kernels_per_step(program.hlo_modules()[0].to_string()),
        "compile s": compiled,
        "memory, states": used / about["state_bytes"],
    }
