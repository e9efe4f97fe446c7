"""A plan with some rows of the initial state has bit for bit the values of the complete plan."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import h5py
import numpy as np
import pytest
from conftest import compose
from PIL import Image

from pdesim.config.library import choices
from pdesim.errors import PdesimError
from pdesim.formula.language import GENERATORS
from pdesim.model import generators, resampling, state_summary
from pdesim.model.bands import windows
from pdesim.model.grid import Grid, build_grid
from pdesim.model.state_summary import PairwiseMean
from pdesim.plan import Plan, build_plan
from pdesim.run.resolution import notes_before
from pdesim.steppers import samples
from pdesim.steppers.cells import needs_complete_state

EQUATIONS = [name for name in choices("equation") if name != "custom"]
#: small grids by dimension, none of which the parts divide
GRIDS = {1: "grid=[67]", 2: "grid=[20,37]", 3: "grid=[8,10,13]"}
HEAT = ("equation=heat", "device.precision=float64", "domain.extent=2", "domain.origin=-1")


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    """Make bands, chunks and slabs so small that a small grid has many of them."""
    monkeypatch.setattr(samples, "CHUNK", 48)
    monkeypatch.setattr(samples, "BAND", 96)
    monkeypatch.setattr(resampling, "BLOCK", 100)
    monkeypatch.setattr(generators, "SLAB_CELLS", 1)
    monkeypatch.setattr(state_summary, "LEAF", 128)


def plan_of(*words: str, rows: slice | None = None) -> Plan:
    composed = compose(words)
    return build_plan(composed.settings, composed.equation, rows=rows)


def parts(total: int, count: int) -> list[slice]:
    starts = [number * total // count for number in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(starts)]


def assert_same(words: tuple[str, ...], *counts: int) -> Plan:
    """Compare the complete plan with those of all parts, and return the complete one."""
    complete = plan_of(*words)
    notes = notes_before(complete)
    for count in counts:
        plans = [plan_of(*words, rows=rows) for rows in parts(complete.grid.shape[0], count)]
        assert_joined(plans, complete)
        assert notes_before(plans[-1]) == notes
    return complete


def assert_joined(plans: list[Plan], complete: Plan) -> None:
    for plan, rows in zip(plans, parts(complete.grid.shape[0], len(plans)), strict=True):
        assert plan.rows == rows and plan.state.dtype == complete.state.dtype
        assert plan.grid == complete.grid and plan.notes == complete.notes
        assert plan.targets.tobytes() == complete.targets.tobytes()
        if not complete.is_steady:
            assert plan.step == complete.step
            assert plan.stepper == complete.stepper
            assert plan.stepper_reason == complete.stepper_reason
            assert plan.events.tobytes() == complete.events.tobytes()
        assert_same_summary(plan.state_summary, complete.state_summary)
        if complete.problem.mask is not None:
            assert np.array_equal(plan.problem.mask.solid, complete.problem.mask.solid)
    joined = np.concatenate([plan.state for plan in plans], axis=1)
    assert joined.tobytes() == complete.state.tobytes()


def assert_same_summary(one, other):
    assert (one.size, one.lowest, one.highest) == (other.size, other.lowest, other.highest)
    for name in ("cells", "values", "largest", "means"):
        first, second = (np.asarray(getattr(s, name)) for s in (one, other))
        assert first.dtype == second.dtype and first.tobytes() == second.tobytes(), name


@pytest.mark.parametrize("name", EQUATIONS)
def test_all_equations_of_the_library(name):
    words = (f"equation={name}",)
    grid = GRIDS[build_grid(compose(words).settings).dimensions]
    assert_same((*words, grid), 2, 3)


#: every generator, and formulas that use some of them twice or inside of others
FORMULAS = {
    "random_normal": "random_normal(0.1)*(1 + x) + random_normal(y**2)",
    "random_uniform": "random_uniform(x, x + 1)",
    "random_number": "random_number(1, 2)*sin(pi*y)",
    "spots": "spots(7, 0.2) + spots(5, 0.1, 0.3)",
    "random_waves": "random_waves(5) + random_waves(12)",
    "random_gaussians": "random_gaussians(2, 9, 1, 3, 10, 40)",
    "random_field": "random_field(2.5, 0.3)**2",
    "random_sines": "random_sines(3, 8)",
    "random_series": "random_series(4)",
    "random_steps": "random_steps(5)",
    "coordinates": "exp(-3*r**2) + sin(pi*x)**2*abs(y)**1.7/Lx + where(y > 0.2, tanh(9*x*y), 0)",
    "the same numbers twice": "where(x > 0, random_normal(1), -random_normal(1)) + sqrt(r)",
}
FILES = {"image", "snapshot", "dataset"}


@pytest.mark.parametrize("dimensions", GRIDS)
@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
@pytest.mark.parametrize("name", FORMULAS)
def test_generators(name, boundary, dimensions):
    formula = FORMULAS[name]
    if dimensions == 1:
        formula = formula.replace("y", "x").replace("random_normal(x**2)", "random_normal(1)")
    words = (*HEAT, GRIDS[dimensions], f"boundary={boundary}", f"initial.u='{formula}'")
    assert_same(words, 3)


def test_every_generator_is_tried():
    assert set(GENERATORS) <= FORMULAS.keys() | FILES


def test_two_fields_have_their_own_random_numbers():
    words = ("equation=gray_scott", "initial.v='random_uniform(0,1)'")
    words += ("initial.u='random_uniform(0,1)'",)
    state = assert_same((*words, "grid=[21,34]"), 2).state
    assert abs(np.corrcoef(state[0].ravel(), state[1].ravel())[0, 1]) < 0.2


def test_values_do_not_depend_on_the_blocks_of_transforms(monkeypatch):
    words = (*HEAT, "grid=[40,35]", "initial.u='random_field(2, 0.2) + random_waves(6)'")
    for block in (1, 10_000):
        monkeypatch.setattr(resampling, "BLOCK", block)
        assert_same(words, 2)


@pytest.mark.parametrize("size", [(50, 70), (13, 9), (20, 37)])
def test_images(tmp_path, size):
    values = np.random.default_rng(1).integers(0, 255, size[::-1]).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert_same((*HEAT, GRIDS[2], f"initial.u='image(\"{tmp_path / 'a.png'}\") + x'"), 3)


def stored(path, shape: tuple[int, ...], **options) -> None:
    """A file of frames at three times on a domain from -1 to 1 along each axis."""
    values = np.random.default_rng(2).standard_normal((3, *shape))
    with h5py.File(path, "w") as file:
        file.create_dataset("u", data=values, **options)
        file["time"] = [0.0, 0.5, 1.0]
        file["single"] = values[1]
        for axis, count in zip("xyz", shape[::-1], strict=False):
            length = 2.0 if axis == "x" else 2.0 * 37 / 20
            file[axis] = -1 + (np.arange(count) + 0.5) * length / count


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
@pytest.mark.parametrize("shape", [(37, 20), (50, 31), (9, 9), (300, 20)])
@pytest.mark.parametrize("options", [{}, {"chunks": True, "compression": "gzip"}])
def test_stored_frames(tmp_path, shape, boundary, options):
    path = tmp_path / "run.h5"
    stored(path, shape, **options)
    formula = f'snapshot("{path}", "u") + 2*snapshot("{path}", "u", 0.5)'
    if shape == (37, 20):
        formula += f' + dataset("{path}", "single")'
    assert_same((*HEAT, GRIDS[2], f"boundary={boundary}", f"initial.u='{formula}'"), 3)


def test_a_stored_frame_beyond_the_domain(tmp_path):
    path = tmp_path / "run.h5"
    stored(path, (12, 11))
    words = (*HEAT[:2], "domain.extent=5", "domain.origin=-2.3", "grid=[20,37]")
    for boundary in ("periodic", "neumann"):
        formula = f'snapshot("{path}", "u")'
        assert_same((*words, f"boundary={boundary}", f"initial.u='{formula}'"), 2)


#: problems whose analysis depends on the state in different ways
PROBLEMS = {
    "obstacles": (
        "equation=gray_scott", "boundary.mask={dirichlet: 0.5}",
        "domain.mask='(x-1)**2+(y-1)**2 < 0.3 or random_uniform(0,1) > 0.9'",
    ),
    "values of cells": (
        "equation=custom", "equation.fields=[u]", "equation.k='random_uniform(1, 2)'",
        "equation.rhs.u='0.01*laplacian(u) - k*u**3'", "initial.u='random_normal(1)'",
    ),
    "coefficients of position and time": (
        "equation=custom", "equation.fields=[u]", "time.end=1",
        "equation.rhs.u='divergence((1+0.5*sin(2*pi*y)*cos(t))*gradient(u)) + where(t<0.3,r,1)*u'",
    ),
    "operators in the Jacobian": (
        "equation=custom", "equation.fields=[u]", "initial.u='1 + random_uniform(0, 0.3)'",
        "equation.rhs.u='divergence(u**2*gradient(u)) + d_dy(u)**2 + u*laplacian(laplacian(u)*u)'",
    ),
    "sides": (
        "equation=burgers", "boundary=dirichlet", "initial.default='random_normal(0.2)'",
    ),
    "advection": ("equation=advection",),
    "means": (
        "equation=custom", "equation.fields=[u]", "initial.u='random_uniform(0, 1)'",
        "equation.rhs.u='laplacian(u) + u*(1 - mean(u**2))'",
    ),
    "solved fields": (
        "equation=custom", "equation.fields=[u,p]", "initial.u='random_uniform(0, 1)'",
        "equation.solve.p='laplacian(p) - p + u'", "equation.rhs.u='laplacian(u) - u*p'",
    ),
    "scalars": (
        "equation=custom", "equation.fields=[u]", "equation.scalars={T: 'mean(u) - T'}",
        "equation.rhs.u='laplacian(u) - T*u'", "initial.u='random_uniform(0, 1)'",
        "initial.T=0.5",
    ),
    "fixed steps": ("equation=gray_scott", "stepper=rk4", "time.dt=auto", "observe_every=10",
                    "observe={top: 'max(u)'}"),
    "stretched axes": ("equation=heat", "boundary=neumann", "domain.stretch={y: 'tanh(2)'}"),
    "axisymmetric": (
        "equation=heat", "domain.geometry=axisymmetric", "boundary=neumann",
        "initial.u='spots(4, 0.2) + random_normal(0.1) + exp(-r)'",
    ),
}  # fmt: skip
COMPLETE = {"means", "solved fields"}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems(name):
    complete = assert_same((*PROBLEMS[name], "grid=[20,37]"), 3)
    assert needs_complete_state(complete.problem) == (name in COMPLETE)


def test_a_state_that_is_not_finite():
    words = ("equation=gray_scott", "grid=[20,37]", "initial.u='log(-y)'", "initial.v='log(-x)'")
    assert same_error(*words) == "initial.u is not finite everywhere"
    # v has an infinite value in an earlier band than u
    late = ("initial.u='where(y > 3.5, log(-y), 1)'", "initial.v='where(y < 0.2, log(-y), 1)'")
    assert same_error(*words[:2], *late) == "initial.u is not finite everywhere"
    words = (*words[:2], "output.dtype=float16", "initial.v='where(y > 3.5, 1e6, 0)'")
    assert "v has values up to 1e+06" in same_error(*words)


def same_error(*words: str) -> str:
    """The message of the error of a plan, which is the same with rows."""
    messages = []
    for rows in (None, slice(0, 10)):
        with pytest.raises(PdesimError) as raised:
            plan_of(*words, rows=rows)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    return messages[0].splitlines()[0]


@pytest.mark.parametrize("rows", [slice(0, 38), slice(5, 5), slice(None, 3), slice(0, 6, 2)])
def test_rows_outside_the_grid(rows):
    with pytest.raises(ValueError, match="expected"):
        plan_of("equation=heat", "grid=[20,37]", rows=rows)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 7, 128, 129, 1000, 4097, 100_003])
def test_means_are_those_of_numpy(dtype, count):
    random = np.random.default_rng(count)
    values = (random.standard_normal(count) + 0.3).astype(dtype)
    mean, places = PairwiseMean(count, np.dtype(dtype)), random.integers(0, count, 9)
    for piece in np.split(values, np.sort(places)):
        mean.add(piece)
    assert mean.result() == float(values.mean())


@pytest.mark.parametrize("halo", [0, 1, 3, 20])
def test_windows(halo):
    values, edges = np.arange(34.0).reshape(2, 17), [0, 4, 5, 11, 17]
    pairs = list(pairwise(edges))
    bands = ((a, values[:, a:b]) for a, b in pairs)
    for (a, b), (first, window, inside) in zip(pairs, windows(bands, 17, halo), strict=True):
        low, high = max(0, a - halo), min(17, b + halo)
        assert first == low and np.array_equal(window, values[:, low:high])
        assert np.array_equal(window[:, inside], values[:, a:b])


def test_parts_of_a_grid_have_its_coordinates():
    grid = Grid((4, 9), (1.0, 3.0), (0.0, -1.0))
    each = list(grid.parts(4))
    assert [part.points[1] for part in each] == [4, 4, 1]
    assert np.array_equal(np.concatenate([p.centres(1) for p in each]), grid.centres(1))
    assert all(part.complete == grid for part in each)
    x, y = (np.broadcast_to(v, grid.shape) for v in grid.coordinates().values())
    chosen = grid.coordinates_of(np.array([0, 7, 35]))
    assert np.array_equal(chosen["x"], x.ravel()[[0, 7, 35]])
    assert np.array_equal(chosen["y"], y.ravel()[[0, 7, 35]])


#: plans half of the rows in a new process, and prints the largest number of bytes that NumPy
#: allocated, and the size of the complete state
MEMORY = """
import json, sys, tracemalloc
from pdesim.config.compose import compose_settings
from pdesim.plan import build_plan
from pdesim.run.resolution import notes_before
composed = compose_settings(["equation=gray_scott", "grid=[4096,4096]", *sys.argv[1:]])
tracemalloc.start()
plan = build_plan(composed.settings, composed.equation, rows=slice(2048, 4096))
notes_before(plan)
print(json.dumps([tracemalloc.get_traced_memory()[1], plan.state_bytes, plan.state.nbytes]))
"""


@pytest.mark.parametrize("words", [(), ("initial.u='0.5 + random_field(2, 0.1)'",)])
def test_a_plan_with_rows_never_has_the_complete_state(words):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *words], capture_output=True, text=True, check=True
    )
    peak, complete, own = json.loads(done.stdout.splitlines()[-1])
    assert own == complete / 2
    # the complete state has at least complete bytes; bands and transforms take some 50 MB
    assert peak < own + 2**26
    if not words:
        assert peak < 0.8 * complete
