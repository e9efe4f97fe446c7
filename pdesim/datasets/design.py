"""The design of a data set: its trajectories, their splits, and the shards that store them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.config.compose import Composed, compose_settings, is_given
from pdesim.datasets.settings import SPLITS, DatasetSettings
from pdesim.errors import ConfigError
from pdesim.plan import Plan, build_plan
from pdesim.settings import lies_in
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.overrides import first_values, members, swept_settings
from pdesim.sweeps.values import MAX_MEMBERS, Choices, Interval

#: settings and sections that have one value for all trajectories, since they share axes and times
SHARED = (
    "grid", "domain", "boundary", "output", "stop", "observe", "probes", "device.precision",
    "time.start", "time.end", "experiment", "equation.fields", "equation.rhs", "equation.map",
    "equation.solve",
)  # fmt: skip
#: settings that have no effect on a data set, or that the command sets itself
REFUSED = ("hydra", "animation", "montage", "resume", "label", "stop", "output.overwrite")
#: what the command sets: nothing is drawn, interrupted runs are resumed, and temporary files are
#: not compressed
OWN = ("animation=none", "resume=auto")
UNCOMPRESSED = "output.compression=none"
#: a shard holds at most this many trajectories, and at most this many bytes before compression
LARGEST_SHARD, SHARD_BYTES = 64, 2**31


@dataclass(frozen=True)
class Shard:
    """Trajectories of one split that are computed and written together.

    Args:
        split: ``train``, ``valid`` or ``test``.
        index: the number of the shard in its split.
        numbers: the numbers of its trajectories, in increasing order.
    """

    split: str
    index: int
    numbers: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the shard, such as ``train_003``."""
        return f"{self.split}_{self.index:03}"


@dataclass(frozen=True)
class Design:
    """The trajectories of a data set.

    Attributes:
        settings: the settings of the data set.
        composed: the settings that all trajectories share, with the first values of the others.
        jobs: the overrides of each trajectory.
        swept: name of a swept setting -> its values or its interval.
        seeded: whether every trajectory has its own seed, which is not one of the swept settings.
        plan: the plan of the first trajectory.
        shards: the shards of all splits, in the order in which they are computed.
    """

    settings: DatasetSettings
    composed: Composed
    jobs: tuple[tuple[str, ...], ...]
    swept: dict[str, Choices | Interval]
    seeded: bool
    plan: Plan
    shards: tuple[Shard, ...]

    def value_of(self, number: int, name: str) -> str:
        """Return the value of a swept setting, or of the seed, of a trajectory as text."""
        found = ""
        for word in self.jobs[number]:
            key, _, value = word.lstrip("+").partition("=")
            found = value if key == name else found
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the settings in which trajectories differ."""
        return (*self.swept, *(("seed",) if self.seeded else ()))


def build_design(
    words: Sequence[str], settings: DatasetSettings, config_dir: str | None, trusted: bool
) -> Design:
    """Determine the trajectories of a data set.

    Args:
        words: settings of the runs as on the command line, with the swept ones.
        settings: the settings of the data set.
        config_dir: folder of the user's configuration files.
        trusted: whether the user trusts these files.

    Raises:
        PdesimError: for settings that are invalid, that differ between trajectories although they
            must not, or that have no effect.
    """
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if lies_in(key, REFUSED):
            raise ConfigError(
                f"{key} has no effect on a data set, or cannot be chosen",
                "settings of the equation, the grid, the time and the sweep",
            )
    composed = compose_settings(first_values(words), config_dir).check_trust(trusted)
    swept = swept_settings(words, config_dir)
    for key in swept:
        if lies_in(key, SHARED) or key == "equation":
            raise ConfigError(
                f"{key} cannot vary between the trajectories of a data set",
                "the same equation, grid, boundary conditions and times for all trajectories",
                "make a data set for each value",
            )
    rows = members(words, config_dir)
    count = len(rows) * settings.repeats
    if count > MAX_MEMBERS:
        raise ConfigError(f"the data set has {count:,} trajectories", f"at most {MAX_MEMBERS:,}")
    seeded = "seed" not in swept
    if not seeded and settings.repeats > 1:
        raise ConfigError(
            f"repeats={settings.repeats} would repeat trajectories: seed is a swept setting",
            "repeats, which gives every repetition its own seed, or a swept seed",
        )
    own = list(OWN) if is_given("output.compression", words) else [*OWN, UNCOMPRESSED]
    jobs = []
    for number, (row, _) in enumerate(itertools.product(rows, range(settings.repeats))):
        seed = [f"seed={composed.settings.seed + number}"] if seeded else []
        jobs.append((*row, *seed, *own))
    plan = _plan(jobs[0], config_dir, trusted)
    parts = assign(count, settings.splits, settings.split_seed)
    size = settings.shard or largest_shard(plan)
    shards = tuple(
        Shard(split, start // size, tuple(numbers[start : start + size]))
        for split, numbers in parts.items()
        for start in range(0, len(numbers), size)
    )
    return Design(settings, composed, tuple(jobs), swept, seeded, plan, shards)


def _plan(job: Sequence[str], config_dir: str | None, trusted: bool) -> Plan:
    """Plan a trajectory, so that mistakes surface before anything is computed.

    Raises:
        PdesimError: if the settings are invalid.
    """
    composed = Composer(config_dir, trusted)(job)
    return build_plan(composed.settings, composed.equation)


def largest_shard(plan: Plan) -> int:
    """Return the number of trajectories of a shard, which the runs on the disk are limited to."""
    cells = math.prod(plan.selection.shape(plan.grid)) * len(plan.selection.fields)
    size = cells * len(plan.times) * np.dtype(plan.settings.device.precision).itemsize
    return max(1, min(LARGEST_SHARD, SHARD_BYTES // size))


def assign(count: int, fractions: Sequence[float], seed: int) -> dict[str, list[int]]:
    """Assign trajectories to splits at random.

    The assignment depends only on the arguments, not on the order of computing. A split with a
    fraction above zero has at least one trajectory.

    Args:
        count: the number of trajectories.
        fractions: the fractions of train, valid and test.
        seed: the seed of the permutation.

    Returns:
        split -> the numbers of its trajectories, in increasing order; without empty splits.

    Raises:
        ConfigError: if there are fewer trajectories than splits.
    """
    wanted = np.asarray(fractions) * count
    sizes = np.floor(wanted + 1e-9).astype(int)
    # the largest remainders first, and every split before a second trajectory of another
    while sizes.sum() < count:
        sizes[np.argmax(wanted - sizes)] += 1
    for index in np.flatnonzero((wanted > 0) & (sizes == 0)):
        sizes[np.argmax(sizes)] -= 1
        sizes[index] += 1
    needed = int((wanted > 0).sum())
    if count < needed:
        raise ConfigError(
            f"{count} trajectories cannot be divided into {needed} splits",
            f"at least {needed} trajectories",
            "more values, sweep.n=, repeats=, or splits=[1,0,0]",
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    ends = np.cumsum(sizes)
    parts = np.split(order, ends[:-1])
    return {
        split: sorted(map(int, part))
        for split, part in zip(SPLITS, parts, strict=True)
        if len(part)
    }
