"""Scalars beside fields: matrix exponentials, conservation, batches, stored values and refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import make_plan
from scipy.linalg import expm

import pdesim
from pdesim.errors import BoundaryError, ConfigError, StepperError

#: du/dt = D laplacian(u) + k (T - u), dT/dt = (mean(u) - T)/tau
K, TAU = 1.0, 0.5
COUPLED = (
    "equation=custom", "equation.rhs={u: 'D*laplacian(u) + k*(T - u)'}",
    "equation.scalars={T: '(mean(u) - T)/tau'}", "equation.D=0.01", f"equation.k={K}",
    f"equation.tau={TAU}", "initial.u='1 + sin(2*pi*x)'", "initial.T=0.5",
)  # fmt: skip
SHORT = ("grid=[16]", "time.end=1", "output.frames=4", "time.unsafe=true")


def exact(times, mean=1.0, scalar=0.5):
    """The mean of u and T at times: the matrix exponential of their two equations."""
    matrix = np.array([[-K, K], [1 / TAU, -1 / TAU]])
    return np.array([expm(matrix * t) @ [mean, scalar] for t in times])


def found(run, name="u"):
    """The mean of a field and the scalar T in every frame, ``(frames, 2)``."""
    scalar = run.field("T").reshape(len(run.times), -1)
    # equal in all cells, up to the rounding of transforms
    assert np.ptp(scalar, axis=1).max() < 1e-14
    return np.column_stack([run.field(name).reshape(len(run.times), -1).mean(1), scalar[:, 0]])


@pytest.mark.parametrize(
    ("stepper", "order"),
    [("euler", 1), ("heun", 2), ("ssprk3", 3), ("rk4", 4), ("rkl2", 2), ("etdrk1", 1),
     ("etdrk2", 2), ("etdrk3", 3), ("etdrk4", 4), ("cnab2", 2), ("sbdf2", 2)],
)  # fmt: skip
def test_mean_and_scalar_approach_the_matrix_exponential_with_the_order_of_the_stepper(
    evolve, stepper, order
):
    errors = []
    for steps in (40, 80):
        run = evolve(*COUPLED, *SHORT, f"stepper={stepper}", f"time.dt={1 / steps}")
        errors.append(np.abs(found(run) - exact(run.times))[-1])
    measured = np.log2(errors[0] / errors[1])
    # the next term of the error expansion changes the order by about dt = 1/40 times a constant
    assert measured == pytest.approx([order] * 2, abs=0.3)


def test_error_control_includes_scalars(evolve):
    """u is constant; only the scalar, dT/dt = cos(40 t), limits the steps."""
    run = evolve(
        "equation=custom", "equation.rhs={u: '0*laplacian(u)'}",
        "equation.scalars={T: '40*cos(40*t)'}", "initial={u: 1, T: 0}", *SHORT,
        "stepper=dormand_prince", "time.tolerance=1e-6",
    )  # fmt: skip
    # the tolerance applies to a step, and 30 steps or so take place
    assert np.abs(found(run)[:, 1] - np.sin(40 * run.times)).max() < 1e-4


def test_the_stability_limit_includes_the_rates_of_scalars():
    plan = make_plan(*COUPLED, *SHORT, "equation.tau=1e-3", "stepper=euler", "time.dt=auto",
                     "time.unsafe=false")  # fmt: skip
    # the eigenvalue of the pair is near -1/tau, and the limit of Euler's method 2 tau
    assert plan.step.limit == pytest.approx(2e-3, rel=0.01)


def test_feedback_through_a_reduction_limits_the_step():
    """u' = T, T' = -w**2 integral(u)/L: an oscillator, which Euler's method cannot advance."""
    with pytest.raises(StepperError):
        make_plan("equation=custom", "equation.rhs={u: '0*laplacian(u) + T'}",
                  "equation.scalars={T: '-100*integral(u)'}", "initial={u: 1, T: 0}", "grid=[16]",
                  "domain.extent=4", "stepper=euler", "time.end=1")  # fmt: skip


@pytest.mark.parametrize(
    "stepper",
    [
        "rk4",
        "etdrk2",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("dormand_prince", "rkl2", "sbdf2")
        ),
    ],
)
def test_the_protein_of_a_cell_is_conserved(evolve, stepper):
    run = evolve("equation=cell_polarity", "grid=24", "time.end=4", "output.frames=4",
                 f"stepper={stepper}")  # fmt: skip
    active = run.states[:, 0].reshape(len(run.times), -1).mean(1)
    total = active + run.states[:, 1].reshape(len(run.times), -1)[:, 0]
    # linear invariants are kept by all these methods; 576 cells and some 200 steps add rounding
    assert np.abs(total - total[0]).max() < 1e-12
    assert np.ptp(active) > 0.02


