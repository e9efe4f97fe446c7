"""Helpers that every test may use."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from processes import start

from pdesim.plan import Plan, build_plan
from pdesim.sweeps.compose import Composer

# what a shell says of its terminal would change the width and the colours of printed tables
for name in (
    "COLUMNS",
    "LINES",
    "FORCE_COLOR",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TTY_COMPATIBLE",
):
    os.environ.pop(name, None)

# how long an example takes depends on the load of the machine, which proves nothing
hypothesis.settings.register_profile(
    "any load", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any load")


@dataclass(frozen=True)
class Evolution:
    """All frames of a run in memory: ``states`` is (frames, fields, *grid.shape)."""

    plan: Plan
    times: np.ndarray
    states: np.ndarray

    def field(self, name: str) -> np.ndarray:
        return self.states[:, self.plan.equation.fields.index(name)].astype(np.float64)

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        return self.plan.grid.coordinates()


#: asks Hydra once for settings that differ only in numbers, which takes it 0.2 s each time;
#: tests/sweeps/test_sweep.py compares the two
compose = Composer()


def make_plan(*overrides: str) -> Plan:
    composed = compose(overrides)
    return build_plan(composed.settings, composed.equation)


@pytest.fixture(scope="session")
def placement():
    from pdesim.engine.device import start_tensorflow
    from pdesim.settings import Device

    return start_tensorflow(Device(name="cpu"))


@pytest.fixture(scope="session")
def evolve(placement):
    """Run overrides through the engine, in float64 unless they say otherwise, without files."""
    from pdesim.engine.simulation import Simulation

    def run(*overrides: str) -> Evolution:
        plan = make_plan("device.precision=float64", *overrides)
        frames = list(Simulation(plan, placement).frames())
        return Evolution(
            plan, np.array([f.time for f in frames]), np.stack([f.state for f in frames])
        )

    return run


@pytest.fixture
def command(tmp_path):
    """Run ``python -m pdesim`` in an empty folder, as a user would."""

    def run(
        *arguments: str,
        cwd: Path = tmp_path,
        check: int | None = 0,
        timeout: float = 240,
        fresh: bool = False,
        **more: str,
    ):
        environment = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"} | more
        process = start(arguments, cwd, environment, fresh=fresh)
        out, error = process.communicate(timeout)
        done = subprocess.CompletedProcess(process.args, process.returncode, out, error)
        if check is not None:
            assert done.returncode == check, f"{done.stdout}\n{done.stderr}"
        return done

    return run


def pytest_collection_modifyitems(items):
    """Mark the tests in ``thorough.txt``, and those of their cases that ``.ci/run`` leaves out."""
    folder = Path(__file__).parent
    lines = (folder / "thorough.txt").read_text().splitlines()
    samples = {name: int(number) for name, number in map(str.split, lines)}
    functions = defaultdict(list)
    for item in items:
        functions[f"{item.path.relative_to(folder).as_posix()}::{item.originalname}"].append(item)
    for name in samples.keys() & functions.keys():
        cases, number = functions[name], samples[name]
        sample = {(2 * i + 1) * len(cases) // (2 * number) for i in range(number)}
        for i, item in enumerate(cases):
            item.add_marker(pytest.mark.thorough)
            if i not in sample:
                item.add_marker(pytest.mark.slow)
