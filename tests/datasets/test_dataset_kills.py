"""Data sets whose computation is killed or stopped, and then continued by the same command."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from processes import start

#: adaptive steps and noise, so that a run that does not resume exactly has other values
WORDS = (
    "dataset", "equation=gray_scott", "grid=24", "domain.extent=0.3", "time.end=1500",
    "output.frames=30", "equation.F=interval(0.02,0.06)", "sweep=random", "sweep.n=10", "shard=4",
    "stepper=bogacki_shampine", "output.checkpoint=0.05", "device=cpu",
)  # fmt: skip


def contents(folder: Path) -> dict[str, bytes | dict[str, tuple]]:
    """Bits of all arrays, and texts; without the description, which contains seconds.

    HDF5 stores times of changes in groups, so that the bytes of two files always differ.
    """
    found: dict[str, bytes | dict[str, tuple]] = {}
    for path in (p for p in folder.rglob("*") if p.is_file() and p.name != "dataset.yaml"):
        name = str(path.relative_to(folder))
        found[name] = arrays(path) if path.suffix in (".h5", ".hdf5") else path.read_bytes()
    return found


def arrays(path: Path) -> dict[str, tuple]:
    with h5py.File(path) as file:
        objects = [("/", file)]
        file.visititems(lambda name, one: objects.append((name, one)))
        return {
            name: (
                {key: np.asarray(value).tolist() for key, value in one.attrs.items()},
                one[()].tobytes() if isinstance(one, h5py.Dataset) else b"",
            )
            for name, one in objects
        }


@pytest.fixture(scope="module", params=["well", "pdebench"])
def reference(request, tmp_path_factory):
    """The format, and the contents of a data set that nobody stopped."""
    folder = tmp_path_factory.mktemp("reference")
    process = start([*WORDS, "--to", request.param, "--output", "data"], folder)
    out, error = process.communicate(240)
    assert process.returncode == 0, f"{out}\n{error}"
    return request.param, contents(folder / "data")


def wait_for(process, pattern: str, folder: Path, count: int = 1) -> None:
    """Wait until so many files match a pattern."""
    end = time.monotonic() + 120
    while len(list(folder.glob(pattern))) < count:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.005)


@pytest.mark.slow
def test_a_killed_data_set_continues_to_the_same_bits(reference, tmp_path):
    to, expected = reference
    arguments = [*WORDS, "--to", to, "--output", "data"]
    work = tmp_path / "data" / ".pdesim"
    # in the first batch before and after its checkpoints, while shards are written, at the end
    for pattern, count in (
        ("runs/*/snapshots.h5", 2), ("runs/*/checkpoint.h5", 2),
        ("runs/*/checkpoint.previous.h5", 4), ("records/*", 1), ("records/*", 2), ("records/*", 4),
    ):  # fmt: skip
        process = start(arguments, tmp_path, os.environ)
        wait_for(process, pattern, work, count)
        process.kill()
        process.wait(10)
    process = start(arguments, tmp_path, os.environ)
    out, error = process.communicate(240)
    assert process.returncode == 0, f"{out}\n{error}"
    assert contents(tmp_path / "data") == expected


@pytest.mark.slow
def test_a_stopped_data_set_keeps_its_finished_shards(reference, tmp_path):
    to, expected = reference
    arguments = [*WORDS, "--to", to, "--output", "data"]
    records = tmp_path / "data" / ".pdesim" / "records"
    process = start(arguments, tmp_path, os.environ)
    wait_for(process, "train_000.json", records)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(60)
    assert process.returncode == 130, error
    assert "of 10 trajectories are stored" in error and "the same command continues" in error
    assert "Traceback" not in error and not list((tmp_path / "data").rglob("*.tmp"))
    before = (records / "train_000.json").stat().st_mtime_ns
    process = start(arguments, tmp_path, os.environ)
    wait_for(process, "train_001.json", records)
    assert (records / "train_000.json").stat().st_mtime_ns == before
    _, error = process.communicate(240)
    assert process.returncode == 0 and "4 of 10 trajectories were computed before" in error
    assert contents(tmp_path / "data") == expected


def test_a_limit_of_time(tmp_path, command):
    words = [*WORDS, "--to", "npz", "--output", "data"]
    done = command(*words, "time.wall_limit=0.01", check=75)
    assert "time.wall_limit" in done.stderr and "the same command continues" in done.stderr
    assert not list((tmp_path / "data").rglob("*.npz"))


def test_a_full_disk(tmp_path):
    words = [*WORDS[:3], "domain.extent=0.3", "time.end=200", "output.frames=30", "sweep=random",
             "sweep.n=3", "equation.F=interval(0.03,0.04)", "device=cpu",
             "--to", "npz", "--output", "data"]  # fmt: skip
    process = start(words, tmp_path, preexec_fn=_small_files)
    _, error = process.communicate(240)
    assert process.returncode == 2 and "the same command continues" in error, error
    process = start(words, tmp_path)
    _, error = process.communicate(240)
    assert process.returncode == 0, error
    assert len(list((tmp_path / "data").rglob("*.npz"))) == 3


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
