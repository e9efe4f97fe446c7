"""Joining the parts of runs that were resumed or killed, and of which parts are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_parts import (
    assert_same_file,
    compute,
    cut,
    moved,
    open_part,
    parts_of,
    rows_of,
)

import pdesim
from pdesim.errors import OutputError
from pdesim.files import check_folder
from pdesim.output import RunFolder, Snapshots, find_snapshots, lock, read_checkpoint
from pdesim.output.find import find_runs
from pdesim.output.parts import has_parts, join_parts, remove_parts
from pdesim.output.summary import summarize
from pdesim.output.sweeps import find_members, is_sweep

WORDS = ("equation=wave", "stepper=verlet", "grid=[10,13]", "time.end=0.1", "output.frames=3")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run of seven frames with checkpoints at the frames 3 and 6, where it was resumed."""
    found = compute(tmp_path_factory.mktemp("runs") / "one", WORDS, "time.end=0.2")
    assert len(found.times) == 7
    checkpoints = ("checkpoint.previous.h5", "checkpoint.h5")
    assert [read_checkpoint(found.folder / name)[0].frame for name in checkpoints] == [3, 6]
    return found


@pytest.fixture
def run(original, tmp_path):
    return moved(original, tmp_path / "run")


def assert_joined(run, original):
    for name in ("snapshots.h5", "checkpoint.h5", "checkpoint.previous.h5"):
        assert_same_file(run.path / name, original.folder / name)
    lines = [(one / "diagnostics.csv").read_text() for one in (run.path, original.folder)]
    assert [len(text.splitlines()) for text in lines] == [8, 8]
    assert not [path for path in run.path.iterdir() if "parts" in path.name]


def test_both_checkpoints_are_joined(run, original):
    cut(original, run, 3)
    assert join_parts(run.path).checkpoints == (0.2, 0.1)
    assert_joined(run, original)


def test_frames_after_resuming_are_appended(tmp_path, original):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(original.folder.with_suffix(".before"), run.path)
    cut(original, run, 3, first_frame=4)
    result = join_parts(run.path)
    assert (result.frames, result.added) == (7, 3)
    assert_joined(run, original)


def test_earlier_frames_must_be_there(tmp_path, run, original):
    cut(original, run, 2, first_frame=4)
    with pytest.raises(OutputError, match=r"has 0 frames, but the parts .* after 4 frames"):
        join_parts(run.path)


def remove_newest_checkpoint(part):
    part.previous_checkpoint.replace(part.checkpoint)


def test_a_part_may_be_one_checkpoint_behind(run, original):
    """The run is resumed from the checkpoint that all parts have, bit for bit."""
    cut(original, run, 3, frames=[7, 6, 7])
    remove_newest_checkpoint(run.part(1))
    with pytest.warns(UserWarning, match="the files of 3 processes were joined: 6 frames"):
        pdesim.resume(run.path)
    assert_same_file(run.snapshots, original.folder / "snapshots.h5")
    one, two = (read_checkpoint(one / "checkpoint.h5")[0] for one in (run.path, original.folder))
    assert one.state.tobytes() == two.state.tobytes() and one.time == two.time
    assert all(map(np.array_equal, one.carry, two.carry))


def test_a_checkpoint_after_a_frame_that_is_not_stored_is_left_out(run, original):
    cut(original, run, 3, frames=[7, 7, 6])
    result = join_parts(run.path)
    assert (result.frames, result.checkpoints) == (6, (0.1,))
    assert any("follows frame 6, which not all parts have stored" in note for note in result.notes)


def test_a_damaged_checkpoint_is_left_out(run, original):
    cut(original, run, 2)
    with h5py.File(run.part(1).checkpoint, "r+") as file:
        file["state"][0, 0, 0] += 1
    result = join_parts(run.path)
    assert result.checkpoints == (0.1,)
    assert any("do not match its checksum" in note for note in result.notes)
    assert read_checkpoint(run.checkpoint)[0].frame == 3


class Killed(BaseException):
    pass


STAGES = {
    "after the frames": ("pdesim.output.parts.join_frames", 1),
    "between the checkpoints": ("pdesim.output.join_checkpoints.store_checkpoint", 1),
    "after the checkpoints": ("pdesim.output.parts.join_checkpoints", 1),
    "after the diagnostics": ("pdesim.output.parts.join_diagnostics", 1),
    "while the parts are removed": ("pdesim.output.parts.os.replace", 1),
    "in the first frame": ("pdesim.output.snapshots.write_chunk", 1),
    "between the fields of a frame": ("pdesim.output.snapshots.write_chunk", 5),
}


@pytest.mark.parametrize(("name", "calls"), STAGES.values(), ids=STAGES)
def test_joining_that_was_interrupted_is_completed(run, original, name, calls):
    cut(original, run, 3)
    with pytest.MonkeyPatch.context() as patch:
        module, _, function = name.rpartition(".")
        wanted = sys.modules.get(module, os)
        real, count = getattr(wanted, function), 0

        def interrupted(*arguments, **options):
            nonlocal count
            result = real(*arguments, **options)
            count += 1
            if count == calls:
                raise Killed
            return result

        patch.setattr(wanted, function, interrupted)
        with pytest.raises(Killed):
            join_parts(run.path)
    path = find_snapshots(run.path)
    assert path == run.snapshots
    assert_joined(run, original)


