"""Every shipped file composes and runs; every setting is checked; nonsense is told politely."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from conftest import make_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from pdesim.config.compose import choices, compose_settings, config_folder, groups
from pdesim.errors import ConfigError, FormulaError, PdesimError
from pdesim.model.grid import build_grid
from pdesim.model.initial_conditions import build_initial
from pdesim.plan import build_plan
from pdesim.run.resolution import growing_waves, note_after, notes_before, steepest
from pdesim.settings import read_settings

EQUATIONS = [name for name in choices("equation") if name != "custom"]


def test_the_steady_equation_is_solved(placement):
    """Those that evolve are run in tests/run/test_resume.py."""
    from pdesim.solvers.transform import solve

    assert solve(make_plan("equation=poisson", "grid=16"), placement).residual < 1e-3


@pytest.mark.parametrize("group", [g for g in groups() if g != "equation"])
def test_every_choice_composes(group):
    equation = {"stepper": "wave", "initial": "gray_scott"}.get(group, "heat")
    for name in choices(group):
        chosen = compose_settings([f"equation={equation}", f"{group}={name}"]).settings
        assert chosen is not None


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("name", ["heat", "wave", "gray_scott"])
def test_every_evolution_runs_in_every_dimension(evolve, name, dimensions):
    run = evolve(f"equation={name}", f"grid={[8] * dimensions}", "output.frames=1", "time.end=1e-3")
    assert run.states.shape[2:] == (8,) * dimensions


def test_no_config_names_code_to_run():
    for path in config_folder().rglob("*.yaml"):
        assert "_target_" not in path.read_text()


def test_group_folders_are_known_settings():
    from pdesim.settings import Settings

    assert set(groups()) <= set(Settings.model_fields)


def test_every_equation_states_its_reference():
    for name in EQUATIONS:
        values = yaml.safe_load((config_folder() / "equation" / f"{name}.yaml").read_text())
        assert values["equation"]["about"] and values["equation"]["reference"]


def test_the_shell_wins_over_the_equation_file():
    settings_ = compose_settings(
        ["equation=gray_scott", "domain.extent=1.5", "initial=noise", "equation.F=0.05"]
    ).settings
    assert settings_.domain.extent == 1.5
    assert settings_.initial == {"default": "random_normal(0.1)"}
    assert settings_.equation["F"] == 0.05


def test_a_users_own_equation_in_four_lines(evolve, tmp_path):
    folder = tmp_path / "equation"
    folder.mkdir()
    (folder / "allen_cahn.yaml").write_text(
        "eps: 0.01\nrhs:\n  u: eps**2*laplacian(u) + u - u**3\n"
    )
    composed = compose_settings(["equation=allen_cahn", "grid=16"], str(tmp_path))
    plan = build_plan(composed.settings, composed.equation)
    assert plan.equation.name == "allen_cahn" and plan.equation.fields == ("u",)


def test_parameters_may_be_formulas(evolve):
    run = evolve(
        "equation=custom",
        "equation.rhs={u: 'rate*u'}",
        "equation.rate='-slow*(1 + x)'",
        "equation.slow=0.5",
        "grid=[4]",
        "initial={u: 1}",
        "stepper=rk4",
        "time.end=1",
        "time.dt=0.01",
    )
    expected = np.exp(-0.5 * (1 + run.coordinates["x"]))
    np.testing.assert_allclose(run.field("u")[-1], expected, rtol=1e-9)


BAD = [
    ("gird=64", "grid"),
    ("equation=heta", "heat"),
    ("equation.DD=3", "D"),
    ("equation.D=nan", "finite"),
    ("equation.D=inf", "finite"),
    ("equation.D=true", "number"),
    ("equation.rhs.u='D*laplacian(q)'", "'q'"),
    ("operators=fft", "spectral"),
    ("operators.order=3", "2, 4, 6"),
    ("stepper=leapfrog", "verlet"),
    ("device=tpu", "gpu"),
    ("device.precision=float16", "float32"),
    ("animation=mpg", "mp4"),
    ("animation.fps=-1", "greater than 0"),
    ("animation.field=T", "u"),
    ("animation.field=sqrt(T)", "unknown name 'T'"),
    ("animation.field='laplacian(u)'", "without derivatives"),
    ("animation.colormap=viridiss", "did you mean 'viridis'"),
    ("animation.limits=[1,0]", "low < high"),
    ("initial={u: heat(}", "the value of initial"),  # not equation=heat, which is in the text, too
    ("boundary=open", "periodic"),
    ("boundary.x=open", "periodic"),
    ("boundary.q=neumann", "default"),
    ("boundary.x={lower: periodic, upper: neumann}", "both sides"),
    ("boundary.x={lower: {dirichlet: 'u + 1'}}", "'u'"),
    ("boundary.x={lower: {robin: {a: 0, b: 0, value: 1}}}", "a = b = 0"),
    ("initial.q=1", "default, u"),
    ("initial.u=sin(x)", "initial.u='sin(x)'"),
    ("initial.u='sin(x'", "^"),
    ("initial.u='1/(x-x)'", "zero"),
    ("initial.u='log(x - 2)'", "finite"),
    ("initial.u='u'", "cannot depend on the fields"),
    ("initial.u='image(\"none.png\")'", "none.png"),
    ('initial.u=\'snapshot("none.h5", "u")\'', "none.h5"),
    ("initial=nose", "noise"),
    ("time.end=-1", "after"),
    ("time.dt=0", "a positive number"),
    ("time.dt=fast", "auto"),
    ("time.tolerance=2", "between 0 and 1"),
    ("time.dt=1e-300", "steps"),
    ("seed=-1", "greater than or equal to 0"),
    ("seed=1.5", "integer"),
    ("output.frames=0", "greater than or equal to 1"),
    ("output.every=-2", "greater than 0"),
    ("output.compression=zip", "gzip"),
    ("domain.extent=-1", "a positive length"),
    ("domain.extent=[1,1,1]", "length"),
    ("domain.size=3", "extent"),
    ("foo", "grid=512"),
    ("=3", ""),
    ("grid", ""),
]
NONSENSE_GRIDS = [
    "0", "-5", "3.5", "abc", "1e3", "[]", "[0,4]", "[64,64,64,64]", "null", "true", "nan", "[8,x]",
    "{a: 1}", "10000000", "''", "[[8]]", "64x64", "inf", "2", "[8,-8]",
]  # fmt: skip


@pytest.mark.parametrize(
    "override,told", BAD + [(f"grid={value}", "grid") for value in NONSENSE_GRIDS]
)
def test_bad_input_is_one_clear_message(override, told):
    overrides = ["equation=heat", override] if "=heta" not in override else [override]
    if not override.startswith(("grid", "time.dt=1e-300")):
        overrides.insert(1, "grid=[16,16]")
    with pytest.raises(PdesimError) as caught:
        composed = compose_settings(overrides)
        build_plan(composed.settings, composed.equation)
    message = str(caught.value)
    assert told in message, message
    assert len(message.splitlines()) <= 8 and "Traceback" not in message


sizes = st.integers(4, 9)
lengths = st.floats(1e-6, 1e6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(sizes, lengths, st.floats(-1e3, 1e3)), min_size=1, max_size=3))
def test_grids(axes):
    points, extent, origin = (list(values) for values in zip(*axes, strict=True))
    grid = build_grid(
        read_settings(
            {
                "equation": {},
                "initial": {},
                "boundary": {},
                "grid": points,
                "domain": {"extent": extent, "origin": origin},
            }
        )
    )
    assert grid.shape == tuple(points[::-1])
    for axis in range(len(points)):
        x = grid.centres(axis)
        h = extent[axis] / points[axis]
        slack = 1e-9 * (abs(origin[axis]) + extent[axis])
        assert abs(x[0] - (origin[axis] + h / 2)) <= slack
        assert abs(x[-1] - (origin[axis] + extent[axis] - h / 2)) <= slack
        assert len(x) == points[axis]


def test_initial_states_are_reproducible_bit_for_bit():
    plans = [make_plan("equation=gray_scott", "grid=32", f"seed={seed}") for seed in (5, 5, 6)]
    assert np.array_equal(plans[0].state, plans[1].state)
    assert not np.array_equal(plans[0].state, plans[2].state)
    # two places in a formula, and two fields, draw different noise
    plan = make_plan(
        "equation=wave",
        "grid=32",
        "initial={u: 'random_normal(1) - random_normal(1)', w: 'random_normal(1)'}",
    )
    assert plan.state[0].std() == pytest.approx(np.sqrt(2), rel=0.1)
    assert abs(np.corrcoef(plan.state[0].ravel(), plan.state[1].ravel())[0, 1]) < 0.1


def test_spots_are_the_same_in_every_field_and_wrap_around():
    plan = make_plan(
        "equation=wave", "grid=64", "initial={u: 'spots(9, 0.1)', w: '2*spots(9, 0.1)'}"
    )
    assert np.array_equal(2 * plan.state[0], plan.state[1])
    assert set(np.unique(plan.state[0])) == {0.0, 1.0}


def test_pictures_and_snapshots_as_initial_states(tmp_path):
    import h5py
    from PIL import Image

    pixels = np.zeros((8, 8), np.uint8)
    pixels[:4] = 255  # the upper half of the picture is bright
    Image.fromarray(pixels).save(tmp_path / "half.png")
    plan = make_plan("equation=heat", "grid=16", f"initial.u='image(\"{tmp_path}/half.png\")'")
    assert plan.state[0, -2].min() > 0.9 and plan.state[0, 1].max() < 0.1
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["time"] = [0.0, 1.0]
        file["u"] = np.arange(2 * 16 * 16).reshape(2, 16, 16)
    plan = make_plan("equation=heat", "grid=16", f'initial.u=\'snapshot("{tmp_path}/s.h5", "u")\'')
    assert np.array_equal(plan.state[0], np.arange(256, 512).reshape(16, 16))


def test_a_misspelled_parameter_in_the_shell_is_an_error_and_one_left_over_a_note():
    with pytest.raises(ConfigError, match=r"equation\.Dx is unknown") as caught:
        compose_settings(["equation=heat", "equation.Dx=2"])
    assert "D" in str(caught.value)
    plan = make_plan("equation=poisson", "grid=8", "equation.source='sin(2*pi*x)'")
    assert [note for note in plan.notes if "equation.width" in note] == list(plan.notes) != []
    # given in the shell, known to the file: the same note
    words = "equation=poisson", "grid=8", "equation.source='x - 1/2'", "equation.width=0.1"
    assert make_plan(*words).notes == plan.notes
    # used by obstacles or an initial state only
    words = "equation=custom", "equation.rhs={u: '0'}", "equation.R=0.2", "grid=8", "time.end=1"
    assert make_plan(*words, "domain.mask='where(r < R, 1, 0)'", "boundary=neumann").notes == ()
    assert make_plan(*words, "initial.u='R*x'").notes == ()


@pytest.mark.parametrize(
    "state", ["spots(3, x)", "spots(-3, 0.1)", "spots(3, 0.1, 1/0.0001 - 1/D)", "spots(1e9, 0.1)"]
)
def test_spots_need_numbers_in_their_range(state):
    with pytest.raises(ConfigError, match="spots"):
        make_plan("equation=heat", "grid=8", "equation.D=1e-5", f"initial.u='{state}'")


@pytest.mark.parametrize("state", ["image(x)", "image(3)", 'random_normal("a")', '"a" + 1'])
def test_text_stands_only_where_a_file_is_named(state):
    with pytest.raises(FormulaError, match="text"):
        build_initial({"u": state}, ("u",), ("x", "y"), {})


@pytest.mark.parametrize(
    ("words", "extent"),
    [
        (["grid=[512,256]", "domain.extent=2.5"], (2.5, 1.25)),
        (["grid=[256,512]", "domain.extent=2.5"], (2.5, 5.0)),  # the number is the length along x
        (["grid=[8,4,16]", "domain.extent=1"], (1.0, 0.5, 2.0)),
        (["grid=[512,256]", "domain.extent=[2.5,2.5]"], (2.5, 2.5)),  # as given
        (["grid=64", "domain.extent=2.5"], (2.5, 2.5)),
        (["grid=[64]", "domain.extent=2.5"], (2.5,)),
    ],
)
def test_one_extent_makes_square_cells(words, extent):
    grid = build_grid(compose_settings(words).settings)
    assert grid.extent == extent
    if "2.5,2.5" not in words[1]:
        assert len(set(grid.spacing)) == 1


@pytest.mark.parametrize("name", [name for name in EQUATIONS if name != "poisson"])
def test_shipped_grids_resolve_what_grows(name):
    assert notes_before(make_plan(f"equation={name}")) == []


@pytest.mark.parametrize(
    ("words", "length"),
    [
        (["equation=cahn_hilliard", "grid=[256]"], 2 * np.pi * np.sqrt(2)),  # k^2 = 1/(2 gamma)
        (["equation=swift_hohenberg", "grid=[256]"], 2 * np.pi),
        (["equation=kuramoto_sivashinsky", "grid=[256]"], 2 * np.pi * np.sqrt(2)),
        # J = [[1, -1], [1, -1]] where u = 0, with Du = 1e-3 and Dv = 5e-3: growth is fastest where
        # q = k^2 solves q^2 + 1000 q = 200000
        (
            ["equation=fitzhugh_nagumo", "grid=[128]", "initial.u=0", "initial.v=0"],
            2 * np.pi / np.sqrt(170.82),
        ),
    ],
)
def test_pattern_wavelengths(words, length):
    """Against the dispersion relations of the equations; wave numbers are tried 10 % apart."""
    assert growing_waves(make_plan(*words)).pattern == pytest.approx(length, rel=0.1)


def test_coarse_grids_are_warned_of():
    (told,) = notes_before(make_plan("equation=gray_scott", "grid=64"))
    assert "cells: fronts" in told and "grid=224" in told
    assert notes_before(make_plan("equation=gray_scott", "grid=224")) == []
    assert notes_before(make_plan("equation=gray_scott", "grid=64", "domain.extent=0.6")) == []
    words = ("equation=swift_hohenberg", "operators=stencil", "stepper=rk4", "grid=[64]")
    (told,) = notes_before(make_plan(*words))  # 3.1 cells for a wave of 2 pi
    assert "wavelength of 6." in told and "grid=[" in told
    # 4.2 cells for the shortest growing wave: this run ends with infinite values
    (told,) = notes_before(
        make_plan("equation=kuramoto_sivashinsky", "grid=64", "domain.extent=100")
    )
    assert "wavelength of 6." in told and "grid=96" in told
    assert notes_before(make_plan("equation=kuramoto_sivashinsky", "grid=64")) == []
    (told,) = notes_before(make_plan("equation=heat", "grid=[32,32]", "domain.extent=[1,2]"))
    assert "not square" in told
    # reactions without diffusion grow at all wavelengths alike, and say nothing about the grid
    logistic = ("equation=custom", "equation.rhs={u: 'u - u**3'}", "grid=[16]")
    assert growing_waves(make_plan(*logistic)).shortest is None


def test_steep_fronts_at_the_end_are_noticed():
    plan = make_plan("equation=gray_scott", "grid=[16,16]", "domain.extent=0.1")
    smooth, jump = np.zeros((2, 16, 16)), np.zeros((2, 16, 16))
    smooth[:] = np.sin(2 * np.pi * (np.arange(16) + 0.5) / 16)
    jump[1, :, 8:] = 1
    assert note_after(plan, smooth) is None
    assert "v changes by 100%" in note_after(plan, jump)
    # steps at the faces of obstacles, and of fields without derivatives, are no fronts
    assert steepest(jump[1], jump[1] > 0.5) == 0
    plan = make_plan("equation=custom", "equation.rhs={u: 'where(x < 0.5, 1, 0)'}", "grid=[16,16]")
    assert note_after(plan, jump[1:]) is None