def test_a_scalar_may_be_a_boundary_value(evolve):
    """T' = -T is the boundary value exp(-t)."""
    rod = ("equation=custom", "equation.rhs={u: '0.1*laplacian(u)'}", "grid=[32]", "time.end=1",
           "output.frames=2", "stepper=rk4", "time.dt=0.002")  # fmt: skip
    walls = "boundary={{x: {{lower: {{dirichlet: '{}'}}, upper: neumann}}}}"
    one = evolve(*rod, "equation.scalars={T: '-T'}", "initial={u: 1, T: 1}", walls.format("T"))
    two = evolve(*rod, "initial={u: 1}", walls.format("exp(-t)"))
    # stages differ from exp(-t) by dt**2 times a number below 1, their weighted sum by less
    assert np.abs(one.field("u") - two.field("u")).max() < 1e-6
    assert one.field("T")[-1, 0] == pytest.approx(np.exp(-1), abs=1e-12)  # dt**4/120


def test_scalars_around_obstacles(evolve):
    """Means are those of the cells outside obstacles, in which nothing changes the exact pair."""
    run = evolve(*COUPLED, "grid=16", "time.end=1", "output.frames=2", "initial.u=1",
                 "domain.mask='(x - 0.5)**2 + (y - 0.5)**2 < 0.04'", "stepper=rk4",
                 "time.dt=0.01")  # fmt: skip
    fluid = ~run.plan.problem.mask.solid
    pair = np.column_stack([run.field(name)[:, fluid].mean(1) for name in ("u", "T")])
    assert np.abs(pair - exact(run.times)).max() < 1e-9  # dt**4 / 120 times the rates


@pytest.mark.parametrize("stepper", ["rk4", "etdrk4"])
def test_spectral_operators_between_walls_agree_with_fine_stencils(evolve, stepper):
    walls = ("boundary={x: {dirichlet: 0}}", "initial.u='sin(pi*x)'", "time.end=0.5",
             "output.frames=2")  # fmt: skip
    one = evolve(*COUPLED, "grid=[48]", *walls, "operators=spectral", f"stepper={stepper}",
                 "time.dt=0.002")  # fmt: skip
    two = evolve(*COUPLED, "grid=[192]", *walls, "stepper=rk4", "time.dt=5e-4")
    # k T does not vanish at the walls, where the sine series converges with the square of a cell
    assert one.field("T")[-1, 0] == pytest.approx(two.field("T")[-1, 0], abs=5e-4)


def test_members_of_a_batch_have_their_own_scalars(tmp_path):
    given = [text for text in COUPLED if "tau=" not in text and "initial.T" not in text]
    shared = (*given, *SHORT, "animation=none", "device.precision=float64", "stepper=rk4",
              "time.dt=0.01")  # fmt: skip
    over = {"equation.tau": [0.5, 0.25], "initial.T": [0.5, 1.5]}
    pdesim.sweep(*shared, over=over, folder=tmp_path / "batch")
    ends = set()
    for number, (tau, initial) in enumerate(itertools.product(*over.values())):
        pdesim.simulate(*shared, f"equation.tau={tau}", f"initial.T={initial}",
                        folder=tmp_path / str(number))  # fmt: skip
        with (
            pdesim.open(tmp_path / "batch" / str(number)) as one,
            pdesim.open(tmp_path / str(number)) as other,
        ):
            # the sums of several members may be added in another order
            assert np.abs(one.scalar("T") - other.scalar("T")).max() < 1e-14
            assert np.abs(one["u"][:] - other["u"][:]).max() < 1e-14
            assert one.to_xarray()["T"].dims == ("time",)
            ends.add(float(one.scalar("T")[-1]))
    assert len(ends) == 4


def test_a_scalar_is_stored_and_exported_as_one_value_per_frame(command, tmp_path):
    run = pdesim.simulate(
        *COUPLED, *SHORT, "animation=none", folder=tmp_path / "run", stepper="rk4"
    )
    with pdesim.open(run.folder) as snapshots:
        assert snapshots.fields == ("u",) and snapshots.scalars == ("T",)
        values = snapshots.scalar("T")
        assert snapshots["T"].shape == (5,)
    # float32
    assert np.abs(values - exact(np.linspace(0, 1, 5))[:, 1]).max() < 1e-5
    command("export", str(run.folder), "--to", "npz")
    with np.load(run.folder / "snapshots.npz") as arrays:
        assert np.array_equal(arrays["T"], values)
    last = (run.folder / "diagnostics.csv").read_text().splitlines()
    assert last[0].endswith(",T") and float(last[-1].rpartition(",")[2]) == pytest.approx(
        values[-1]
    )


