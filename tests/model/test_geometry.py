"""Curvilinear coordinates and stretched axes, compared with exact solutions."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest

import pdesim
from pdesim.errors import PdesimError
from pdesim.export import export
from pdesim.render.field_reader import open_field


def simulate(folder, rhs, grid, geometry="cartesian", stretch=None, **more):
    """Run du/dt = rhs, and return the coordinates, the first and last frame, and all series."""
    domain = {"geometry": geometry, "dimensions": len(grid), **more.pop("domain", {})}
    if stretch:
        domain["stretch"] = stretch
    words = more.pop("words", ())
    more.setdefault("boundary", {"default": "neumann"})
    more.setdefault("initial", {"u": 1})
    end = more.pop("end", 0.02)
    fields = {"equation.fields": "{v: vector}"} if rhs.startswith("{v") else {}
    text = rhs if rhs.startswith("{") else f"{{u: '{rhs}'}}"
    run = pdesim.simulate(
        "equation=custom", f"equation.rhs={text}", *(f"{k}={v}" for k, v in fields.items()), *words,
        folder=folder, grid=list(grid), domain=domain, time={"end": end}, animation="none",
        output={"frames": 1}, device={"precision": "float64"}, **more,
    )  # fmt: skip
    return run


def order(errors):
    """Return the order between the last two of a sequence of errors on halved cells."""
    return math.log2(errors[-2] / errors[-1])


def bessel(number, k, name="r"):
    """Return the power series of J_n(k r) as a formula; 14 terms reach round-off for k < 5."""

    def term(m):
        factor = (-1) ** m * (k / 2) ** (2 * m + number)
        return factor / math.factorial(m) / math.factorial(m + number), 2 * m + number

    terms = (f"{factor!r}*{name}**{power}" for factor, power in map(term, range(14)))
    return "+".join(terms).replace("+-", "-")


def values_of(formula, r):
    return eval(formula, {"r": r})


K01 = 2.404825557695773  # zero of J0
K11 = 3.8317059702075125  # zero of J1, the derivative of J0
P11 = 1.8411837813406593  # zero of the derivative of J1


@pytest.mark.parametrize(
    "upper, k, stretch",
    [
        ("dirichlet", K01, None),
        ("neumann", K11, {"r": "exp(1)"}),
        ("dirichlet", K01, {"r": "(s + s**3)/2"}),
    ],
)
def test_a_disk_cools_like_a_bessel_function(tmp_path, upper, k, stretch):
    errors, mode = [], bessel(0, k)
    for n in (16, 32):
        run = simulate(
            tmp_path / str(n), "laplacian(u)", [n], "radial", stretch,
            boundary={"default": upper}, initial={"u": mode}, stepper="rk4",
        )  # fmt: skip
        frames = run.to_xarray()
        assert frames.u.dims == ("time", "r")
        exact = values_of(mode, frames.r.values) * math.exp(-(k**2) * 0.02)
        errors.append(np.abs(frames.u.values[-1] - exact).max())
    assert order(errors) > 1.75  # 2 on finer grids
    assert errors[-1] < 2e-3


@pytest.mark.parametrize("stretch", [None, {"r": "tanh(1)"}])
def test_a_ball_cools_like_a_spherical_bessel_function(tmp_path, stretch):
    errors = []
    for n in (16, 32):
        run = simulate(
            tmp_path / str(n), "laplacian(u)", [n], "spherical", stretch,
            boundary={"default": "dirichlet"}, initial={"u": "sin(pi*r)/r"}, stepper="heun",
        )  # fmt: skip
        frames = run.to_xarray()
        r = frames.r.values
        exact = np.sin(math.pi * r) / r * math.exp(-(math.pi**2) * 0.02)
        errors.append(np.abs(frames.u.values[-1] - exact).max())
    assert order(errors) > 1.75


def test_a_mode_of_a_finite_cylinder(tmp_path):
    mode, errors = bessel(0, K11), []
    for n in (8, 16):
        run = simulate(
            tmp_path / str(n), "laplacian(u)", [n, 2 * n], "axisymmetric", {"z": "tanh(1)"},
            domain={"extent": [1.0, 2.0]}, initial={"u": f"1 + ({mode})*cos(pi*z)"},
        )  # fmt: skip
        frames = run.to_xarray()
        assert frames.u.dims == ("time", "z", "r")
        decay = math.exp(-(K11**2 + math.pi**2) * 0.02)
        along = np.cos(math.pi * frames.z.values)
        exact = 1 + decay * np.outer(along, values_of(mode, frames.r.values))
        errors.append(np.abs(frames.u.values[-1] - exact).max())
    assert order(errors) > 1.8


def test_the_steady_state_of_a_ring_with_a_robin_condition(tmp_path):
    """u = 1 + b log(r), with 2 u + du/dr = 0 at r = 2."""
    slope, errors = -2 / (2 * math.log(2) + 0.5), []
    robin = {"robin": {"a": 2, "b": 1, "value": 0}}
    for n in (16, 32):
        run = pdesim.simulate(
            "equation=custom", "equation.solve={u: 'laplacian(u)'}", folder=tmp_path / str(n),
            grid=[n], animation="none", device={"precision": "float64"},
            domain={"geometry": "radial", "origin": 1.0, "stretch": {"r": "tanh(1.5)"}},
            boundary={"r": {"lower": {"dirichlet": 1}, "upper": robin}}, initial={"u": 0},
        )  # fmt: skip
        frames = run.to_xarray()
        exact = 1 + slope * np.log(frames.r.values)
        errors.append(np.abs(frames.u.values[-1] - exact).max())
    assert order(errors) > 1.9


def test_the_physical_normal_derivative_is_given(tmp_path):
    """u = x^2 has du/dx = 2 at x = 1 on a stretched axis, and laplacian(u) = 2."""
    run = pdesim.simulate(
        "equation=custom", "equation.solve={u: 'laplacian(u) - 2'}", folder=tmp_path / "run",
        grid=[64], domain={"dimensions": 1, "stretch": {"x": "exp(2)"}}, animation="none",
        boundary={"x": {"lower": {"dirichlet": 0}, "upper": {"neumann": 2}}}, initial={"u": 0},
        device={"precision": "float64"},
    )  # fmt: skip
    frames = run.to_xarray()
    # of order h^2 = 2e-4; a derivative by the other coordinate would give an error of order 1
    assert np.abs(frames.u.values[-1] - frames.x.values**2).max() < 1e-3


@pytest.mark.parametrize(
    "rhs",
    [
        "laplacian(u)",
        "divergence((1 + u**2)*gradient(u))",
        "divergence(where(r > 0.5, 1, 0.1)*gradient(u))",
        "laplacian(u**3 - u - 0.01*laplacian(u))",
        "-advect([r*(1 - r)], u)",
    ],
)
@pytest.mark.parametrize("geometry, stretch", [("radial", None), ("spherical", {"r": "tanh(1)"})])
def test_the_integral_is_conserved(tmp_path, geometry, rhs, stretch):
    run = simulate(
        tmp_path / "run", rhs, [24], geometry, stretch, initial={"u": "0.3*cos(pi*r) + 0.1*r**2"},
        observe={"total": "integral(u)"}, end=0.01,
    )  # fmt: skip
    with h5py.File(run.folder / "series.h5") as file:
        total = file["total"][:]
    # sums of 24 numbers of order 1 in float64, over some hundred steps
    assert np.ptp(total) < 1e-12


@pytest.mark.parametrize(
    "geometry, extent, volume",
    [("radial", 2.0, 4 * math.pi), ("spherical", 2.0, 32 / 3 * math.pi)],
)
def test_volumes_of_cells_add_up(tmp_path, geometry, extent, volume):
    run = simulate(
        tmp_path / "run", "0*u", [16], geometry, {"r": "tanh(2)"}, domain={"extent": extent},
        observe={"volume": "integral(1 + 0*u)", "one": "mean(1 + 0*u)"}, probes={"a": [1.0]},
        initial={"u": "r"},
    )  # fmt: skip
    with h5py.File(run.folder / "series.h5") as file:
        assert file["volume"][0] == pytest.approx(volume, rel=1e-12)
        assert file["one"][0] == pytest.approx(1.0, rel=1e-12)
        assert file["a_u"][0] == pytest.approx(1.0, rel=1e-12)  # linear between centres


def test_the_radial_component_of_a_vector(tmp_path):
    """The vector Laplacian of J1(k r) in the direction of r is -k^2 J1(k r)."""
    mode, errors = bessel(1, P11), []
    for n in (16, 32):
        run = simulate(
            tmp_path / str(n), "{v: 'laplacian(v)'}", [n], "radial", initial={"v": [mode]}
        )
        frames = run.to_xarray()
        exact = values_of(mode, frames.r.values) * math.exp(-(P11**2) * 0.02)
        errors.append(np.abs(frames.v_r.values[-1] - exact).max())
    assert order(errors) > 1.9


def test_the_divergence_and_gradients(tmp_path):
    """Of v = r in a ball, 3; the derivatives of r^2 are 2 r and 2."""
    for rhs, exact in [
        ("divergence([r])", 3.0), ("laplacian(r**2)", 6.0), ("d2_dr2(r**2)", 2.0),
        ("gradient_squared(r**2)/r**2", 4.0), ("dot([r], gradient(r**2))/r**2", 2.0),
    ]:  # fmt: skip
        run = simulate(
            tmp_path / rhs.replace("/", "_").replace("*", "x"), rhs, [16], "spherical",
            boundary={"default": {"dirichlet": 1}}, initial={"u": 0}, stepper="euler",
            words=["time.dt=0.01"],
        )  # fmt: skip
        rate = run.to_xarray().u.values[-1] / 0.02
        # central differences of squares are exact, but for ghost cells of formulas of position. No
        # flux passes through the axis
        inside = slice(0 if "lap" in rhs or "div" in rhs else 1, -1)
        np.testing.assert_allclose(rate[inside], exact, rtol=1e-9, err_msg=rhs)


def test_small_cells_resolve_a_boundary_layer(tmp_path):
    """-eps u'' + u' = 1: with equal numbers of cells, those that are small at x = 1 are better."""
    eps, errors = 0.02, {}
    for name, stretch in {"equal": {}, "small": {"stretch": {"x": "exp(-3)"}}}.items():
        for n in (32, 64):
            run = pdesim.simulate(
                "equation=custom", "equation.solve={u: 'eps*laplacian(u) - d_dx(u) + 1'}",
                f"equation.eps={eps}", folder=tmp_path / f"{name}{n}", grid=[n],
                domain={"dimensions": 1, **stretch}, boundary={"default": "dirichlet"},
                initial={"u": 0}, device={"precision": "float64"}, animation="none",
            )  # fmt: skip
            frames = run.to_xarray()
            x, end = frames.x.values, math.exp(-1 / eps)
            exact = x - (np.exp((x - 1) / eps) - end) / (1 - end)
            errors[name, n] = np.abs(frames.u.values[-1] - exact).max()
    assert errors["small", 64] < errors["equal", 64] / 20
    assert math.log2(errors["small", 32] / errors["small", 64]) > 1.9


