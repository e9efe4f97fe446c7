"""Flat bands and slabs against the plain formulation, and against any division into blocks."""

import os
import shlex
import subprocess
import sys
from collections import OrderedDict

import h5py
import numpy as np
import pytest
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine import compile_cache as programs
from pdesim.engine.device import Placement, fill_several_arrays, fills_several_arrays
from pdesim.engine.loops import Blocks
from pdesim.engine.simulation import Simulation
from pdesim.operators import bands, flat, slabs
from pdesim.plan import build_plan

STEPS = 23
CPU = Placement("/CPU:0", "CPU")

PROBLEMS = {
    "one field": "equation=heat grid=[24,20] stepper=euler",
    "three dimensions": "equation=heat grid=[8,10,24] stepper=heun",
    "one dimension": "equation=allen_cahn grid=64 stepper=euler",
    "reaction": "equation=gray_scott grid=[20,37] stepper=rk4",
    "diagonals": "equation=gray_scott grid=[16,24] domain.extent=[1.6,2.4] stepper=euler "
    "operators.isotropic=true",
    "sixth order": "equation=gray_scott grid=[16,40] stepper=euler operators.order=6",
    "many stages": "equation=heat grid=[16,64] stepper=rkl2",
    "positions and momenta": "equation=wave grid=[16,40] stepper=verlet",
    "a composition": "equation=wave grid=[16,64] stepper=yoshida4",
    "advection": "equation=burgers grid=[32,24] stepper=rk4 operators=stencil",
    "high derivatives": (
        "equation=custom grid=[24,64] domain.extent=20 stepper=rk4 operators.order=4 "
        "equation.fields=[u] equation.rhs.u=\"'0.1*d6_dy6(u) - d4_dx4(u) + 0.5*d3_dx3(u**2)'\""
    ),
    "mixed derivatives": (
        "equation=custom grid=[20,24] stepper=euler equation.fields=[u] "
        "equation.rhs.u=\"'laplacian(u) + d_dx(d_dy(u)) - 1e-3*d4_dx4(u)'\""
    ),
    "nested pointwise": (
        "equation=custom grid=[20,24] stepper=euler equation.fields=[u] "
        "equation.rhs.u=\"'divergence((1 + u**2)*gradient(u)) + d_dx(u**2)'\""
    ),
}


@pytest.fixture(autouse=True)
def deep(monkeypatch):
    """Several steps to one exchange on the small grids of the tests, too."""
    monkeypatch.setattr(bands, "SMALL", {})
    monkeypatch.setattr(programs, "_programs", OrderedDict())


class Run:
    """A plan's blocks from its first state."""

    def __init__(self, words: str, banded: bool, apart: bool = False) -> None:
        composed = compose_settings([*shlex.split(words), "device.precision=float64"])
        plan = build_plan(composed.settings, composed.equation)
        form = {"banded": banded, "apart": apart}
        self.blocks = Blocks(plan.problem, plan.stepper, tf.float64, True, **form)
        self.zero, self.dt = (tf.constant(v, tf.float64) for v in (0.0, plan.step.dt))
        self.numbers = self.blocks.parameters, self.blocks.coefficients.tensors(plan.step.dt)
        state = tf.constant(plan.state, tf.float64)
        self.carry = self.blocks.init(state, self.zero, self.dt, *self.numbers)

    def to(self, *stops: int) -> np.ndarray:
        carry = self.carry
        for first, last in zip((0, *stops), stops, strict=False):
            steps = tf.constant(first, tf.int64), tf.constant(last, tf.int64)
            new, state, _ = self.blocks.advance(carry, self.zero, self.dt, *steps, *self.numbers)
            carry = state if new is None else new
        return state.numpy()


@pytest.mark.parametrize(("points", "steps"), [(64, 1), (128, 2), (256, 8)])
def test_small_grids_compile_few_kernels(points, steps, monkeypatch):
    monkeypatch.undo()
    problem = build_plan(
        compose_settings(["equation=gray_scott", f"grid={points}"]).settings
    ).problem
    assert bands.cut(problem, 1, 8).steps == steps


@pytest.mark.parametrize("words", [PROBLEMS["one field"], PROBLEMS["positions and momenta"]])
def test_bits_do_not_depend_on_how_long_ghosts_last(words, monkeypatch):
    """A member of a sweep that goes on alone has a smaller state than all together."""
    run = Run(words, banded=True)
    lasting, steps = run.to(STEPS), run.blocks.bands.steps
    monkeypatch.setattr(bands, "SMALL", {2**30: 1})
    run = Run(words, banded=True)
    assert run.blocks.bands.steps == 1 < steps
    assert np.array_equal(run.to(STEPS), lasting)


