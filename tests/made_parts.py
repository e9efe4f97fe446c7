"""Runs of several processes made from those of one process, cut into parts by the same writers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

import pdesim
from pdesim.config.compose import compose_settings
from pdesim.engine.distributed.decomposition import Part, divide
from pdesim.output import DiagnosticsFile, Layout, RunFolder, SnapshotWriter, create_snapshots
from pdesim.output.checkpoint import read_checkpoint, write_checkpoint
from pdesim.output.parts import part_attributes
from pdesim.plan import Plan, build_plan


@dataclass(frozen=True)
class Original:
    """A run in one process, with its states in the precision of the computation."""

    folder: Path
    plan: Plan
    times: list[float]
    states: list[np.ndarray]


def compute(folder: Path, words: Sequence[str], *more: str) -> Original:
    """Compute a run; ``more`` are settings with which it is then resumed.

    A copy of the run before it is resumed has the suffix ``.before``.
    """
    composed = compose_settings([*words, "animation=none", "device.jit=false"])
    plan = build_plan(composed.settings, composed.equation)
    times, states = [], []

    def record(time, fields):
        times.append(time)
        states.append(np.stack([fields[name].copy() for name in plan.equation.fields]))

    pdesim.simulate(*words, "animation=none", "device.jit=false", folder=folder, callback=record)
    if more:
        shutil.copytree(folder, folder.with_suffix(".before"))
        pdesim.resume(folder, *more, callback=record)
    return Original(folder, plan, times, states)


def parts_of(plan: Plan, count: int) -> list[Part]:
    return divide(plan.grid.shape[0], count, 0, periodic=True)


def rows_of(part: Part, values: np.ndarray, plan: Plan) -> np.ndarray:
    return values[(..., part.own, *[slice(None)] * (plan.grid.dimensions - 1))]


def cut(
    original: Original,
    run: RunFolder,
    count: int,
    *,
    first_frame: int = 0,
    frames: Sequence[int] | None = None,
    digits: int = 17,
) -> None:
    """Write the files of a run as its processes would, each part with ``frames[number]`` frames."""
    last = len(original.times)
    for part, number in zip(parts_of(original.plan, count), range(count), strict=True):
        folder = run.part(number)
        folder.path.mkdir(parents=True)
        stored = last - first_frame if frames is None else frames[number]
        writer = open_part(original, folder, part, (number, count), first_frame)
        diagnostics = diagnostics_of(original, folder, part, digits)
        for index in range(stored):
            time, state = original.times[first_frame + index], original.states[first_frame + index]
            own = rows_of(part, state, original.plan)
            writer.write(time, own)
            diagnostics.write(index, time, own)
        writer.close()
        diagnostics.close()
        cut_checkpoints(original, folder, part)


def solid_of(original: Original, part: Part) -> np.ndarray | None:
    mask = original.plan.problem.mask
    return None if mask is None else mask.solid[part.own]


def open_part(original, folder, part, number_and_count, first_frame) -> SnapshotWriter:
    """Create the snapshot file of a part, and return its writer."""
    plan, solid = original.plan, solid_of(original, part)
    output = plan.settings.output
    layout = Layout(
        plan.grid.part(part.first, part.rows),
        plan.equation.fields,
        plan.selection.part(part.first, part.rows),
        np.dtype(output.dtype or plan.settings.device.precision),
        output.compression,
        output.keep_bits,
        plan.equation.labels,
        plan.equation.units,
        solid,
    )
    rows = (*number_and_count, part.first, part.rows, part.total)
    with h5py.File(original.folder / "snapshots.h5", "r") as file:
        attributes = {**file.attrs, **part_attributes(rows, first_frame, solid)}
    create_snapshots(folder.snapshots, layout, attributes)
    return SnapshotWriter(folder.snapshots, layout)


def diagnostics_of(original, folder, part, digits=17) -> DiagnosticsFile:
    plan = original.plan
    return DiagnosticsFile(
        folder.diagnostics, plan.equation.fields, plan.grid.cell_volume,
        solid=solid_of(original, part), digits=digits,
    )  # fmt: skip


def cut_checkpoints(original: Original, folder: RunFolder, part: Part) -> None:
    """Write both checkpoints of a part, the older one first."""
    whole = RunFolder(original.folder)
    for path in (whole.previous_checkpoint, whole.checkpoint):
        if path.exists():
            checkpoint, settings = read_checkpoint(path)
            own = replace(
                checkpoint,
                state=rows_of(part, checkpoint.state, original.plan),
                carry=tuple(rows_of(part, one, original.plan) for one in checkpoint.carry),
            )
            write_checkpoint(folder.path, own, settings)


def moved(original: Original, folder: Path) -> RunFolder:
    """Return a folder with the files of a run that its processes leave beside their parts."""
    folder.mkdir()
    for name in ("status.json", "pdesim.log"):
        shutil.copy(original.folder / name, folder / name)
    return RunFolder(folder)


def assert_same_file(one: Path, other: Path) -> None:
    """Compare all that HDF5 files contain: attributes, types, chunks, filters, axes and values."""
    with h5py.File(one, "r") as first, h5py.File(other, "r") as second:
        assert set(first) == set(second)
        _assert_same_attributes(first, second)
        for name in first:
            a, b = first[name], second[name]
            for property in ("shape", "maxshape", "dtype", "chunks", "compression", "shuffle",
                             "compression_opts", "fillvalue", "is_scale"):  # fmt: skip
                assert getattr(a, property) == getattr(b, property), (name, property)
            assert a.id.get_create_plist().get_nfilters() == b.id.get_create_plist().get_nfilters()
            scales = [[[scale.name for scale in dim.values()] for dim in d.dims] for d in (a, b)]
            assert scales[0] == scales[1]
            _assert_same_attributes(a, b)
            assert a[()].tobytes() == b[()].tobytes(), name


def _assert_same_attributes(first, second) -> None:
    own = {"DIMENSION_LIST", "REFERENCE_LIST"}
    names = set(first.attrs) - own
    assert names == set(second.attrs) - own
    for name in names:
        assert np.array_equal(first.attrs[name], second.attrs[name]), name
        types = [one.attrs.get_id(name) for one in (first, second)]
        assert types[0].get_type().equal(types[1].get_type()), name
        assert types[0].shape == types[1].shape, name
