"""Files of every format_version stay readable: stored runs are opened and resumed.

``tests/fixtures/run_v1`` was made by version 0.1.0, and ``run_v2``, whose checkpoint has
format_version 2, by a later form of it, with

    pdesim equation=gray_scott grid=4 seed=1 stepper=rk4 time.dt=1 time.end=4 output.frames=2 \
        output.compression=none animation=none device=cpu device.precision=float64 \
        hydra.run.dir=run_v1

without ``.hydra/hydra.yaml``, ``.hydra/overrides.yaml``, ``pdesim.log`` and ``snapshots.xdmf``. Do
not replace it: a new format_version gets a fixture of its own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdesim
from pdesim.errors import OutputError
from pdesim.output import RunFolder, read_checkpoint
from pdesim.output.checkpoint import SAVED
from pdesim.output.summary import summarize

FIXTURES = Path(__file__).parents[1] / "fixtures"
#: the latest version of each file
LATEST = {"snapshots.h5": 1, "checkpoint.h5": 2, "status.json": 1}
SETTINGS = (
    "equation=gray_scott", "grid=4", "seed=1", "stepper=rk4", "time.dt=1", "animation=none",
    "device=cpu", "device.precision=float64",
)  # fmt: skip


@pytest.fixture(params=["run_v1", "run_v2"])
def run(tmp_path, request):
    """A copy of a stored run."""
    shutil.copytree(FIXTURES / request.param, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_a_run_of_every_version_can_be_read(run):
    with pdesim.open(run.path) as snapshots:
        assert snapshots.state == "complete" and snapshots.fields == ("u", "v")
        np.testing.assert_array_equal(snapshots.times, [0, 2, 4])
        assert snapshots["v"].shape == (3, 4, 4) and snapshots.attributes["format_version"] == 1
    checkpoint, _ = read_checkpoint(run.checkpoint)
    assert (checkpoint.time, checkpoint.steps, checkpoint.frame) == (4.0, 4, 2)
    assert checkpoint.errors.shape == (len(SAVED), 2)
    assert run.read_status()["state"] == "finished" == summarize(run.path).state


@pytest.mark.filterwarnings("ignore::UserWarning")  # made with other versions of packages
def test_a_run_of_every_version_can_be_resumed(run, tmp_path):
    pdesim.resume(run.path, "time.end=8")
    uninterrupted = ("time.end=8", "output.frames=4")
    reference = pdesim.simulate(*SETTINGS, *uninterrupted, folder=tmp_path / "reference")
    with pdesim.open(run.path) as resumed, reference.snapshots as expected:
        np.testing.assert_array_equal(resumed.times, expected.times)
        for field in expected.fields:  # rounding of other versions and processors
            np.testing.assert_allclose(resumed[field][:], expected[field][:], rtol=1e-12)


def _set_version(run: RunFolder, name: str) -> None:
    later = LATEST[name] + 1
    if name == "status.json":
        run.status.write_text(json.dumps(run.read_status() | {"format_version": later}))
        return
    with h5py.File(run.path / name, "a") as file:
        file.attrs["format_version"] = later


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("snapshots.h5", lambda run: pdesim.open(run.path)),
        ("checkpoint.h5", lambda run: read_checkpoint(run.checkpoint)),
        ("status.json", lambda run: run.read_status()),
    ],
)
def test_files_of_later_versions_are_refused(run, name, read):
    _set_version(run, name)
    latest = LATEST[name]
    with pytest.raises(OutputError, match=f"has format_version {latest + 1}") as caught:
        read(run)
    assert name in str(caught.value) and f"1 to {latest}" in str(caught.value)
    assert "needs a newer version of pdesim" in str(caught.value)


def test_a_run_with_a_later_checkpoint_is_not_resumed_from_it(run):
    _set_version(run, "checkpoint.h5")
    with pytest.raises(OutputError, match=r"checkpoint.h5 cannot be used: .*format_version 3"):
        pdesim.resume(run.path, "time.end=8")
