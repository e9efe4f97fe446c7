"""Data sets for machine learning from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from pdesim.api.arguments import as_directory, as_overrides, plain_value
from pdesim.config.override_text import override_text
from pdesim.datasets.command import make_dataset
from pdesim.errors import ConfigError
from pdesim.files import as_path


def dataset(
    *overrides: str,
    to: Literal["well", "pdebench", "npz"],
    folder: str | Path,
    splits: Sequence[float] = (0.8, 0.1, 0.1),
    split_seed: int = 0,
    repeats: int = 1,
    shard: int | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    **settings: Any,
) -> Path:
    """Compute a data set of trajectories, or continue one that was stopped (``pdesim dataset``).

    >>> pdesim.dataset('heat', 'equation.D=interval(0.1,0.2)', 'sweep=random',
    ...                'sweep.n=10', to='npz', folder='data')  # doctest: +SKIP

    Args:
        overrides, settings: the settings of the runs; see :func:`simulate`. Swept settings are text
            as on the command line.
        to: the layout of the files.
        folder: folder of the data set.
        splits: the fractions of train, valid and test.
        split_seed: the seed of the assignment to splits.
        repeats: number of trajectories for each member of the sweep.
        shard: number of trajectories that are computed together; None: an automatic choice.
        config_dir: a folder with your own configuration files (``--config-dir``).
        quiet: whether to print neither messages nor a progress bar.

    Returns:
        The folder. Its ``trajectories.csv`` lists trajectories that failed.

    Raises:
        PdesimError: for invalid settings, for a folder with other contents, and if all
            trajectories fail.
    """
    own = {"splits": splits, "split_seed": split_seed, "repeats": repeats, "shard": shard}
    words = as_overrides(overrides, settings)
    for name, value in own.items():
        try:
            words.append(f"{name}={override_text(plain_value(value))}")
        except TypeError:
            raise ConfigError(f"the argument {name} is {value!r}", "a number or a list") from None
    target = as_path(folder)
    make_dataset(words, to, target, as_directory(config_dir), console=Console(quiet=quiet))
    return target
