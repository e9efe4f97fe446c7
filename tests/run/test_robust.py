"""Two writers, killed parents, names and streams that a run may meet."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_runs import make_run
from rich.console import Console

import pdesim
from pdesim.cli import main as cli
from pdesim.cli.arguments import path_and_settings
from pdesim.cli.main import main
from pdesim.cli.resume import parser
from pdesim.config.compose import is_given
from pdesim.errors import OutputError
from pdesim.export import export
from pdesim.files import clear_left_behind, is_path, new_folder, replacing
from pdesim.output import RunFolder, lock
from pdesim.output.recorder import Recorder
from pdesim.output.recover import recover
from pdesim.run.stopping import Owner, StopRequests, stop_requests
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.run import run_sweep

QUICK = ("equation=heat", "grid=[16]", "time.end=1", "output.frames=4", "animation=none")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and streams")


def test_one_sweep_at_a_time_in_a_folder(tmp_path):
    with lock.hold(tmp_path), pytest.raises(OutputError, match="another process is writing"):
        run_sweep([QUICK], tmp_path, Composer(), Console(quiet=True))
    assert not (tmp_path / "0").exists()


def test_one_writer_recovers_a_file(tmp_path):
    path = make_run(tmp_path / "out")
    with h5py.File(path, "r+") as file:
        file["u"].resize(4, axis=0)  # one frame more than the times
    before = path.read_bytes()
    with lock.hold(path.parent), pytest.raises(OutputError, match="is writing"):
        recover(path)
    assert path.read_bytes() == before
    assert recover(path).frames == 3 and not lock.is_held(path.parent)


def test_somebody_who_looks_keeps_no_writer_away(tmp_path, monkeypatch):
    """`info` locks a folder for an instant to see whether it is locked."""
    held, release = lock.FileLock(tmp_path / lock.LOCK), []
    held.acquire()

    def acquire(self, timeout, real=lock.FileLock.acquire):
        if not release:
            release.append(held.release())
        return real(self, timeout=timeout)

    monkeypatch.setattr(lock.FileLock, "acquire", acquire)
    with lock.hold(tmp_path):
        pass


@posix
def test_a_worker_notices_that_its_owner_has_ended():
    assert not Owner.current().has_ended()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    here = Owner.current()
    owner = Owner(here.machine, child.pid, "")
    if sys.platform == "linux":
        from pdesim.run.stopping import _start_of

        owner = dataclasses.replace(owner, started=_start_of(child.pid))
        assert dataclasses.replace(owner, started="0").has_ended()  # another one of that number
    with stop_requests(owner=owner) as stop:
        stop._owner_checked = -1.0  # look at once
        assert not owner.has_ended() and stop.reason is None
        child.kill()
        if sys.platform == "linux":
            # a process that nobody has waited for counts as ended
            end = time.monotonic() + 10
            while not owner.has_ended() and time.monotonic() < end:
                time.sleep(0.01)
            assert owner.has_ended()
        child.wait()
        assert owner.has_ended()
        stop._owner_checked = -1.0
        assert stop.reason == (
            "stopped because the process that started it has ended",
            128 + signal.SIGTERM,
        )
    assert not dataclasses.replace(owner, machine="elsewhere").has_ended()
    assert StopRequests(None).reason is None


def test_folders_of_the_same_second(tmp_path, monkeypatch):
    assert [new_folder(tmp_path / "a" / "b").name for _ in range(3)] == ["b", "b_1", "b_2"]
    monkeypatch.chdir(tmp_path)
    config, first, _ = cli._planned(QUICK, None, False)
    assert Path(config.hydra.run.dir) == first.run_folder and first.run_folder.is_dir()
    from pdesim.config import compose as configuration

    real = configuration.composed_from

    def in_that_second(config, overrides):
        return dataclasses.replace(real(config, overrides), run_folder=first.run_folder)

    monkeypatch.setattr(configuration, "composed_from", in_that_second)
    config, _, _ = cli._planned(QUICK, None, False)
    assert config.hydra.run.dir == f"{first.run_folder}_1"


def test_a_folder_may_be_given_by_its_section():
    assert is_given("hydra.run.dir", ["grid=8", "hydra.run.dir=x"])
    assert is_given("hydra.run.dir", ["+hydra.run={dir: x}"])
    assert not is_given("hydra.run.dir", ["hydra.sweep.dir=x", "hydra.run.dirt=x"])


def test_names_with_equals_signs_are_paths_if_they_exist(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "a=1,b=2")
    assert is_path("a=1,b=2") and is_path("./c=3") and not is_path("grid=64")
    path, settings = path_and_settings(parser(), ["a=1,b=2", "time.end=3"])
    assert path == Path("a=1,b=2") and settings == ["time.end=3"]
    assert main(["render", "a=1,b=2", "animation.fps=5"]) == 0
    assert (tmp_path / "a=1,b=2" / "animation.gif").exists()
    capsys.readouterr()
    # found as a run, and refused for what it is: its settings were made by hand
    assert main(["resume", "a=1,b=2"]) == 2
    assert "0 paths" not in capsys.readouterr().err


def test_members_folders_cannot_be_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["-m", *QUICK, "equation.D=1,2", "hydra.sweep.subdir=x"]
    assert main(words) == 2
    assert "hydra.sweep.subdir cannot be set" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_names_of_255_characters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    longest = "r" * 255
    run = pdesim.simulate(*QUICK, folder=tmp_path / longest)
    target = export(run.folder, "npz", str(tmp_path / ("x" * 251 + ".npz")))
    assert Path(target).is_file()
    with pytest.raises(OutputError, match="File name too long"):
        pdesim.simulate(*QUICK, folder=tmp_path / f"{longest}r")


def test_a_folder_that_vanishes_ends_the_run(tmp_path, monkeypatch):
    real = Recorder.frame

    def frame(self, index, time, state):
        if index == 2:
            self._worker.drain()
            shutil.rmtree(tmp_path / "out")
        real(self, index, time, state)

    monkeypatch.setattr(Recorder, "frame", frame)
    with pytest.raises(OutputError, match=r"cannot be written: No such file or directory"):
        pdesim.simulate(*QUICK, folder=tmp_path / "out")


@posix
def test_temporary_files_of_killed_processes_disappear(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone, running = tmp_path / f".x.{child.pid}.png", tmp_path / f".x.{os.getppid()}.png"
    for path in (gone, running, tmp_path / ".x.y.png"):
        path.touch()
    with replacing(tmp_path / "x.png", shared=True) as temporary:
        temporary.write_text("")
    assert not gone.exists() and running.exists() and (tmp_path / ".x.y.png").exists()
    clear_left_behind(tmp_path / "nowhere", ".x.", ".png")


@posix
def test_the_next_writer_of_a_folder_removes_pictures_of_killed_processes(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone = tmp_path / f".animation.{child.pid}.gif"
    kept = [tmp_path / f".animation.{os.getppid()}.gif", tmp_path / f".notes.{child.pid}.gif"]
    for path in (gone, *kept):
        path.touch()
    with lock.hold(tmp_path):  # as for pdesim resume
        assert not gone.exists() and all(path.exists() for path in kept)
    gone.touch()
    with replacing(tmp_path / "animation.mp4", shared=True) as temporary:  # pdesim render
        temporary.write_text("")
    assert not gone.exists() and all(path.exists() for path in kept)


def test_a_run_that_was_killed_before_its_first_frame(tmp_path):
    run = pdesim.simulate(*QUICK, folder=tmp_path / "out")
    with h5py.File(run.folder / "snapshots.h5", "r+") as file:
        for name in ("time", "u"):
            file[name].resize(0, axis=0)
    (run.folder / "checkpoint.h5").unlink()
    with pytest.raises(OutputError, match=r"no frames yet: the run was stopped before.*") as error:
        pdesim.open(run.folder)
    assert f"pdesim resume {run.folder}" in str(error.value)
    resumed = pdesim.resume(run.folder)
    with pdesim.open(resumed.folder) as snapshots:
        assert len(snapshots.times) == 5


def shell(folder: Path, line: str, **more: str) -> subprocess.CompletedProcess:
    """A line of Bash in which ``$pdesim`` is the program."""
    environment = os.environ | {"pdesim": f"{sys.executable} -m pdesim"} | more
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip


@posix
def test_closed_and_full_streams(tmp_path):
    make_run(tmp_path / "out")
    line = "$pdesim info out > /dev/full; echo code $?"
    done = shell(tmp_path, line)
    assert "code 0" in done.stdout and "Traceback" not in done.stderr
    assert done.stderr.strip() == "pdesim: standard output is incomplete: No space left on device"
    done = shell(tmp_path, "$pdesim list | head -1; echo codes ${PIPESTATUS[0]}")
    assert "codes 0" in done.stdout and not done.stderr
    done = shell(tmp_path, "$pdesim info nowhere 2> /dev/full; echo code $?; $pdesim --help >&-")
    assert "code 2" in done.stdout and not done.stderr


@posix
def test_a_run_without_any_streams(tmp_path):
    """Its files must not get the numbers of the streams that are closed."""
    line = f"$pdesim {' '.join(QUICK)} hydra.run.dir=out <&- >&- 2>&-"
    done = shell(tmp_path, line)
    assert done.returncode == 0
    with pdesim.open(tmp_path / "out") as snapshots:
        assert len(snapshots.times) == 5 and np.isfinite(snapshots["u"][-1]).all()


@posix
def test_streams_that_are_not_utf_8(tmp_path):
    make_run(tmp_path / "out", status={"state": "failed", "error": "größer als π"})
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = shell(tmp_path, "$pdesim info out", **ascii_only, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "Traceback" not in done.stderr and done.stdout.isascii()


@posix
@pytest.mark.parametrize("module", ["rich", "sympy"])
def test_a_signal_while_modules_are_imported(tmp_path, module):
    command = [sys.executable, "-X", "importtime", "-m", "pdesim", *QUICK, "hydra.run.dir=out"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs ignore it, and so would everything that they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in process.stderr:
        if f" {module}." in line:
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told and "stopped" in told


@pytest.mark.parametrize("members", [1, 2])
def test_a_lack_of_memory_is_no_defect(tmp_path, monkeypatch, capsys, members):
    import tensorflow as tf

    from pdesim.engine.simulation import Simulation

    def no_room(self, *_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        yield

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Simulation, "frames", no_room)
    words = ["equation.D=1,2", "hydra.sweep.dir=out"] if members > 1 else ["hydra.run.dir=out/0"]
    assert main([*(["-m"] if members > 1 else []), *QUICK, *words]) == 2
    told = capsys.readouterr().err
    assert f"not enough memory for {16 * members} cells" in told and "internal error" not in told
    for member in range(members):
        status = RunFolder(tmp_path / "out" / str(member)).read_status()
        assert status["state"] == "failed" and "not enough memory" in status["error"]


def test_a_lack_of_memory_during_a_run_leaves_its_checkpoint(tmp_path, monkeypatch, capsys):
    """The device refuses a block after the first checkpoint; `resume` continues bit for bit."""
    import tensorflow as tf

    from pdesim.engine.integrator import Integrator

    words = ["equation=gray_scott", "grid=16", "stepper=euler", "time.end=400", "output.frames=8"]
    words += ["animation=none", "device=cpu"]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "hydra.run.dir=complete"]) == 0
    advance, blocks = Integrator.advance, 0

    def no_room(self, start, dt, first, last):
        nonlocal blocks
        # the two trials that measure the error take at most two steps
        blocks += float(start[0]) > 200 and np.max(last) - first > 2
        if blocks:
            message = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes"
            raise tf.errors.InternalError(None, None, message)
        return advance(self, start, dt, first, last)

    with monkeypatch.context() as patched:
        patched.setattr(Integrator, "advance", no_room)
        patched.setattr(Recorder, "checkpoint_is_due", True)
        assert main([*words, "hydra.run.dir=out"]) == 2
    message = capsys.readouterr().err
    assert "not enough memory for 256 cells" in message and "pdesim resume" in message
    assert "internal error" not in message and "Traceback" not in message
    status = RunFolder(tmp_path / "out").read_status()
    assert status["state"] == "failed" and 0 < status["frames"] < 9
    assert main(["resume", "out"]) == 0
    with (
        h5py.File(tmp_path / "out" / "snapshots.h5") as resumed,
        h5py.File(tmp_path / "complete" / "snapshots.h5") as complete,
    ):
        for name in ("time", "u", "v"):
            np.testing.assert_array_equal(resumed[name][:], complete[name][:])


def test_a_lack_of_memory_outside_a_run_is_no_defect(monkeypatch, capsys):
    def no_room(arguments):
        raise MemoryError

    monkeypatch.setattr(cli, "_dispatch", no_room)
    assert main(["list"]) == 2
    message = capsys.readouterr().err
    assert "there is not enough memory" in message and "internal error" not in message


@posix
@pytest.mark.parametrize("kilobytes", [1_700_000, 1_000_000, 200_000])
def test_limits_on_address_space(tmp_path, kilobytes):
    """TensorFlow does not fit: it ended the process, or could not be loaded."""
    done = shell(tmp_path, f"ulimit -v {kilobytes} && exec $pdesim {' '.join(QUICK)}")
    assert done.returncode == 2, done.stderr
    assert "ulimit -v" in done.stderr or "not enough memory" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) < 6


#: runs one command line after the other, and prints their exit codes and errors
COMMANDS = """
import contextlib, io, json, sys
from pdesim.cli.main import main
done = []
for words in json.loads(sys.argv[1]):
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        code = main(words)
    done.append((code, told.getvalue()))