def test_a_smooth_map_of_a_periodic_axis(tmp_path):
    errors = []
    for n in (32, 64):
        run = simulate(
            tmp_path / str(n), "laplacian(u)", [n], "cartesian", {"x": "s + 0.1*sin(2*pi*s)"},
            boundary={"default": "periodic"}, initial={"u": "sin(2*pi*x)"},
        )  # fmt: skip
        frames = run.to_xarray()
        exact = np.sin(2 * math.pi * frames.x.values) * math.exp(-4 * math.pi**2 * 0.02)
        errors.append(np.abs(frames.u.values[-1] - exact).max())
    assert order(errors) > 1.9


@pytest.mark.parametrize("operators", ["stencil", "conv"])
def test_precisions_and_operators_agree(tmp_path, operators):
    frames = []
    for precision in ("float32", "float64"):
        run = pdesim.simulate(
            "equation=cylinder", f"operators={operators}", folder=tmp_path / precision,
            grid=[16, 64], device={"precision": precision}, time={"end": 0.2, "dt": 2e-3},
            stepper="rk4", output={"frames": 2}, animation="none",
        )  # fmt: skip
        frames.append(run.to_xarray().u.values)
    np.testing.assert_allclose(*frames, atol=2e-5)  # round-off of 100 steps in float32


