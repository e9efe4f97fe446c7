"""Every setting of a run, its type and its range. Unknown keys and absurd values stop here."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pdesim.errors import ConfigError, nearest

#: settings that decide no number of a run and no byte of its frames: how it is called, drawn,
#: spread and continued, and when it has to stop
INCIDENTAL = (
    "label",
    "animation",
    "montage",
    "sweep",
    "workers",
    "experiment",
    "resume",
    "time.wall_limit",
    "output.checkpoint",
    "output.overwrite",
)
#: sections whose keys are the user's own names, or another library's: no '+' is needed to add one
OPEN_SECTIONS = ("equation", "initial", "boundary", "workers.options")
#: what else may change while a run goes on: how far it goes, and on which device
CONTINUING = ("time.end", "device.name")

#: the sizes of lengths and times: their powers up to the sixth, which derivatives need, are then
#: within the range of numbers
SMALLEST, LARGEST = 1e-40, 1e40


def _evaluated(name: str) -> BeforeValidator:
    """Take text for a number as a formula without fields, such as ``2*pi``; in lists as well."""

    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(part) for part in value]
        # a single word is no formula, unless it is a constant; its error comes later
        if not isinstance(value, str) or (value.isidentifier() and value not in ("pi", "e")):
            return value
        from pdesim.formula import Scope, parse  # takes half a second, which numbers do not need

        return float(parse(value, Scope({}, ()), name))

    return BeforeValidator(number)


Positive = Annotated[float, Field(gt=0)]
Length = Annotated[float, Field(ge=SMALLEST, le=LARGEST)]
Place = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Cells = Annotated[int, Field(ge=4, lt=2**31)]
Stride = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _per_axis(one: Any, default: Any, description: str, *more: Any) -> Any:
    """A number for every axis, or a list with one for each; ``description`` is for errors."""
    many = Annotated[list[one], Field(min_length=1, max_length=3)]
    return Annotated[(one | many, Field(default, description=description), *more)]


class Domain(_Section):
    dimensions: Literal[1, 2, 3] = 2
    extent: _per_axis(
        Length,
        1.0,
        "a positive length between 1e-40 and 1e40, such as 2.5 or '2*pi', or one per axis, "
        "[Lx, Ly]",
        _evaluated("domain.extent"),
    )
    mask: str | None = None
    origin: _per_axis(
        Place,
        0.0,
        "a number up to 1e40 in size, such as -1 or '-pi', or one per axis, [x0, y0]",
        _evaluated("domain.origin"),
    )


class Operators(_Section):
    name: str = "stencil"
    order: int = 2
    isotropic: bool = False
    dealias: bool = False
    face_mean: Literal["auto", "arithmetic", "harmonic"] = "auto"


class Stepper(_Section):
    name: str = "auto"
    stages: Annotated[int, Field(ge=3, le=101)] = 9


class Time(_Section):
    start: Annotated[Place, _evaluated("time.start")] = 0.0
    end: Annotated[Place, _evaluated("time.end")] = 1.0
    dt: Annotated[Positive | Literal["auto"], _evaluated("time.dt")] = Field(
        "auto", description="a positive number, or auto"
    )
    unsafe: bool = False
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="a relative local error between 0 and 1, or null"
    )
    events: Annotated[list[float], _evaluated("time.events")] = Field(
        [], description="a list of times, such as [500, 750]"
    )
    wall_limit: Positive | None = Field(None, description="seconds, a positive number, or null")


class Device(_Section):
    name: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    jit: bool | Literal["auto"] = "auto"


class Output(_Section):
    frames: Annotated[int, Field(ge=1, le=1_000_000)] | None = 100
    every: Annotated[Length | None, _evaluated("output.every")] = Field(
        None, description="a time between frames greater than 0, such as 0.5, or null"
    )
    compression: Literal["gzip", "none", "blosc2"] = "gzip"
    dtype: Literal["float16", "float32", "float64"] | None = None
    keep_bits: Annotated[int, Field(ge=1, le=52)] | None = Field(
        None, description="a whole number of mantissa bits, 1 to 52, or null for all of them"
    )
    fields: Annotated[list[str], Field(min_length=1)] | None = None
    stride: _per_axis(Stride, 1, "a whole number of at least 1, or one per axis, [sx, sy]")
    region: (
        dict[Literal["x", "y", "z"], Annotated[list[float], Field(min_length=2, max_length=2)]]
        | None
    ) = Field(None, description="bounds per axis, such as {x: [0.2, 0.8]}")
    checkpoint: Positive | None = Field(
        30.0, description="seconds between checkpoints, or null for none but the last"
    )
    overwrite: bool = False


class Animation(_Section):
    name: Literal["gif", "mp4", "none"] = "gif"
    field: str | None = None
    colormap: str = "viridis"
    center: float | None = 0.0
    limits: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    fps: Annotated[float, Field(gt=0, le=50)] = 20.0
    size: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        None, description="a whole number from 64 to 4096, or null for 512, less for some GIFs"
    )
    colors: Annotated[int, Field(ge=8, le=240)] | None = Field(
        None, description="a whole number from 8 to 240, or null for as many as keep a GIF small"
    )
    every: Annotated[int, Field(ge=1)] = 1
    slice: Annotated[float, Field(ge=0, le=1)] = 0.5


class Montage(_Section):
    """How the members of a sweep are laid out in one picture; None: as the sweep suggests."""

    x: str | None = None
    y: str | None = None
    columns: Annotated[int, Field(ge=1, le=100)] | None = None
    tile: Annotated[int, Field(ge=16, le=1024)] | None = Field(
        None, description="pixels of a tile's longer side, 16 to 1024, or null"
    )


class Sweep(_Section):
    """How the members of a sweep come from the command line; see ``pdesim.sweep.sampling``."""

    name: Literal["grid", "zip", "random", "latin_hypercube", "sobol"] = "grid"
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    parameters: dict[str, Any] = {}


class Workers(_Section):
    """Who computes the members of a sweep; see ``pdesim.sweep.workers``."""

    name: Literal["local", "joblib", "submitit_local", "submitit_slurm", "ray"] = "local"
    n: Annotated[int, Field(ge=1)] = 2
    options: dict[str, Any] = {}


class Experiment(_Section):
    name: str = "none"
    about: str = ""


class Settings(_Section):
    """The resolved configuration of one run."""

    equation: dict[str, Any]
    initial: dict[str, str | float | int] = Field(
        ..., description="a formula or a number for each field, such as {u: 'sin(2*pi*x)'}"
    )
    boundary: dict[str, Any]
    grid: _per_axis(
        Cells,
        ...,
        "whole numbers from 4 to 2**31 - 1: 512 for every axis, or one per axis, [nx, ny]",
    )
    domain: Domain = Domain()
    operators: Operators = Operators()
    stepper: Stepper = Stepper()
    time: Time = Time()
    device: Device = Device()
    output: Output = Output()
    animation: Animation = Animation()
    montage: Montage = Montage()
    sweep: Sweep = Sweep()
    workers: Workers = Workers()
    experiment: Experiment = Experiment()
    #: a name for pictures and tables, such as the class of a pattern
    label: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    resume: Literal["auto", "never"] = "never"


def lies_in(name: str, places: Collection[str]) -> bool:
    """Whether a setting, by its dotted name, is one of some settings or lies in one of them."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in places for n in range(1, len(parts) + 1))