def test_a_branch_begins_with_the_stored_scalar(command, tmp_path):
    command(*COUPLED, *SHORT, "animation=none", "hydra.run.dir=a", "stepper=rk4", "time.dt=0.01")
    command("branch", "a", "hydra.run.dir=b", "animation=none")
    with pdesim.open(tmp_path / "a") as a, pdesim.open(tmp_path / "b") as b:
        assert a.scalar("T")[-1] == b.scalar("T")[0]


def test_observables_and_stop_conditions_contain_scalars(evolve):
    run = evolve(*COUPLED, *SHORT, "observe={difference: 'T - mean(u)'}", "stop.when='T > 0.7'",
                 "stepper=rk4", "time.dt=0.01")  # fmt: skip
    assert run.times[-1] < 1 or run.states[-1, 1].max() > 0.7
    assert run.plan.observables.columns == ("difference",)


def test_derivatives_with_respect_to_a_scalar_and_its_rate():
    settings = (*COUPLED, *SHORT, "device.precision=float64", "stepper=rk4", "time.dt=0.02")

    def loss(frames):
        assert frames["T"].shape == (5,)
        return frames["T"][-1] ** 2 + frames["u"][-1, 3]

    result = pdesim.gradient(*settings, loss=loss, wrt=["equation.tau", "initial.T"])

    def value(**changed):
        model = pdesim.ForwardModel(*settings)
        frames = model.frames(changed.get("parameters"), changed.get("initial"))
        return float(frames["T"][-1] ** 2 + frames["u"][-1, 3])

    h = 1e-5  # the error of central differences is h**2 = 1e-10, and rounding is 1e-16/h = 1e-11
    by_tau = [value(parameters={"tau": TAU + d}) for d in (h, -h)]
    by_initial = [value(initial={"T": 0.5 + d}) for d in (h, -h)]
    assert result.gradient["equation.tau"] == pytest.approx(np.subtract(*by_tau) / 2 / h, abs=1e-8)
    found = result.gradient["initial.T"]
    assert found == pytest.approx(np.subtract(*by_initial) / 2 / h, abs=1e-8)


def test_a_callback_receives_a_scalar_as_a_number(tmp_path):
    seen = []
    pdesim.simulate(*COUPLED, *SHORT, "animation=none", folder=tmp_path / "run",
                    callback=lambda time, fields: seen.append(fields["T"]))  # fmt: skip
    assert len(seen) == 5 and all(np.ndim(value) == 0 for value in seen)


def test_verify_measures_equations_with_scalars(placement):
    from pdesim.verify.run import verify_plan

    rows = list(verify_plan(make_plan("equation=cell_polarity", "grid=[32]", "time.unsafe=true")))
    assert [row.kind for row in rows] == ["space", "time"]
    assert all(row.passed for row in rows), rows


@pytest.mark.parametrize(
    ("overrides", "error", "message", "remedy"),
    [
        (["equation.scalars={T: 'laplacian(u)'}"], ConfigError, "varies in space", "mean(u)"),
        (["equation.scalars={T: 'u - T'}"], ConfigError, "scalars.T contains u", "mean(u)"),
        (["equation.scalars={T: 'mean(u) - x'}"], ConfigError, "contains x", "one number"),
        (["equation.scalars={T: 'mean(u)', k: 'mean(u)'}"], ConfigError, "both a", "different"),
        (["equation.scalars={u: 'mean(u)'}"], ConfigError, "field and a scalar", "different"),
        (["equation.scalars={x: 'mean(u)'}"], ConfigError, "reserved", "other than"),
        (["equation.scalars=T"], ConfigError, "equation.scalars is 'T'", "formula"),
        (["initial.T=x"], ConfigError, "T is a scalar", "a number"),
        (["initial.T='random_normal(1)'"], ConfigError, "T is a scalar", "a number"),
        (["~initial.T"], ConfigError, "initial.T is missing", "value of the scalar"),
        (["boundary.T=neumann"], BoundaryError, "unknown key 'T'", "u"),
        (["animation.field=T"], ConfigError, "animation.field", "u"),
        (["output.fields=[T]"], ConfigError, "output.fields", "u"),
        (["stepper=crank_nicolson"], StepperError, "without scalars", "cnab2"),
        (["stepper=verlet"], StepperError, "without scalars", "rk4"),
        (["stepper=exact"], StepperError, "without scalars", "etdrk4"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(overrides, error, message, remedy):
    with pytest.raises(error) as caught:
        replaced = any(text.startswith("equation.scalars=") for text in overrides)
        unused = f"equation.tau={TAU}" if replaced else None
        make_plan(*(text for text in COUPLED if text != unused), *SHORT, *overrides)
    assert message in str(caught.value) and remedy in str(caught.value)