def test_members_of_a_sweep_equal_single_runs(tmp_path):
    common = {
        "grid": [32], "animation": "none", "time": {"end": 0.5, "dt": 5e-4}, "stepper": "rk4",
        "output": {"frames": 2},
    }  # fmt: skip
    sweep = pdesim.sweep(
        "equation=radial_heat", over={"equation.D": [0.02, 0.05]}, folder=tmp_path / "sweep",
        **common,
    )  # fmt: skip
    single = pdesim.simulate(
        "equation=radial_heat", "equation.D=0.05", folder=tmp_path / "single", **common
    )
    last = single.to_xarray().u.values[-1]
    assert sweep.u.dims[-1] == "r"
    np.testing.assert_allclose(sweep.u.values[1].ravel(), last, atol=1e-6)  # float32


@pytest.mark.parametrize(
    "rhs, grid, geometry, more, message",
    [
        ("laplacian(u)", [16, 16], "radial", {}, "2-D grid"),
        ("laplacian(u)", [16], "axisymmetric", {}, "1-D grid"),
        ("laplacian(u)", [16], "radial", {"boundary": {"default": "periodic"}}, "is a radius"),
        (
            "laplacian(u)", [16], "radial",
            {"boundary": {"r": {"lower": {"dirichlet": 1}, "upper": "neumann"}}},
            "r = 0 is not a boundary",
        ),
        ("laplacian(u)", [16], "radial", {"domain": {"origin": -0.5}}, "radius begins at -0.5"),
        ("laplacian(u)", [16], "radial", {"words": ["operators=spectral"]}, "operators=stencil"),
        ("laplacian(u)", [16], "radial", {"words": ["operators.order=4"]}, "order=2"),
        ("curl([u, u])", [16, 16], "axisymmetric", {}, "curl is not available"),
        ('convolve("exp(-r)", u)', [16], "radial", {}, "convolve is not available"),
        ("laplacian(u)", [16], "cartesian", {"stretch": {"x": "s**2"}}, "does not increase"),
        ("laplacian(u)", [16], "cartesian", {"stretch": {"x": "sin(s)"}}, "maps s=0 to 0"),
        ("laplacian(u)", [16], "cartesian", {"stretch": {"x": "tanh(0)"}}, "not 0"),
        ("laplacian(u)", [16], "cartesian", {"stretch": {"y": "tanh(1)"}}, "names the axis"),
        (
            "laplacian(u)", [16], "radial", {"stretch": {"r": "(exp(s) - 1)/(exp(1) - 1)"}},
            "not an odd function",
        ),
        (
            "laplacian(u)", [16], "cartesian",
            {"stretch": {"x": "tanh(1)"}, "boundary": {"default": "periodic"}},
            "does not continue smoothly",
        ),
        (
            "laplacian(laplacian(u))", [16], "radial",
            {"boundary": {"default": "clamped"}}, "second boundary conditions",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, rhs, grid, geometry, more, message):
    with pytest.raises(PdesimError, match=message):
        simulate(tmp_path / "run", rhs, grid, geometry, **more)


def test_exports_of_unequal_cells(tmp_path):
    run = simulate(
        tmp_path / "run", "laplacian(u)", [8, 12], "axisymmetric", {"z": "tanh(1)"},
        initial={"u": "r + z"},
    )  # fmt: skip
    text = (run.folder / "snapshots.xdmf").read_text()
    assert "3DRectMesh" in text and "VXVYVZ" in text
    export(run.folder, "npz")
    for name in ("vti", "well", "pdebench"):
        with pytest.raises(PdesimError, match="unequal sizes"):
            export(run.folder, name)


def test_pictures_have_equal_pixels(tmp_path):
    """A linear function is drawn as a linear function."""
    run = simulate(
        tmp_path / "run", "0*u", [16, 16], "cartesian", {"x": "tanh(1.5)"}, initial={"u": "3*x + y"}
    )
    with open_field(run.folder / "snapshots.h5", "u", 0.5) as reader:
        y, x = (axis.centres for axis in reader.axes)
        values = reader.values(0)
    assert len(x) > 16 and np.ptp(np.diff(x)) < 1e-12
    inside = (x > 0.1) & (x < 0.9)
    exact = 3 * x[np.newaxis] + y[:, np.newaxis]
    np.testing.assert_allclose(values[:, inside], exact[:, inside], rtol=1e-6)
