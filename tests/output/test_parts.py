"""Joining the parts of a run gives the files of a run in one process."""

from __future__ import annotations

import csv
import itertools

import h5py
import numpy as np
import pytest
from made_parts import (
    assert_same_file,
    compute,
    cut,
    moved,
)

from pdesim.model.grid import Grid
from pdesim.output import Snapshots
from pdesim.output.diagnostics import QUANTITIES
from pdesim.output.part_files import RowReader
from pdesim.output.parts import has_parts, join_parts
from pdesim.output.selection import Selection

HEAT = ("equation=heat", "stepper=heun", "output.frames=4")
#: settings, the number of parts, and the largest size of a chunk in bytes
CASES = {
    "two parts, odd rows": ((*HEAT, "grid=[12,17]", "time.end=1"), 2, None),
    "three parts, odd rows": ((*HEAT, "grid=[12,17]", "time.end=1"), 3, None),
    "one dimension": (
        ("equation=allen_cahn", "domain.dimensions=1", "grid=31", "time.end=0.5",
         "output.frames=3"),
        3, None,
    ),
    "three dimensions": ((*HEAT, "domain.dimensions=3", "grid=[5,6,9]", "time.end=1"), 2, None),
    "several fields and carried arrays": (
        ("equation=wave", "stepper=verlet", "grid=[10,13]", "time.end=0.2", "output.frames=3"),
        2, None,
    ),
    "obstacles": (
        (*HEAT, "grid=[24,33]", "time.end=1", "domain.mask='(x-0.5)**2 + (y-0.2)**2 < 0.1'"),
        3, None,
    ),
    "a part inside an obstacle": (
        (*HEAT, "grid=[10,12]", "time.end=1", "domain.mask='y < 0.4'"), 3, None,
    ),
    "stride": ((*HEAT, "grid=[12,17]", "time.end=1", "output.stride=[2,3]"), 3, None),
    "stride and obstacles": (
        (*HEAT, "grid=[12,17]", "time.end=1", "output.stride=3", "domain.mask='x + y < 0.7'"),
        2, None,
    ),
    "region that leaves parts without rows": (
        (*HEAT, "grid=[12,17]", "time.end=1", "output.stride=[1,2]",
         "output.region={x: [0.1, 0.8], y: [0.7, 0.95]}", "domain.mask='x + y < 1'"),
        4, None,
    ),
    "selected fields": (
        ("equation=gray_scott", "stepper=euler", "grid=[12,17]", "time.end=20", "output.frames=3",
         "output.fields=[v]"),
        2, None,
    ),
    "half precision": ((*HEAT, "grid=[12,17]", "time.end=1", "output.dtype=float16"), 2, None),
    "rounded": ((*HEAT, "grid=[12,17]", "time.end=1", "output.keep_bits=7"), 2, None),
    "no compression": ((*HEAT, "grid=[12,17]", "time.end=1", "output.compression=none"), 2, 200),
    "several chunks": ((*HEAT, "grid=[12,17]", "time.end=1"), 2, 150),
    "chunks narrower than a row": ((*HEAT, "grid=[12,17]", "time.end=1"), 3, 30),
    "chunks in three dimensions": (
        (*HEAT, "domain.dimensions=3", "grid=[5,6,9]", "time.end=1"), 2, 120,
    ),
    "double precision": (
        (*HEAT, "grid=[12,17]", "time.end=1", "device.precision=float64"), 2, None,
    ),
}  # fmt: skip


def assert_same_diagnostics(one, other):
    """The same rows; extrema are equal, sums up to the rounding of their last digit."""
    first, second = (list(csv.reader(path.open())) for path in (one, other))
    assert first[0] == second[0] and len(first) == len(second)
    for a, b in zip(first[1:], second[1:], strict=True):
        assert a[:2] == b[:2]
        for number, (left, right) in enumerate(zip(a[2:], b[2:], strict=True)):
            if QUANTITIES[number % len(QUANTITIES)] in ("min", "max"):
                assert left == right
            assert float(left) == pytest.approx(float(right), rel=1.01e-9, abs=1e-12)


