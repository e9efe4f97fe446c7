"""Weak scaling of several processes over an emulated network, beside a model (Linux, as root).

    python benchmarks/network.py [--columns 2048] [--rows 1024] [--json network.json]

Each process has a network namespace of its own with a TUN device. A relay passes the packets on
after a delay, at a limited rate, as netem does. For each network, the time of an exchange of ghost
rows and of a gather operation is measured with 2 and 3 processes, and the time of a Gray-Scott step
with ``--rows`` rows for each process. The model is::

    T(N) = C(N) + max(0, x(N) - h) / k + 4 * r(N) * g * T(N) / 0.5 s

with the time ``C`` per step of ``N`` processes that compute as many rows and exchange nothing,
measured in the same way; the time ``x`` of an exchange once in ``k`` steps, of which the
computation of half the rows hides ``h`` if they overlap; and the time ``g`` of one of the ``r``
rounds of each of the four gather operations of a block of 0.5 s (or longer, so that they take at
most 4 % of the time). It is compared with the measured
steps, and extended to 1024 processes on hosts of their own, where ``C`` is the time of one process
alone and an exchange takes as long as with 3 processes.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import heapq
import itertools
import json
import os
import select
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import Process
from typing import Any

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU, PORT = 60000, 5000
#: one-way delay in seconds, bytes per second
NETWORKS = {
    "no delay": (0.0, float("inf")),
    "0.2 ms, 10 Gbit/s": (2e-4, 1.25e9),
    "1 ms, 1 Gbit/s": (1e-3, 1.25e8),
    "5 ms, 1 Gbit/s": (5e-3, 1.25e8),
    "1 ms, 100 Mbit/s": (1e-3, 1.25e7),
}
ROUNDS, STEPS, BLOCK_SECONDS = 5, 64, 0.5


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def address(number: int) -> str:
    return f"10.77.0.{number + 1}"


@contextlib.contextmanager
def network(count: int, delay: float, rate: float) -> Iterator[None]:
    """Namespaces ``pdesim0``, ... whose packets a relay delays."""
    devices = []
    try:
        for number in range(count):
            name = f"pdesim{number}"
            device = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
            ip("netns", "add", name)
            ip("link", "set", name, "netns", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", name, "mtu", str(MTU), "up")
            ip("-n", name, "address", "add", f"{address(number)}/24", "dev", name)
            devices.append(device)
        passing = Process(target=relay, args=(devices, delay, rate), daemon=True)
        passing.start()
        yield
        passing.kill()
    finally:
        for number, device in enumerate(devices):
            os.close(device)
            subprocess.run(["ip", "netns", "delete", f"pdesim{number}"], check=False)


def relay(devices: list[int], delay: float, rate: float) -> None:
    """Pass packets on: each device sends at ``rate``, and every packet arrives after ``delay``."""
    free_at, waiting, order = dict.fromkeys(devices, 0.0), [], itertools.count()
    while True:
        due = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for device in select.select(devices, [], [], due)[0]:
            packet = os.read(device, MTU + 100)
            last = packet[19] - 1  # of the destination's IPv4 address
            if packet[0] >> 4 != 4 or not 0 <= last < len(devices):
                continue
            free_at[device] = max(free_at[device], time.monotonic()) + len(packet) / rate
            arrival = free_at[device] + delay
            heapq.heappush(waiting, (arrival, next(order), devices[last], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(waiting[0][2], heapq.heappop(waiting)[3])


def work(number: int, count: int, columns: int, rows: int) -> dict[str, Any]:
    """Measure in one process."""
    from pdesim.config.compose import compose_settings
    from pdesim.engine.distributed.hosts import Hosts
    from pdesim.engine.startup import start_for
    from pdesim.plan import build_plan

    total = rows * count
    composed = compose_settings([
        "equation=gray_scott", f"grid=[{columns},{total}]", "stepper=euler", "time.dt=1",
        f"domain.extent=[{columns / 100},{total / 100}]", "time.end=100000", "output.frames=1",
    ])  # fmt: skip
    own = range(number * rows, (number + 1) * rows)
    plan = build_plan(composed.settings, composed.equation, rows=own if count > 1 else None)
    hosts = Hosts(tuple(f"{address(n)}:{PORT}" for n in range(count)), number)

    def connect() -> None:
        from pdesim.engine.distributed.processes import connect

        connect(hosts)

    placement = start_for([plan], connect if count > 1 else None)
    import numpy as np
    import tensorflow as tf

    from pdesim.engine.distributed.processes import ProcessCommunicator
    from pdesim.engine.distributed.simulation import simulation_of_process
    from pdesim.engine.simulation import Simulation

    if count == 1:
        simulation, communicator = Simulation(plan, placement), None
    else:
        communicator = ProcessCommunicator(hosts)
        simulation = simulation_of_process([plan], placement, communicator)
    simulation.prepare()
    integrator = simulation._batch.at

    def steps() -> None:
        integrator.advance(integrator.now, integrator.dt, 0, np.full(1, STEPS))[2].numpy()

    def median(task, times: int = 1) -> float:
        seconds = []
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            for _ in range(times):
                task()
            seconds.append((time.perf_counter() - began) / times)
        return statistics.median(seconds[1:])

    found = {"step": median(steps) / STEPS}
    if communicator is not None:
        form = simulation.loop.form
        cells = form.slabs.tile.full_width.row * form.width
        edge = tf.zeros((1, 2, cells), tf.float32)
        found["exchange"] = median(lambda: communicator.exchange(edge, edge)[1][..., -1].numpy(), 4)
        found["gather"] = median(lambda: communicator.gather(np.zeros(2), equal=True), 4)
        found |= {"k": form.steps, "bytes": 2 * 4 * 2 * cells, "overlaps": form.overlaps}
    return found


def measured(count: int, options: argparse.Namespace, apart: bool = False) -> dict[str, Any]:
    """Return what the first of several processes has measured.

    Args:
        apart: whether each process has a grid of its own.
    """
    processes = []
    for number in range(count):
        command = [
            "taskset", "-c", str(number % len(os.sched_getaffinity(0))), sys.executable, __file__,
            "--columns", str(options.columns), "--rows", str(options.rows),
            "--work", "0,1" if apart else f"{number},{count}",
        ]  # fmt: skip
        if not apart:
            command = ["ip", "netns", "exec", f"pdesim{number}", *command]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        processes.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
        )
    outputs = [process.communicate(timeout=300) for process in processes]
    if processes[0].returncode:
        raise SystemExit(outputs[0][1])
    return json.loads(outputs[0][0].splitlines()[-1])


def rounds(count: int) -> int:
    """Return the number of rounds of a gather operation."""
    from pdesim.engine.distributed.processes import rounds_of_gather

    return sum(bool(pairs) for pairs, _ in rounds_of_gather(count))


def predicted(count: int, computed: float, at: dict[str, Any], a_round: float) -> float:
    """Return the time per step of the model in the module's docstring.

    Args:
        computed: the time per step without exchanges.
        at: measurements of an exchange.
        a_round: the time of a round of a gather operation.
    """
    from pdesim.engine.distributed.link import DECISIONS, DECISIONS_SHARE

    hidden = computed * at["k"] / 2 if at["overlaps"] else 0.0
    waited = max(0.0, at["exchange"] - hidden) / at["k"]
    share = DECISIONS * rounds(count) * a_round / BLOCK_SECONDS
    return (computed + waited) / (1 - min(share, DECISIONS_SHARE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--json")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        number, count = map(int, options.work.split(","))
        print(json.dumps(work(number, count, options.columns, options.rows)))
        return
    results = {}
    for name, (delay, rate) in NETWORKS.items():
        alone = measured(1, options, apart=True)["step"]
        found, without = {}, {}
        for count in (2, 3):
            without[count] = measured(count, options, apart=True)["step"]
            with network(count, delay, rate):
                found[count] = measured(count, options)
        a_round = found[2]["gather"]
        print(f"{name}: one process {1e3 * alone:.2f} ms/step")
        for count, one in found.items():
            step = predicted(count, without[count], one, a_round)
            how = " (overlapped)" if one["overlaps"] else ""
            print(
                f"  {count} processes: exchange of {one['bytes'] / 1e3:.0f} kB "
                f"{1e3 * one['exchange']:.2f} ms{how}, gather {1e3 * one['gather']:.2f} ms; "
                f"without exchanges {1e3 * without[count]:.2f}, model {1e3 * step:.2f}, "
                f"measured {1e3 * one['step']:.2f} ms/step"
            )
        efficiencies = {
            count: alone / predicted(count, alone, found[2 if count == 2 else 3], a_round)
            for count in (2, 3, 8, 64, 256, 1024)
        }
        text = ", ".join(f"{count}: {value:.2f}" for count, value in efficiencies.items())
        print(f"  predicted efficiency on hosts of their own: {text}", flush=True)
        results[name] = {
            "alone": alone, "without": without, "measured": found, "predicted": efficiencies
        }  # fmt: skip
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