@pytest.mark.parametrize("chunks", [1, 4, 9])
def test_joining_that_was_killed_is_completed(run, original, chunks):
    cut(original, run, 3)
    code = textwrap.dedent(f"""
        import os, sys
        from pathlib import Path
        from pdesim.output import snapshots
        from pdesim.output.parts import join_parts
        real, count = snapshots.write_chunk, 0
        def write(*arguments):
            global count
            real(*arguments)
            count += 1
            if count == {chunks}:
                os._exit(9)
        snapshots.write_chunk = write
        join_parts(Path(sys.argv[1]))
    """)
    assert subprocess.run([sys.executable, "-c", code, run.path]).returncode == 9
    with h5py.File(run.snapshots, "r", swmr=True) as file:
        assert len(file["time"]) == (chunks - 1) // 2  # the time of a frame follows its two fields
    join_parts(run.path)
    assert_joined(run, original)


def as_after_a_kill(original, run, number, count, frames, more):
    """Replace the snapshot file of a part by that of a killed process.

    ``more``: after it has stored a field of another frame.
    """
    part, folder = parts_of(original.plan, count)[number], run.part(number)
    other = RunFolder(folder.path.with_name("other"))
    other.path.mkdir()
    writer = open_part(original, other, part, (number, count), 0)
    for index in range(frames):
        own = rows_of(part, original.states[index], original.plan)
        writer.write(original.times[index], own)
    if more:
        own = rows_of(part, original.states[frames], original.plan)
        writer._append(original.plan.equation.fields[0], frames, own[0].__getitem__)
    shutil.copyfile(other.snapshots, folder.snapshots)
    writer.close()
    shutil.rmtree(other.path)


@pytest.mark.parametrize("more", [False, True])
def test_frames_of_killed_processes_are_joined(run, original, more):
    cut(original, run, 2, frames=[7, 7])
    as_after_a_kill(original, run, 1, 2, 5, more)
    with Snapshots(run.part(1).path) as snapshots:
        assert snapshots.state == "truncated"
    assert join_parts(run.path).frames == 5
    with Snapshots(run.path) as snapshots:
        assert snapshots.state == "complete"
        for number, name in enumerate(original.plan.equation.fields):
            stored = np.stack([state[number] for state in original.states[:5]])
            assert snapshots[name][:].tobytes() == stored.tobytes()


def test_a_file_without_its_end_is_joined(run, original):
    """As a process leaves it that was killed when the disk was full."""
    cut(original, run, 2, frames=[7, 7])
    as_after_a_kill(original, run, 0, 2, 6, more=True)
    path = run.part(0).snapshots
    os.truncate(path, path.stat().st_size - 10)
    assert join_parts(run.path).frames in (5, 6)


def test_missing_rows_of_diagnostics_are_noted(run, original):
    cut(original, run, 2)
    lines = run.part(1).diagnostics.read_text().splitlines(keepends=True)
    run.part(1).diagnostics.write_text("".join(lines[:-1]) + lines[-1][:9])
    result = join_parts(run.path)
    assert any("1 rows of diagnostics.csv are missing" in note for note in result.notes)
    assert len(run.diagnostics.read_text().splitlines()) == 7


def test_a_missing_part_is_named(run, original):
    cut(original, run, 3)
    shutil.rmtree(run.part(1).path)
    for command in (find_snapshots, summarize, pdesim.open, pdesim.resume):
        with pytest.raises(OutputError, match=r"part 1 of 3 of the run in .* is missing"):
            command(run.path)
    assert run.part(2).snapshots.exists() and not run.snapshots.exists()


def test_a_run_killed_while_its_parts_were_created_has_no_frames(run, original):
    cut(original, run, 3, frames=[0, 0, 0])
    run.part(2).snapshots.unlink()
    assert join_parts(run.path).frames == 0
    assert not has_parts(run.path) and not run.contains_run


def test_a_run_killed_before_its_first_frame_is_computed(run, original):
    before = replace(original, folder=original.folder.with_suffix(".before"))
    cut(before, run, 2, frames=[0, 0])
    for number in range(2):
        run.part(number).checkpoint.unlink()
    with pytest.warns(UserWarning, match="the files of 2 processes were joined: 0 frames"):
        pdesim.resume(run.path)
    assert_same_file(run.snapshots, before.folder / "snapshots.h5")


def test_a_damaged_file_is_named_and_kept(run, original):
    cut(original, run, 2)
    run.part(1).snapshots.write_bytes(b"no HDF5 file")
    with pytest.raises(OutputError, match=r"parts/1/snapshots.h5 cannot be read"):
        join_parts(run.path)
    assert has_parts(run.path)