def check_keys(values: Any, place: str = "") -> None:
    """Refuse keys that are no text, in nested mappings and lists.

    Args:
        place: the name of the section or of the file, for the error.

    Raises:
        ConfigError: naming the section and the key.
    """
    if isinstance(values, list):
        for value in values:
            check_keys(value, place)
    if not isinstance(values, Mapping):
        return
    for key, value in values.items():
        if not isinstance(key, str):
            section = f"{place} has" if place else "there is"
            truth = isinstance(key, bool)
            hint = "; YAML reads on, off, yes, no, true and false as truth values" if truth else ""
            raise ConfigError(
                f"{section} a name that is {key!r}, not text{hint}",
                "a name in quotes, such as 'no': 1" if truth else "a name, such as u",
            )
        check_keys(value, f"{place}.{key}" if place else key)


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Check a plain mapping.

    Raises:
        ConfigError: naming the key, what came, what is allowed, and the nearest valid name.
    """
    check_keys({name: value for name, value in values.items() if name != "workers"})
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error) from None


def read_section(section: type[BaseModel], values: Mapping[str, Any], name: str):
    """Check one section alone, as commands do that take only some settings."""
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error, (name,), section) from None


def _explain(error: ValidationError, prefix: tuple = (), model: type = Settings) -> ConfigError:
    found = error.errors(include_url=False)
    first = found[0]
    place = _place(first["loc"], model)
    name = ".".join(str(part) for part in (*prefix, *place))
    section, field = _field(place, model)
    if first["type"] == "extra_forbidden":
        return ConfigError(f"unknown setting {name}", nearest(str(place[-1]), section.model_fields))
    if first["type"] == "missing":
        return ConfigError(f"the setting {name} is missing")
    # a union reports every branch that failed; they share the first parts of their place
    same = [error for error in found if _place(error["loc"], model) == place]
    wanted = " or ".join(dict.fromkeys(_wanted(error) for error in same))
    value = repr(first["input"])
    value = value if len(value) < 300 else f"{value[:300]}..."
    return ConfigError(f"{name} is {value}", (field and field.description) or wanted)


def _place(loc: tuple, model: type) -> tuple:
    """The part of a pydantic location that names settings, not branches of a union."""
    place = []
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


def _field(place: tuple, model: type) -> tuple[type, Any]:
    """The section that a place lies in, and its field there (None if it has no such field)."""
    for part in place[:-1]:
        field = model.model_fields[part]
        if _is_mapping(field.annotation):
            return model, field
        model = field.annotation
    return model, model.model_fields.get(place[-1])


def _is_mapping(kind: Any) -> bool:
    """Whether a field holds the user's own names."""
    return typing.get_origin(kind) is dict


def _wanted(error: dict) -> str:
    if error["type"] in ("dict_type", "model_type"):
        return "a mapping from names to values"
    words = {"list_type": "a list", "string_type": "text in quotes", "too_short": "more values"}
    if error["type"] in words:
        return words[error["type"]]
    return error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
