"""Compute one run by several processes on the nodes of a Ray cluster.

    python docs/hosts_on_ray.py 2 equation=gray_scott grid=4096 hydra.run.dir=/shared/big

The first argument is the number of processes, which Ray spreads over the nodes; the others are
those of pdesim. All nodes need pdesim and the folder of the run. `pip install "pdesim[ray]"`
installs Ray.
"""

import json
import os
import socket
import subprocess
import sys

import ray


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
class Process:
    """One process of the run, on a node that Ray chooses."""

    def address(self) -> str:
        """Return the address of this node, with a port that is free."""
        with socket.create_server(("", 0)) as server:
            return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"

    def run(self, arguments: list[str], addresses: list[str], number: int) -> tuple[int, str]:
        """Compute the rows of this process, and return the exit code and the messages."""
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        command = [sys.executable, "-m", "pdesim", *arguments, "device=hosts"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        return ended.returncode, ended.stdout + ended.stderr


def main() -> int:
    count, arguments = int(sys.argv[1]), sys.argv[2:]
    ray.init(log_to_driver=False)
    processes = [Process.remote() for _ in range(count)]
    addresses = ray.get([process.address.remote() for process in processes])
    running = [one.run.remote(arguments, addresses, n) for n, one in enumerate(processes)]
    results = ray.get(running)
    print(results[0][1], end="")
    for number, (code, messages) in enumerate(results):
        if code != 0:
            print(f"process {number} at {addresses[number]}: exit code {code}", file=sys.stderr)
            print(messages, file=sys.stderr)
    return max(code for code, _ in results)


if __name__ == "__main__":
    sys.exit(main())