def test_frames_before_a_damaged_frame_are_joined(run, original):
    cut(original, run, 2)
    with h5py.File(run.part(1).snapshots, "r") as file:
        chunk = file["u"].id.get_chunk_info(4)
    with run.part(1).snapshots.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    for _ in range(2):
        with pytest.raises(OutputError, match=r"frame 4 of part 1 of 2 .* cannot be read: u"):
            join_parts(run.path)
    assert has_parts(run.path)
    remove_parts(run.path)
    with Snapshots(run.path) as snapshots:
        assert len(snapshots) == 4 and snapshots.state == "complete"
    assert read_checkpoint(run.checkpoint)[0].frame == 3


def test_parts_of_different_runs_are_refused(run, original):
    cut(original, run, 2)
    with h5py.File(run.part(1).snapshots, "r+") as file:
        file.attrs["config"] = "seed: 1"
    with pytest.raises(OutputError, match=r"part 1 of 2 .* does not belong to the same run"):
        join_parts(run.path)


def test_parts_with_other_times_are_refused(run, original):
    cut(original, run, 2)
    with h5py.File(run.part(1).snapshots, "r+") as file:
        file["time"][2] += 0.001
    with pytest.raises(OutputError, match=r"the frames of part 1 of 2 .* have other times"):
        join_parts(run.path)


def test_parts_with_other_coordinates_are_refused(run, original):
    cut(original, run, 2)
    with h5py.File(run.part(0).snapshots, "r+") as file:
        file["y"][0] += 0.001
    with pytest.raises(OutputError, match="are not those of its settings"):
        join_parts(run.path)


@pytest.mark.parametrize("held", ["", "parts/1"])
def test_parts_are_not_joined_while_a_process_writes(run, original, held):
    cut(original, run, 3)
    with lock.hold(run.path / held):
        for command in (join_parts, find_snapshots, summarize, pdesim.open, pdesim.resume):
            with pytest.raises(OutputError, match="is being computed by 3 processes"):
                command(run.path)
        (member,) = find_members(run.path.parent)
        assert member.state == "running"
        with pytest.raises(OutputError):
            find_runs(run.path.parent)
    assert len(run.part_folders) == 3
    join_parts(run.path)
    assert_joined(run, original)


def test_earlier_frames_are_read_while_processes_write(tmp_path, original):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(original.folder.with_suffix(".before"), run.path)
    cut(original, run, 2, first_frame=4)
    with lock.hold(run.path), Snapshots(run.path) as snapshots:
        assert len(snapshots) == 4 and has_parts(run.path)


def test_the_process_that_has_locked_the_folder_joins(run, original):
    cut(original, run, 2)
    with lock.hold(run.path):
        join_parts(run.path, locked=True)
    assert_joined(run, original)


def test_folders_that_cannot_be_written_are_refused(run, original, monkeypatch):
    cut(original, run, 2)
    monkeypatch.setattr("pdesim.output.parts.os.access", lambda path, mode: False)
    with pytest.raises(OutputError, match=r"must be joined .* cannot be written to"):
        summarize(run.path)


def test_links_in_parts_are_refused(tmp_path, run, original):
    cut(original, run, 2)
    other = tmp_path / "other"
    other.write_text("")
    for path, target in ((run.part(1).path / "snapshots.xdmf", other), (run.parts / "2", tmp_path)):
        path.symlink_to(target)
        for command in (check_folder, join_parts):
            with pytest.raises(OutputError, match="contains a symbolic link: parts/"):
                command(run.path)
        path.unlink()
    run.parts.rename(tmp_path / "elsewhere")
    run.parts.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="contains a symbolic link: parts ->"):
        join_parts(run.path)


def test_parts_are_a_run_that_is_not_overwritten(run, original):
    cut(original, run, 2)
    assert run.contains_run and run.contains_traces and not is_sweep(run.path)
    with pytest.raises(OutputError, match="already contains a run"):
        pdesim.simulate(*WORDS, "device.jit=false", "animation=none", folder=run.path)
    words = (*WORDS, "device.jit=false", "animation=none", "output.overwrite=true")
    pdesim.simulate(*words, folder=run.path)
    assert not has_parts(run.path)
    with Snapshots(run.path) as snapshots:
        assert len(snapshots) == 4


def test_runs_of_a_sweep_are_joined(tmp_path, original):
    for number in range(2):
        folder = tmp_path / "sweep" / str(number)
        folder.parent.mkdir(exist_ok=True)
        cut(original, moved(original, folder), 2)
    members = find_members(tmp_path / "sweep")
    assert [member.state for member in members] == ["finished", "finished"]
    assert [path.parent.name for path in find_runs(tmp_path / "sweep")] == ["0", "1"]


def test_commands_join_the_parts(run, original, command):
    cut(original, run, 2)
    done = command("info", str(run.path))
    assert "frames" in done.stdout and Path(run.snapshots).exists()
    assert_joined(run, original)


def test_diagnostics_are_found_for_every_part(run, original):
    """A part may have no diagnostics, as they are written after the frame."""
    cut(original, run, 2)
    run.part(0).diagnostics.unlink()
    result = join_parts(run.path)
    assert any("no diagnostics were joined" in note for note in result.notes)
    assert result.frames == 7
