"""Sweeps over many workers, and over many members: each engine, lost workers, stops, memory."""

from __future__ import annotations

import functools
import io
import itertools
import json
import operator
import os
import pickle
import re
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import processes
import pytest
from rich.console import Console

from pdesim.engine import gpu
from pdesim.errors import ConfigError, InterruptedRun, MissingExtraError
from pdesim.run import progress
from pdesim.run.stopping import stop_requests
from pdesim.settings import Workers
from pdesim.sweeps import compute as computing
from pdesim.sweeps import members as members_module
from pdesim.sweeps import workers as workers_module
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.members import prepare_member, program_of
from pdesim.sweeps.run import run_sweep
from pdesim.sweeps.workers import Part, compute_elsewhere, divide

WORDS = ("equation=custom", "equation.rhs={u: 'a*u**2'}", "initial={u: 1}", "grid=[8]")
WORDS += ("time.dt=0.01", "time.end=2", "output.frames=4", "animation=none")
QUIET = Console(quiet=True)


def prepared(tmp_path: Path, *values: float, words=WORDS):
    compose = Composer()
    return [
        prepare_member(n, tmp_path / str(n), [*words, f"equation.a={a}"], compose)
        for n, a in enumerate(values)
    ]


def states(folder: Path, count: int) -> list[str]:
    status = [folder / str(n) / "status.json" for n in range(count)]
    return [json.loads(path.read_text())["state"] for path in status]


ENGINES = [
    "local",
    "joblib",
    "submitit_local",
    pytest.param("ray", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name", ENGINES)
def test_each_worker_takes_a_batch(command, tmp_path, name):
    if name != "local":
        pytest.importorskip(name.partition("_")[0])
    words = (*WORDS, "equation.a=0.1,0.2,1,-0.5", f"workers={name}", "hydra.sweep.dir=s")
    words = (*words, "workers.n=2")
    done = command("-m", *words, check=3)
    assert "3 of 4 members finished" in done.stderr and "without bound" in " ".join(
        done.stderr.split()
    )
    assert states(tmp_path / "s", 4) == ["finished", "finished", "failed", "finished"]
    for number, a in ((0, 0.1), (1, 0.2), (3, -0.5)):
        folder = tmp_path / "s" / str(number)
        assert json.loads((folder / "status.json").read_text())["members_of_batch"] == 2
        with h5py.File(folder / "snapshots.h5") as file:
            # Euler's error here is below dt * max|u''| * t
            np.testing.assert_allclose(file["u"][-1], 1 / (1 - 2 * a), rtol=2e-2)
    assert (tmp_path / "s" / "sweep.csv").read_text().count("\n") == 5
    assert not (tmp_path / "s" / ".stop").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joblib", "submitit_local"])
def test_hydras_launchers_start_members_one_by_one(command, tmp_path, name):
    package = name.partition("_")[0]
    pytest.importorskip(f"hydra_plugins.hydra_{package}_launcher")
    words = (*WORDS, "equation.a=0.1,1,0.2", f"hydra/launcher={name}", "hydra.sweep.dir=s")
    done = command("-m", *words, check=3)
    assert "without bound" in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
    assert states(tmp_path / "s", 3) == ["finished", "failed", "finished"]


def test_parts_are_equal_and_keep_programs_together(tmp_path):
    found = prepared(tmp_path, *np.linspace(0.1, 0.2, 5))
    found += prepared(tmp_path / "b", 0.1, 0.2, words=(*WORDS, "grid=[16]"))
    for count in (1, 2, 3, 7, 50):
        parts = divide(found, count)
        sizes = [len(part) for part in parts]
        assert functools.reduce(operator.iadd, parts, []) == divide(found, 1)[0]
        assert len(parts) == min(count, 7) and max(sizes) - min(sizes) <= 1
    programs = [program_of(member) for member in divide(found, 1)[0]]
    assert sum(a != b for a, b in itertools.pairwise(programs)) == 1


def test_a_lost_worker_takes_no_other_with_it(tmp_path, monkeypatch):
    def engine(parts, folder, workers):
        yield workers_module.compute_part(parts[0])
        yield RuntimeError("node17 is gone")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(workers_module.ENGINES, "joblib", engine)
    waiting = prepared(tmp_path, 0.1, 0.2, 0.3, 0.4)
    workers = Workers(name="joblib", n=2)
    outcomes = compute_elsewhere(waiting, tmp_path, None, workers, None, QUIET)
    told = {one.number: one for one in outcomes}
    assert [told[n].state for n in range(4)] == ["finished", "finished", "failed", "failed"]
    assert "node17 is gone" in told[3].error.problem


@pytest.mark.parametrize(
    ("name", "gpus", "expected"),
    [
        ("local", ["0", "1"], ["0", "1", "0"]),
        ("joblib", ["3", "5", "GPU-7f"], ["3", "5", "GPU-7f"]),
        ("submitit_local", ["0"], [None, None, None]),
        ("submitit_slurm", ["0", "1"], [None, None, None]),
        ("ray", ["0", "1"], [None, None, None]),
    ],
)
def test_workers_on_one_machine_share_its_gpus(tmp_path, monkeypatch, name, gpus, expected):
    parts_of_engine = []

    def engine(parts, folder, workers):
        parts_of_engine.extend(parts)
        yield []

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpu, "visible_gpus", lambda: gpus)
    monkeypatch.setitem(workers_module.ENGINES, name, engine)
    waiting = prepared(tmp_path, 0.1, 0.2, 0.3)
    compute_elsewhere(waiting, tmp_path, None, Workers(name=name, n=3), None, QUIET)
    assert [part.gpu for part in parts_of_engine] == expected


def _visible_devices(part) -> str | None:
    gpu.use_gpu(part.gpu)
    return os.environ.get(gpu.VISIBLE)


def test_a_worker_sees_its_own_gpu_only(tmp_path, monkeypatch):
    """``workers=local`` starts a process for every part, so the variable is not shared."""
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    monkeypatch.setattr(workers_module, "compute_part", _visible_devices)
    parts = [Part((), tmp_path, None, tmp_path, None, gpu=name) for name in ("0", "1", None)]
    results = workers_module.ENGINES["local"](parts, tmp_path, Workers(n=3))
    assert sorted(map(str, results)) == ["0", "1", "None"]
    assert gpu.VISIBLE not in os.environ


def test_a_signal_to_the_sweep_stops_its_workers(tmp_path, monkeypatch):
    def engine(parts, folder, workers):
        os.kill(os.getpid(), signal.SIGTERM)  # to this process; workers learn it from the file
        yield from map(workers_module.compute_part, parts)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(workers_module.ENGINES, "joblib", engine)
    waiting = prepared(tmp_path, 0.1, 0.2)
    outcomes = compute_elsewhere(waiting, tmp_path, None, Workers(name="joblib"), None, QUIET)
    assert [(one.state, one.error.exit_code) for one in outcomes] == [("not started", 143)] * 2
    assert not (tmp_path / workers_module.STOP).exists()


def test_engines_that_are_missing_or_refuse_say_so(tmp_path, monkeypatch):
    waiting = prepared(tmp_path, 0.1)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"pdesim\[submitit\]"):
        wanted = Workers(name="submitit_slurm")
        compute_elsewhere(waiting, tmp_path, None, wanted, None, QUIET)
    pytest.importorskip("joblib")
    with pytest.raises(ConfigError, match="workers=joblib cannot start"):
        wanted = Workers(name="joblib", options={"backend": "pigeons"})
        compute_elsewhere(waiting, tmp_path, None, wanted, None, QUIET)


