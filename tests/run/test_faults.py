"""Runs that are killed, stopped, starved of disk, or given damaged files."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import processes
import pytest

import pdesim
from pdesim.errors import PdesimError
from pdesim.output.lock import hold
from pdesim.run.continuation import continue_run

#: long enough that kills find it at work: about 3 s of computing on one slow core
SLOW_RUN = (
    "equation=gray_scott",
    "grid=128",
    "time.end=20000",
    "output.frames=100",
    "output.checkpoint=0.2",
    "animation=none",
)


def start(folder: Path, *arguments: str, **options):
    return processes.start(arguments, folder, **options)


def rows(run: Path) -> int:
    path = run / "diagnostics.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def wait_for_rows(process, run: Path, count: int) -> None:
    deadline = time.monotonic() + 180
    while process.poll() is None and rows(run) < count and time.monotonic() < deadline:
        time.sleep(0.02)


def contents(run: Path) -> dict[str, np.ndarray]:
    with h5py.File(run / "snapshots.h5") as file:
        return {name: file[name][:] for name in ("time", "u", "v")}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("reference")
    process = start(folder, *SLOW_RUN, "hydra.run.dir=out")
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return contents(folder / "out")


def assert_no_frame_lost(run: Path, acknowledged: int, reference) -> None:
    """Every frame that a reader has seen is still there, as the undisturbed run has it."""
    with h5py.File(run / "snapshots.h5", "r", swmr=True) as file:
        assert len(file["time"]) >= acknowledged
        for name in ("time", "u", "v"):
            stored = file[name][:acknowledged]
            assert stored.tobytes() == reference[name][:acknowledged].tobytes()


def kill_and_resume(folder: Path, kills: int, seed: int, reference) -> int:
    """Kill a run at random moments and go on, until it has been killed often enough."""
    chance, run, done = random.Random(seed), folder / "out", 0
    process = start(folder, *SLOW_RUN, "hydra.run.dir=out")
    while done < kills:
        wait_for_rows(process, run, rows(run) + chance.randint(1, 4))
        time.sleep(chance.uniform(0, 0.3))
        if process.poll() is not None:
            break
        acknowledged = rows(run)  # a row is written after its frame
        process.kill()
        process.communicate()
        done += 1
        assert_no_frame_lost(run, acknowledged, reference)
        if done % 2:
            recovered = start(folder, "recover", "out")
            assert recovered.wait(60) == 0
            assert len(contents(run)["time"]) >= acknowledged
        process = start(folder, "resume", "out")
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return done


def assert_ends_like(run: Path, reference) -> None:
    found = contents(run)
    for name, values in reference.items():
        assert found[name].tobytes() == values.tobytes(), f"{name} differs"
    table = np.genfromtxt(run / "diagnostics.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(table["frame"], np.arange(len(reference["time"])))
    assert json.loads((run / "status.json").read_text())["state"] == "finished"


def test_killed_runs_go_on_bit_for_bit(tmp_path, reference):
    assert kill_and_resume(tmp_path, 2, 1, reference) > 0
    assert_ends_like(tmp_path / "out", reference)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_runs_killed_many_times_go_on_bit_for_bit(tmp_path, reference, seed):
    assert kill_and_resume(tmp_path, 5, seed, reference) > 0
    assert_ends_like(tmp_path / "out", reference)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signals_end_a_run_soon_with_a_checkpoint(tmp_path, reference, name):
    number = getattr(signal, name)
    process = start(tmp_path, *SLOW_RUN, "output.checkpoint=null", "hydra.run.dir=out")
    wait_for_rows(process, tmp_path / "out", 3)
    began = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert time.monotonic() - began < 2.0  # what batch systems and users may count on
    assert process.returncode == 128 + number
    assert "pdesim resume out" in told and "Traceback" not in told
    status = json.loads((tmp_path / "out" / "status.json").read_text())
    assert status["state"] == "interrupted"
    assert (tmp_path / "out" / "checkpoint.h5").exists()
    if name == "SIGTERM":
        process = start(tmp_path, "resume", "out")
        _, told = process.communicate(timeout=600)
        assert process.returncode == 0 and "checkpoint was not written" not in told
        assert_ends_like(tmp_path / "out", reference)


def test_a_limit_on_real_time(command, tmp_path):
    done = command(*SLOW_RUN, "time.wall_limit=0.1", "hydra.run.dir=out", check=75)
    assert "time.wall_limit" in done.stderr and "pdesim resume out" in done.stderr


def limit_files(size: int):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_full_disk_keeps_the_frames(tmp_path, reference):
    """The limit on the size of files stands for the disk's end."""
    limit = limit_files(3_000_000)
    process = start(tmp_path, *SLOW_RUN, "hydra.run.dir=out", preexec_fn=limit)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 2, told
    assert "snapshots.h5 cannot be written" in told and "pdesim resume" in told
    assert "Traceback" not in told and len(told.splitlines()) < 20
    kept = rows(tmp_path / "out")
    assert kept > 5
    process = start(tmp_path, "resume", "out")
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert_ends_like(tmp_path / "out", reference)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(command, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    done = command(*SLOW_RUN, "hydra.run.dir=closed/out", check=2)
    assert "closed" in done.stderr and "Traceback" not in done.stderr


QUICK = (
    "equation=heat",
    "grid=16",
    "time.end=1",
    "time.dt=0.01",
    "output.frames=10",
    "animation=none",
)


@pytest.fixture
def stopped(tmp_path):
    """The first half of a run, and the whole of it."""
    pdesim.simulate(*QUICK, folder=tmp_path / "whole")
    pdesim.simulate(*QUICK, "time.end=0.5", "output.frames=5", folder=tmp_path / "out")
    return tmp_path / "out"


def u(run: Path) -> np.ndarray:
    with h5py.File(run / "snapshots.h5") as file:
        return file["u"][:]


def test_a_run_goes_on_to_a_later_end(stopped, tmp_path):
    assert continue_run(stopped, {}).plan is None
    pdesim.resume(stopped, "time.end=1")
    np.testing.assert_allclose(u(stopped), u(tmp_path / "whole"), rtol=1e-5)
    assert continue_run(stopped, {}).plan is None
    with pdesim.open(stopped) as snapshots:
        np.testing.assert_allclose(snapshots.times, np.linspace(0, 1, 11), atol=1e-12)
    passed = continue_run(stopped, {"time": {"end": 0.75}})
    assert passed.plan is None and "time.end=0.75 is before t = 1" in passed.notes[-1]
    later = continue_run(stopped, {"time": {"end": 1.25}}).plan
    np.testing.assert_allclose(later.times[-3:], [1.1, 1.2, 1.25])


def test_resume_keeps_the_settings(stopped):
    with pytest.raises(PdesimError, match=r"equation\.D was .*, now 0.5"):
        pdesim.resume(stopped, "time.end=1", "equation.D=0.5")
    with pytest.raises(PdesimError, match="did you mean 'end'"):
        pdesim.resume(stopped, "time.ende=1")
    with pytest.raises(PdesimError, match="contains no run"):
        pdesim.resume(stopped / "nowhere")


def test_resume_and_recover_as_commands(command, stopped):
    done = command("resume", "out", "time.end=0.7", "animation=none", fresh=True)
    assert done.stdout.strip() == "out" and len(u(stopped)) == 8
    assert "is finished" in command("resume", "out").stderr
    assert "complete already: 8 frames" in command("recover", "out", fresh=True).stdout
    assert "equation.D" in command("resume", "out", "equation.D=0.5", check=2).stderr
    assert "Traceback" not in command("recover", "nowhere", check=2).stderr
    assert "expected one path" in command("recover", check=2).stderr


def test_resume_auto_starts_goes_on_and_skips(command, tmp_path):
    words = (*QUICK, "hydra.run.dir=out", "resume=auto")
    command(*words)
    before = (tmp_path / "out" / "snapshots.h5").read_bytes()
    assert "finished" in command(*words).stderr
    assert (tmp_path / "out" / "snapshots.h5").read_bytes() == before
    command(*words, "time.end=2")
    assert len(u(tmp_path / "out")) == 21
    with pytest.raises(PdesimError, match=r"equation\.D"):
        pdesim.simulate(*QUICK, "resume=auto", "equation.D=0.5", folder=tmp_path / "out")


def test_a_sweep_goes_on_where_it_was(command, tmp_path):
    words = ("-m", *QUICK, "equation.D=1e-3,2e-3", "hydra.sweep.dir=s", "resume=auto")
    command(*words)
    first = (tmp_path / "s" / "0" / "snapshots.h5").read_bytes()
    shutil.rmtree(tmp_path / "s" / "1")
    done = command(*words)
    assert "2 of 2 members finished (1 of them before)" in done.stderr
    assert (tmp_path / "s" / "0" / "snapshots.h5").read_bytes() == first
    assert len(u(tmp_path / "s" / "1")) == 11


def run_on(folder: Path, *overrides: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong with checkpoints was looked at before
        pdesim.resume(folder, *overrides)


def damage(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2 :] = octets[: len(octets) - len(octets) // 2]
    path.write_bytes(octets)


@pytest.mark.parametrize("harm", [damage, lambda p: os.truncate(p, 2000), Path.unlink])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(stopped, tmp_path, harm):
    pdesim.resume(stopped, "time.end=0.8")
    harm(stopped / "checkpoint.h5")
    rest = continue_run(stopped, {"time": {"end": 1.0}})
    assert rest.plan.resume_from is not None and rest.plan.resume_from.frame == 5
    assert (harm is Path.unlink) or "checkpoint.h5 cannot be used" in rest.notes[0]
    run_on(stopped, "time.end=1")
    np.testing.assert_allclose(u(stopped), u(tmp_path / "whole"), rtol=1e-5)


def test_without_a_checkpoint_a_run_begins_anew(tmp_path):
    pdesim.simulate(*QUICK, folder=tmp_path / "whole")
    pdesim.simulate(*QUICK, folder=tmp_path / "out")
    with h5py.File(tmp_path / "out" / "snapshots.h5", "r+") as file:
        for name in ("u", "time"):
            file[name].resize(4, axis=0)
    (tmp_path / "out" / "checkpoint.h5").unlink()
    rest = continue_run(tmp_path / "out", {})
    assert rest.plan.resume_from is None and "4 frames are kept" in rest.notes[-1]
    run_on(tmp_path / "out")
    assert u(tmp_path / "out").tobytes() == u(tmp_path / "whole").tobytes()


def test_a_checkpoint_of_another_run_is_not_used(stopped, tmp_path):
    pdesim.simulate(*QUICK, "equation.D=0.5", folder=tmp_path / "other")
    shutil.copy(tmp_path / "other" / "checkpoint.h5", stopped / "checkpoint.h5")
    with pytest.raises(PdesimError, match="other settings"):
        pdesim.resume(stopped, "time.end=1")


def test_one_writer_at_a_time(stopped):
    with hold(stopped):
        with pytest.raises(PdesimError, match="another process is writing"):
            pdesim.resume(stopped, "time.end=1")
        with pytest.raises(PdesimError, match="another process is writing"):
            pdesim.simulate(*QUICK, "output.overwrite=true", folder=stopped)


def test_a_killed_sweep_goes_on_bit_for_bit(tmp_path):
    """Members whose last checkpoints are of one moment go on as one batch; bits do not depend on
    who is in it."""
    words = ("-m", *SLOW_RUN, "time.end=8000", "output.frames=80", "equation.F=0.03,0.04,0.05")
    undisturbed = start(tmp_path, *words, "hydra.sweep.dir=whole")
    assert undisturbed.wait(300) == 0
    process = start(tmp_path, *words, "hydra.sweep.dir=s", "resume=auto")
    wait_for_rows(process, tmp_path / "s" / "2", 20)
    process.kill()
    process.communicate()
    rest = start(tmp_path, *words, "hydra.sweep.dir=s", "resume=auto")
    _, told = rest.communicate(timeout=300)
    assert rest.returncode == 0, told
    for member in "012":
        assert_ends_like(tmp_path / "s" / member, contents(tmp_path / "whole" / member))
