"""The settings of a run, with their types and ranges."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from pdesim.constants import evaluated, series
from pdesim.errors import ConfigError
from pdesim.keys import check_keys
from pdesim.settings.drawn import with_drawn_numbers
from pdesim.settings.other_names import meant_setting, suggest_settings
from pdesim.settings.pictures import Animation, Montage
from pdesim.settings.section import Section

#: settings and sections that do not affect the stored frames of a run
INCIDENTAL = (
    "label", "animation", "montage", "sweep", "workers", "experiment", "data", "fit", "resume",
    "time.wall_limit", "output.checkpoint", "output.overwrite",
)  # fmt: skip
#: sections whose keys the user or another library chooses; a new key in these needs no '+'
OPEN_SECTIONS = (
    "equation", "initial", "boundary", "domain.stretch", "workers.options", "observe", "probes",
    "data", "fit",
)  # fmt: skip
#: settings that may change when a run is resumed, in addition to ``INCIDENTAL``
CONTINUING = ("time.end", "device.name", "device.count", "device.hosts", "device.host")

#: range of lengths and times, whose sixth powers (in derivatives) do not overflow
SMALLEST, LARGEST = 1e-40, 1e40


Positive = Annotated[float, Field(gt=0)]
Length = Annotated[float, Field(ge=SMALLEST, le=LARGEST)]
Place = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Cells = Annotated[int, Field(ge=4, lt=2**31)]
Stride = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(max_length=200)]
#: one value per axis
Lengths = Annotated[list[Length], Field(min_length=1, max_length=3)]
Places = Annotated[list[Place], Field(min_length=1, max_length=3)]
AllCells = Annotated[list[Cells], Field(min_length=1, max_length=3)]
Strides = Annotated[list[Stride], Field(min_length=1, max_length=3)]


_Model = TypeVar("_Model", bound=BaseModel)


class Domain(Section):
    """The number of dimensions, the extent and the origin of the domain, and its obstacles."""

    dimensions: Literal[1, 2, 3] = 2
    extent: Annotated[Length | Lengths, evaluated("domain.extent")] = Field(
        default=1.0,
        description="a positive length between 1e-40 and 1e40, such as 2.5 or '2*pi', or one per "
        "axis, [Lx, Ly]",
    )
    geometry: Literal["cartesian", "radial", "spherical", "axisymmetric"] = "cartesian"
    mask: str | None = None
    origin: Annotated[Place | Places, evaluated("domain.origin")] = Field(
        default=0.0,
        description="a number from -1e40 to 1e40, such as -1 or '-pi', or one per axis, [x0, y0]",
    )
    stretch: dict[Literal["x", "y", "z", "r"], str] = Field(
        default={}, description="a formula per axis, such as {y: tanh(2)}"
    )


class Operators(Section):
    """The discretisation of differential operators."""

    name: str = "stencil"
    order: int = 2
    isotropic: bool = False
    dealias: bool = False
    face_mean: Literal["auto", "arithmetic", "harmonic"] = "auto"
    advection: Literal["upwind", "limited", "weno5"] = "limited"


class Stepper(Section):
    """The time stepping method."""

    name: str = "auto"
    stages: Annotated[int, Field(ge=3, le=101)] = 9


class Solver(Section):
    """The solver of a steady problem."""

    name: Literal["auto", "transform", "multigrid", "cg", "dense"] = "auto"
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="a relative residual between 0 and 1, or null"
    )
    iterations: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="a number from 1 to 1,000,000, or null"
    )


class Time(Section):
    """The time interval and the time step."""

    start: Annotated[Place, evaluated("time.start")] = 0.0
    end: Annotated[Place, evaluated("time.end")] = 1.0
    dt: Annotated[Positive | Literal["auto"], evaluated("time.dt")] = Field(
        default="auto", description="a positive number, or auto"
    )
    unsafe: bool = False
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="a relative local error between 0 and 1, or null"
    )
    events: Annotated[list[float], evaluated("time.events")] = Field(
        default=[], description="a list of times, such as [500, 750]"
    )
    noise_step: Annotated[Positive | None, evaluated("time.noise_step")] = Field(
        default=None, description="a time step, or null for the step of the run"
    )
    wall_limit: Positive | None = Field(
        default=None, description="seconds, a positive number, or null"
    )


class Stop(Section):
    """Conditions under which a run stops before ``time.end``."""

    steady: Positive | None = Field(default=None, description="a positive number, or null")
    when: str | None = Field(default=None, description="a condition such as 'max(u) > 5', or null")
    frames: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="a number of frames after the initial state, or null"
    )
    every: Annotated[Length | None, evaluated("stop.every")] = Field(
        default=None, description="a time between checks, or null"
    )


class Device(Section):
    """The device, the precision, and whether programs are compiled by XLA."""

    name: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    jit: bool | Literal["auto"] = "auto"
    count: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=1, description="an integer from 1 to 1024"
    )
    hosts: list[str] | Literal["auto"] | None = Field(
        default=None, description="addresses [host:port, ...] of all processes, auto, or null"
    )
    host: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="the number of this process in device.hosts, or null"
    )


class Output(Section):
    """The stored frames and checkpoints."""

    frames: Annotated[int, Field(ge=1, le=1_000_000)] | None = 100
    every: Annotated[Length | None, evaluated("output.every")] = Field(
        default=None, description="a time between frames greater than 0, such as 0.5, or null"
    )
    times: Annotated[list[Place] | None, evaluated("output.times"), series()] = Field(
        default=None,
        description="times, as in [0, 1, 10] or text as in 'geomspace(0.01, 100, 21)', or null",
    )
    compression: Literal["gzip", "none", "blosc2"] = "gzip"
    dtype: Literal["float16", "float32", "float64"] | None = None
    keep_bits: Annotated[int, Field(ge=1, le=52)] | None = Field(
        default=None, description="a number of mantissa bits from 1 to 52, or null for all bits"
    )
    fields: Annotated[list[str], Field(min_length=1)] | None = None
    ensemble: Annotated[list[Literal["mean", "variance"]], Field(min_length=1)] | None = Field(
        default=None, description="[mean, variance] over the members of a sweep, or null"
    )
    stride: Stride | Strides = Field(
        default=1, description="an integer of at least 1, or one per axis, [sx, sy]"
    )
    region: (
        dict[Literal["x", "y", "z", "r"], Annotated[list[float], Field(min_length=2, max_length=2)]]
        | None
    ) = Field(default=None, description="bounds per axis, such as {x: [0.2, 0.8]}")
    checkpoint: Positive | None = Field(
        default=30.0, description="seconds between checkpoints, or null for one at the end only"
    )
    overwrite: bool = False


class Sweep(Section):
    """The choice of a sweep's members; see ``pdesim.sweeps.overrides``."""

    name: Literal["grid", "zip", "random", "latin_hypercube", "sobol"] = "grid"
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    parameters: dict[str, Any] = Field(default={})


