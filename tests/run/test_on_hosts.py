"""Runs that several processes of this computer compute together."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdesim
from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.hosts import Hosts
from pdesim.errors import DeviceError
from pdesim.output import RunFolder
from pdesim.plan import build_plan
from pdesim.run.on_hosts import _check_equal, without_hosts

#: large grids are computed in slabs
LARGE = ("equation=gray_scott", "grid=1152", "domain.extent=11.52", "stepper=euler", "time.dt=1",
         "output.frames=2", "animation=none")  # fmt: skip
LARGE_ADAPTIVE = (*LARGE[:3], "stepper=bogacki_shampine", "output.frames=1", "animation=none")
#: seconds after which a process that hangs is killed
TOO_LONG = 300
GRAY_SCOTT = ("equation=gray_scott", "grid=[24,37]", "stepper=rk4", "output.frames=4",
              "animation=none")  # fmt: skip
WALLS = ("equation=gray_scott", "grid=[24,40]", "stepper=dormand_prince", "boundary=neumann",
         "domain.mask='(x-1)**2 + (y-1)**2 < 0.3'", "output.frames=3", "output.stride=3",
         "animation=none", "observe.total='integral(u)'", "observe_every=20")  # fmt: skip


class Processes:
    """Processes of one run on this computer."""

    def __init__(self, count: int, *words: str) -> None:
        servers = [socket.create_server(("", 0)) for _ in range(count)]
        addresses = ",".join(f"localhost:{one.getsockname()[1]}" for one in servers)
        for server in servers:
            server.close()
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "pdesim", *words, f"device.hosts=[{addresses}]"]
        self.all = [
            subprocess.Popen(
                [*command, f"device.host={number}"], env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for number in range(count)
        ]  # fmt: skip

    def results(self) -> list[tuple[int, str]]:
        """Return exit codes and messages."""
        try:
            ended = [one.communicate(timeout=TOO_LONG) for one in self.all]
        finally:
            for one in self.all:
                one.kill()
        return [(p.returncode, out + err) for p, (out, err) in zip(self.all, ended, strict=True)]


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Return all datasets of the snapshot file and of the checkpoint."""
    found = {}
    for name in ("snapshots.h5", "checkpoint.h5"):
        with h5py.File(folder / name) as file:
            found |= {f"{name}/{key}": file[key][()] for key in file}
    return found


def check_equal(folder: Path, other: Path) -> None:
    one, two = arrays(folder), arrays(other)
    assert one.keys() == two.keys()
    # estimated errors are sums over the grid, which are rounded differently
    tolerances = {"checkpoint.h5/errors": 1e-12}
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=tolerances.get(name, 0), err_msg=name)
    tables = [
        np.genfromtxt(f / "diagnostics.csv", delimiter=",", names=True) for f in (folder, other)
    ]
    for name in tables[0].dtype.names:
        np.testing.assert_allclose(tables[0][name], tables[1][name], rtol=1e-9)


def single(folder: Path, words: tuple[str, ...], end: float) -> Path:
    """Compute a run in this process."""
    equation = words[0].partition("=")[2]
    return pdesim.simulate(equation, *words[1:], f"time.end={end:g}", folder=folder).folder


@pytest.mark.parametrize(
    ("words", "count", "end"),
    [(GRAY_SCOTT, 2, 100), (WALLS, 3, 60), (LARGE, 2, 40), (LARGE_ADAPTIVE, 3, 20)],
)
def test_the_files_are_those_of_one_process(tmp_path, words, count, end):
    together = tmp_path / "together"
    started = Processes(count, *words, f"time.end={end}", f"hydra.run.dir={together}")
    for number, (code, text) in enumerate(started.results()):
        assert code == 0, text
        assert number == 0 or not text.strip()
    check_equal(together, single(tmp_path / "one", words, end))
    assert not RunFolder(together).parts.exists()
    assert RunFolder(together).read_status()["state"] == "finished"
    if words is WALLS:
        with h5py.File(together / "series.h5") as one, h5py.File(tmp_path / "one/series.h5") as two:
            np.testing.assert_allclose(one["total"][()], two["total"][()], rtol=1e-12)


