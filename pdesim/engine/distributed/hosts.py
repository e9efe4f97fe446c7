"""The processes that compute one grid together, usually one on each host of a cluster.

All processes are started with the same command. Their addresses are those of ``device.hosts`` or,
with ``device.hosts=auto``, those that a launcher has put into the environment: ``TF_CONFIG``, or
the variables of Slurm. This module does not import TensorFlow.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pdesim.engine.distributed.decomposition import divided
from pdesim.errors import DeviceError, LostHostError
from pdesim.settings import Device

#: the port of the first process of a host that was started by Slurm
SLURM_PORT = 15_850
#: number of jobs of Slurm whose processes can use different ports of one host
SLURM_PORTS = 16_384
#: the longest time in seconds that a process waits for the others to start, and the time between
#: two attempts
CONNECT_SECONDS, POLL_SECONDS = 120.0, 0.2
_EXAMPLE = "device.hosts=[node1:5000,node2:5000]"


@dataclass(frozen=True)
class Hosts:
    """The processes of a run.

    Args:
        addresses: ``host:port`` of each process.
        number: the number of this process.
    """

    addresses: tuple[str, ...]
    number: int

    @property
    def count(self) -> int:
        """The number of processes."""
        return len(self.addresses)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the log and joins the files."""
        return self.number == 0

    def rows(self, total: int) -> slice:
        """Return the rows of this process, of all rows of a grid."""
        own = divided(total, self.count)[self.number]
        return slice(own.start, own.stop)

    @property
    def here(self) -> str:
        """The address of this process."""
        return self.addresses[self.number]


def number_of_parts(device: Device) -> int:
    """Return the number of parts into which the grid is divided.

    Raises:
        DeviceError: see :func:`hosts_of`.
    """
    hosts = hosts_of(device)
    return device.count if hosts is None else hosts.count


def hosts_of(device: Device) -> Hosts | None:
    """Return the processes that compute a run together; None if there is only this process.

    Raises:
        DeviceError: if the addresses are invalid, or if the number of this process is unknown.
    """
    if device.hosts is None:
        return None
    if device.count > 1:
        raise DeviceError(
            f"device.count={device.count} and device.hosts are both given",
            "device.count=1 with device.hosts",
            "start one process for each GPU, with its own port and CUDA_VISIBLE_DEVICES",
        )
    if device.hosts == "auto":
        addresses, number = _from_environment(os.environ)
    else:
        addresses, number = tuple(device.hosts), None
    check_addresses(addresses)
    if device.host is not None:
        number = device.host
    if number is None:
        number = _own_number(addresses)
    if not 0 <= number < len(addresses):
        raise DeviceError(
            f"device.host={number}, but there are {len(addresses)} addresses",
            f"a number from 0 to {len(addresses) - 1}",
        )
    return Hosts(addresses, number)


def check_addresses(addresses: Iterable[str]) -> None:
    """Check that each address has the form ``host:port``, and that no two are equal.

    Raises:
        DeviceError: if this is not the case.
    """
    seen: set[str] = set()
    for address in addresses:
        match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})", address)
        if match is None or not 0 < int(match.group(2)) < 2**16:
            raise DeviceError(f"device.hosts contains {address!r}", "addresses host:port", _EXAMPLE)
        if address in seen:
            raise DeviceError(
                f"device.hosts contains {address} twice",
                "a different port for each process of a host",
                "device.hosts=[node1:5000,node1:5001]",
            )
        seen.add(address)
    if len(seen) < 2:
        raise DeviceError(
            f"device.hosts contains {len(seen)} address{'es' if len(seen) != 1 else ''}",
            "at least two",
            f"{_EXAMPLE}; device.hosts=null computes the run in one process",
        )