print(json.dumps(done))
"""


def without_override(*words: str) -> list[str]:
    """A command for which permissions hold even if its user is root."""
    if os.geteuid() != 0:
        return [*words]
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]


@posix
def test_read_only_folders(tmp_path):
    run = tmp_path / "out"
    pdesim.simulate(*QUICK, folder=run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    run.chmod(0o555)
    tmp_path.chmod(0o555)
    try:
        lines = (
            (["info", "out"], 0),
            (["render", "out"], 2),
            (["recover", "out"], 0),  # it is whole
            (["resume", "out", "time.end=2"], 2),
            (["export", "out", "--to", "npz"], 2),
            ([*QUICK, "hydra.run.dir=out", "output.overwrite=true"], 2),
            ([*QUICK, "hydra.run.dir=new"], 2),
            ([*QUICK], 2),
            (["-m", *QUICK, "equation.D=1,2"], 2),
        )
        command = [sys.executable, "-c", COMMANDS, json.dumps([words for words, _ in lines])]
        done = subprocess.run(
            without_override(*command), cwd=tmp_path, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        for (words, code), (found, told) in zip(lines, json.loads(done.stdout), strict=True):
            assert found == code, (words, told)
            assert "Traceback" not in told and "internal error" not in told
    finally:
        run.chmod(0o755)
        tmp_path.chmod(0o755)
    assert before == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
