"""The library: what is known about each equation, and what was measured with default settings.

``pdesim list NAME`` and the gallery of the documentation show the same entries. The measured values
are those of ``measured.json`` beside the configs, which ``docs/measure_library.py`` writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pdesim.config.compose import choices, compose_settings
from pdesim.config.files import read_text
from pdesim.config.folders import config_folder
from pdesim.files import load_yaml
from pdesim.model.equation import Equation
from pdesim.model.equation_settings import KEYS, LONGEST_TEXTS, build_equation
from pdesim.model.grid import build_grid
from pdesim.settings import read_settings

#: topic -> its description; the equations of the library are grouped by ``equation.topic``
TOPICS = {
    "diffusion": "Heat and other substances that spread, potentials, and their steady states.",
    "patterns": "Reactions and diffusion that turn a nearly uniform state into a pattern.",
    "excitable media": "Pulses, spirals and oscillations, in chemistry, hearts and nerves.",
    "populations": "Organisms that grow, spread, hunt and infect each other, or move as a swarm.",
    "waves": "Sound, light, water, quantum mechanics and solitons.",
    "flow and transport": "Fluids, and substances and fronts that are carried along.",
    "materials": "Phases that separate, crystals that grow, films that break.",
    "noise": "Equations with random forces.",
    "maps": "Iterated maps: fractals and cellular automata.",
    "finance": "Prices of options.",
}
#: the file with the measured values, in the folder of the configs
MEASURED_FILE = "measured.json"
#: sections of the settings on which the result of a run depends
_DECISIVE = ("grid", "seed", "domain", "boundary", "initial", "operators", "stepper", "time")
_DESCRIPTIVE = {*LONGEST_TEXTS, "labels", "units"}


@dataclass(frozen=True)
class Measured:
    """What was measured with the default settings of an equation.

    Attributes:
        settings: the digest of these settings.
        operators: the operators and their order.
        stepper: the stepper that the run used; empty for steady problems and maps.
        steps: the number of time steps or iterations.
        time_error: the estimated error in time, relative to the field's range (docs/accuracy.md),
            of the field for which it is largest; None if it was not estimated.
        cpu_seconds: the processor time of the whole command, with the animation.
        space: the operators and their measured order or error; None if there is no order.
        time: the stepper and its measured order; None likewise.
        picture: the settings of the picture that differ from those of the equation.
    """

    settings: str
    operators: str = ""
    stepper: str = ""
    steps: int = 0
    time_error: float | None = None
    cpu_seconds: float = 0.0
    space: str | None = None
    time: str | None = None
    picture: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return sentences for readers."""
        run = [f"{self.steps:,} steps of {self.stepper}"] if self.stepper else []
        if self.time_error is not None:
            run.append(f"error in time about {100 * self.time_error:.2g} % of the range")
        orders = [f"{kind} {value}" for kind, value in self._orders() if value]
        return [
            *([f"default run: {', '.join(run)}"] if run else []),
            *([f"measured order: {', '.join(orders)}"] if orders else []),
        ]

    def _orders(self) -> tuple[tuple[str, str | None], ...]:
        return ("in space", self.space), ("in time", self.time)


@dataclass(frozen=True)
class Entry:
    """An equation of the library.

    Attributes:
        name: the name for ``equation=``.
        title, topic, about, reference: the texts of its file.
        formulas: a line per field.
        parameters: name -> number or formula.
        defaults: the default grid, extent and end time, as text.
        initial: field -> the formula of its initial state.
        boundary: the boundary conditions, as in the settings.
        measured: the values for exactly these settings; None if there are none.
    """

    name: str
    title: str = ""
    topic: str = ""
    about: str = ""
    reference: str = ""
    formulas: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    defaults: str = ""
    initial: Mapping[str, Any] = field(default_factory=dict)
    boundary: Any = None
    measured: Measured | None = None


def entry(name: str, config_dir: str | None = None) -> Entry:
    """Return what is known about an equation.

    Args:
        name: the name of a file in ``equation/``.
        config_dir: a folder with the user's configs.

    Raises:
        PdesimError: if the file is not valid.
    """
    settings = compose_settings([f"equation={name}"], config_dir).values
    spec = settings["equation"]
    if name == "custom":
        return Entry(name, about=spec["about"])
    equation = _built(settings, name)
    return Entry(
        name=name,
        title=equation.title or name,
        topic=str(spec.get("topic") or ""),
        about=equation.about,
        reference=str(spec.get("reference") or ""),
        formulas=tuple(equation.text.splitlines()),
        parameters={
            key: value
            for key, value in spec.items()
            if key in equation.parameters or (key not in KEYS and isinstance(value, str))
        },
        defaults=_defaults(settings, equation),
        initial=_initial(settings["initial"], equation),
        boundary=settings["boundary"],
        measured=_measured_of(name, settings),
    )


def topics() -> dict[str, list[str]]:
    """Return topic -> the names of the shipped equations; equations without one have the topic ''.

    Only the files of the equations are read, which takes a fraction of the time of :func:`entry`.
    """
    found: dict[str, list[str]] = {topic: [] for topic in (*TOPICS, "")}
    for name in choices("equation"):
        values = load_yaml(read_text(config_folder() / "equation" / f"{name}.yaml"))
        spec = values.get("equation", values)  # a file may contain other sections as well
        found.setdefault(str(spec.get("topic") or ""), []).append(name)
    return {topic: names for topic, names in found.items() if names}


def digest(settings: Mapping[str, Any]) -> str:
    """Return a short hash of the settings on which the result of a run depends."""
    equation = {k: v for k, v in settings["equation"].items() if k not in _DESCRIPTIVE}
    decisive = {section: settings[section] for section in _DECISIVE}
    text = json.dumps({**decisive, "equation": equation}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def measured() -> dict[str, Measured]:
    """Return the measured values of all equations, by name."""
    path = config_folder() / MEASURED_FILE
    if not path.is_file():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Measured(**{**values, "picture": tuple(values.get("picture", ()))})
        for name, values in stored.items()
    }


def _measured_of(name: str, settings: Mapping[str, Any]) -> Measured | None:
    """Return the measured values, unless they belong to other settings, such as a user's file."""
    found = measured().get(name)
    return found if found and found.settings == digest(settings) else None


def _built(settings: Mapping[str, Any], name: str) -> Equation:
    grid = build_grid(read_settings(dict(settings)))
    return build_equation(settings["equation"], grid.axes, name, grid.metric)


def _initial(given: Mapping[str, Any], equation: Equation) -> dict[str, Any]:
    """The formulas of initial states; the default is omitted if it applies to no field."""
    unused = {"name"} | ({"default"} if set(equation.texts) <= set(given) else set())
    return {key: value for key, value in given.items() if key not in unused}


def _defaults(settings: Mapping[str, Any], equation: Equation) -> str:
    end, extent = settings["time"]["end"], settings["domain"]["extent"]
    when = "" if equation.steady else f", until t = {end:g}"
    when = f", {end:g} iterations" if equation.iterated else when
    return f"grid {settings['grid']}, extent {extent}{when}"