def test_ray_starts_the_processes(tmp_path):
    pytest.importorskip("ray")
    script = Path(__file__).parents[2] / "docs" / "hosts_on_ray.py"
    folder = tmp_path / "by ray"
    command = [sys.executable, script, "2", *GRAY_SCOTT, "time.end=60", f"hydra.run.dir={folder}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TOO_LONG)
    assert ended.returncode == 0, ended.stderr
    assert "2 devices" in ended.stdout
    check_equal(folder, single(tmp_path / "one", GRAY_SCOTT, 60))


def test_a_slow_process_is_waited_for(tmp_path):
    words, folder = (*GRAY_SCOTT[:3], "output.frames=4", "animation=none"), tmp_path / "together"
    started = Processes(2, *words, "time.end=4000", f"hydra.run.dir={folder}")
    end = time.monotonic() + TOO_LONG
    while not (folder / "parts/1/snapshots.h5").exists() and time.monotonic() < end:
        time.sleep(0.05)
    for _ in range(2):
        started.all[1].send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        started.all[1].send_signal(signal.SIGCONT)
        time.sleep(0.2)
    assert [code for code, _ in started.results()] == [0, 0]
    check_equal(folder, single(tmp_path / "one", words, 4000))


def test_a_killed_process_ends_the_others_and_the_run_is_resumed(tmp_path):
    """The run is resumed by another number of processes, and then by one, bit for bit."""
    folder = tmp_path / "run"
    words = ("equation=gray_scott", "grid=32", "stepper=rk4", "time.dt=1", "output.every=50",
             "animation=none")  # fmt: skip
    started = Processes(
        2, *words, "time.end=1e6", "output.checkpoint=0.5", f"hydra.run.dir={folder}"
    )
    end = time.monotonic() + TOO_LONG
    while not (folder / "parts/1/checkpoint.h5").exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
    started.all[1].kill()
    killed = time.monotonic()
    (code, text), _ = started.results()
    assert code == 69 and time.monotonic() - killed < 20
    assert "the connection to process localhost:" in text and f"pdesim resume {folder}" in text
    with pdesim.open(folder) as snapshots:  # which joins the files
        frames, last = len(snapshots), snapshots.times[-1]
    assert frames >= 1 and not (folder / "parts").exists()
    later = float(last + 150)
    for code, text in Processes(3, "resume", str(folder), f"time.end={later}").results():
        assert code == 0, text
    pdesim.resume(folder, time={"end": later + 50})
    check_equal(folder, single(tmp_path / "one", words, later + 50))


@pytest.mark.parametrize(
    ("victim", "sign"),
    [(1, "parts/1"), (0, "parts/0"), (1, "parts/0/snapshots.h5"), (0, "parts/1/snapshots.h5")],
)
def test_a_process_that_is_killed_while_the_run_is_prepared(tmp_path, victim, sign):
    """The hint says what continues the run, and does so."""
    folder = tmp_path / "run"
    words = (*GRAY_SCOTT, "time.end=60", f"hydra.run.dir={folder}")
    started = Processes(2, *words)
    end = time.monotonic() + TOO_LONG
    while not (folder / sign).exists() and time.monotonic() < end:
        time.sleep(0.01)
    started.all[victim].kill()
    killed = time.monotonic()
    code, text = started.results()[1 - victim]
    assert code == 69 and time.monotonic() - killed < 20
    assert "the connection to process localhost:" in text
    if "output.overwrite=true" in text:
        again = Processes(2, *words, "output.overwrite=true")
    else:
        assert f"pdesim resume {folder}" in text
        again = Processes(2, "resume", str(folder))
    for code, text in again.results():
        assert code == 0, text
    check_equal(folder, single(tmp_path / "one", GRAY_SCOTT, 60))


def test_a_stopped_process_stops_the_others(tmp_path):
    folder = tmp_path / "run"
    started = Processes(2, *GRAY_SCOTT, "time.dt=1", "time.end=1e6", f"hydra.run.dir={folder}")
    end = time.monotonic() + TOO_LONG
    while not (folder / "parts/1/snapshots.h5").exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2)
    started.all[1].send_signal(signal.SIGINT)
    (first, text), (second, other) = started.results()
    assert (first, second) == (130, 130), text + other
    assert "because process 1 was stopped" in text and "stopped by SIGINT" in other
    assert RunFolder(folder).read_status()["state"] == "interrupted"
    assert (folder / "checkpoint.h5").exists() and not (folder / "parts").exists()


