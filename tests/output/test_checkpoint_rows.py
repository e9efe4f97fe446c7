"""Checkpoints of which only some rows are read, and runs that are resumed with them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdesim
from pdesim.errors import OutputError
from pdesim.files import blocks
from pdesim.output.checkpoint import (
    SAVED,
    Checkpoint,
    _digest,
    read_checkpoint,
    write_checkpoint,
)
from pdesim.run.continuation import continue_run

TIMES = np.array([0.0, 1.0, 2.0])


def made(shape: tuple[int, ...], dtype: str = "float32", solid: bool = False) -> Checkpoint:
    """A checkpoint with carried arrays on the grid, of several states, and of another shape."""
    random = np.random.default_rng(3)
    state = random.standard_normal((2, *shape)).astype(dtype)
    carry = (2 * state, random.standard_normal((3, 2, *shape)).astype(dtype), np.arange(7.0))
    mask = random.random(shape) < 0.2 if solid else None
    return Checkpoint(
        "rk4", 1, 1, 0, 1.0, 0.1, 0.1, 0.2, 10, 0, 1.0, 0, 0, 0, 0.0, TIMES, TIMES,
        np.zeros((len(SAVED), 2)), state, carry, mask, 0, "",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 200)


@pytest.mark.parametrize("shape", [(23,), (23, 6), (23, 5, 4)])
@pytest.mark.parametrize("rows", [slice(0, 11), slice(11, 23), slice(4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_those_of_the_complete_checkpoint(tmp_path, shape, rows, dtype):
    given = made(shape, dtype, solid=True)
    write_checkpoint(tmp_path, given, "settings")
    path = tmp_path / "checkpoint.h5"
    complete, settings = read_checkpoint(path)
    part, same = read_checkpoint(path, rows)
    of_number, _ = read_checkpoint(path, lambda total: rows if total == 23 else slice(0, 0))
    assert settings == same == "settings" and complete.rows is None
    expected = [given.state[:, rows], 2 * given.state[:, rows], given.carry[1][:, :, rows]]
    for one in (part, of_number, complete.part(rows)):
        assert one.rows == rows and one.shape == complete.shape == (2, *shape)
        for values, known in zip((one.state, *one.carry[:2]), expected, strict=True):
            assert values.dtype == dtype and values.tobytes() == known.tobytes()
        assert np.array_equal(one.carry[2], np.arange(7.0))
        assert np.array_equal(one.solid, given.solid)
        for name in ("stepper", "time", "dt", "steps", "limit"):
            assert getattr(one, name) == getattr(given, name)


def test_another_part_of_a_part():
    part = made((9, 4)).part(slice(0, 4))
    assert part.part(slice(0, 4)) is part
    with pytest.raises(ValueError, match="or all rows"):
        part.part(slice(4, 9))


def test_a_part_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="expected: all rows"):
        write_checkpoint(tmp_path, made((9, 4)).part(slice(0, 4)), "settings")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["state", "carry_1", "solid", "times"])
def test_a_changed_value_is_found_in_other_rows(tmp_path, name):
    write_checkpoint(tmp_path, made((23, 6), solid=True), "settings")
    path = tmp_path / "checkpoint.h5"
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        values.reshape(-1)[-1] += 1
        file[name][...] = values
    with pytest.raises(OutputError, match="do not match its checksum"):
        read_checkpoint(path, slice(0, 3))


@pytest.mark.parametrize("name", ["state", "carry_1"])
def test_infinite_values_in_other_rows(tmp_path, name):
    write_checkpoint(tmp_path, made((23, 6)), "settings")
    path = tmp_path / "checkpoint.h5"
    with h5py.File(path, "r+") as file:
        file[name][(..., 22, 5)] = np.inf
        arrays = {key: file[key][()] for key in file}
        numbers, settings = file.attrs["numbers"], file.attrs["settings"]
        file.attrs["digest"] = _digest(numbers, settings, arrays)
    messages = []
    for rows in (None, slice(0, 3)):
        with pytest.raises(OutputError, match="is damaged") as raised:
            read_checkpoint(path, rows)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_compressed_arrays_of_other_programs(tmp_path):
    write_checkpoint(tmp_path, made((23, 6)), "settings")
    path = tmp_path / "checkpoint.h5"
    with h5py.File(path, "r+") as file:
        values = file["state"][()]
        del file["state"]
        file.create_dataset("state", data=values, chunks=(1, 23, 6), compression="gzip")
    part, _ = read_checkpoint(path, slice(2, 9))
    assert np.array_equal(part.state, values[:, 2:9])


#: reads half of the rows in a new process and prints the largest number of allocated bytes
MEMORY = """
import sys, tracemalloc
from pathlib import Path
from pdesim.output import read_checkpoint
tracemalloc.start()
checkpoint, _ = read_checkpoint(Path(sys.argv[1]), slice(0, 1024))
print(tracemalloc.get_traced_memory()[1], checkpoint.state.nbytes)
"""


def test_the_complete_state_is_never_in_memory(tmp_path):
    random = np.random.default_rng(4)
    state = random.random((2, 2048, 4096), np.float32)  # 64 MiB
    write_checkpoint(tmp_path, dataclasses.replace(made((4, 4)), state=state, carry=()), "settings")
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "checkpoint.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, own = map(int, done.stdout.split())
    assert own == state.nbytes / 2
    # a block of 16 MiB, its mask of finite values, and little else
    assert peak < own + 24 * 2**20


RUN = (
    "equation=gray_scott", "grid=[16,21]", "stepper=rk4", "time.end=40", "output.frames=4",
    "animation=none",
)  # fmt: skip


def rows_of(part: int):
    return lambda total: slice(part * total // 2, (part + 1) * total // 2)


def test_a_run_is_continued_with_rows(tmp_path):
    folder = tmp_path / "run"
    pdesim.simulate(*RUN, folder=folder)
    assert continue_run(folder, {}, rows=rows_of(0)).plan is None
    later = {"time": {"end": 60.0}}
    complete = continue_run(folder, later)
    plans = [continue_run(folder, later, rows=rows_of(part)) for part in (0, 1)]
    assert all(part.notes == complete.notes for part in plans)
    states, carried = [], []
    for part in plans:
        plan, whole = part.plan, complete.plan
        assert plan.resume_from.rows == plan.rows and plan.step == whole.step
        assert plan.targets.tobytes() == whole.targets.tobytes()
        assert plan.state is plan.resume_from.state
        states.append(plan.state)
        carried.append(plan.resume_from.carry)
    assert np.concatenate(states, axis=1).tobytes() == complete.plan.state.tobytes()
    for number, values in enumerate(complete.plan.resume_from.carry):
        joined = np.concatenate([carry[number] for carry in carried], axis=-2)
        assert joined.tobytes() == values.tobytes()
    with pytest.raises(RuntimeError, match="checkpoint"):
        _ = plans[0].plan.state_summary


def test_a_run_without_a_usable_checkpoint_starts_again_with_rows(tmp_path):
    folder = tmp_path / "run"
    pdesim.simulate(*RUN, folder=folder)
    for path in folder.glob("checkpoint*"):
        path.unlink()
    with h5py.File(folder / "snapshots.h5", "r+") as file:
        for name in ("u", "v", "time"):
            file[name].resize(2, axis=0)
    complete = continue_run(folder, {}).plan
    plan = continue_run(folder, {}, rows=rows_of(1)).plan
    assert plan.rows == slice(10, 21) and plan.resume_from is None
    assert plan.state.tobytes() == complete.state[:, 10:].tobytes()


def test_the_state_has_another_shape_than_the_settings(tmp_path):
    folder = tmp_path / "run"
    pdesim.simulate(*RUN, folder=folder)
    path = folder / "checkpoint.h5"
    checkpoint, settings = read_checkpoint(path)
    smaller = dataclasses.replace(checkpoint, state=checkpoint.state[:, :20], carry=(), solid=None)
    write_checkpoint(folder, smaller, settings)
    Path(folder / "checkpoint.previous.h5").unlink()
    messages = []
    for rows in (None, rows_of(0)):
        with pytest.raises(OutputError, match="state of shape") as raised:
            continue_run(folder, {"time": {"end": 60.0}}, rows=rows)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
