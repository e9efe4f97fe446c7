"""Sweeps from Python, with their results as an xarray.Dataset over the parameters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.console import Console

from pdesim.api.arguments import as_overrides, plain_value
from pdesim.config.compose import compose_settings
from pdesim.config.override_text import override_text
from pdesim.errors import ConfigError, MissingExtraError, OutputError, PdesimError
from pdesim.files import as_path, new_folder
from pdesim.output import RunFolder, Snapshots
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.overrides import members
from pdesim.sweeps.run import run_sweep

if TYPE_CHECKING:
    import xarray


def sweep(
    *overrides: str,
    over: Mapping[str, Sequence[Any]],
    frames: Literal["last", "all"] = "last",
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    **settings: Any,
) -> xarray.Dataset:
    """Compute a simulation for all combinations of values of some settings.

    >>> data = pdesim.sweep('gray_scott', over={"equation.F": [0.03, 0.04]})  # doctest: +SKIP

    Args:
        overrides, settings: the settings that all members share; see :func:`simulate`.
        over: the name of a setting -> its values.
        frames: ``"last"``: the last frame of every member; ``"all"``: all frames, which all members
            must have at the same times.
        folder: folder for the files of the sweep; None: ``outputs/sweeps/<date>_<time>``.
        config_dir: a folder with your own configuration files (``--config-dir``).
        quiet: whether to print neither messages nor a progress bar.

    Returns:
        A dataset with a dimension for each swept setting, named by the last part of its name, and
        those of the grid. Besides the fields, it contains the last values of observables, and
        ``state`` (``finished``, or the state in which a member ended); values of members without
        frames are nan. ``attrs["folder"]`` is the folder, whose member n, in C order, is in the
        folder n.

    Raises:
        ConfigError: for settings that are invalid, and for members on different grids.
        MissingExtraError: if xarray is not installed.
    """
    try:
        import xarray  # noqa: F401
    except ImportError:
        raise MissingExtraError("sweep()", "xarray", "xarray") from None
    values = {name: _values(name, given) for name, given in over.items()}
    names = _dimensions(values)
    words = as_overrides(overrides, settings)
    directory = None if config_dir is None else str(config_dir)
    first = [*words, *(f"{name}={override_text(given[0])}" for name, given in values.items())]
    composed = compose_settings(first, directory).check_trust()
    swept = [f"{name}={','.join(map(override_text, given))}" for name, given in values.items()]
    jobs = members([*words, *swept], directory)
    target = new_folder(composed.sweep_folder) if folder is None else as_path(folder)
    console = Console(stderr=True, quiet=quiet)
    run_sweep(jobs, target, Composer(directory), console)
    return _collect(target, values, names, frames)


def _values(name: str, given: Any) -> list[Any]:
    try:
        values = plain_value(given)
    except TypeError:
        values = None
    if not isinstance(values, list) or not values:
        raise ConfigError(f"the argument over[{name!r}] is {given!r}", "a list of values")
    return values


def _dimensions(values: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the name of the dimension of each setting: the last part, if that is unique."""
    if not values:
        raise ConfigError("the argument over is empty", "{'equation.F': [0.03, 0.04]}")
    last = [name.rpartition(".")[2] for name in values]
    taken = {"x", "y", "z", "time"}
    return {
        name: short if last.count(short) == 1 and short not in taken else name
        for name, short in zip(values, last, strict=True)
    }


def _collect(
    folder: Path, values: Mapping[str, list[Any]], names: Mapping[str, str], frames: str
) -> xarray.Dataset:
    """Return the results of all members as one dataset."""
    import xarray

    sizes = [len(given) for given in values.values()]
    found: dict[tuple[int, ...], xarray.Dataset] = {}
    states = np.empty(sizes, object)
    for number, index in enumerate(itertools.product(*map(range, sizes))):
        run = RunFolder(folder / str(number))
        status = run.read_status_or_empty()
        states[index] = str(status.get("state", "not started"))
        try:
            found[index] = _member(run, status, frames)
        except PdesimError:
            continue
    if not found:
        raise OutputError(f"no member of the sweep in {folder} has frames")
    example = next(iter(found.values()))
    for one in found.values():
        if one.sizes != example.sizes:
            raise ConfigError(
                f"the members in {folder} have frames of different sizes, {dict(example.sizes)} "
                f"and {dict(one.sizes)}",
                "one grid and one number of frames; or open each member with pdesim.open",
            )
    result = xarray.Dataset(coords={**example.coords}, attrs={"folder": str(folder)})
    for variable in dict.fromkeys(name for one in found.values() for name in one.data_vars):
        result[variable] = _stacked(variable, found, example, sizes, list(names.values()))
    for name, given in values.items():
        plain = all(isinstance(value, int | float | str) for value in given)
        result = result.assign_coords({names[name]: given if plain else list(map(str, given))})
    result["state"] = (list(names.values()), states.astype(str))
    return result


def _member(run: RunFolder, status: Mapping[str, Any], frames: str) -> xarray.Dataset:
    """Return the frames and the last observed values of one member."""
    with Snapshots(run.path) as snapshots:
        data = snapshots.to_xarray()
    if not data.sizes["time"]:
        raise OutputError(f"{run.path} has no frames")
    if frames == "last":
        data = data.isel(time=-1).drop_vars("time").assign(end=float(data.time[-1]))
    return data.assign(dict(status.get("observed", {})))


def _stacked(
    variable: Any,
    found: Mapping[tuple[int, ...], xarray.Dataset],
    example: xarray.Dataset,
    sizes: Sequence[int],
    dimensions: Sequence[str],
) -> xarray.Variable:
    """Return a variable of all members as one array; nan where a member does not have it."""
    import xarray

    first = next(one[variable] for one in found.values() if variable in one)
    values = np.full((*sizes, *first.shape), np.nan, np.result_type(first.dtype, np.float32))
    for index, one in found.items():
        if variable in one:
            values[index] = one[variable].values
    return xarray.Variable((*dimensions, *first.dims), values, first.attrs)
