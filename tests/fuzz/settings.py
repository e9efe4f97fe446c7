"""Fuzzing of override lists and configuration files: composed and planned, nothing computed.

python tests/fuzz/settings.py --count 10000 --seed 1
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import typing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.common import WRONG_VALUES, garble, main

from pdesim.config.compose import choices, compose_settings, config_folder, groups
from pdesim.model.equation_settings import KEYS
from pdesim.model.grid import build_grid
from pdesim.plan import build_plan
from pdesim.settings import Settings

#: cells beyond which a plan is not made: it would be slow for its size alone
MOST_CELLS = 5000
#: values that are right for a setting, beside those that its type suggests
RIGHT = {
    "domain.mask": ["null", "'x > 0.5'", "'spots(3, 0.1)'", "'r < 0.2*Lx'"],
    "operators.order": ["2", "4", "6"],
    "operators.name": ["stencil", "conv", "spectral"],
    "time.events": ["[0.01]", "[]", "[0.1,0.2]"],
    "output.fields": ["[u]", "null", "[u,v]"],
    "output.region": ["null", "{x: [0.2, 0.8]}"],
    "animation.field": ["u", "null", "'u**2'", "'sqrt(abs(u))'", "'u - u_mean'"],
    "animation.colormap": ["viridis", "magma", "RdBu_r"],
    "animation.limits": ["[0,1]", "null"],
    "grid": ["8", "16", "[8,6]", "[12]", "[4,4,4]", "[8,8]"],
    "domain.extent": ["1", "2.5", "[1,2]", "[1,1,1]", "'2*pi'"],
    "boundary.x": ["periodic", "neumann", "dirichlet", "{lower: {dirichlet: 1}, upper: neumann}"],
    "boundary.y": ["{lower: {dirichlet: 'sin(pi*x)'}}", "{robin: {a: 1, b: 0.5, value: 0}}"],
    "boundary.mask": ["neumann", "{dirichlet: 0}"],
    "boundary.u": ["{x: neumann}", "{default: dirichlet}"],
    "initial.u": ["'exp(-r**2)'", "0", "'random_normal(0.1)'", "'spots(3, 0.1)'", "'1 + 0.1*x'"],
    "initial.default": ["1", "'x*y'"],
    "initial": ["{u: 'cos(x)'}", "noise", "pulse"],
    "equation.rhs": ["{u: '0.01*laplacian(u) - u**3'}", "{u: 'D*laplacian(u)', v: 'u - v'}"],
    "equation.rhs.u": ["'0.01*laplacian(u)'", "'-u'", "'d_dx(u)'"],
    "equation.solve": ["{u: 'laplacian(u) + sin(2*pi*x)'}"],
    "equation.fields": ["[u]", "[u,v]"],
    "equation.units": ["{u: m}", "{}"],
    "equation.labels": ["{u: height}", "{u: 'u [m/s]'}"],
    "equation.name": ["mine"],
    "equation.title": ["'a title'", "'[bold]'"],
    "equation.about": ["'u [m/s]'"],
    "equation.D": ["0.1", "'0.1*x'", "'D0*2'", "-1"],
    "equation.D0": ["1"],
    "sweep.parameters": ["{}", "{equation.D: [1, 2]}"],
    "workers.options": ["{}"],
    "seed": ["0", "7"],
    "hydra.run.dir": ["outputs/x", "/proc/x", "'a=1,b=2'"],
    "hydra.sweep.dir": ["s"],
    "hydra.sweep.subdir": ["${hydra:job.num}"],
}
#: settings without a type of their own
OPEN = (
    *("equation." + key for key in KEYS), "equation", "equation.D", "equation.rhs.u", "initial.u",
    "initial.default", "initial", "boundary", "boundary.x", "boundary.x.lower", "boundary.u",
    "boundary.u.x", "boundary.x.upper.dirichlet", "boundary.x.lower.robin", "boundary.mask",
    "domain.mask", "animation.field", "workers.options", "sweep.parameters", "output.region",
)  # fmt: skip
EQUATION_FILE = """\
# @package _global_
# my equation
defaults:
  - override /initial: noise

equation:
  name: mine
  about: u [m/s]
  fields: [u, v]
  labels: {u: height}
  units: {u: m}
  D: 0.01
  k: 2*D
  rhs:
    u: D*laplacian(u) - u*v**2
    v: |
      k*laplacian(v)
      + u
domain:
  extent: 2.0
