"""The layouts of a data set's files: those of The Well and PDEBench, and NumPy's ``.npz``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import h5py
import numpy as np

from pdesim.datasets.design import Shard
from pdesim.errors import ConfigError, nearest
from pdesim.export.npz import save_npz
from pdesim.export.pdebench import save_pdebench
from pdesim.export.source import Source
from pdesim.export.target import atomic_target
from pdesim.export.well import save_well
from pdesim.files import creating
from pdesim.plan import Plan

#: folder of the data in a data set
DATA = Path("data")
#: folder of files that exist only until the data set is complete
WORK = Path(".pdesim")


@dataclass(frozen=True)
class Place:
    """Where a trajectory is stored: a file in the data set, and its index or its group there."""

    file: Path
    key: str


class Layout(Protocol):
    """The files of a data set. Paths are relative to its folder.

    Attributes:
        about: a description.
        dtype: the type of the stored values; None: that of the runs.
    """

    about: ClassVar[str]
    dtype: ClassVar[np.dtype | None]

    @property
    def usage(self) -> Sequence[str]:
        """Lines of Python that load the data set, in its folder."""

    def files(self, shard: Shard, stored: Sequence[int]) -> list[Path]:
        """Return the files of a shard, given the numbers of its stored trajectories."""

    def write(self, sources: Sequence[Source], paths: Sequence[Path]) -> None:
        """Write trajectories to the files of a shard, each of which appears when it is complete."""

    def place(self, shard: Shard, stored: Sequence[int], index: int, total: int) -> Place:
        """Return where a trajectory is, given its index in the shard and in the split.

        Args:
            shard: the shard.
            stored: the numbers of the shard's trajectories that are stored.
            index: index in ``stored``.
            total: index among all stored trajectories of the split.
        """

    def join(self, folder: Path, split: str, parts: Sequence[Path]) -> None:
        """Join the files of the shards of a split, if the layout has one file per split."""


@dataclass(frozen=True)
class Well:
    """The layout of The Well: ``data/train/NAME_000.hdf5`` contains the trajectories of a shard."""

    name: str
    about: ClassVar[str] = "HDF5 in the layout of The Well, a file per shard"
    dtype: ClassVar[np.dtype | None] = np.dtype(np.float32)
    usage: ClassVar[Sequence[str]] = (
        "from the_well.data import WellDataset",
        "from the_well.data.normalization import ZScoreNormalization",
        "",
        'train = WellDataset(path=".", well_split_name="train", n_steps_input=1, n_steps_output=1,',
        "                    use_normalization=True, normalization_type=ZScoreNormalization)",
        "sample = train[0]  # input_fields, output_fields: (time, x, y, field)",
    )

    def files(self, shard: Shard, stored: Sequence[int]) -> list[Path]:
        """See :meth:`Layout.files`."""
        file = DATA / shard.split / f"{self.name}_{shard.index:03}.hdf5"
        return [file] if stored else []

    def write(self, sources: Sequence[Source], paths: Sequence[Path]) -> None:
        """See :meth:`Layout.write`."""
        (path,) = paths
        with atomic_target(path, overwrite=True) as temporary:
            save_well(sources, temporary)

    def place(self, shard: Shard, stored: Sequence[int], index: int, total: int) -> Place:
        """See :meth:`Layout.place`."""
        return Place(self.files(shard, stored)[0], str(index))

    def join(self, folder: Path, split: str, parts: Sequence[Path]) -> None:
        """See :meth:`Layout.join`. Files of shards are final."""


@dataclass(frozen=True)
class Pdebench:
    """The layout of PDEBench: ``data/train.h5`` has a group per trajectory.

    A single field in 1-D is stored as ``tensor`` in ``data/train.hdf5`` instead. The files of
    shards are joined at the end.
    """

    tensor: bool
    about: ClassVar[str] = "HDF5 in the layout of PDEBench, a file per split"
    dtype: ClassVar[np.dtype | None] = np.dtype(np.float32)

    @property
    def usage(self) -> Sequence[str]:
        """See :meth:`Layout.usage`."""
        return _TENSOR_USAGE if self.tensor else _GROUPS_USAGE

    def files(self, shard: Shard, stored: Sequence[int]) -> list[Path]:
        """See :meth:`Layout.files`."""
        return [WORK / "shards" / f"{shard.name}.h5"] if stored else []

    def write(self, sources: Sequence[Source], paths: Sequence[Path]) -> None:
        """See :meth:`Layout.write`."""
        (path,) = paths
        with atomic_target(path, overwrite=True) as temporary:
            save_pdebench(sources, temporary)

    def place(self, shard: Shard, stored: Sequence[int], index: int, total: int) -> Place:
        """See :meth:`Layout.place`."""
        return Place(self._joined(shard.split), str(total) if self.tensor else _group(total))

    def _joined(self, split: str) -> Path:
        return DATA / f"{split}{'.hdf5' if self.tensor else '.h5'}"

    def join(self, folder: Path, split: str, parts: Sequence[Path]) -> None:
        """See :meth:`Layout.join`. Groups are copied as they are, without decompression."""
        target = folder / self._joined(split)
        target.parent.mkdir(exist_ok=True)
        with atomic_target(target, overwrite=True) as temporary, creating(temporary) as file:
            (_join_tensors if self.tensor else _join_groups)(file, parts)


@dataclass(frozen=True)
class Npz:
    """NumPy's ``.npz``: ``data/train/NAME_000012.npz`` contains the trajectory number 12."""

    name: str
    about: ClassVar[str] = "NumPy .npz, a file per trajectory"
    dtype: ClassVar[np.dtype | None] = None
    usage: ClassVar[Sequence[str]] = (
        "import csv",
        "",
        "import numpy as np",
        "",
        'rows = [row for row in csv.DictReader(open("trajectories.csv")) if row["file"]]',
        'train = [row for row in rows if row["split"] == "train"]',
        'trajectory = np.load(train[0]["file"])',
        "print(trajectory.files)  # time, the axes, and an array (time, ..., x) for each field",
    )

    def files(self, shard: Shard, stored: Sequence[int]) -> list[Path]:
        """See :meth:`Layout.files`."""
        return [DATA / shard.split / f"{self.name}_{number:06}.npz" for number in stored]

    def write(self, sources: Sequence[Source], paths: Sequence[Path]) -> None:
        """See :meth:`Layout.write`."""
        for source, path in zip(sources, paths, strict=True):
            with atomic_target(path, overwrite=True) as temporary:
                save_npz([source], temporary)

    def place(self, shard: Shard, stored: Sequence[int], index: int, total: int) -> Place:
        """See :meth:`Layout.place`."""
        return Place(self.files(shard, stored)[index], "")

    def join(self, folder: Path, split: str, parts: Sequence[Path]) -> None:
        """See :meth:`Layout.join`. Files of trajectories are final."""