def test_errors_travel_between_processes():
    for error in (MissingExtraError("x", "y", "z"), InterruptedRun("so", "then", exit_code=75)):
        same = pickle.loads(pickle.dumps(error))
        assert (type(same), str(same), vars(same)) == (type(error), str(error), vars(error))
        assert same.exit_code == error.exit_code


def test_one_stop_file_stops_all_that_share_it(tmp_path):
    with stop_requests(None, tmp_path / "stop") as one, stop_requests(None, tmp_path / "stop") as b:
        assert one.reason is None and b.reason is None
        one.catch(15)
        assert one.reason == ("stopped by SIGTERM", 143)
        assert b.reason == ("stopped because its sweep was stopped", 130)


def test_the_limit_of_time_is_the_whole_sweeps(tmp_path, monkeypatch):
    """Batches after the limit are not begun, and how to go on is told."""
    jobs = [[*WORDS, f"equation.a={a}", "time.wall_limit=1e-3"] for a in (0.1, 0.2, 0.3)]
    monkeypatch.setattr(members_module, "CACHE_BYTES", 1)  # a batch each
    console = Console(record=True, width=100, file=io.StringIO())
    assert run_sweep(jobs, tmp_path, Composer(), console) == 75
    text = console.export_text()
    assert "0 of 3 members finished" in text and "resume=auto" in text
    jobs = [[*words, "resume=auto", "time.wall_limit=null"] for words in jobs]
    assert run_sweep(jobs, tmp_path, Composer(), QUIET) == 0
    assert states(tmp_path, 3) == ["finished"] * 3


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_the_whole_sweeps(tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(members_module, "CACHE_BYTES", 1)  # a batch each
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    jobs = [[*WORDS, f"equation.a={a}"] for a in (0.1, 0.2, 0.3)]
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    assert run_sweep(jobs, tmp_path, Composer(), console) == 0
    text = console.file.getvalue()
    assert "1 of 3 members done, custom" in text and "2 of 3 members done, custom" in text
    if not terminal:
        done = [int(found) for found in re.findall(r": (\d+) %", text)]
        assert done == sorted(done) and done[-1] == 100 and min(done) <= 33


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _held_after_batches(folder: Path, count: int, size: int) -> list[int]:
    """Memory of this process after every batch of a sweep."""
    words = ("equation=gray_scott", "grid=32", "stepper=euler", "time.dt=1", "time.end=20")
    words += ("output.frames=2", "animation=none")
    compose, held, execute = Composer(), [], computing.execute
    members_module.CACHE_BYTES = size * 2 * 32 * 32 * 4

    def watched(*arguments):
        outcomes = execute(*arguments)
        held.append(resident())
        return outcomes

    computing.execute = watched
    members = [
        prepare_member(n, folder / str(n), [*words, f"equation.F={0.02 + 4e-5 * n}"], compose)
        for n in range(count)
    ]
    with stop_requests() as stop:
        outcomes = computing.compute(members, QUIET, stop)
    assert {one.state for one in outcomes} == {"finished"}
    return held


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("count", "size"), [(60, 4), pytest.param(500, 16, marks=pytest.mark.slow)]
)
def test_memory_is_flat_over_many_members(tmp_path, count, size):
    # in a process of its own: what other tests left behind moves by megabytes
    with ProcessPoolExecutor(1, mp_context=processes.context) as pool:
        held = pool.submit(_held_after_batches, tmp_path, count, size).result()
    assert len(held) == -(-count // size)
    # a program kept would be megabytes a batch, an open file or a state kept per member some
    # hundred kilobytes; the heap grows by a megabyte now and then, ever more seldom
    settled = len(held) // 3
    a_batch = np.median(np.diff(held[settled:]))
    assert a_batch < 2**18, [h // 2**10 for h in held]