@pytest.mark.parametrize("words", PROBLEMS.values(), ids=PROBLEMS)
def test_bands_compute_what_the_plain_form_does(words, monkeypatch):
    plain = Run(words, banded=False).to(STEPS)
    run = Run(words, banded=True)
    assert run.blocks.bands is not None and run.blocks.slabs is None
    banded = run.to(STEPS)
    # sums are grouped alike; what is left is how XLA contracts constants
    assert np.abs(banded - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(7, 8, STEPS), banded), "another division into blocks"
    monkeypatch.setattr(flat, "PIECE_BYTES", 1)
    halves = Run(words, banded=True)
    if slabs.pieces(halves.blocks.bands, 8) == 2:
        assert np.abs(halves.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
        assert np.array_equal(halves.to(5, 21, STEPS), halves.to(STEPS)), "another division"
    cut_finely(monkeypatch)
    many = Run(words, banded=True)
    if many.blocks.slabs:
        cut = many.to(STEPS)
        assert np.abs(cut - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
        assert np.array_equal(many.to(1, 9, 18, STEPS), cut), "another division into blocks"


@pytest.mark.parametrize(
    "words",
    ["wave grid=[16,40] stepper=verlet", "gray_scott grid=[20,37] stepper=euler"],
)
def test_fields_worked_out_apart_are_the_same(words, monkeypatch):
    words = f"equation={words}"
    together, run = Run(words, banded=True), Run(words, banded=True, apart=True)
    apart = run.to(STEPS)
    assert np.abs(apart - together.to(STEPS)).max() <= 1e-13 * STEPS * np.abs(apart).max()
    assert np.array_equal(run.to(7, 8, STEPS), apart), "another division into blocks"
    monkeypatch.setattr(flat, "PIECE_BYTES", 1)
    halves = Run(words, banded=True, apart=True)
    assert np.abs(apart - halves.to(STEPS)).max() <= 1e-13 * STEPS * np.abs(apart).max()


def test_an_option_of_ones_own_is_left_alone(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_fast_math=false")
    assert not fills_several_arrays()
    fill_several_arrays()
    assert fills_several_arrays() and "fast_math" in os.environ["XLA_FLAGS"]
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_extra_options=xla_cpu_none=true")
    fill_several_arrays()
    assert not fills_several_arrays()


def test_one_kernel_for_positions_and_momenta(command, tmp_path):
    words = (
        "equation=wave", "stepper=verlet", "grid=384", "time.end=0.02", "time.dt=5e-4",
        "output.frames=4", "animation=none",
    )  # fmt: skip
    assert build_plan(compose_settings(words).settings).fuses_to_one_kernel
    command(*words, "hydra.run.dir=fast")
    command(*words, "hydra.run.dir=parts", "time.end=0.005", "output.frames=1")
    command("resume", "parts", "time.end=0.02")
    # an option of one's own is left alone, and two kernels serve as well
    own = "--xla_backend_extra_options=xla_cpu_none=true"
    command(*words, "hydra.run.dir=plain", XLA_FLAGS=own)
    frames = {}
    for name in ("fast", "parts", "plain"):
        with h5py.File(tmp_path / name / "snapshots.h5") as file:
            frames[name] = np.stack([file[field][-1] for field in ("u", "w")])
    assert np.array_equal(frames["fast"], frames["parts"])
    # float32, 40 steps
    largest = np.abs(frames["plain"]).max(axis=(1, 2), keepdims=True)
    assert (np.abs(frames["fast"] - frames["plain"]) <= 40 * 1e-7 * largest).all()


def followed(run: Run, *trials: int) -> list:
    """After blocks of so many steps of chosen size: the state, its time, and the next step."""
    end, tolerance = (tf.constant(value, tf.float64) for value in (50 * run.dt, 1e-6))
    state, time, dt, taken = run.carry, run.zero, run.dt, 0
    for some in trials:
        some = tf.constant(some, tf.int64)
        scale = tf.ones(len(run.blocks.problem.equation.fields), run.blocks.dtype)
        numbers = some, tolerance, scale, run.blocks.parameters
        _, state, finite, told = run.blocks.follow(state, time, end, dt, *numbers)
        (time, dt), taken = told[:2], taken + int(told[2])
        assert finite.numpy().all()
    assert taken > 5
    return [state.numpy(), time.numpy(), dt.numpy()]


def assert_same_steps(one: list, other: list) -> None:
    for a, b in zip(one, other, strict=True):
        # what differs by round-off, and chooses the steps by its size, differs by a little more
        assert np.abs(a - b).max() <= 1e-9 * np.abs(a).max()


@pytest.mark.parametrize("words", ["gray_scott grid=[20,24]", "gray_scott grid=64", "heat grid=32"])
def test_steps_of_chosen_size_are_those_of_the_plain_form(words):
    words = f"equation={words} stepper=dormand_prince"
    run = Run(words, banded=True)
    assert run.blocks.bands is not None and run.blocks.trial_slabs is None
    assert_same_steps(followed(Run(words, banded=False), 40), followed(run, 40))


@pytest.mark.parametrize(
    "words",
    [
        "gray_scott grid=[40,130] stepper=dormand_prince",  # slabs overlap, and tiles both ways
        "heat grid=[64,80] stepper=bogacki_shampine",
        "allen_cahn grid=150 stepper=dormand_prince",
    ],
)
def test_steps_of_chosen_size_in_slabs(words, monkeypatch):
    words = f"equation={words}"
    plain = followed(Run(words, banded=False), 40)
    cut_finely(monkeypatch)
    run = Run(words, banded=True)
    assert run.blocks.trial_slabs is not None
    cut = followed(run, 40)
    assert_same_steps(plain, cut)
    for a, b in zip(cut, followed(run, 7, 13, 20), strict=True):
        assert np.array_equal(a, b), "another division into blocks"


def cut_finely(monkeypatch, cores: int = 3, ghosts: int = 2, most: int = 0, width: int = 9) -> None:
    """Let small grids be cut into as many slabs, and those into as many tiles, as can be."""
    monkeypatch.setattr(flat, "WHOLE_BYTES", 1)
    monkeypatch.setattr(flat, "PIECE_BYTES", 1)
    monkeypatch.setattr(slabs, "TILE_BYTES", 1)
    monkeypatch.setattr(slabs, "TILE_WIDTH", width)
    monkeypatch.setattr(slabs, "GHOST_ROWS", dict.fromkeys((1, 2, 3), ghosts))
    monkeypatch.setattr(slabs, "MOST_ROWS", dict.fromkeys((1, 2, 3), most))
    monkeypatch.setattr(slabs, "_cores", lambda: cores)


TILED = {
    "stages": ("equation=gray_scott grid=[40,84] stepper=rk4", 8),
    "stages in three dimensions": ("equation=heat grid=[8,10,44] stepper=heun", 4),
    "many stages": ("equation=heat grid=[70,160] stepper=rkl2", 18),
    "slopes": ("equation=heat grid=[40,128] stepper=dormand_prince", 14),
    "a composition": ("equation=wave grid=[30,96] stepper=yoshida4", 6),
    "positions and momenta": ("equation=wave grid=[33,64] stepper=verlet", 6),
    "one dimension": ("equation=allen_cahn grid=96 stepper=euler", 6),
    "time": (
        "equation=custom grid=[30,80] stepper=heun time.dt=1e-3 domain.extent=1 "
        "equation.fields=[u] equation.rhs.u=\"'0.01*laplacian(u) + sin(t)*u'\"",
        8,
    ),
}


@pytest.mark.parametrize(("words", "ghosts"), TILED.values(), ids=TILED)
def test_tiles_compute_what_the_plain_form_does(words, ghosts, monkeypatch):
    plain = Run(words, banded=False).to(STEPS)
    cut_finely(monkeypatch, cores=2, ghosts=ghosts, width=max(9, ghosts))
    run = Run(words, banded=True)
    cut = run.blocks.slabs
    assert cut.count == 2 and cut.tile.steps > 1
    assert bool(cut.tile.width) == (len(cut.tile.problem.grid.shape) == 2)
    tiled = run.to(STEPS)
    assert np.abs(tiled - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(1, 9, 18, STEPS), tiled), "another division into blocks"


@pytest.mark.parametrize(
    ("words", "cut"),
    [
        ("gray_scott grid=2048 stepper=euler", True),
        ("gray_scott grid=512 stepper=euler", False),
        ("gray_scott grid=2048 stepper=euler device.jit=false", False),
        ("gray_scott grid=2048 stepper=dormand_prince", True),
        ("gray_scott domain.dimensions=3 grid=128 stepper=dormand_prince", False),
        ("gray_scott grid=2048 stepper=euler boundary=neumann", False),
        ("poisson grid=2048", False),
    ],
)
def test_runs_known_to_be_in_slabs(words, cut, monkeypatch):
    monkeypatch.setattr(slabs, "_cores", lambda: 2)
    composed = compose_settings(["domain.extent=10", *f"equation={words}".split()])
    assert programs.in_slabs(build_plan(composed.settings, composed.equation)) is cut


@pytest.mark.parametrize(("points", "threads"), [(1600, 1), (64, 0)])
def test_programs_side_by_side_have_one_thread_each(points, threads):
    code = (
        "import os\n"
        # on one core, since more of them than slabs would be left without work
        "if hasattr(os, 'sched_setaffinity'):\n"
        "    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from pdesim.config.compose import compose_settings\n"
        "from pdesim.plan import build_plan\n"
        "from pdesim.engine.startup import start_for\n"
        "words = ['equation=wave', 'stepper=verlet', 'device=cpu']\n"
        f"composed = compose_settings([*words, 'grid={points}'])\n"
        "start_for([build_plan(composed.settings, composed.equation)])\n"
        "import tensorflow as tf\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) == threads


def test_velocities_with_operators_in_slabs(monkeypatch):
    words = (
        "equation=custom grid=[12,64] stepper=verlet time.dt=1e-4 domain.extent=1 "
        "equation.fields=[a,b] equation.rhs.a=\"'laplacian(b)'\" equation.rhs.b=\"'-laplacian(a)'\""
    )
    plain = Run(words, banded=False).to(STEPS)
    cut_finely(monkeypatch, ghosts=4)
    run = Run(words, banded=True)
    assert run.blocks.slabs is not None
    assert np.abs(run.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()


@pytest.mark.parametrize("stepper", ["etdrk4", "sbdf2", "cnab2"])
def test_coefficients_in_pieces_are_those_of_all_modes(stepper, monkeypatch):
    run = Run(f"equation=gray_scott grid=[20,24] stepper={stepper} operators=spectral", False)
    whole = run.blocks.coefficients.host(0.1, run.blocks.problem.equation.parameters)
    monkeypatch.setattr("pdesim.engine.coefficients.PIECE", 50)
    pieces = run.blocks.coefficients.host(0.1, run.blocks.problem.equation.parameters)
    assert whole.keys() == pieces.keys()
    assert all(np.array_equal(whole[name], pieces[name]) for name in whole)


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("rows", [72, 79, 91])
def test_slabs_and_bands_need_not_divide_the_grid(rows, cores, monkeypatch):
    words = f"equation=gray_scott grid=[12,{rows}] stepper=euler"
    plain = Run(words, banded=False).to(STEPS)
    cut_finely(monkeypatch, cores)
    run = Run(words, banded=True)
    cut = run.blocks.slabs
    assert cut.count == cores and cut.rows > cut.tile.rows
    assert np.abs(run.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()


def test_members_are_cut_like_single_runs(monkeypatch):
    words = "equation=gray_scott grid=[12,48] stepper=euler device.precision=float64 time.end=20"
    plans = []
    for feed in (0.03, 0.04):
        composed = compose_settings([*words.split(), f"equation.F={feed}"])
        plans.append(build_plan(composed.settings, composed.equation))
    alone = [list(Simulation(plan, CPU).frames())[-1].state for plan in plans]
    cut_finely(monkeypatch)
    monkeypatch.setattr(programs, "_programs", OrderedDict())
    together = Simulation(plans, CPU)
    assert together.blocks.slabs is not None
    states = list(together.frames())[-1].state
    assert np.abs(states - np.stack(alone)).max() <= 1e-12


@pytest.mark.parametrize(
    "words",
    [
        "equation=heat grid=32 boundary=neumann",
        "equation=heat grid=32 operators=conv",
        "equation=swift_hohenberg grid=32 operators=stencil",
        "equation=heat grid=4 stepper=rkl2",
    ],
)
def test_what_bands_cannot_serve_stays_plain(words):
    composed = compose_settings(shlex.split(words))
    plan = build_plan(composed.settings, composed.equation)
    assert Blocks(plan.problem, plan.stepper, tf.float32, True, 0, True).bands is None