def test_a_process_that_cannot_write_ends_the_others(tmp_path):
    """The files of the second process may have 100 kB only."""
    folder = tmp_path / "run"
    words = ("equation=gray_scott", "grid=128", "stepper=euler", "output.compression=none",
             "time.end=5000", "output.every=20", "animation=none")  # fmt: skip
    started = Processes(2, *words, f"hydra.run.dir={folder}")
    resource.prlimit(started.all[1].pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    (first, text), (second, other) = started.results()
    assert (first, second) == (69, 2), text + other
    assert "was lost" in text and f"pdesim resume {folder}" in text
    assert "cannot be written" in other and f"pdesim resume {folder};" in other


def test_fields_that_become_infinite_end_all_processes(tmp_path):
    words = ("equation=heat", "grid=32", "stepper=euler", "time.dt=1e-4", "time.end=1",
             "equation.rhs.u='laplacian(u) + 1000*u**3'", "animation=none")  # fmt: skip
    started = Processes(2, *words, f"hydra.run.dir={tmp_path / 'run'}")
    for code, text in started.results():
        assert code == 3 and "u became NaN or infinite" in text
    assert (tmp_path / "run/snapshots.h5").exists() and not (tmp_path / "run/parts").exists()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    single(tmp_path / "run", GRAY_SCOTT, 10)
    before = arrays(tmp_path / "run")
    started = Processes(2, *GRAY_SCOTT, "time.end=10", f"hydra.run.dir={tmp_path / 'run'}")
    # the first process ends before the others can connect
    first = started.all[0].communicate(timeout=TOO_LONG)
    started.all[1].kill()
    started.all[1].communicate()
    assert started.all[0].returncode == 2 and "already contains a run" in first[1]
    after = arrays(tmp_path / "run")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def identity(**more):
    return json.dumps({"pdesim": "1", "TensorFlow": "2", "settings": {"grid": 8}} | more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"TensorFlow": "3"}, "TensorFlow is 3 at b:2 and 2 at a:1"),
        ({"settings": {"grid": 9}}, "grid is 9 at b:2 and 8 at a:1"),
        ({"settings": {"grid": 8, "time": {"end": 1}}}, "time is {'end': 1} at b:2 and None"),
    ],
)
def test_processes_with_other_versions_or_settings(more, message):
    hosts = Hosts(("a:1", "b:2"), 0)
    _check_equal([identity(), identity()], hosts)
    with pytest.raises(DeviceError, match=message):
        _check_equal([identity(), identity(**more)], hosts)


def test_addresses_are_not_stored():
    text = without_hosts("device: {name: cpu, hosts: ['a:1', 'b:1'], host: 0}\ngrid: 8\n")
    assert "a:1" not in text and "name: cpu" in text and "grid: 8" in text


def test_runs_from_python_have_no_hosts(tmp_path):
    with pytest.raises(DeviceError, match=r"device.hosts does not apply to sweeps"):
        pdesim.simulate(
            "heat", grid=16, device={"hosts": ["a:1", "b:1"], "host": 0}, folder=tmp_path / "run"
        )


def test_sweeps_have_no_hosts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["equation=heat", "grid=16", "equation.D=1,2", "device.hosts=['a:1','b:1']"]
    assert main(["-m", *words, "device.host=0"]) == 2
    assert "device.hosts does not apply to sweeps" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_methods_that_need_the_complete_grid_are_refused():
    words = ["equation=heat", "grid=16", "operators=spectral", "device.hosts=['a:1','b:1']"]
    composed = compose_settings([*words, "device.host=0"])
    with pytest.raises(DeviceError, match=r"device.hosts does not apply to this run: spectral"):
        check_distributed(build_plan(composed.settings, composed.equation))