class Workers(Section):
    """The processes in which the members of a sweep are computed; see ``pdesim.sweeps.workers``."""

    name: Literal["local", "joblib", "submitit_local", "submitit_slurm", "ray"] = "local"
    n: Annotated[int, Field(ge=1)] = 1
    options: dict[str, Any] = Field(default={})

    @property
    def is_this_process(self) -> bool:
        """Whether the process of the command computes the sweep itself."""
        return self.name == "local" and self.n == 1


class Experiment(Section):
    """The predefined experiment, a file that sets several other settings."""

    name: str = "none"
    about: str = ""


class Settings(Section):
    """All settings of one run."""

    equation: dict[str, Any]
    initial: dict[str, str | float | int | list[str | float | int]] = Field(
        ..., description="a formula or a number for each field, such as {u: 'sin(2*pi*x)'}"
    )
    boundary: dict[str, Any]
    grid: Cells | AllCells = Field(
        ...,
        description="integers from 4 to 2**31 - 1: 512 for every axis, or one per axis, [nx, ny]",
    )
    domain: Domain = Domain()
    operators: Operators = Operators()
    stepper: Stepper = Stepper()
    solver: Solver = Solver()
    time: Time = Time()
    observe: dict[str, str | float | int] = Field(
        default={}, description="a formula for each name, such as {top: 'max(u)'}"
    )
    probes: Annotated[dict[str, list[float]], evaluated("probes")] = Field(
        default={}, description="a point for each name, such as {a: [0.2, 0.5]}"
    )
    observe_every: Annotated[Length | None, evaluated("observe_every")] = Field(
        default=None, description="a time between records, or null for every step"
    )
    stop: Stop = Stop()
    device: Device = Device()
    output: Output = Output()
    animation: Animation = Animation()
    montage: Montage = Montage()
    sweep: Sweep = Sweep()
    workers: Workers = Workers()
    experiment: Experiment = Experiment()
    data: dict[str, Any] = Field(
        default={}, description="the data of pdesim fit, such as {file: film.h5}"
    )
    fit: dict[str, Any] = Field(
        default={}, description="bounds for each parameter, such as {equation.D: [1e-4, 1e-2]}"
    )
    #: a name of the run for pictures and tables
    label: Name | None = Field(default=None, description="text of at most 200 characters, or null")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    resume: Literal["auto", "never"] = "never"