time: {end: 0.5}
boundary: {x: {lower: {dirichlet: 1}, upper: neumann}}
"""


@dataclass(frozen=True)
class Case:
    overrides: tuple[str, ...]
    file: str | None = None


def make(chance: random.Random) -> Case:
    """Valid overrides, most of them with a few mistakes; sometimes a file with mistakes."""
    overrides = [f"grid={chance.choice(('8', '8', '[8,6]', '[9]', '[4,4,4]'))}"]
    file = None
    if chance.random() < 0.2:
        overrides.insert(0, "equation=mine")
        file = _file(chance)
    else:
        overrides.insert(0, f"equation={chance.choice(choices('equation'))}")
        if overrides[0] == "equation=custom":
            overrides.append("equation.rhs={u: '0.01*laplacian(u) + u - u**3'}")
    names = _names()
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        name = chance.choice(names)
        overrides.append(f"{name}={_right(name, chance)}")
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2)) if file is None else 0):
        if chance.random() < 0.5:
            place = chance.randrange(len(overrides))
            overrides[place] = _mistaken(overrides[place], chance)
        else:
            # what is open to the user's own names is checked by the plan, not by types alone
            name = chance.choice(OPEN if chance.random() < 0.5 else names)
            overrides.append(f"{name}={chance.choice(WRONG_VALUES)}")
    return Case(tuple(overrides), file)


def run(case: Case) -> None:
    """Compose and plan; raises what is wrong with it."""
    if case.file is None:
        _plan(case.overrides, None)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "equation", "mine.yaml")
        path.parent.mkdir()
        path.write_text(case.file, encoding="utf-8", errors="surrogatepass")
        _plan(case.overrides, folder)


def _plan(overrides: tuple[str, ...], folder: str | None) -> None:
    composed = compose_settings(overrides, folder)
    settings = composed.settings
    if build_grid(settings).cells <= MOST_CELLS:
        build_plan(settings, composed.equation)


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    """The dotted names of all settings, and the groups."""
    found = set(RIGHT) | {group for group in groups() if group != "equation"}

    def visit(model, prefix: str) -> None:
        for name, entry in model.model_fields.items():
            if hasattr(entry.annotation, "model_fields"):
                visit(entry.annotation, f"{prefix}{name}.")
            else:
                found.add(prefix + name)

    visit(Settings, "")
    return tuple(sorted(found))


def _right(name: str, chance: random.Random) -> str:
    if name in RIGHT and chance.random() < 0.9:
        return chance.choice(RIGHT[name])
    if name in groups():
        return chance.choice(choices(name))
    return chance.choice(_by_type(name))


@lru_cache(maxsize=200)
def _by_type(name: str) -> tuple[str, ...]:
    model = Settings
    for part in name.split("."):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return ("1", "0.5", "u")
        model = fields[part].annotation
    return tuple(_values(model)) or ("1",)


def _values(kind) -> list[str]:
    if kind is type(None):
        return ["null"]
    if kind is bool:
        return ["true", "false"]
    if kind is int:
        return ["1", "4", "20"]
    if kind is float:
        return ["0.5", "0.01", "1"]
    if kind is str:
        return ["u", "text"]
    if typing.get_origin(kind) is typing.Literal:
        return [str(value) for value in typing.get_args(kind)]
    return [v for part in typing.get_args(kind) if not isinstance(part, str) for v in _values(part)]


def _mistaken(override: str, chance: random.Random) -> str:
    key, _, value = override.partition("=")
    action = chance.randrange(7)
    if action == 0:
        return f"{key}={chance.choice(WRONG_VALUES)}"
    if action == 1:
        return f"{key}={garble(value, chance)}"
    if action == 2:
        return f"{garble(key, chance)}={value}"
    if action == 3:
        return garble(override, chance)
    if action == 4:
        prefix = chance.choice(("+", "++", "~", "-", "+++"))
        return prefix + (override if chance.random() < 0.7 else key)
    if action == 5:
        deeper = chance.choice((".a", ".0", "@x", "@:y", "[0]", "/a", ".", "..a"))
        return f"{key}{deeper}={value}"
    return f"{key}={chance.choice(WRONG_VALUES)}{chance.choice(WRONG_VALUES)}"


def _file(chance: random.Random) -> str:
    """A user's equation file, with a mistake in its text or in one of its values."""
    action = chance.randrange(5)
    if action == 0:
        return garble(EQUATION_FILE, chance)
    lines = EQUATION_FILE.splitlines()
    place = chance.randrange(len(lines))
    if action == 1:
        fragments = ("\tx: 1", "   x: 1", "D:1", "u: *x", "x: &a *a", "on: 1", "no: u",
                     "yes: 2", "- a",
                     "x: !!python/object:os.system 1", "<<: {a: 1}", "<<: *a", "? [1]",
                     "1: 2", "null: 3",
                     "x: {a: 1", "...", "---", "%YAML 1.1", "x: ${nowhere}", "x: ${x}", "D: ???",
                     "defaults: 3", "defaults: [a]", "defaults: [{override: 1}]", "fields: 3",
                     "rhs: 5", "rhs: [u]", "grid: ${grid}",
                     "hydra: {run: {dir: /tmp/x}}")  # fmt: skip
        indent = " " * (len(lines[place]) - len(lines[place].lstrip()))
        lines.insert(place, indent + chance.choice(fragments))
    elif action == 2:
        lines[place] = lines[place].partition(":")[0] + ": " + chance.choice(WRONG_VALUES)
    elif action == 3:
        lines[place] = chance.choice(("", " ", "\t", "  ")) + garble(lines[place], chance)
    else:
        values = yaml.safe_load(EQUATION_FILE)
        where = values["equation"] if chance.random() < 0.8 else values
        where[chance.choice(list(where))] = chance.choice(
            (None, True, 3, -1.5, 1e300, "", "text", [], [1, 2, 3], {}, {"a": 1}, {1: 2}, [[]], "é",
             {"u": None}, {"u": 3}, {"u": [1]}, {"u": {"v": 1}}, {True: "u"}, ["u",
             "u"], ["x"], "${x}")
        )  # fmt: skip
        return "# @package _global_\n" + yaml.safe_dump(values, sort_keys=False)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())
    assert config_folder().is_dir()
    sys.exit(main(make, run, __doc__))
