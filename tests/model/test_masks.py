"""Obstacles inside the domain: what they conserve, what they hold, what they refuse."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import BoundaryError

BALL = "domain.mask='where(r < 0.2, 1, 0)'"


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
@pytest.mark.parametrize("formula", ["laplacian(u)", "divergence((1 + u**2 + x)*gradient(u))"])
def test_no_flux_obstacles_conserve_the_integral(evolve, boundary, formula):
    run = evolve(
        "equation=custom", f"equation.rhs={{u: '0.01*({formula})'}}", "grid=[40,32]",
        f"boundary={boundary}", BALL, "initial.u='spots(6, 0.1)'", "stepper=euler", "time.end=1",
        "output.frames=2",
    )  # fmt: skip
    solid = run.plan.problem.mask.solid
    u = run.field("u")
    assert 0 < solid.sum() < solid.size / 2 and np.all(u[:, solid] == 0)
    assert np.ptp(u[-1][~solid]) < np.ptp(u[0][~solid])
    totals = u[:, ~solid].sum(1)
    np.testing.assert_allclose(totals, totals[0], rtol=1e-13)


def test_a_straight_obstacle_is_a_wall(evolve):
    """A slab that fills x > 1/2 leaves exactly the problem on half the domain."""
    common = ("equation=heat", "equation.D=0.1", "boundary=neumann", "stepper=euler")
    common += ("time.dt=1e-4", "time.end=0.05", "output.frames=2")
    start = "initial={u: 'cos(pi*x) + x*y'}"
    for kind, wall in (("neumann", "neumann"), ("{dirichlet: 1.5}", "{dirichlet: 1.5}")):
        slab = evolve(*common, "grid=[32,16]", "domain.extent=[1,1]", start,
                      "domain.mask='where(x > 0.5, 1, 0)'", f"boundary.mask={kind}")  # fmt: skip
        half = evolve(*common, "grid=[16,16]", "domain.extent=[0.5,1]", start,
                      f"boundary.x={{lower: neumann, upper: {wall}}}")  # fmt: skip
        np.testing.assert_allclose(slab.field("u")[..., :16], half.field("u"), atol=1e-13)


def test_a_fixed_value_spreads_from_an_obstacle(evolve):
    run = evolve(
        "equation=heat", "grid=32", "initial=zero", "boundary=neumann", BALL, "equation.D=0.1",
        "boundary.mask={dirichlet: 2}", "time.end=20", "output.frames=1",
    )  # fmt: skip
    np.testing.assert_allclose(run.field("u")[-1], 2.0, atol=1e-6)


def test_obstacles_in_files_and_pictures(command, tmp_path):
    ball = BALL.replace("0.2", "0.5")
    short = ("grid=48", "time.end=20", "output.frames=2")
    command("equation=gray_scott", *short, ball, "hydra.run.dir=out")
    with h5py.File(tmp_path / "out" / "snapshots.h5") as file:
        assert file["mask"].shape == (48, 48) and file["mask"][24, 24] == 1
        assert file["mask"][0, 0] == 0
    import pdesim

    with pdesim.open(tmp_path / "out") as snapshots:
        assert snapshots.fields == ("u", "v")


@pytest.mark.parametrize(
    "overrides,told",
    [
        (("operators=conv",), "operators=stencil"),
        (("operators=spectral",), "operators=stencil"),
        (("operators.order=4",), "order=2"),
        (("stepper=etdrk2",), "obstacles"),
        (("boundary.mask=periodic",), "no flux"),
        (("boundary.mask={dirichlet: x}",), "no flux"),
    ],
)
def test_what_obstacles_cannot_be_combined_with(overrides, told):
    from pdesim.errors import PdesimError

    with pytest.raises(PdesimError, match=told):
        make_plan("equation=heat", "grid=16", BALL, *overrides)


def test_a_mask_that_covers_everything():
    with pytest.raises(BoundaryError, match="whole domain"):
        make_plan("equation=heat", "grid=16", "domain.mask='1 + 0*x'")