def split_address(address: str) -> tuple[str, int]:
    """Return the host and the port of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def wait_for_all(hosts: Hosts, seconds: float = CONNECT_SECONDS) -> None:
    """Wait until all processes have started.

    During this time, the port of this process is open, and this process tries to open connections
    to all others; nothing is sent.

    Raises:
        DeviceError: if a host is unknown, or if the port of this process is in use.
        LostHostError: if a process has not started within ``seconds``.
    """
    for address in hosts.addresses:
        _check_known(address)
    end = time.monotonic() + seconds
    with _open_port(hosts):
        missing = [one for one in hosts.addresses if one != hosts.here]
        while missing := [one for one in missing if not answers(one)]:
            if time.monotonic() > end:
                raise LostHostError(
                    f"no process has answered at {', '.join(missing)} within {seconds:g} seconds",
                    "one process at each address of device.hosts, started with the same command",
                    "check the names, the ports, the firewall, and the messages of the other "
                    "processes",
                )
            time.sleep(POLL_SECONDS)


def _check_known(address: str) -> None:
    host, port = split_address(address)
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        raise DeviceError(
            f"the host {host} of device.hosts is unknown ({error.strerror})",
            "names or IP addresses of hosts that this computer can reach",
        ) from None


def _open_port(hosts: Hosts) -> socket.socket:
    port, both = split_address(hosts.here)[1], socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(
            ("", port), family=family, backlog=4 * hosts.count, dualstack_ipv6=both
        )
    except OSError as error:
        raise DeviceError(
            f"the port {port} of process {hosts.number} ({hosts.here}) cannot be used: "
            f"{error.strerror}",
            "a port that no other program uses",
            "a process of an earlier run may still be running on this computer",
        ) from None


def answers(address: str, seconds: float = 1.0) -> bool:
    """Return whether a program accepts connections at an address."""
    try:
        with socket.create_connection(split_address(address), timeout=seconds):
            return True
    except OSError:
        return False


def _own_number(addresses: tuple[str, ...]) -> int:
    """Return the number of the only address that names this computer.

    Raises:
        DeviceError: if there is no such address, or more than one.
    """
    names = {socket.gethostname(), socket.getfqdn(), socket.gethostname().partition(".")[0]}
    own = [n for n, address in enumerate(addresses) if split_address(address)[0] in names]
    if len(own) != 1:
        raise DeviceError(
            "device.host is not given, and the number of this process is unknown: "
            f"{len(own) or 'none'} of the addresses in device.hosts "
            f"name{'' if own else 's'} this computer, {socket.gethostname()}",
            f"device.host=NUMBER, from 0 to {len(addresses) - 1}, different for each process",
        )
    return own[0]


def _from_environment(environment: Mapping[str, str]) -> tuple[tuple[str, ...], int | None]:
    """Return the addresses and the number that a launcher has set.

    Raises:
        DeviceError: if there are none, or if they cannot be read.
    """
    if "TF_CONFIG" in environment:
        return _from_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    raise DeviceError(
        "device=hosts needs the addresses of all processes",
        "device.hosts, the environment variable TF_CONFIG, or a start by srun",
        _EXAMPLE,
    )


def _from_tf_config(text: str) -> tuple[tuple[str, ...], int]:
    """Read ``{"cluster": {"worker": [ADDRESS, ...]}, "task": {"type": "worker", "index": 0}}``."""
    try:
        values = json.loads(text)
        addresses, task = values["cluster"]["worker"], values["task"]
        if task.get("type", "worker") != "worker" or set(values["cluster"]) != {"worker"}:
            raise ValueError("tasks other than workers are not supported")
        return tuple(map(str, addresses)), int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"TF_CONFIG cannot be read ({type(error).__name__}: {error})",
            '{"cluster": {"worker": ["node1:5000", "node2:5000"]}, '
            '"task": {"type": "worker", "index": 0}}',
        ) from None


def _from_slurm(environment: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """Return the addresses of the tasks of a job step of Slurm, which numbers them by node."""
    try:
        job = int(environment["SLURM_JOB_ID"])
        nodes = _node_names(environment["SLURM_STEP_NODELIST"])
        counts = _tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
        number = int(environment["SLURM_PROCID"])
        # different jobs may share a node
        first = SLURM_PORT + job % SLURM_PORTS
        pairs = zip(nodes, counts, strict=True)
        return tuple(f"{node}:{first + n}" for node, many in pairs for n in range(many)), number
    except (KeyError, ValueError) as error:
        raise DeviceError(
            f"the variables of Slurm cannot be read ({type(error).__name__}: {error})",
            "a start by srun, or device.hosts and device.host",
        ) from None


def _tasks_per_node(text: str) -> list[int]:
    """Read numbers such as ``2(x3),1``, which means 2, 2, 2, 1."""
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise ValueError(f"{part!r} is not a number of tasks")
        counts += [int(match.group(1))] * int(match.group(2) or 1)
    return counts


def _node_names(text: str) -> list[str]:
    """Return the names in a list of nodes, which Slurm's own program expands (``node[1-3]``)."""
    if "[" not in text:
        return text.split(",")
    try:
        done = subprocess.run(
            ["scontrol", "show", "hostnames", text], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"scontrol show hostnames {text} failed: {error}") from None
    return done.stdout.split()
