"""Several processes that share one grid, beside one process that uses all cores.

    python benchmarks/hosts.py [--grids 2048,4096] [--processes 2] [--repeats 5] [--stepper euler]

Whole commands ``pdesim equation=gray_scott`` run turn by turn: one process with all cores, and
several with an equal share of the cores each, on the ports of this computer. The rates are those of
the time steps, without compilation. The last states must be equal, bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py

#: cell updates per second and core with which the number of steps is chosen
RATE = 1e9


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def free_addresses(count: int) -> list[str]:
    servers = [socket.create_server(("", 0)) for _ in range(count)]
    addresses = [f"localhost:{one.getsockname()[1]}" for one in servers]
    for server in servers:
        server.close()
    return addresses


def run(words: Sequence[str], count: int, folder: Path) -> tuple[float, str]:
    """Return the cell updates per second of a run, and a digest of its last state."""
    command = [sys.executable, "-m", "pdesim", *words, f"hydra.run.dir={folder}"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    hosts = [[]]
    if count > 1:
        addresses = ",".join(free_addresses(count))
        hosts = [[f"device.hosts=[{addresses}]", f"device.host={n}"] for n in range(count)]
    shares = [cores()[n::count] for n in range(count)]
    processes = [
        subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, share)), *command, *more],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for share, more in zip(shares, hosts, strict=True)
    ]  # fmt: skip
    messages = [process.communicate()[1] for process in processes]
    for process, message in zip(processes, messages, strict=True):
        if process.returncode:
            raise SystemExit(message)
    status = json.loads((folder / "status.json").read_text())
    digest = hashlib.sha256()
    with h5py.File(folder / "snapshots.h5") as file:
        for name in ("u", "v"):
            digest.update(file[name][-1].tobytes())
    return status["cell_updates_per_second"], digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", default="2048,4096")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stepper", default="euler")
    parser.add_argument("--seconds", type=float, default=10, help="of the steps of a run")
    options = parser.parse_args()

    for grid in map(int, options.grids.split(",")):
        steps = max(32, round(options.seconds * RATE * len(cores()) / grid**2))
        words = [
            "equation=gray_scott", f"grid={grid}", f"domain.extent={grid / 100}", "time.dt=1",
            f"stepper={options.stepper}", f"time.end={steps}", "output.frames=1", "animation=none",
        ]  # fmt: skip
        ratios, rates, digests = [], [], set()
        for _ in range(options.repeats):
            found = []
            for count in (1, options.processes):
                with tempfile.TemporaryDirectory() as folder:
                    rate, digest = run(words, count, Path(folder, "run"))
                found.append(rate)
                digests.add(digest)
            rates.append(found)
            ratios.append(found[1] / found[0])
            print(f"  {grid}: " + ", ".join(f"{rate / 1e6:.0f}" for rate in found), flush=True)
        ones, several = (statistics.median(one) / 1e6 for one in zip(*rates, strict=True))
        print(
            f"{grid} x {grid}, {options.stepper}, {steps} steps: one process {ones:.0f}, "
            f"{options.processes} processes {several:.0f} million cell updates/s, ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"states {'equal' if len(digests) == 1 else 'DIFFERENT'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
