"""The page: one HTML file with the program, the initial state and the controls."""

from __future__ import annotations

import base64
import shlex
import zlib
from collections.abc import Sequence

import numpy as np

from pdesim.page.colormaps import colormaps
from pdesim.page.document import asset, document, escaped
from pdesim.plan import Plan
from pdesim.play.kernel import Kernel
from pdesim.play.limit import Jacobian, build_jacobian
from pdesim.play.refuse import check_playable
from pdesim.play.stepping import Stepping, build_stepping
from pdesim.render.scene import title_of

PACKAGE = "pdesim.play"
#: the parts of the page, in the order in which the browser runs them
SCRIPTS = ("limit.js", "engine.js", "drawing.js", "view.js", "start.js")
#: at 60 pictures per second, the run of the settings takes about this number of seconds
SECONDS = 20
MOST_STEPS_PER_PICTURE = 64


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
    page = document(
        "page.html",
        SCRIPTS,
        data,
        PACKAGE,
        ['"use strict";', f"const jacobianCoefficients = {jacobian.code};"],
        title=escaped(plan.equation.title or title_of(plan.equation.name)),
        about=escaped(plan.equation.about),
        equation=_lines(plan.equation.text),
    )
    return page, (stepping.note,) if stepping.note else ()


def _lines(text: str) -> str:
    """Return lines of text as HTML, each of which may be wrapped."""
    return "".join(f"<div>{escaped(line)}</div>" for line in text.splitlines())


def shaders(plan: Plan) -> str:
    """Return the fragment shader of one stage of the stepper."""
    kernel = Kernel(plan.problem)
    definitions = kernel.build()
    uniforms = "\n".join(f"uniform float {name};" for name in kernel.parameters.values())
    return (
        asset("stage.glsl", PACKAGE).replace("@PARAMETERS@", uniforms).replace("@RHS@", definitions)
    )


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
        "colormaps": colormaps(animation.colormap),
        "limits": animation.limits,
        "command": [[word.partition("=")[0], shlex.quote(word)] for word in command],
    }


def packed(state: np.ndarray) -> str:
    """Return a state as text: float32, deflated, in base 64; four values for each cell."""
    cells = np.zeros((*state.shape[1:], 4), "<f4")
    cells[..., : len(state)] = np.moveaxis(state, 0, -1)
    return base64.b64encode(zlib.compress(cells.tobytes(), 9)).decode("ascii")
