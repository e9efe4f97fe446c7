"""The settings of a fit: the sections ``data`` and ``fit``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pdesim.constants import evaluated, series
from pdesim.errors import ConfigError, nearest
from pdesim.fitting.descent import KERAS
from pdesim.fitting.free import Free, is_free, read_free
from pdesim.fitting.parameters import MOST_PARAMETERS, Parameter
from pdesim.model.equation_settings import KEYS
from pdesim.settings import read_section

#: the sections whose numbers can be fitted
FITTED = ("equation", "initial", "networks")
#: what the section ``fit`` may contain, for errors
FORM = "fit={equation.D: [1e-4, 1e-2]}, or {equation.D: {bounds: [1e-4, 1e-2], scale: log}}"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSettings(_Section):
    """The section ``data``: which values are compared with the frames of a run.

    Attributes:
        file: a snapshot file, the folder of a run, a file of The Well or PDEBench, ``.npz``,
            ``.npy``.
        fields: the fields that are used, or field -> its name in the file; None: all.
        times: the times of the frames that are used; for ``.npy`` the times of all frames.
        every: only every n-th frame is used.
        noise: the standard deviation of the noise, or one for each field; None: it is estimated
            from the residuals.
        trajectory: the index of the trajectory in a file with several.
    """

    file: str | None = None
    fields: list[str] | dict[str, str] | None = Field(
        default=None, description="names such as [u, v], or {u: NAME IN THE FILE}"
    )
    times: Annotated[list[float] | None, evaluated("data.times"), series()] = Field(
        default=None, description="times such as [0, 1, 2] or 'linspace(0, 10, 11)', or null"
    )
    every: Annotated[int, Field(ge=1)] = 1
    noise: Annotated[float, Field(gt=0)] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        default=None, description="a positive number, or one for each field, {u: 0.1}"
    )
    trajectory: Annotated[int, Field(ge=0)] = 0


class FitSettings(_Section):
    """The options in the section ``fit``.

    Attributes:
        method: the optimiser: those of SciPy, and for free arrays also those of Keras. ``auto`` is
            ``least_squares`` for parameters, and ``L-BFGS-B`` if an array is free.
        starts: the number of starts, of which the first is the present value of the settings.
        seed: the seed of the other starts.
        differences: the quotients that approximate derivatives.
        tolerance: the relative change of the residual, of the parameters and of the gradient at
            which the optimiser ends.
        evaluations: the largest number of evaluations of each start.
        learning_rate: the learning rate of optimisers of Keras.
        loss: for free arrays: the squares of the residuals, or the cross entropy of the softmax of
            the fields, whose data are then the probabilities of classes.
        initial_state: whether runs start from the first frame of the data, or from the initial
            state of the settings.
    """

    method: Literal[
        "auto", "least_squares", "L-BFGS-B", "adam", "adamw", "nadam", "rmsprop", "sgd"
    ] = "auto"
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    loss: Literal["squares", "cross_entropy"] = "squares"
    starts: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    differences: Literal["forward", "central"] = "forward"
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-8
    evaluations: Annotated[int, Field(ge=1)] = 100
    initial_state: Literal["auto", "data", "settings"] = "auto"


class _Entry(_Section):
    """The longer form of the bounds of a parameter."""

    bounds: Annotated[list[float], Field(min_length=2, max_length=2), evaluated("bounds")] = Field(
        ..., description="[LOW, HIGH]"
    )
    scale: Literal["auto", "log", "linear"] = "auto"
    start: Annotated[float, evaluated("start")] | None = Field(
        default=None, description="a number between the bounds"
    )


def read_data(values: Mapping[str, Any]) -> DataSettings:
    """Validate the section ``data``.

    Raises:
        ConfigError: for an unknown option or a value of a wrong type, and if no file is named.
    """
    data = read_section(DataSettings, values, "data")
    if not data.file:
        raise ConfigError("no data are given", "data=FILE, such as data=film.h5")
    return data


def read_options(values: Mapping[str, Any]) -> FitSettings:
    """Validate the options in the section ``fit``.

    Args:
        values: all settings, as plain values.

    Raises:
        ConfigError: for an unknown option or a value of a wrong type.
    """
    section = values["fit"]
    keys = {key for key, _ in _parameters(section)}
    options = {k: v for k, v in section.items() if k not in keys and k not in FITTED}
    if unknown := sorted(set(options) - set(FitSettings.model_fields)):
        if "." in unknown[0]:
            raise _not_fittable(unknown[0])
        if unknown[0] in values["equation"]:
            raise ConfigError(
                f"unknown option fit.{unknown[0]}",
                f"the full name of the parameter: fit={{equation.{unknown[0]}: [LOW, HIGH]}}",
            )
        raise ConfigError(
            f"unknown option fit.{unknown[0]}", nearest(unknown[0], FitSettings.model_fields), FORM
        )
    return read_section(FitSettings, options, "fit")


def read_parameters(values: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a fit, in the order of the settings.

    Args:
        values: all settings, as plain values.

    Raises:
        ConfigError: if there is none, for a setting that cannot be fitted, for bounds that are not
            two ascending numbers, and for a start outside its bounds.
    """
    every = list(_parameters(values["fit"]))
    if not every:
        raise ConfigError("no parameter to fit is given", FORM)
    entries = [(key, entry) for key, entry in every if not is_free(entry)]
    if len(entries) > MOST_PARAMETERS:
        raise ConfigError(f"the fit has {len(entries)} parameters", f"at most {MOST_PARAMETERS}")
    return tuple(_parameter(key, entry, values) for key, entry in entries)