def assert_same_run(joined, original):
    for name in ("snapshots.h5", "checkpoint.h5"):
        assert_same_file(joined / name, original / name)
    with h5py.File(joined / "checkpoint.h5") as one, h5py.File(original / "checkpoint.h5") as two:
        assert one.attrs["digest"] == two.attrs["digest"]
    assert_same_diagnostics(joined / "diagnostics.csv", original / "diagnostics.csv")
    assert not (joined / "parts").exists()
    assert not [path for path in joined.iterdir() if "parts" in path.name or "tmp" in path.name]


@pytest.mark.parametrize(("words", "count", "chunk"), CASES.values(), ids=CASES)
def test_joined_files_are_those_of_one_process(tmp_path, monkeypatch, words, count, chunk):
    if chunk is not None:
        monkeypatch.setattr("pdesim.output.snapshots.LARGEST_CHUNK", chunk)
    original = compute(tmp_path / "one", words)
    run = moved(original, tmp_path / "run")
    cut(original, run, count)
    assert has_parts(run.path) and run.contains_run and not run.snapshots.exists()
    result = join_parts(run.path)
    assert (result.parts, result.frames, result.added) == (count, *[len(original.times)] * 2)
    assert_same_run(run.path, original.folder)
    assert not has_parts(run.path) and join_parts(run.path).parts == 0
    with Snapshots(run.path) as snapshots:
        assert snapshots.state == "complete"


def test_no_more_than_a_chunk_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("pdesim.output.snapshots.LARGEST_CHUNK", 150)
    original = compute(tmp_path / "one", CASES["obstacles"][0])
    run = moved(original, tmp_path / "run")
    cut(original, run, 3)
    read, sizes = RowReader.read, []

    def recorded(*arguments, **options):
        values = read(*arguments, **options)
        sizes.append(values.nbytes if values.dtype.kind == "f" else 0)
        return values

    monkeypatch.setattr(RowReader, "read", recorded)
    join_parts(run.path)
    assert_same_run(run.path, original.folder)
    assert max(sizes) <= 150 < 24 * 33 * 4


def test_blocks_of_checkpoints_are_small(tmp_path, monkeypatch):
    monkeypatch.setattr("pdesim.files.blocks.BLOCK", 100)
    original = compute(tmp_path / "one", CASES["several fields and carried arrays"][0])
    run = moved(original, tmp_path / "run")
    cut(original, run, 3)
    join_parts(run.path)
    assert_same_run(run.path, original.folder)


@pytest.mark.parametrize("seed", range(200))
def test_the_rows_of_all_parts_are_those_of_the_selection(seed):
    random = np.random.default_rng(seed)
    points, step, count = (int(n) for n in random.integers(1, (41, 8, 7)))
    bounds = random.integers(0, points + 1, 2).tolist()
    grid = Grid((3, points), (1.0, 2.0), (0.0, -1.0))
    selection = Selection((0,), (slice(min(bounds), max(bounds), step), slice(0, 3, 2)))
    values = np.arange(points)
    starts = [number * points // count for number in range(count + 1)]
    found, centres = [], []
    for first, end in itertools.pairwise(starts):
        own = selection.part(first, end - first)
        assert own.fields == selection.fields and own.cells[1:] == selection.cells[1:]
        found += values[first:end][own.cells[0]].tolist()
        part = grid.part(first, end - first)
        assert own.shape(part) == (len(own.coordinates(part, 1)), 2)
        centres += own.coordinates(part, 1).tolist()
    assert found == values[selection.cells[0]].tolist()
    assert centres == selection.coordinates(grid, 1).tolist()


def test_the_file_of_a_part_without_stored_rows(tmp_path):
    words, count, _ = CASES["region that leaves parts without rows"]
    original = compute(tmp_path / "one", words)
    run = moved(original, tmp_path / "run")
    cut(original, run, count)
    with Snapshots(run.part(0).path) as snapshots:
        assert len(snapshots) == len(original.times)
        assert (
            snapshots["u"].shape == (len(snapshots), 0, 9) and len(snapshots.coordinates("y")) == 0
        )
        assert snapshots.mask.shape == (0, 9)


def test_diagnostics_of_ten_digits_are_joined(tmp_path):
    original = compute(tmp_path / "one", CASES["two parts, odd rows"][0])
    run = moved(original, tmp_path / "run")
    cut(original, run, 2, digits=10)
    join_parts(run.path)
    assert_same_diagnostics(run.diagnostics, original.folder / "diagnostics.csv")
