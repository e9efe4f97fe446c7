"""A disk that fills up ends a run with a message, and the run goes on when there is room again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdesim
from pdesim.errors import OutputError
from pdesim.files import creating

WORDS = ("equation=gray_scott", "grid=16", "time.end=60", "output.frames=6", "animation=none",
         "device.precision=float64")  # fmt: skip
#: writes a file of 96 kB where files may have so many bytes; HDF5 crashed at the end of Python here
WRITE = """
import resource, sys
from pathlib import Path
import numpy as np
from pdesim.files import creating
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    with creating(Path(sys.argv[2]), libver=("v110", "v110")) as file:
        for number in range(4):
            file.create_dataset(f"d{number}", data=np.zeros(3000) + number, chunks=(1000,))
    print("written")
except OSError as error:
    print(type(error).__name__, error.errno)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit of this kind")
@pytest.mark.parametrize("size", [1000, 50_000, 96_000, 10**6])
def test_a_file_that_cannot_be_written_is_an_error_and_no_crash(tmp_path, size):
    command = [sys.executable, "-c", WRITE, str(size), str(tmp_path / "x.h5")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("written" if size == 10**6 else "OSError 27")


def test_what_is_written_through_python_is_an_ordinary_file(tmp_path):
    path = tmp_path / "x.h5"
    with creating(path, libver=("v110", "v110")) as file:
        file["a"] = np.arange(5.0)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["a"], np.arange(5.0))


#: a frame is written while every write fails; HDF5 crashed at the end of Python here
APPEND = """
import os, sys
from pathlib import Path
import numpy as np
from pdesim.errors import OutputError
from pdesim.model.grid import Grid
from pdesim.output import Layout, SnapshotWriter, create_snapshots
from pdesim.output.selection import build_selection
grid = Grid((32, 32), (1.0, 1.0), (0.0, 0.0))
layout = Layout(grid, ("u",), build_selection(grid, ("u",), None, 1, None), np.dtype("f8"),
                compression=sys.argv[2])
path = Path(sys.argv[1])
create_snapshots(path, layout, {})
writer = SnapshotWriter(path, layout)
writer.write(0.0, np.ones((1, 32, 32)))
full = os.open("/dev/full", os.O_RDWR)
os.dup2(full, writer._file.id.get_vfd_handle())
try:
    writer.write(1.0, np.random.default_rng(0).random((1, 32, 32)))
except OutputError as error:
    print(error.problem)
writer.close()
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no such device")
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_failed_frame_is_an_error_and_no_crash(tmp_path, compression):
    """The room was there when it was looked for, and another program took it."""
    path = tmp_path / "snapshots.h5"
    command = [sys.executable, "-c", APPEND, str(path), compression]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "snapshots.h5 cannot be written: No space left on device" in done.stdout
    with pdesim.open(path) as snapshots:
        assert len(snapshots.times) == 1 and np.all(snapshots["u"][0] == 1)


def assert_same_frames(one, other) -> None:
    with one.snapshots as a, other.snapshots as b:
        np.testing.assert_array_equal(a.times, b.times)
        for name in a.fields:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit of this kind")
def test_runs_that_may_not_write_large_files_go_on_afterwards(tmp_path):
    """The limit on the size of files stands for the disk's end, at many places of the file."""
    resource = pytest.importorskip("resource")
    whole, limit = (
        pdesim.simulate(*WORDS, folder=tmp_path / "whole"),
        resource.getrlimit(resource.RLIMIT_FSIZE),
    )
    # nothing fits; the checkpoint does not; then frame after frame: a frame is at most 4 kB
    for size in (2000, 8000, 60_000, *range(82_000, 106_000, 6000)):
        folder = tmp_path / str(size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
        try:
            with pytest.raises(OutputError, match="File too large"):
                pdesim.simulate(*WORDS, folder=folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert not [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]
        if (folder / "snapshots.h5").exists():
            assert_same_frames(whole, pdesim.resume(folder))


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="the system does not tell of free space")
@pytest.mark.parametrize("calls", [2, 4])
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(tmp_path, monkeypatch, calls):
    """The room ends at some frame; afterwards the resumed run has the bits of a whole one."""
    whole = pdesim.simulate(*WORDS, folder=tmp_path / "whole")
    left, real = [calls], os.statvfs

    def full(path):
        left[0] -= 1
        about = real(path)
        if left[0] >= 0:
            return about
        return os.statvfs_result((*about[:3], 0, 0, *about[5:]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", full)
        with pytest.raises(OutputError, match="No space left"):
            pdesim.simulate(*WORDS, folder=tmp_path / "run")
    left_behind = [path.name for path in Path(tmp_path / "run").iterdir()]
    assert not [name for name in left_behind if name.endswith(".tmp")]
    run = pdesim.resume(tmp_path / "run")
    assert_same_frames(whole, run)