def free_arrays(values: Mapping[str, Any]) -> tuple[Free, ...]:
    """Return the free arrays of a fit, in the order of the settings; see :func:`read_free`."""
    entries = [(key, entry) for key, entry in _parameters(values["fit"]) if is_free(entry)]
    return read_free(entries, values)


def resolved(options: FitSettings, arrays: bool) -> FitSettings:
    """Return options in which the optimiser is decided.

    Args:
        arrays: whether an array is free.

    Raises:
        ConfigError: for options that do not belong to this kind of fit.
    """
    if options.method == "auto":
        method = "L-BFGS-B" if arrays else "least_squares"
        options = options.model_copy(update={"method": method})
    if arrays and options.method == "least_squares":
        raise ConfigError("fit.method=least_squares cannot fit free arrays", "L-BFGS-B, adam, ...")
    if arrays and options.starts > 1:
        raise ConfigError(f"fit.starts={options.starts}, but arrays are free", "fit.starts=1")
    if not arrays and options.method in KERAS:
        raise ConfigError(
            f"fit.method={options.method} is for free arrays", "least_squares or L-BFGS-B"
        )
    if not arrays and options.loss != "squares":
        raise ConfigError(f"fit.loss={options.loss} is for free arrays", "fit.loss=squares")
    return options


def _parameters(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the setting and the entry of each parameter.

    ``{equation.D: ...}`` and ``{equation: {D: ...}}`` are the same.
    """
    for key, value in section.items():
        if key in FITTED and isinstance(value, Mapping):
            yield from ((f"{key}.{name}", entry) for name, entry in value.items())
        elif key.partition(".")[0] in FITTED and "." in key:
            yield key, value


def _parameter(key: str, entry: Any, values: Mapping[str, Any]) -> Parameter:
    name = f"fit.{key}"
    given = read_section(_Entry, entry if isinstance(entry, Mapping) else {"bounds": entry}, name)
    low, high = given.bounds
    if not low < high:
        raise ConfigError(f"the bounds of {key} are [{low:g}, {high:g}]", "[LOW, HIGH], LOW < HIGH")
    if given.scale == "log" and low <= 0:
        raise ConfigError(
            f"the lower bound of {key} is {low:g}, but its scale is log", "a positive lower bound"
        )
    present = _present(key, values)
    start = given.start
    if start is not None and not low <= start <= high:
        raise ConfigError(
            f"the start of {key} is {start:g}", f"a number between its bounds, {low:g} and {high:g}"
        )
    log = given.scale == "log" or (given.scale == "auto" and low > 0 and high / low >= 10)
    if start is None and present is not None and low <= present <= high:
        start = present
    return Parameter.build(key, low, high, log, start)


def _present(key: str, values: Mapping[str, Any]) -> float | None:
    """Return the present value of a setting; None if an initial value is a formula.

    Raises:
        ConfigError: if the setting is not a number.
    """
    section, _, name = key.partition(".")
    if section == "networks":
        raise ConfigError(f"{key} is fitted as a whole", f"fit={{{key}: free}}")
    found = values.get(section)
    known = found if isinstance(found, Mapping) else {}
    names = [one for one in known if section != "equation" or one not in KEYS]
    if name not in names:
        raise ConfigError(f"{key} cannot be fitted: there is no such setting", nearest(name, names))
    value = known[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        if section == "initial":
            raise ConfigError(
                f"{key} cannot be fitted: it is the formula {str(value)[:100]!r}",
                f"{key}=NUMBER, or a parameter in the formula: "
                f"\"initial.{name}='A*exp(-r**2)'\" equation.A=1",
            )
        raise ConfigError(f"{key} cannot be fitted: it is {str(value)[:100]!r}", "a number")
    return float(value)


def _not_fittable(key: str) -> ConfigError:
    return ConfigError(
        f"{key} cannot be fitted: it changes the program that computes the runs",
        "parameters of the equation (equation.NAME) and numbers of the initial state "
        "(initial.FIELD)",
        "boundary values and obstacles may contain parameters: "
        "boundary.x={dirichlet: T0} equation.T0=1",
    )


def start_points(parameters: Sequence[Parameter], options: FitSettings) -> list[tuple[float, ...]]:
    """Return the starts of a fit as positions between the bounds, from 0 to 1.

    The first start is that of the parameters; the others are a Latin hypercube.
    """
    first = tuple(parameter.start for parameter in parameters)
    if options.starts == 1:
        return [first]
    from scipy.stats import qmc  # its presence was checked before

    sampler = qmc.LatinHypercube(len(parameters), rng=options.seed)
    return [first, *(tuple(row) for row in sampler.random(options.starts - 1).tolist())]