def lies_in(name: str, places: Collection[str]) -> bool:
    """Return whether a setting, or a section that contains this setting, is in ``places``.

    Args:
        name: the dotted name of the setting.
        places: dotted names of settings and sections.
    """
    parts = name.split(".")
    return any(".".join(parts[:n]) in places for n in range(1, len(parts) + 1))


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Validate the settings of a run.

    Args:
        values: nested mappings of plain values.

    Raises:
        ConfigError: for an unknown setting, or a value of a wrong type or outside its range.
    """
    check_keys({name: value for name, value in values.items() if name != "workers"})
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error) from None
    # text is left as it is, unless it is the formula of a random number
    drawn = with_drawn_numbers(settings.equation, settings.seed)
    return settings.model_copy(update={"equation": drawn})


def read_section(section: type[_Model], values: Mapping[str, Any], name: str) -> _Model:
    """Validate a single section.

    Args:
        section: the class of the section.
        values: the settings in the section.
        name: the name of the section, for errors.

    Raises:
        ConfigError: see :func:`read_settings`.
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error, (name,), section) from None


def _explain(
    error: ValidationError, prefix: tuple[str, ...] = (), model: type[BaseModel] = Settings
) -> ConfigError:
    """Convert an error of pydantic to ConfigError.

    Args:
        error: the error.
        prefix: the names of the sections that contain the validated values.
        model: the class that has validated the values.
    """
    found = error.errors(include_url=False)
    first = found[0]
    place = _place(first["loc"], model)
    name = ".".join(str(part) for part in (*prefix, *place))
    section, field = _field(place, model)
    if first["type"] == "extra_forbidden":
        known = suggest_settings(name, Settings, section.model_fields)
        return ConfigError(f"unknown setting {name}", known)
    if first["type"] == "missing":
        return ConfigError(f"the setting {name} is missing")
    # if a setting may have several types, pydantic reports an error for each of these types
    same = [one for one in found if _place(one["loc"], model) == place]
    wanted = " or ".join(dict.fromkeys(_wanted(one["type"], one["msg"]) for one in same))
    value = repr(first["input"])
    value = value if len(value) < 300 else f"{value[:300]}..."
    hint, meant = "", meant_setting(name)
    if meant and isinstance(first["input"], str | int | float):
        hint = f"{meant}={first['input']}"
    return ConfigError(f"{name} is {value}", (field and field.description) or wanted, hint)


def _place(loc: tuple[int | str, ...], model: Any) -> tuple[int | str, ...]:
    """Return the names of settings in a pydantic location, without the names of types."""
    place: list[int | str] = []
    for part in loc:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            place.append(part)
            model = fields[part].annotation
        elif not place or fields or _is_mapping(model):
            place.append(part)
            break
        else:
            break
    return tuple(place)


def _field(place: tuple[int | str, ...], model: Any) -> tuple[Any, Any]:
    """Return the class that contains a setting, and the pydantic field of the setting.

    The field is None if the setting does not exist.
    """
    for part in place[:-1]:
        field = model.model_fields[part]
        if _is_mapping(field.annotation):
            return model, field
        model = field.annotation
    return model, model.model_fields.get(place[-1])


def _is_mapping(kind: Any) -> bool:
    """Return whether a field is a mapping whose keys the user chooses."""
    return typing.get_origin(kind) is dict


def _wanted(kind: str, message: str) -> str:
    """Return what is expected, from the type and the message of a pydantic error."""
    if kind in ("dict_type", "model_type"):
        return "a mapping from names to values"
    words = {"list_type": "a list", "string_type": "text in quotes", "too_short": "more values"}
    if kind in words:
        return words[kind]
    return message.removeprefix("Input should be ").removeprefix("a valid ")
