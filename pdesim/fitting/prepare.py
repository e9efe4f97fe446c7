"""The settings of a fit in which everything is decided: grid, times, and the initial state."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.config.compose import Composed, is_given
from pdesim.errors import ConfigError, MissingExtraError
from pdesim.files import creating
from pdesim.fitting.data import TOGETHER, Observations, place_on_grid, read_observations
from pdesim.fitting.free import Free
from pdesim.fitting.parameters import Parameter
from pdesim.fitting.settings import (
    DataSettings,
    FitSettings,
    free_arrays,
    read_data,
    read_options,
    read_parameters,
    resolved,
)
from pdesim.formula.language import AXES
from pdesim.model.equation_settings import given_fields
from pdesim.model.grid import Grid, build_grid
from pdesim.operators.coordinates import refuse
from pdesim.settings import Settings, read_settings

#: coordinates in double precision are evenly spaced to this fraction of their spacing
EXACT = 1e-9
#: the note on the initial state
FROM_DATA = (
    "note: runs start from the first frame of the data; standard errors do not contain the noise "
    "of this frame (fit.initial_state=settings starts from the initial state of the settings)"
)
#: the file with the first frame of the data, if it is the initial state
INITIAL = "initial.h5"


@dataclass(frozen=True)
class Task:
    """A fit that is ready to be computed.

    Args:
        values: the settings of the runs and of the fit, as plain values, in which everything is
            decided.
        equation: the name of the equation.
        settings: the validated settings of the runs, in double precision, with frames at the times
            of the data.
        data, options: the sections ``data`` and ``fit``.
        parameters: the parameters.
        observations: the data.
        free: the arrays that are fitted.
        notes: messages for the user.
    """

    values: dict[str, Any]
    equation: str
    settings: Settings
    data: DataSettings
    options: FitSettings
    parameters: tuple[Parameter, ...]
    observations: Observations
    free: tuple[Free, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def from_data(self) -> bool:
        """Whether the initial state is the first frame of the data."""
        return self.options.initial_state == "data"


def prepare(composed: Composed, recompose: Callable[[Sequence[str]], Composed]) -> Task:
    """Decide everything that the settings leave open, and check the data.

    Args:
        composed: the composed settings.
        recompose: composes settings from overrides.

    Raises:
        PdesimError: for invalid settings, and data that do not belong to them.
    """
    check_scipy()
    refuse(build_grid(composed.settings), "pdesim fit")  # this checks all other settings first
    values = copy.deepcopy(composed.values)
    data, options = read_data(values["data"]), read_options(values)
    parameters = read_parameters(values)
    options = resolved(options, bool(free_arrays(values)))
    _check_independent(composed, parameters, recompose)
    fields = tuple(given_fields(values["equation"]))
    observations = read_observations(data, fields)
    _take_grid(values, observations, composed.overrides)
    grid = build_grid(read_settings(values))
    observations = place_on_grid(observations, grid)
    initial, notes = _initial(values, options, parameters, observations, composed, grid, fields)
    _take_times(values, observations, composed.overrides, initial == "data")
    values["data"] = {**values["data"], "file": str(Path(data.file or "").resolve())}
    values["fit"] = {**values["fit"], "initial_state": initial}
    notes += _differences(values, observations)
    if initial == "data":
        notes.append(FROM_DATA)
    return _task(values, composed.equation, observations, notes)


def prepare_again(values: Mapping[str, Any], equation: str) -> Task:
    """Return the task of a fit that is resumed, from its stored settings.

    Raises:
        PdesimError: if the data cannot be read any more.
    """
    check_scipy()
    stored = copy.deepcopy(dict(values))
    data = read_data(stored["data"])
    observations = read_observations(data, tuple(given_fields(stored["equation"])))
    grid = build_grid(read_settings(stored))
    return _task(stored, equation, place_on_grid(observations, grid))


def _task(
    values: dict[str, Any], equation: str, observations: Observations, notes: Sequence[str] = ()
) -> Task:
    options, data = read_options(values), read_data(values["data"])
    options = resolved(options, bool(free_arrays(values)))
    _check_noise(data, observations)
    return Task(
        values,
        equation,
        read_settings(_for_runs(values)),
        data,
        options,
        read_parameters(values),
        observations,
        free_arrays(values),
        tuple(notes),
    )


def check_scipy() -> None:
    """Check that SciPy is installed.

    Raises:
        MissingExtraError: if it is not.
    """
    try:
        import scipy.optimize  # noqa: F401
    except ImportError:
        raise MissingExtraError("pdesim fit", "scipy", "fit") from None


def _check_independent(
    composed: Composed,
    parameters: Sequence[Parameter],
    recompose: Callable[[Sequence[str]], Composed],
) -> None:
    """Check that no other setting refers to a parameter by ``${...}``.

    Raises:
        ConfigError: for the first setting that does.
    """
    if composed.independent:
        return
    for parameter in parameters:
        words = [word.removeprefix("++") for word in composed.overrides]
        low, high = (
            recompose([*words, f"{parameter.key}={end!r}"]).values
            for end in (parameter.low, parameter.high)
        )
        section, _, name = parameter.key.partition(".")
        for found in (low, high):
            found[section] = {**found[section], name: None}
        for other in low:
            if low[other] != high[other]:
                raise ConfigError(
                    f"{parameter.key} cannot be fitted: {other} refers to it by ${{...}}",
                    "a parameter that appears in formulas only",
                )


def _take_grid(values: dict[str, Any], data: Observations, overrides: Sequence[str]) -> None:
    """Use the grid and the domain of the data unless the user has given others."""
    grid, shape = data.grid, data.shape
    if not is_given("grid", overrides):
        values["grid"] = list(shape[::-1] if grid is None else grid.points)
    if is_given("domain.extent", overrides) or is_given("domain.origin", overrides):
        return
    if grid is not None:
        values["domain"] |= {"extent": list(grid.extent), "origin": list(grid.origin)}
    elif data.centres is not None and min(shape) >= 2:
        ends = [_interval(centres) for centres in data.centres]
        values["domain"] |= {"extent": [e for e, _ in ends], "origin": [o for _, o in ends]}


def _interval(centres: np.ndarray) -> tuple[float, float]:
    """Return the extent and the origin of an axis from its cell centres."""
    spacing = float(centres[-1] - centres[0]) / (len(centres) - 1)
    extent, origin = spacing * len(centres), float(centres[0]) - spacing / 2
    # the file may contain coordinates in single precision
    exact = np.abs(np.diff(centres) / spacing - 1).max() < EXACT
    digits = (12 if exact else 7) - math.ceil(math.log10(extent))
    return round(extent, digits), round(origin, digits)


def _take_times(
    values: dict[str, Any], data: Observations, overrides: Sequence[str], from_data: bool
) -> None:
    """Use the times of the data for the runs unless the user has given others.

    Raises:
        ConfigError: for frames outside a given interval, and if there is no frame to fit.
    """
    time, times = values["time"], data.times
    settings = read_settings(values).time
    start = times[0] if from_data else settings.start
    end = settings.end if is_given("time.end", overrides) else times[-1]
    if from_data and is_given("time.start", overrides) and settings.start != start:
        raise ConfigError(
            f"time.start={settings.start:g}, but the first frame of the data, which is the initial "
            f"state, is at t = {start:g}",
            f"time.start={start:g}, or fit.initial_state=settings",
        )
    near = TOGETHER * max(float(times[-1] - times[0]), float(abs(end - start)))
    outside = times[(times < start - near) | (times > end + near)]
    if outside.size:
        raise ConfigError(
            f"{data.path} has a frame at t = {outside[0]:g}, but the run is from time.start="
            f"{start:g} to time.end={end:g}",
            "data at times of the run",
            "data.times=[...] selects frames",
        )
    if not times[-1] > start + near:
        raise ConfigError(
            f"{data.path} has no frame after the initial state at t = {start:g}",
            "a frame at a later time",
        )
    time |= {"start": float(start), "end": float(times[-1])}


def _initial(
    values: dict[str, Any],
    options: FitSettings,
    parameters: Sequence[Parameter],
    data: Observations,
    composed: Composed,
    grid: Grid,
    fields: Sequence[str],
) -> tuple[str, list[str]]:
    """Return where the initial state comes from, ``data`` or ``settings``, and notes."""
    obstacles = values["domain"]["mask"] is not None
    complete = data.is_complete(0, fields, grid, obstacles)
    keys = [*(one.key for one in parameters), *(one.key for one in free_arrays(values))]
    fitted = [key for key in keys if key.startswith("initial.")]
    if options.initial_state == "data":
        if fitted:
            raise ConfigError(
                f"{fitted[0]} is fitted, but the data are the initial state "
                "(fit.initial_state=data)",
                "fit.initial_state=settings",
            )
        if not complete:
            raise ConfigError(
                f"fit.initial_state=data, but the first frame of {data.path} is not complete",
                f"values of {', '.join(fields)} in all cells of the grid",
                "fit.initial_state=settings",
            )
        return "data", []
    if options.initial_state == "settings" or fitted or is_given("initial", composed.overrides):
        return "settings", []
    if any(word.lstrip("+").startswith("initial.") for word in composed.overrides):
        return "settings", []
    if complete:
        return "data", []
    return "settings", [
        "note: the first frame of the data is not complete; runs start from the initial state of "
        "the settings"
    ]


def _differences(values: Mapping[str, Any], data: Observations) -> list[str]:
    """Return a note if the data come from a run with other boundary conditions."""
    theirs, ours = data.config.get("boundary"), values["boundary"]
    if not isinstance(theirs, Mapping) or theirs == ours:
        return []
    return [f"note: {data.path} was computed with boundary={dict(theirs)}; here it is {dict(ours)}"]


def _check_noise(data: DataSettings, observations: Observations) -> None:
    """Check that the noise is given for fields of the data, and for all of them.

    Raises:
        ConfigError: if it is not.
    """
    if isinstance(data.noise, dict) and set(data.noise) != set(observations.fields):
        raise ConfigError(
            f"data.noise names {', '.join(data.noise)}; the fields of the data are "
            f"{', '.join(observations.fields)}",
            "a number for each field of the data",
        )


def _for_runs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the runs of a fit: in double precision, and nothing is recorded."""
    runs = copy.deepcopy(dict(values))
    runs["device"] = {**runs["device"], "precision": "float64"}
    runs |= {"observe": {}, "probes": {}, "observe_every": None, "stop": {}}
    runs["output"] = {
        **runs["output"], "fields": None, "stride": 1, "region": None, "dtype": None,
        "keep_bits": None, "every": None,
    }  # fmt: skip
    return runs


def write_initial(task: Task, folder: Path) -> dict[str, str]:
    """Write the first frame of the data into a folder, and return the formula of each field.

    Raises:
        OSError: if the file cannot be written.
    """
    first = {name: values[0] for name, values in task.observations.values.items()}
    return write_fields(task, folder, first)


def write_fields(task: Task, folder: Path, fields: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Write initial states on the grid of a fit, and return the formula of each field.

    Raises:
        OSError: if the file cannot be written.
    """
    path, grid = folder / INITIAL, build_grid(task.settings)
    with creating(path) as file:
        for name, values in fields.items():
            file[name] = np.nan_to_num(values)  # NaN is possible in obstacles only
        for axis in range(grid.dimensions):
            file[AXES[axis]] = grid.centres(axis)
    return {name: f"snapshot({str(path.resolve())!r}, {name!r})" for name in fields}
