"""The page: one HTML file with the program, the initial state and the controls."""

from __future__ import annotations

import base64
import html
import json
import shlex
import zlib
from collections.abc import Sequence
from importlib.resources import files

import matplotlib
import numpy as np

from pdesim.plan import Plan
from pdesim.play.kernel import Kernel
from pdesim.play.limit import Jacobian, build_jacobian
from pdesim.play.refuse import check_playable
from pdesim.play.stepping import Stepping, build_stepping

#: colour maps in addition to that of the settings
COLORMAPS = ("viridis", "magma", "inferno", "cividis", "RdBu_r", "coolwarm", "twilight", "gray")
#: the parts of the page, in the order in which the browser runs them
SCRIPTS = ("limit.js", "engine.js", "drawing.js", "view.js")
#: at 60 pictures per second, the run of the settings takes about this number of seconds
SECONDS = 20
MOST_STEPS_PER_PICTURE = 64
#: forbids every connection; the scripts and styles are in the page itself
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def build_page(plan: Plan, command: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the page of a problem, and notes about it.

    Args:
        plan: the plan of the run.
        command: the words after ``pdesim`` that have led to this plan.

    Raises:
        PdesimError: if a page cannot compute the problem.
    """
    check_playable(plan)
    stepping = build_stepping(plan)
    jacobian = build_jacobian(plan.problem, stepping.linearised)
    data = _data(plan, stepping, jacobian, command)
    title = plan.equation.title or plan.equation.name
    page = _asset("page.html")
    parts = {
        "POLICY": POLICY,
        "TITLE": html.escape(title),
        "ABOUT": html.escape(plan.equation.about),
        "EQUATION": _lines(plan.equation.text),
        "STYLE": _asset("page.css"),
        "DATA": as_json(data),
        "JACOBIAN": f"const jacobianCoefficients = {jacobian.code};",
        "SCRIPT": "\n".join(map(_asset, SCRIPTS)),
    }
    # in one pass, so that nothing in the settings is taken for a name of a part
    pieces = page.split("@@")
    filled = [parts[piece] if number % 2 else piece for number, piece in enumerate(pieces)]
    return "".join(filled), (stepping.note,) if stepping.note else ()


def _lines(text: str) -> str:
    """Return lines of text as HTML, each of which may be wrapped."""
    return "".join(f"<div>{html.escape(line)}</div>" for line in text.splitlines())


def as_json(data: object) -> str:
    """Return JSON that cannot end the element of HTML that contains it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def shaders(plan: Plan) -> str:
    """Return the fragment shader of one stage of the stepper."""
    kernel = Kernel(plan.problem)
    definitions = kernel.build()
    uniforms = "\n".join(f"uniform float {name};" for name in kernel.parameters.values())
    return _asset("stage.glsl").replace("@PARAMETERS@", uniforms).replace("@RHS@", definitions)


def _asset(name: str) -> str:
    return (files("pdesim.play") / "assets" / name).read_text(encoding="utf-8")


def _data(plan: Plan, stepping: Stepping, jacobian: Jacobian, command: Sequence[str]) -> dict:
    grid, equation, animation = plan.grid, plan.equation, plan.settings.animation
    shown = animation.field if animation.field in equation.fields else equation.fields[0]
    steps = (plan.end - plan.times[0]) / stepping.dt / (60 * SECONDS)
    return {
        "name": equation.name,
        "fields": list(equation.fields),
        "labels": [equation.labels.get(field, "") for field in equation.fields],
        "shown": equation.fields.index(shown),
        "parameters": [[name, float(value)] for name, value in plan.problem.parameters.items()],
        "points": [*grid.points, 1][:2],
        "dimensions": grid.dimensions,
        "extent": list(grid.extent),
        "origin": list(grid.origin),
        "axes": list(grid.axes),
        "periodic": [*plan.problem.boundary.periodic_axes],
        "time": float(plan.times[0]),
        "stepper": stepping.as_dict(),
        "stepsPerPicture": int(np.clip(np.ceil(steps), 1, MOST_STEPS_PER_PICTURE)),
        "limit": dict(jacobian.tables),
        "shader": shaders(plan),
        "state": packed(plan.state),
        "colormaps": {name: _colors(name) for name in _maps(animation.colormap)},
        "limits": animation.limits,
        "command": [[word.partition("=")[0], shlex.quote(word)] for word in command],
    }


def packed(state: np.ndarray) -> str:
    """Return a state as text: float32, deflated, in base 64; four values for each cell."""
    cells = np.zeros((*state.shape[1:], 4), "<f4")
    cells[..., : len(state)] = np.moveaxis(state, 0, -1)
    return base64.b64encode(zlib.compress(cells.tobytes(), 9)).decode("ascii")


def _maps(first: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((first, *COLORMAPS)))


def _colors(name: str) -> str:
    """Return the 256 colours of a colour map of Matplotlib, three bytes each, in base 64."""
    colors = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
    return base64.b64encode(np.rint(colors * 255).astype(np.uint8).tobytes()).decode("ascii")