_GROUPS_USAGE = (
    "import h5py",
    "",
    'with h5py.File("data/train.h5") as file:',
    "    group = file[sorted(file)[0]]",
    '    trajectory = group["data"][:]  # (time, ..., x, field)',
    '    fields, times = list(group.attrs["fields"]), group["grid/t"][:]',
)
_TENSOR_USAGE = (
    "import h5py",
    "",
    'with h5py.File("data/train.hdf5") as file:',
    '    trajectory = file["tensor"][0]  # (time, x)',
    '    times, x = file["t-coordinate"][:], file["x-coordinate"][:]',
)

#: name of a format -> description
LAYOUTS: Mapping[str, str] = {"well": Well.about, "pdebench": Pdebench.about, "npz": Npz.about}


def check_format(name: str | None) -> str:
    """Return the name of a format after checking that it exists.

    Raises:
        ConfigError: if it is missing or unknown.
    """
    if name is None or name not in LAYOUTS:
        given = f"unknown format {name!r}" if name else "the format of the data set is missing"
        raise ConfigError(given, nearest(str(name), LAYOUTS), "--to FORMAT")
    return name


def build_layout(name: str, plan: Plan) -> Layout:
    """Return the layout with this name, for trajectories with this plan.

    Raises:
        ConfigError: if the format does not exist, or cannot store these trajectories.
    """
    check_format(name)
    if name == "npz":
        return Npz(plan.equation.name)
    if name == "pdebench":
        return Pdebench(plan.grid.dimensions == 1 and len(plan.selection.fields) == 1)
    if len(plan.times) < 2:
        raise ConfigError(
            "the layout of The Well needs at least two frames, but this problem has one",
            "--to pdebench or --to npz for steady problems",
        )
    return Well(plan.equation.name)


def _group(number: int) -> str:
    return f"{number:04}"


def _join_groups(file: h5py.File, parts: Sequence[Path]) -> None:
    number = 0
    for part in parts:
        with h5py.File(part) as source:
            for name in sorted(source, key=int):
                source.copy(name, file, _group(number))
                number += 1


def _join_tensors(file: h5py.File, parts: Sequence[Path]) -> None:
    configs: list[bytes] = []
    for part in parts:
        with h5py.File(part) as source:
            given = source["tensor"]
            if not configs:
                for name in ("x-coordinate", "t-coordinate"):
                    source.copy(name, file)
                tensor = file.create_dataset(
                    "tensor", (0, *given.shape[1:]), "f4", maxshape=(None, *given.shape[1:]),
                    chunks=given.chunks, compression="gzip", compression_opts=1, shuffle=True,
                )  # fmt: skip
            first = len(configs)
            configs += list(source["config"][:])
            tensor.resize(len(configs), axis=0)
            for row in range(len(given)):
                tensor[first + row] = given[row]
    file["config"] = configs
