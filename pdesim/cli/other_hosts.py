"""Commands in the processes of ``device.hosts`` other than the first one.

The first process chooses the folder of the run, joins the files and prints the result. The others
compute their parts of the grid only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from pdesim.engine.distributed.hosts import hosts_of
from pdesim.plan import Plan
from pdesim.run.continuation import Continuation
from pdesim.run.execute import Options, execute_single
from pdesim.run.job import Job
from pdesim.settings import Device, read_section


def own_rows(device: Device) -> Callable[[int], slice] | None:
    """Return a function that returns the rows of this process, given their number in the grid.

    The result is None without ``device.hosts``.
    """
    hosts = hosts_of(device)
    return None if hosts is None else hosts.rows


def is_other_host(device: Device) -> bool:
    """Return whether this is a process of ``device.hosts``, but not the first one."""
    hosts = hosts_of(device)
    return hosts is not None and not hosts.is_first


def given_device(values: Mapping[str, Any]) -> Device:
    """Return the device from settings of the command line, as nested mappings."""
    given = values.get("device", {})
    if not isinstance(given, Mapping):
        given = {"hosts": "auto"} if given == "hosts" else {}
    return read_section(Device, given, "device")


def compute_part(plan: Plan | Continuation, folder: Path, config_yaml: str) -> None:
    """Compute the part of a run that belongs to this process.

    Args:
        plan: the plan of a new run, or the remaining part of a run that is resumed.
        folder: the folder of a run that is resumed.
        config_yaml: the settings of a new run.
    """
    if isinstance(plan, Continuation):
        if plan.plan is None:
            return
        job = Job(plan.plan, folder, plan.config_yaml, resume=True)
    else:
        job = Job(plan, folder, config_yaml)
    execute_single(job, Console(stderr=True), Options(owns_process=True, allows_hosts=True))
