"""Input that used to give wrong results without a word."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from conftest import make_plan
from PIL import Image

import pdesim
from pdesim import files
from pdesim.errors import ConfigError, OutputError, PdesimError

HEAT = ("equation=heat", "grid=8")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("output.dtype=float16", "initial.u=1e5"), "float16 stores as inf"),
        (("output.dtype=float16", "initial.u=-1e5"), "float16 stores as inf"),
        (("output.dtype=float16", "initial.u=1e-9"), "float16 stores as 0"),
        (("output.dtype=float32", "device.precision=float64", "initial.u=1e39"), "stores as inf"),
        (("equation.units={q: K}",), r"units.q does not name a field"),
        (("equation.labels={temperature: T}",), r"labels.temperature does not name a field"),
        (("initial.u='random_uniform(1, 0)'",), "upper bound below"),
        (("initial.u='random_uniform(x, 0.5)'",), "upper bound below"),
        (("initial.u='spots(2, 0.1, -1)'",), "smoothness in spots"),
        (("initial.u='spots(2, -0.1)'",), "radius in spots"),
        (("initial={u: 0, default: 'sin('}",), "initial.default"),
        (("initial={u: 0, default: 'nonsense*2'}",), "nonsense"),
        (("boundary={default: {dirichlet: 'sin('}, x: neumann, y: neumann}",), "boundary.default"),
        (
            ("boundary={x: {lower: {dirichlet: 'q'}, upper: neumann}, u: {default: neumann}}",),
            "boundary.x.lower.dirichlet",
        ),
    ],
)
def test_mistakes_are_reported_before_the_run(settings, told):
    with pytest.raises(PdesimError, match=told):
        make_plan(*HEAT, *settings)


def test_what_is_unused_and_right_stays_allowed():
    make_plan(*HEAT, "initial={u: 0, default: 'sin(pi*z) + random_normal(0.1)'}")
    make_plan(*HEAT, "initial.u='random_uniform(0.5, 0.5)'")
    make_plan(*HEAT, "output.dtype=float16", "initial.u=65504")  # the largest of float16
    make_plan(*HEAT, "output.dtype=float16", "initial.u=0")


def test_a_later_frame_beyond_the_stored_type_is_told_once(tmp_path, placement):
    run = pdesim.simulate(
        "equation=custom", "equation.rhs={u: 'a*u'}", "+equation.a=1", "grid=[4]", "initial.u=1e4",
        "time.end=4", "output.frames=4", "output.dtype=float16", "animation=none",
        folder=tmp_path / "run",
    )  # fmt: skip
    # 1e4*exp(t) passes 65504 at t = 1.88
    status = json.loads((run.folder / "status.json").read_text())
    assert status["stored_as_infinity_since"] == {"u": 2.0}
    log = (run.folder / "pdesim.log").read_text()
    assert log.count("exceeds the range of float16 at t = 2") == 1
    with run.snapshots as snapshots:
        assert np.isfinite(snapshots["u"][:2]).all() and np.isinf(snapshots["u"][2:]).all()


# --- pictures: the same grey, 0 to 1 from left to right and from top to bottom, in every type

RAMP = np.add.outer(np.linspace(0, 0.5, 6), np.linspace(0, 0.5, 8))


def save(path, kind: str):
    if kind == "8":
        Image.fromarray(np.round(RAMP * 255).astype(np.uint8)).save(path)
    elif kind == "16":
        Image.fromarray(np.round(RAMP * 65535).astype(np.uint16)).save(path)
    elif kind == "colour":
        grey = np.round(RAMP * 255).astype(np.uint8)
        Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path)
    else:
        Image.fromarray(RAMP.astype(np.float32)).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "tolerance"),
    [  # half of the last digit that the type holds
        ("a.png", "8", 0.5 / 255),
        ("a.bmp", "8", 0.5 / 255),
        ("a.png", "colour", 0.5 / 255),
        ("a.png", "16", 0.5 / 65535),
        ("a.tif", "16", 0.5 / 65535),
        ("a.tif", "float", 1e-7),
    ],
)
def test_pictures_of_every_type_have_the_same_brightness(tmp_path, name, kind, tolerance):
    values = files.read_picture(save(tmp_path / name, kind))
    np.testing.assert_allclose(values, RAMP[::-1], rtol=0, atol=tolerance + 1e-7)


def test_a_picture_on_its_own_grid_is_not_changed(tmp_path):
    path = save(tmp_path / "a.png", "16")
    plan = make_plan("equation=heat", "grid=[8,6]", f"initial.u='image(\"{path}\")'")
    np.testing.assert_allclose(plan.state[0], RAMP[::-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("values", [RAMP * 3, RAMP - 0.1, RAMP * np.nan])
def test_floating_point_pictures_lie_within_0_and_1(tmp_path, values):
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(OutputError, match="values from"):
        files.read_picture(tmp_path / "a.tif")


def test_pictures_that_start_other_programs_are_not_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(OutputError, match="cannot be read as a picture"):
        files.read_picture(tmp_path / "a.png")


def test_complex_snapshots_keep_their_imaginary_part_or_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = np.full((8, 8), 1 + 1j)
    with pytest.raises((OutputError, ConfigError), match="complex"):
        make_plan(*HEAT, f'initial.u=\'snapshot("{tmp_path}/a.h5", "u")\'')
