"""The snapshot file: what is stored, how it is read while it grows, how it is mended."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import pdesim
from pdesim import files
from pdesim.errors import ConfigError, OutputError, PdesimError
from pdesim.model.grid import Grid
from pdesim.output import (
    DiagnosticsFile,
    Layout,
    Snapshots,
    SnapshotWriter,
    create_snapshots,
    recover,
)
from pdesim.output.diagnostics import BLOCK, diagnose
from pdesim.output.filters import round_mantissa
from pdesim.output.selection import build_selection
from pdesim.output.snapshots import _chunk

GRID = Grid((12, 8), (3.0, 2.0), (0.0, -1.0))
QUICK = ("grid=[12,8]", "output.frames=3", "time.end=0.1", "animation=none")


def layout_of(dtype="f4", fields=("u", "v"), grid=GRID, **options) -> Layout:
    selection = build_selection(grid, fields, None, 1, None)
    return Layout(grid, fields, selection, np.dtype(dtype), **options)


def some_states(count: int, dtype="f4", fields=2, grid=GRID):
    return np.random.default_rng(1).standard_normal((count, fields, *grid.shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("compression", ["none", "gzip", "blosc2"])
def test_every_compression_keeps_every_bit(tmp_path, dtype, compression):
    path, states = tmp_path / "snapshots.h5", some_states(3, dtype)
    layout = layout_of(dtype, compression=compression)
    create_snapshots(path, layout, {})
    writer = SnapshotWriter(path, layout)
    for number, state in enumerate(states):
        writer.write(0.5 * number, state)
    writer.close()
    with Snapshots(path) as snapshots:
        assert snapshots.state == "complete" and len(snapshots) == 3
        for number, name in enumerate(layout.fields):
            assert snapshots[name][:].tobytes() == states[:, number].tobytes()


@pytest.mark.parametrize("size", [1, 7, BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_diagnostics_are_sums_in_float64(dtype, size):
    values = (np.random.default_rng(size).standard_normal(size) + 0.5).astype(dtype)
    exact = [float(value) for value in values]
    found = diagnose(values, 0.25)
    assert (found["min"], found["max"]) == (min(exact), max(exact))
    # pairwise sums: the rounding of float64, a few times over
    assert found["integral"] == pytest.approx(0.25 * math.fsum(exact), rel=1e-12)
    assert found["mean"] == pytest.approx(math.fsum(exact) / size, rel=1e-12)
    squares = 0.25 * math.fsum(value**2 for value in exact)
    assert found["l2"] == pytest.approx(math.sqrt(squares), rel=1e-12)


def test_cells_inside_obstacles_do_not_count_in_diagnostics(tmp_path):
    """Whatever stands in them: the numbers are those of the fluid cells alone."""
    values = np.random.default_rng(2).standard_normal((2, 6, 5))
    solid = np.zeros((6, 5), bool)
    solid[2:4, 1:] = True
    values[:, solid] = 1e6
    file = DiagnosticsFile(tmp_path / "diagnostics.csv", ("u", "v"), 0.5, solid=solid)
    file.write(0, 0.0, values)
    file.close()
    with (tmp_path / "diagnostics.csv").open() as lines:
        (row,) = csv.DictReader(lines)
    for name, field in zip("uv", values, strict=True):
        fluid = field[~solid]
        expected = {
            "min": fluid.min(), "max": fluid.max(), "mean": fluid.mean(),
            "integral": fluid.sum() * 0.5, "l2": math.sqrt((fluid**2).sum() * 0.5),
        }  # fmt: skip
        for quantity, value in expected.items():
            # ten digits are written
            assert float(row[f"{name}_{quantity}"]) == pytest.approx(value, rel=1e-9)


def test_diagnostics_of_what_is_not_finite():
    found = diagnose(np.array([1.0, np.nan, 2.0], "f4"), 1.0)
    assert all(math.isnan(number) for number in found.values())


FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


@given(arrays("f4", 20, elements=FINITE), st.integers(1, 23))
def test_rounding_keeps_its_bound_and_its_bits(values, keep):
    rounded = round_mantissa(values, keep)
    normal = np.abs(values) >= np.finfo("f4").tiny
    error = np.abs(rounded.astype("f8") - values)[normal]
    assert (error <= 2.0 ** -(keep + 1) * np.abs(values[normal].astype("f8"))).all()
    assert not (rounded.view("u4") & np.uint32((1 << (23 - keep)) - 1)).any()
    assert round_mantissa(rounded, keep).tobytes() == rounded.tobytes()


@given(
    st.lists(st.integers(4, 30), min_size=1, max_size=3),
    st.integers(1, 5),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_a_selection_is_a_slice_of_the_grid(points, stride, bounds):
    grid = Grid(tuple(points), (1.0,) * len(points), (0.0,) * len(points))
    try:
        selection = build_selection(grid, ("u",), None, stride, {"x": bounds})
    except ConfigError as error:
        assert "contains no cell centre" in str(error)
        return
    x = selection.coordinates(grid, 0)
    inside = [c for c in grid.centres(0) if bounds[0] <= c <= bounds[1]]
    np.testing.assert_array_equal(x, inside[::stride])
    field = np.broadcast_to(grid.coordinates()["x"], grid.shape)
    stored = field[selection.cells]
    assert stored.shape == selection.shape(grid)
    np.testing.assert_array_equal(stored[(0,) * (len(points) - 1)], x)


def test_settings_choose_what_is_stored(tmp_path):
    words = ("equation=gray_scott", *QUICK, "domain.extent=1")
    whole = pdesim.simulate(*words, folder=tmp_path / "whole")
    part = pdesim.simulate(
        *words,
        "output.fields=[v]",
        "output.stride=[2,3]",
        "output.region={y: [0.3, 1]}",
        "output.dtype=float16",
        "output.keep_bits=6",
        folder=tmp_path / "part",
    )
    with whole.snapshots as all_, part.snapshots as some:
        assert some.fields == ("v",) and some["v"].dtype == np.float16
        rows = np.flatnonzero(all_.coordinates("y") >= 0.3)[::3]
        np.testing.assert_array_equal(some.coordinates("y"), all_.coordinates("y")[rows])
        np.testing.assert_array_equal(some.coordinates("x"), all_.coordinates("x")[::2])
        expected = all_["v"][:][:, rows, ::2]
        # 6 bits: half a unit in the last place; float16 adds its own smallest number
        np.testing.assert_allclose(some["v"][:], expected, rtol=2.0**-7, atol=6e-8)
        assert some["v"].attrs["_QuantizeBitRoundNumberOfSignificantBits"] == 6
    pdesim.resume(part.folder, "time.end=0.2")
    with part.snapshots as some:
        assert len(some) == 7


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("output.fields=[w]", "output.fields names 'w'"),
        ("output.stride=0", "output.stride is 0"),
        ("output.stride=[1,2,3]", "output.stride has 3 numbers"),
        ("output.region={q: [0,1]}", "output.region"),
        ("output.region={x: [5,6]}", "contains no cell centre"),
        ("output.region={x: [1]}", "output.region"),
        ("output.keep_bits=0", "output.keep_bits is 0"),
        ("output.keep_bits=30", "float32 has 23 mantissa bits"),
        ("output.checkpoint=-1", "output.checkpoint is -1"),
        ("time.wall_limit=0", "time.wall_limit is 0"),
        ("resume=maybe", "resume is 'maybe'"),
        ("equation.name=../../evil", "equation.name"),
    ],
)
def test_nonsense_is_refused(tmp_path, word, told):
    with pytest.raises(PdesimError) as caught:
        pdesim.simulate("equation=gray_scott", *QUICK, word, folder=tmp_path / "out")
    assert told in str(caught.value)
    assert not (tmp_path / "out" / "snapshots.h5").exists()


def test_a_chunk_is_a_frame_unless_hdf5_cannot_hold_it():
    assert _chunk((512, 512), 4) == (1, 512, 512)
    assert _chunk((64, 64, 64), 8) == (1, 64, 64, 64)
    huge = _chunk((2048, 2048, 2048), 4)
    assert huge[2:] == (2048, 2048) and np.prod(huge, dtype=float) * 4 <= 2**30


def test_a_file_is_read_while_it_grows(tmp_path):
    path, states, layout = tmp_path / "snapshots.h5", some_states(4), layout_of()
    create_snapshots(path, layout, {"fields": ["u", "v"]})
    writer = SnapshotWriter(path, layout)
    writer.write(0.0, states[0])
    reader = textwrap.dedent("""
        import sys, pdesim
        from pdesim.output.lock import hold
        with pdesim.open(sys.argv[1]) as snapshots:
            print(len(snapshots), snapshots["u"].shape, snapshots.state, flush=True)
            input()
            print(len(snapshots), snapshots["u"].shape, snapshots.times.tolist(), flush=True)
            for turn in range(2):
                held = snapshots["u"]
                print(held[0].sum(), held[1].sum(), flush=True)
    """)
    from pdesim.output.lock import hold

    with hold(tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-c", reader, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "1 (1, 8, 12) writing\n"
        writer.write(0.5, states[1])
        told, _ = process.communicate("\n", timeout=60)
    sums = " ".join(str(state[0].sum()) for state in states[:2])
    assert told.splitlines() == ["2 (2, 8, 12) [0.0, 0.5]", sums, sums]
    writer.close()


def cut_off(path, frames: int, more: bool = False):
    """A file as a killed process leaves it; ``more``: between a field and its time."""
    code = textwrap.dedent("""
        import os, sys, numpy as np
        sys.path[:0] = sys.argv[4].split(os.pathsep)
        from pathlib import Path
        from test_snapshots import layout_of, some_states
        from pdesim.output import SnapshotWriter, create_snapshots
        path, layout = Path(sys.argv[1]), layout_of()
        create_snapshots(path, layout, {"fields": ["u", "v"], "config": "seed: 1"})
        writer = SnapshotWriter(path, layout)
        for number, state in enumerate(some_states(int(sys.argv[2]))):
            writer.write(number, state)
        if sys.argv[3] == "True":
            writer._append("u", int(sys.argv[2]), some_states(1)[0, 0].__getitem__)
        os._exit(9)
    """)
    here = os.pathsep.join(map(str, Path(__file__).parents[:2]))
    words = [sys.executable, "-c", code, str(path), str(frames), str(more), here]
    assert subprocess.run(words).returncode == 9


def test_info_and_render_read_what_was_cut_off(command, tmp_path):
    cut_off(tmp_path / "snapshots.h5", 3)
    told = command("info", ".").stdout
    assert "killed" in told and "pdesim recover" in told
    assert "pdesim recover" in command("render", ".").stderr
    assert (tmp_path / "animation.gif").stat().st_size > 1000


@pytest.mark.parametrize("more", [False, True])
def test_a_file_that_was_cut_off_is_read_and_mended(tmp_path, more):
    path = tmp_path / "snapshots.h5"
    cut_off(path, 5, more)
    with pytest.raises(OSError):
        h5py.File(path, "r")
    with Snapshots(path) as snapshots:
        assert snapshots.state == "truncated" and len(snapshots) == 5
    with pytest.warns(UserWarning, match="pdesim recover"), pdesim.open(path) as snapshots:
        assert np.isfinite(snapshots["u"][:5]).all()
    done = recover(path)
    assert done.changed and done.frames == 5
    states = some_states(5)
    with h5py.File(path, "r") as file:
        assert file.attrs["config"] == "seed: 1"
        for number, name in enumerate(("u", "v")):
            assert file[name][:].tobytes() == states[:, number].tobytes()
            assert file[name].maxshape[0] is None
            assert [d[0].name for d in file[name].dims] == ["/time", "/y", "/x"]
    import xarray

    for engine in ("h5netcdf", None):
        with xarray.open_dataset(path, engine=engine) as dataset:
            assert dataset["u"].dims == ("time", "y", "x")
    assert not recover(path).changed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["snapshots.h5"]


def test_recover_leaves_a_growing_file_alone(tmp_path):
    from pdesim.output.lock import hold

    path = tmp_path / "snapshots.h5"
    cut_off(path, 2)
    before = path.read_bytes()
    code = (
        f"import pdesim.output as o\ntry: o.recover({str(path)!r})\nexcept Exception as e: print(e)"
    )
    with hold(tmp_path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "a run is writing" in done.stdout and path.read_bytes() == before


def test_recover_refuses_what_it_cannot_mend(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(OutputError, match="was not changed"):
        recover(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == b"nothing of the kind"
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["u"] = np.zeros(3)
    with pytest.raises(OutputError, match="no snapshots"):
        recover(tmp_path / "b.h5")


def strange_file(folder, name):
    """A file that makes a careless reader open others, or none at all."""
    with h5py.File(folder / "secret.h5", "w") as file:
        file["u"] = np.ones((12, 12))
    (folder / "raw").write_bytes(np.ones((12, 12)).tobytes())
    with h5py.File(folder / "strange.h5", "w") as file:
        if name == "link":
            file["link"] = h5py.ExternalLink("secret.h5", "u")
        elif name == "soft":
            file["u"] = np.ones((12, 12))
            file["soft"] = h5py.SoftLink("/u")
        elif name == "raw":
            file.create_dataset("raw", (12, 12), "f8", external=[("raw", 0, h5py.h5f.UNLIMITED)])
        elif name == "virtual":
            layout = h5py.VirtualLayout((12, 12), "f8")
            layout[:] = h5py.VirtualSource("secret.h5", "u", (12, 12))
            file.create_virtual_dataset("virtual", layout)
        elif name == "text":
            file["text"] = "words"
        elif name == "vast":
            file.create_dataset("vast", (10**7, 10**7), "f8", chunks=(100, 100))
        elif name == "sparse":  # 800 MB that nobody wrote, where the grid has 144 cells
            file.create_dataset("sparse", (10**4, 10**4), "f8", chunks=(100, 100))
        elif name == "complex":
            file["complex"] = np.ones((12, 12), complex)
        else:
            file["g/u"] = np.ones((12, 12))
    return folder / "strange.h5"


STRANGE = {
    "link": "/link is a link",
    "soft": "/soft is a link",
    "raw": "external storage",
    "virtual": "a virtual dataset",
    "text": "array of numbers|real numbers",
    "vast": "declares",
    "sparse": "declares",
    "complex": "complex numbers",
    "g": "no dataset",
    "g/u": "no dataset",
}


@pytest.mark.parametrize("name", STRANGE)
def test_first_states_come_only_from_the_file_that_was_named(tmp_path, name):
    path = strange_file(tmp_path, name)
    with pytest.raises(OutputError, match=STRANGE[name]):
        files.read_frame(path, name)
    with pytest.raises(PdesimError):
        pdesim.simulate(
            "equation=heat",
            *QUICK,
            f'initial.u=\'snapshot("{path}", "{name}")\'',
            folder=tmp_path / "o",
        )


def test_a_checkpoint_refers_to_no_other_file(tmp_path):
    run = pdesim.simulate("equation=heat", *QUICK, folder=tmp_path / "out")
    with h5py.File(tmp_path / "elsewhere.h5", "w") as other:
        other["state"] = np.zeros((1, 8, 12), "f4")
    with h5py.File(run.folder / "checkpoint.h5", "r+") as file:
        del file["state"]
        file["state"] = h5py.ExternalLink("../elsewhere.h5", "state")
    from pdesim.output import read_checkpoint

    with pytest.raises(OutputError, match="refers to other files"):
        read_checkpoint(run.folder / "checkpoint.h5")


def test_nothing_is_pickled():
    for path in Path(pdesim.__file__).parent.rglob("*.py"):
        assert "pickle" not in path.read_text().replace("allow_pickle=False", ""), path


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities elsewhere")
@pytest.mark.parametrize("already", [0, 15])
def test_the_writing_thread_stands_back(already):
    """Also where the process does: a thread may not take a higher priority than it has."""
    code = """
        import os, sys
        from pdesim.output import Worker
        own, found = os.nice(int(sys.argv[1])), []
        worker = Worker(1)
        worker.put(lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
        worker.close()
        assert found == [min(own + 10, 19)], (own, found)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(already)]
    subprocess.run(command, check=True, timeout=120)
