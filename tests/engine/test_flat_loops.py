"""Flat arrays and slabs against the plain formulation, and against any division into blocks."""

import os
import shlex
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import processes
import pytest
import tensorflow as tf
from step_loops import STEPS, Run, assert_same_steps, finely, followed, plain_form

from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.engine import compile_cache as programs
from pdesim.engine.device import Placement, fill_several_arrays, fills_several_arrays
from pdesim.engine.flat import layout, slabs
from pdesim.engine.flat.eligibility import fuses_to_one_kernel
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.simulation import Simulation
from pdesim.engine.startup import start_for
from pdesim.engine.step import StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import build_plan

CPU = Placement("/CPU:0", "CPU")

PROBLEMS = {
    "one field": "equation=heat grid=[24,20] stepper=euler",
    "reaction": "equation=gray_scott grid=[20,37] stepper=rk4",
    "diagonals": "equation=gray_scott grid=[16,24] domain.extent=[1.6,2.4] stepper=euler "
    "operators.isotropic=true",
    "sixth order": "equation=gray_scott grid=[16,40] stepper=euler operators.order=6",
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


#: problems with tiles of several steps, and the ghost rows that those need
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


@pytest.mark.parametrize(("points", "steps"), [(64, 1), (128, 2), (256, 8)])
def test_small_grids_compile_few_kernels(points, steps):
    problem = build_plan(
        compose_settings(["equation=gray_scott", f"grid={points}"]).settings
    ).problem
    assert layout.decompose(problem, 1, 8).steps == steps


@pytest.mark.parametrize("words", [PROBLEMS["one field"], TILED["positions and momenta"][0]])
def test_bits_do_not_depend_on_how_long_ghosts_last(words):
    """A member of a sweep that goes on alone has a smaller state than all together."""
    run = Run(words, flat=True)
    lasting, steps = run.to(STEPS), run.loop.layout.steps
    run = Run(words, flat=True, tuning=Tuning(small_grid_depths={2**30: 1}))
    assert run.loop.layout.steps == 1 < steps
    assert np.array_equal(run.to(STEPS), lasting)


#: those of TILED are compared in tiles by a test of their own, with the same plain form
BANDED = PROBLEMS | {
    name: TILED[name][0]
    for name in (
        "stages in three dimensions", "many stages", "a composition", "positions and momenta",
        "one dimension",
    )
}  # fmt: skip


@pytest.mark.parametrize("words", BANDED.values(), ids=BANDED)
def test_flat_arrays_give_the_results_of_the_plain_form(words):
    plain = plain_form(words)
    run = Run(words, flat=True)
    assert run.loop.layout is not None and run.loop.slabs is None
    banded = run.to(STEPS)
    # sums are grouped alike; what is left is how XLA contracts constants
    assert np.abs(banded - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(7, 8, STEPS), banded), "another division into blocks"
    two = Tuning(small_grid_depths={}, single_band_bytes=1)
    halves = Run(words, flat=True, tuning=two)
    if slabs.band_count(halves.loop.layout, 8, two) == 2:
        assert np.abs(halves.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
        assert np.array_equal(halves.to(5, 21, STEPS), halves.to(STEPS)), "another division"
    if words not in PROBLEMS.values():
        return
    many = Run(words, flat=True, tuning=finely())
    if many.loop.slabs:
        cut = many.to(STEPS)
        assert np.abs(cut - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
        assert np.array_equal(many.to(1, 9, 18, STEPS), cut), "another division into blocks"


@pytest.mark.parametrize(
    "words",
    [TILED["positions and momenta"][0], "equation=gray_scott grid=[20,37] stepper=euler"],
)
def test_fields_computed_separately_are_the_same(words):
    run = Run(words, flat=True, separate=True)
    apart = run.to(STEPS)
    # together they are the same as the plain form, too
    assert np.abs(apart - plain_form(words)).max() <= 1e-13 * STEPS * np.abs(apart).max()
    assert np.array_equal(run.to(7, 8, STEPS), apart), "another division into blocks"
    two = Tuning(small_grid_depths={}, single_band_bytes=1)
    halves = Run(words, flat=True, separate=True, tuning=two)
    assert np.abs(apart - halves.to(STEPS)).max() <= 1e-13 * STEPS * np.abs(apart).max()


def test_an_option_of_ones_own_is_left_alone(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_fast_math=false")
    assert not fills_several_arrays()
    fill_several_arrays()
    assert fills_several_arrays() and "fast_math" in os.environ["XLA_FLAGS"]
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_extra_options=xla_cpu_none=true")
    fill_several_arrays()
    assert not fills_several_arrays()


def run_commands(folder: Path, *lines: list[str]) -> list[int]:
    """The exit codes of commands in this process, which compiles their program once."""
    os.chdir(folder)
    return [main(line) for line in lines]


def test_one_kernel_for_positions_and_momenta(command, tmp_path):
    words = (
        "equation=wave", "stepper=verlet", "grid=384", "time.end=0.02", "time.dt=5e-4",
        "output.frames=4", "animation=none",
    )  # fmt: skip
    assert fuses_to_one_kernel(build_plan(compose_settings(words).settings))
    lines = (
        [*words, "hydra.run.dir=fast"],
        [*words, "hydra.run.dir=parts", "time.end=0.005", "output.frames=1"],
        ["resume", "parts", "time.end=0.02"],
    )
    with ProcessPoolExecutor(1, mp_context=processes.context) as pool:
        assert pool.submit(run_commands, tmp_path, *lines).result() == [0, 0, 0]
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


@pytest.mark.parametrize("words", ["gray_scott grid=[20,24]", "heat grid=32"])
def test_steps_of_chosen_size_are_those_of_the_plain_form(words):
    words = f"equation={words} stepper=dormand_prince"
    run = Run(words, flat=True)
    assert run.loop.layout is not None and run.loop.adaptive_slabs is None
    assert_same_steps(followed(Run(words, flat=False), 40), followed(run, 40))


@pytest.mark.parametrize(
    "words",
    [
        "gray_scott grid=[40,130] stepper=dormand_prince",  # slabs overlap, and tiles both ways
        "heat grid=[64,80] stepper=bogacki_shampine",
        "allen_cahn grid=150 stepper=dormand_prince",
    ],
)
def test_adaptive_steps_in_slabs(words):
    words = f"equation={words}"
    plain = followed(Run(words, flat=False), 40)
    run = Run(words, flat=True, tuning=finely())
    assert run.loop.adaptive_slabs is not None
    cut = followed(run, 40)
    assert_same_steps(plain, cut)
    for a, b in zip(cut, followed(run, 7, 13, 20), strict=True):
        assert np.array_equal(a, b), "another division into blocks"


@pytest.mark.parametrize(("words", "ghosts"), TILED.values(), ids=TILED)
def test_tiles_give_the_results_of_the_plain_form(words, ghosts):
    plain = plain_form(words)
    tuning = finely(cores=2, ghosts=ghosts, width=max(9, ghosts))
    run = Run(words, flat=True, tuning=tuning)
    cut = run.loop.slabs
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
        ("gray_scott grid=2048 stepper=euler boundary=neumann", True),
        ("gray_scott grid=2048 stepper=euler domain.mask=r-1", True),
        ("gray_scott grid=2048 stepper=euler operators=conv", False),
        ("poisson grid=2048", False),
    ],
)
def test_runs_known_to_be_in_slabs(words, cut):
    composed = compose_settings(["domain.extent=10", *f"equation={words}".split()])
    plan = build_plan(composed.settings, composed.equation)
    assert programs.uses_slabs(plan, Tuning(cores=2)) is cut


def threads_of_a_run(points: int) -> int:
    """The threads of a kernel in this process, which computes one run."""
    if hasattr(os, "sched_setaffinity"):
        # on one core, since more of them than slabs would be left without work
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    words = ["equation=wave", "stepper=verlet", "device=cpu", f"grid={points}"]
    composed = compose_settings(words)
    start_for([build_plan(composed.settings, composed.equation)])
    return tf.config.threading.get_intra_op_parallelism_threads()


@pytest.mark.parametrize(("points", "threads"), [(1600, 1), (64, 0)])
def test_programs_side_by_side_have_one_thread_each(points, threads):
    with ProcessPoolExecutor(1, mp_context=processes.context) as pool:
        assert pool.submit(threads_of_a_run, points).result() == threads


def test_velocities_with_operators_in_slabs():
    words = (
        "equation=custom grid=[12,64] stepper=verlet time.dt=1e-4 domain.extent=1 "
        "equation.fields=[a,b] equation.rhs.a=\"'laplacian(b)'\" equation.rhs.b=\"'-laplacian(a)'\""
    )
    plain = plain_form(words)
    run = Run(words, flat=True, tuning=finely(ghosts=4))
    assert run.loop.slabs is not None
    assert np.abs(run.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()


@pytest.mark.parametrize("stepper", ["etdrk4", "sbdf2", "cnab2"])
def test_coefficients_in_pieces_are_those_of_all_modes(stepper, monkeypatch):
    run = Run(f"equation=gray_scott grid=[20,24] stepper={stepper} operators=spectral", False)
    whole = run.loop.coefficients.host(0.1, run.loop.problem.equation.parameters)
    monkeypatch.setattr("pdesim.engine.coefficients.PIECE", 50)
    pieces = run.loop.coefficients.host(0.1, run.loop.problem.equation.parameters)
    assert whole.keys() == pieces.keys()
    assert all(np.array_equal(whole[name], pieces[name]) for name in whole)


# a remainder of 1, of 0 and of 2 rows
@pytest.mark.parametrize(("rows", "cores"), [(79, 1), (91, 2), (72, 3), (79, 3), (80, 3)])
def test_slabs_and_tiles_need_not_divide_the_grid(rows, cores):
    words = f"equation=gray_scott grid=[12,{rows}] stepper=euler"
    plain = plain_form(words)
    run = Run(words, flat=True, tuning=finely(cores))
    cut = run.loop.slabs
    assert cut.count == cores and cut.rows > cut.tile.rows
    assert np.abs(run.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()


def test_members_are_cut_like_single_runs():
    words = "equation=gray_scott grid=[12,48] stepper=euler device.precision=float64 time.end=20"
    plans = []
    for feed in (0.03, 0.04):
        composed = compose_settings([*words.split(), f"equation.F={feed}"])
        plans.append(build_plan(composed.settings, composed.equation))
    alone = [list(Simulation(plan, CPU).frames())[-1].state for plan in plans]
    together = Simulation(plans, CPU, finely())
    assert together.loop.slabs is not None
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
def test_other_problems_stay_plain(words):
    composed = compose_settings(shlex.split(words))
    plan = build_plan(composed.settings, composed.equation)
    context = StepContext(plan.problem, plan.stepper, tf.float32, Target(flat=True))
    assert TimeLoop(context).layout is None
