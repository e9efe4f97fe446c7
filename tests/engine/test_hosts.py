"""The processes of a run that share one grid: their addresses, and the order of their exchanges."""

import json
import math
import socket
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdesim.engine.distributed.hosts import (
    Hosts,
    hosts_of,
    number_of_parts,
    split_address,
    wait_for_all,
)
from pdesim.engine.distributed.processes import neighbour_pairs, rounds_of_gather
from pdesim.errors import DeviceError, LostHostError
from pdesim.settings import Device

TWO = ("node1:5000", "node2:5000")
VARIABLES = ("TF_CONFIG", "SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_NODELIST")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def device(hosts, **more):
    return Device(hosts=hosts, **more)


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def test_one_process_has_no_hosts():
    assert hosts_of(Device()) is None and number_of_parts(Device(count=3)) == 3


def test_addresses_and_number_are_given():
    found = hosts_of(device(list(TWO), host=1))
    assert found == Hosts(TWO, 1)
    assert (found.count, found.is_first, found.here) == (2, False, "node2:5000")
    assert number_of_parts(device(list(TWO), host=0)) == 2


def test_the_number_is_that_of_the_only_address_of_this_computer(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node2.cluster")
    assert hosts_of(device(list(TWO))).number == 1
    with pytest.raises(DeviceError, match=r"2 of the addresses.*\n.*device.host=NUMBER"):
        hosts_of(device(["node2:1", "node2:2"]))
    with pytest.raises(DeviceError, match="none of the addresses"):
        hosts_of(device(["a:1", "b:2"]))


def test_tf_config(monkeypatch):
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": TWO}, "task": task}))
    assert hosts_of(device("auto")) == Hosts(TWO, 1)


@pytest.mark.parametrize("text", ["", "[]", '{"cluster": {"ps": ["a:1"]}, "task": {"index": 0}}'])
def test_an_invalid_tf_config(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(DeviceError, match=r"TF_CONFIG cannot be read.*\n.*cluster"):
        hosts_of(device("auto"))


def test_slurm(monkeypatch):
    values = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "a,b", "SLURM_PROCID": "2",
              "SLURM_STEP_TASKS_PER_NODE": "2,1"}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    found = hosts_of(device("auto"))
    assert found == Hosts(("a:15857", "a:15858", "b:15857"), 2)
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "1(x2)")
    assert hosts_of(device("auto", host=1)).addresses == ("a:15857", "b:15857")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "1")
    with pytest.raises(DeviceError, match="variables of Slurm"):
        hosts_of(device("auto"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Device(hosts=["node1", "node2:1"]), "'node1'"),
        (Device(hosts=["node1:0", "node2:1"]), "'node1:0'"),
        (Device(hosts=["node1:70000", "node2:1"]), "'node1:70000'"),
        (Device(hosts=["a:1", "a:1"]), "a:1 twice"),
        (Device(hosts=["a:1"]), "1 address\n.*at least two"),
        (Device(hosts=[]), "0 addresses"),
        (Device(hosts=["a:1", "b:1"], host=2), r"device.host=2.*\n.*0 to 1"),
        (Device(hosts=["a:1", "b:1"], host=0, count=2), "device.count=2"),
        (Device(hosts="auto"), "TF_CONFIG"),
    ],
)
def test_invalid_addresses(settings, message):
    with pytest.raises(DeviceError, match=message):
        hosts_of(settings)


def test_split_address():
    assert split_address("node1:80") == ("node1", 80)
    assert split_address("[::1]:80") == ("::1", 80)


def test_a_process_that_does_not_start():
    own, other = free_port(), free_port()
    hosts = Hosts((f"localhost:{own}", f"localhost:{other}"), 0)
    with pytest.raises(LostHostError, match=rf"localhost:{other} within 0.3 seconds\n.*one proc"):
        wait_for_all(hosts, seconds=0.3)


def test_a_port_in_use():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        hosts = Hosts((f"localhost:{port}", f"localhost:{free_port()}"), 0)
        with pytest.raises(DeviceError, match=rf"the port {port} of process 0.*in use"):
            wait_for_all(hosts, seconds=0.3)


def test_an_unknown_host():
    hosts = Hosts((f"localhost:{free_port()}", "does-not-exist.invalid:1"), 0)
    with pytest.raises(DeviceError, match=r"does-not-exist\.invalid of device.hosts is unknown"):
        wait_for_all(hosts, seconds=0.3)


def test_the_rows_of_processes():
    hosts = [Hosts(("a:1", "b:1", "c:1"), number) for number in range(3)]
    assert [one.rows(37) for one in hosts] == [slice(0, 12), slice(12, 24), slice(24, 37)]


@given(size=st.integers(2, 40), ring=st.booleans())
def test_no_exchange_waits_in_a_circle(size, ring):
    """Each process performs its exchanges in order; a pair proceeds if both processes are there."""
    left = [neighbour_pairs(rank, size, ring) for rank in range(size)]
    pairs = defaultdict(int)
    for mine in left:
        for pair in mine:
            pairs[pair] += 1
    assert set(pairs.values()) == {2} and len(pairs) == (size if ring else size - 1)
    rounds = 0
    while any(left):
        ready = {mine[0] for mine in left if mine}
        done = {p for p in ready if sum(bool(mine) and mine[0] == p for mine in left) == 2}
        assert done, "all processes wait"
        left = [mine[1:] if mine and mine[0] in done else mine for mine in left]
        rounds += 1
    assert rounds <= 3


@pytest.mark.parametrize("size", [*range(1, 20), 64, 100])
def test_a_gather_tells_every_process_the_values_of_all_others_in_few_rounds(size):
    known, rounds = [{rank} for rank in range(size)], rounds_of_gather(size)
    for pairs, before in rounds:
        assert [sorted(ranks) for ranks in known] == before
        members = [rank for pair in pairs for rank in pair]
        assert len(members) == len(set(members))  # no process waits for two others at a time
        for one, two in pairs:
            known[one] = known[two] = known[one] | known[two]
    assert known == [set(range(size))] * size
    assert sum(bool(pairs) for pairs, _ in rounds) <= math.log2(size) + 2
