"""Sweeps from Python, with their results as an xarray.Dataset over the parameters."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.console import Console

from pdesim.api.arguments import as_directory, as_overrides, fields_of, plain_value
from pdesim.api.initial import check_shapes, formulas_of, read_initial, write_arrays
from pdesim.api.run import observed_values
from pdesim.config.compose import Composed, compose_settings
from pdesim.config.override_text import override_text
from pdesim.errors import (
    ConfigError,
    DivergedError,
    InterruptedRun,
    MissingExtraError,
    OutputError,
    PdesimError,
    SolverError,
)
from pdesim.files import as_path, make_folder, new_folder
from pdesim.model.grid import build_grid
from pdesim.output import RunFolder, Snapshots
from pdesim.run.job import Outcome
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.overrides import members
from pdesim.sweeps.run import compute_sweep

if TYPE_CHECKING:
    import xarray


def sweep(
    *overrides: str,
    over: Mapping[str, Sequence[Any]],
    frames: Literal["last", "all"] = "last",
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    initial: Any = None,
    **settings: Any,
) -> xarray.Dataset:
    """Compute a simulation for all combinations of values of some settings.

    >>> data = pdesim.sweep('gray_scott', over={"equation.F": [0.03, 0.04]})  # doctest: +SKIP

    Args:
        overrides, settings: the settings that all members share; see :func:`simulate`.
        over: the name of a setting -> its values, such as ``{"equation.F": [0.03, 0.04]}``.
        frames: ``"last"``: the last frame of every member; ``"all"``: all frames, which all members
            must have at the same times.
        folder: folder for the files of the sweep; None: ``outputs/sweeps/<date>_<time>``.
        config_dir: a folder with your own configuration files (``--config-dir``).
        quiet: whether to print neither messages nor a progress bar.
        initial: the initial state of all members; see :func:`simulate`.

    Returns:
        A dataset with a dimension for each swept setting, named by the last part of its name, and
        those of the grid; ``u`` of two parameters in 2-D has the shape ``(F, k, y, x)``. If another
        variable has that name, the dimension has the full name. Besides the fields, the dataset
        contains the last values of observables, the time ``end`` of the last frame, and ``state``
        (``finished``, or the state in which a member ended). Values of members without frames are
        nan; a warning gives the reason. If the members have different domains, ``x`` is replaced
        by ``x_centres``, which depends on the swept setting. ``attrs["folder"]`` is the folder,
        whose member n, in C order, is in the folder n.

    Raises:
        ConfigError: for settings that are invalid, and for members on different grids.
        OutputError: if the folder contains a sweep, or if no member has frames.
        MissingExtraError: if xarray is not installed.
    """
    try:
        import xarray  # noqa: F401
    except ImportError:
        raise MissingExtraError("sweep()", "xarray", "xarray") from None
    values = _values(over)
    if frames not in ("last", "all"):
        raise ConfigError(f"the argument frames is {frames!r}", "'last' or 'all'")
    words, directory = as_overrides(overrides, settings), as_directory(config_dir)
    first = [f"{name}={override_text(given[0])}" for name, given in values.items()]
    start = read_initial(initial)
    words += start.space.overrides([*words, *first]) if start.space else []
    composed = compose_settings([*words, *first], directory).check_trust()
    start = start.of_fields(fields_of(composed))
    if start.settings is not None:
        words += as_overrides((), {"initial": start.settings})
        composed = compose_settings([*words, *first], directory)
    check_shapes(start.arrays, build_grid(composed.settings).shape)
    if folder is None:
        target = new_folder(composed.sweep_folder)
    else:
        target = as_path(folder)
        _check_folder(target, composed)
    if start.arrays:
        make_folder(target, "folder")
        words += as_overrides((), {"initial": formulas_of(write_arrays(target, start.arrays))})
    swept = [f"{name}={','.join(map(override_text, given))}" for name, given in values.items()]
    jobs = members([*words, *swept], directory)
    outcomes = compute_sweep(jobs, target, Composer(directory), Console(stderr=True, quiet=quiet))
    return _collect(target, values, outcomes, frames)


def _values(over: Any) -> dict[str, list[Any]]:
    """Return the values of each swept setting.

    Raises:
        ConfigError: if ``over`` is not a mapping from settings to lists, or would lead to grids
            with different numbers of cells.
    """
    if not isinstance(over, Mapping) or not over or not all(isinstance(n, str) for n in over):
        raise ConfigError(
            f"the argument over is {over!r}",
            "a mapping from settings to lists, such as {'equation.F': [0.03, 0.04]}",
        )
    found = {}
    for name, given in over.items():
        try:
            values = plain_value(given)
        except TypeError:
            values = None
        if not isinstance(values, list) or not values:
            raise ConfigError(f"the argument over[{name!r}] is {given!r}", "a list of values")
        if name in ("grid", "domain.dimensions") and any(one != values[0] for one in values):
            raise ConfigError(
                f"the argument over[{name!r}] leads to arrays of different shapes",
                "a setting that does not change the shape; or call simulate for each value",
            )
        found[name] = values
    return found


def _check_folder(folder: Path, composed: Composed) -> None:
    """Check that a sweep does not mix with another one in the same folder.

    Raises:
        OutputError: if the folder contains runs, unless ``output.overwrite`` or ``resume=auto``.
    """
    settings = composed.settings
    if settings.output.overwrite or settings.resume == "auto" or not folder.is_dir():
        return
    if any(child.name.isdecimal() and RunFolder(child).contains_run for child in folder.iterdir()):
        raise OutputError(
            f"{folder} already contains a sweep; nothing was overwritten",
            hint="use another folder (folder=...), output={'overwrite': True} or resume='auto'",
        )


def _names(values: Mapping[str, Any], taken: Collection[Any]) -> dict[str, str]:
    """Return the name of the dimension of each setting: the last part, if that is unique."""
    last = [name.rpartition(".")[2] for name in values]
    return {
        name: short if last.count(short) == 1 and short not in taken else name
        for name, short in zip(values, last, strict=True)
    }


def _collect(
    folder: Path, values: Mapping[str, list[Any]], outcomes: Sequence[Outcome], frames: str
) -> xarray.Dataset:
    """Return the results of all members as one dataset."""
    import xarray

    sizes = [len(given) for given in values.values()]
    found: dict[tuple[int, ...], xarray.Dataset] = {}
    states = np.empty(sizes, object)
    errors = []
    for index, outcome in zip(itertools.product(*map(range, sizes)), outcomes, strict=True):
        states[index], error = outcome.state, outcome.error
        # another error means that the files may be those of another run
        if error is None or isinstance(error, DivergedError | SolverError | InterruptedRun):
            try:
                found[index] = _member(RunFolder(folder / str(outcome.number)), frames)
            except PdesimError as problem:
                error = error or problem
        if error is not None:
            errors.append(f"member {outcome.number}: {error.problem}")
    if not found:
        reason = errors[0] if errors else "none was started"
        raise OutputError(f"no member of the sweep in {folder} has frames; {reason}")
    if errors:
        more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
        warnings.warn(f"not all members finished: {errors[0]}{more}", stacklevel=3)
    example = next(iter(found.values()))
    for one in found.values():
        _check_alike(one, example, folder)
    variables = dict.fromkeys(name for one in found.values() for name in one.data_vars)
    taken = {"x", "y", "z", "time", "state", *variables} - (
        {"end"} if "time.end" in values else set()
    )
    names = _names(values, taken)
    dimensions = list(names.values())
    result = xarray.Dataset(attrs={"folder": str(folder)})
    for axis, given in example.coords.items():
        if all(np.array_equal(one.coords[axis], given) for one in found.values()):
            result = result.assign_coords({axis: given})
        else:
            centres = _stacked(axis, found, sizes, dimensions)
            result = result.assign_coords({f"{axis}_centres": centres})
    for variable in variables:
        if variable not in dimensions:
            result[variable] = _stacked(variable, found, sizes, dimensions)
    for name, given in values.items():
        plain = all(isinstance(value, int | float | str) for value in given)
        result = result.assign_coords({names[name]: given if plain else list(map(str, given))})
    result["state"] = (dimensions, states.astype(str))
    return result


def _check_alike(one: xarray.Dataset, other: xarray.Dataset, folder: Path) -> None:
    """Check that the frames of two members have the same shape and the same times.

    Raises:
        ConfigError: if they have not.
    """
    if one.sizes != other.sizes:
        raise ConfigError(
            f"the members in {folder} have frames of different sizes, {dict(other.sizes)} and "
            f"{dict(one.sizes)}",
            "one grid and one number of frames; or open each member with pdesim.open",
        )
    if "time" in one.sizes and not np.allclose(one["time"], other["time"], rtol=1e-9, atol=0):
        raise ConfigError(
            f"the members in {folder} have frames at different times",
            "the same times for frames='all', such as output={'every': 0.1}; or frames='last'",
        )


def _member(run: RunFolder, frames: str) -> xarray.Dataset:
    """Return the frames and the last observed values of one member."""
    with Snapshots(run.path) as snapshots:
        data = snapshots.to_xarray()
    if not data.sizes["time"]:
        raise OutputError(f"{run.path} has no frames")
    end = float(data.time[-1])
    if frames == "last":
        data = data.isel(time=-1).drop_vars("time")
    reserved = {*data.variables, "end", "state"}
    observed = observed_values(run.read_status_or_empty())
    data = data.assign(end=end)
    return data.assign(
        {
            f"{name}_observed" if name in reserved else name: value
            for name, value in observed.items()
        }
    )


def _stacked(
    variable: Any,
    found: Mapping[tuple[int, ...], xarray.Dataset],
    sizes: Sequence[int],
    dimensions: Sequence[str],
) -> xarray.Variable:
    """Return a variable of all members as one array; nan where a member does not have it."""
    import xarray

    first = next(one[variable] for one in found.values() if variable in one.variables)
    values = np.full((*sizes, *first.shape), np.nan, np.result_type(first.dtype, np.float32))
    for index, one in found.items():
        if variable in one.variables:
            values[index] = one[variable].values
    return xarray.Variable((*dimensions, *first.dims), values, first.attrs)
