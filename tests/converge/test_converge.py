"""``pdesim converge``: its estimates beside exact errors, and what it says where there are none."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.converge.estimate import MIN_ORDER, Estimate, FieldEstimate, estimate, verdict
from pdesim.converge.levels import build_levels
from pdesim.errors import PdesimError
from pdesim.model.resampling import halve, low_pass, uses_any

HEAT = ("equation=heat", "equation.D=0.05", "initial.u='sin(2*pi*x)'", "time.end=1")


def levels_of(*words: str):
    return build_levels(compose_settings(["device.precision=float64", *words]))


@pytest.fixture
def study(tmp_path, placement):
    """Run the command in this process; its result as plain values."""

    def run(*words: str) -> dict:
        assert main(["converge", *words, f"hydra.run.dir={tmp_path}"]) == 0
        return json.loads((tmp_path / "converge.json").read_text())

    return run


def refined(function, cells: int, axes: int = 1) -> np.ndarray:
    centres = [(np.arange(cells) + 0.5) / cells] * axes
    return function(*np.meshgrid(*centres, indexing="ij"))


@pytest.mark.parametrize("periodic", [True, False])
def test_comparison_is_of_higher_order_than_any_scheme(periodic):
    def function(x, y):
        return np.exp(np.sin(2 * np.pi * x)) * (np.cos(2 * np.pi * y) if periodic else y**7)

    def error(n: int) -> float:
        found = halve(refined(function, n, 2), (periodic, True))
        return float(np.abs(found - refined(function, n // 2, 2)).max())

    errors = [error(n) for n in (64, 128)]
    # eight points: order 8, of which 7.5 is left before the limit
    assert np.log2(errors[0] / errors[1]) > 7.5
    spectral = halve(refined(function, 64, 2), (periodic, True), True)
    assert np.abs(spectral - refined(function, 32, 2)).max() < 1e-13 if periodic else True
    line = halve(refined(lambda x: x**7, 16), (False,))
    np.testing.assert_allclose(line, refined(lambda x: x**7, 8), atol=1e-14)


def test_cells_beside_flagged_ones_are_found():
    flags = np.zeros((16, 16), bool)
    flags[8, 3] = True
    found = uses_any(flags, (True, True))
    reads = np.zeros((16, 16))
    reads[8, 3] = 1.0
    assert np.array_equal(found, halve(reads, (True, True)) != 0)


@pytest.mark.parametrize("periodic", [(True, True), (False, True)])
def test_smoothed_noise_is_the_same_function_on_every_grid(periodic):
    noise = np.random.default_rng(0).standard_normal((96, 128))
    coarse, same, fine = (low_pass(noise, (48 * f, 64 * f), periodic) for f in (1, 2, 4))
    # trigonometric interpolation is exact for what is left; along axes with boundaries it is the
    # polynomial one, whose error for waves of eight coarse cells is about 1e-4 of them
    slack = 1e-13 if all(periodic) else 1e-3
    np.testing.assert_allclose(halve(fine, periodic, True), same, atol=slack)
    np.testing.assert_allclose(halve(same, periodic, True), coarse, atol=slack)
    assert abs(same.mean() - noise.mean()) < 1e-14
    # the Gaussian leaves 1/(2 sqrt(pi) 2.5) of the amplitude in the mean over many draws; here some
    # 96 * 128 / (4 pi 2.5^2) = 156 waves count, which scatter by 1/sqrt(2 * 156) = 6 %
    assert same.std() == pytest.approx(1 / (2 * np.sqrt(np.pi) * 2.5), rel=0.18)


def test_richardson_on_made_up_numbers():
    places = np.linspace(0, 1, 50)
    exact, error = np.sin(places), 1e-3 * np.cos(places)
    found = estimate(exact + 4 * error, exact + error, exact + error / 4, 2.0, 1e-12)
    assert found.rms.order == pytest.approx(2) and found.maximum.order == pytest.approx(2)
    assert found.maximum.error == pytest.approx(1e-3) and found.rms.reliable
    assert found.scale == pytest.approx(np.sin(1), rel=1e-3)
    # a higher order than the scheme's is not believed: the error must not come out too small
    higher = estimate(exact + 64 * error, exact + error, exact + error / 64, 2.0, 1e-12)
    assert higher.maximum.error > 1e-3
    chaotic = estimate(exact + error, exact - error, exact + error, 2.0, 1e-12)
    assert not chaotic.rms.reliable and "not converging" in verdict(chaotic, 2.0)
    same = estimate(exact, exact + 1e-16, exact, 2.0, 1e-12)
    assert np.isnan(same.rms.order) and verdict(same, 2.0) == "differences are rounding errors"
    zero = estimate(0 * exact, 0 * exact, 0 * exact, 2.0, 1e-12)
    assert zero.scale == 0 and zero.rms.error == 0


#: the beginnings of the verdicts, from the best to the worst
VERDICTS = (
    "converging",
    "converging, but slower than the order 2",
    "converging on average only, not everywhere",
    "not converging",
)


def made(orders, errors) -> FieldEstimate:
    """Return an estimate with the given orders and errors in the RMS and in the maximum norm."""
    rms, maximum = (
        Estimate(order, error, order >= MIN_ORDER)
        for order, error in zip(orders, errors, strict=True)
    )
    return FieldEstimate(maximum, rms, 1.0)


def badness(orders, errors) -> int:
    text = verdict(made(orders, errors), 2.0)
    return max(n for n, beginning in enumerate(VERDICTS) if text.startswith(beginning))


@pytest.mark.parametrize(
    ("orders", "errors", "expected"),
    [
        ((2.03, 1.98), (0.002, 0.01), 0),
        ((1.87, 1.27), (0.01, 0.08), 1),
        ((1.4, 0.42), (0.02, 0.12), 2),
        ((0.74, 0.42), (0.15, 0.63), 3),  # the worst of these once sounded better than the second
        ((0.4, 0.42), (0.15, 0.2), 3),
        ((1.9, 1.9), (0.35, 0.9), 3),
        ((1.9, 1.8), (0.05, 0.7), 0),  # a front that is displaced by less than a cell
    ],
)
def test_verdicts(orders, errors, expected):
    assert badness(orders, errors) == expected


def test_a_worse_result_has_no_better_verdict():
    orders, errors = (2.4, 2.0, 1.6, 1.2, 0.8, 0.45, 0.1, -0.5), (0.01, 0.1, 0.29, 0.5, 1.0)
    for rms, maximum, error in itertools.product(orders, orders, errors):
        here = badness((rms, maximum), (0.2 * error, error))
        for other in [one for one in orders if one < maximum]:
            assert badness((rms, other), (0.2 * error, error)) >= here
        for other in [one for one in orders if one < rms]:
            assert badness((other, maximum), (0.2 * error, error)) >= here
        for other in [one for one in errors if one > error]:
            assert badness((rms, maximum), (0.2 * other, other)) >= here


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ((), 2),
        (("stepper=dormand_prince", "operators.order=4"), 4),
        (("time.dt=0.02", "stepper=crank_nicolson"), 2),
    ],
    ids=["automatic steps", "adaptive steps", "given steps"],
)
def test_the_estimate_is_the_true_error(study, words, order):
    """The decay of a sine: exp(-D k^2 t), and on the grid with the stencil's symbol for k^2."""
    found = study(*HEAT, "grid=[32]", *words)
    fields, k, t, decay = found["fields"]["u"], 2 * np.pi, 1.0, 0.05
    h = 1 / 32
    cosines = np.cos(k * h), np.cos(2 * k * h)
    symbol = {
        2: (2 - 2 * cosines[0]) / h**2,
        4: (30 - 32 * cosines[0] + 2 * cosines[1]) / (12 * h**2),
    }[order]
    true = np.exp(-decay * symbol * t) - np.exp(-decay * k**2 * t)
    if "time.dt=0.02" in words:  # the levels' steps divide the comparison times by 6, 12, 24
        dt = 0.1 / 6
        factor = (1 - dt / 2 * decay * symbol) / (1 + dt / 2 * decay * symbol)
        true = factor ** round(t / dt) - np.exp(-decay * k**2 * t)
        assert found["refined"] == "space and time"
        assert [level["dt"] for level in found["levels"]] == pytest.approx([2 * dt, dt, dt / 2])
    assert fields["order_rms"] == pytest.approx(order, abs=0.1)
    # terms of the next order are (k h)^2 / 4 = 1 % of the error; places of the maximum 1 % more
    assert fields["error_max"] == pytest.approx(abs(true), rel=0.05)
    assert fields["verdict"] == "converging" and fields["reliable"]
    assert len(found["times"]) == len(found["over_time"]["u"]) == 10


def test_steady_problems_and_the_picture(study, tmp_path):
    """-u'' = pi^2 sin(pi x): the stencil's symbol says what its solution is."""
    found = study(
        "equation=custom", "equation.solve={u: 'laplacian(u) + pi**2*sin(pi*x)'}",
        "grid=[16]", "boundary=dirichlet", "initial.u=0",
    )  # fmt: skip
    h = 1 / 16
    true = np.pi**2 * h**2 / (2 - 2 * np.cos(np.pi * h)) - 1
    assert found["fields"]["u"]["order_max"] == pytest.approx(2, abs=0.05)
    assert found["fields"]["u"]["error_max"] == pytest.approx(true, rel=0.02)
    assert (tmp_path / "converge.png").stat().st_size > 5_000


def test_levels_share_one_start_and_one_step():
    levels = levels_of("equation=gray_scott", "grid=[16,24]", "time.end=1")
    assert [plan.grid.points for plan in levels.plans] == [(8, 12), (16, 24), (32, 48)]
    assert len({plan.grid.extent for plan in levels.plans}) == 1
    assert len({plan.step.dt for plan in levels.plans}) == 1 and levels.refined == "space"
    assert len({plan.stepper.method.name for plan in levels.plans}) == 1
    assert "random_normal" in " ".join(levels.notes)
    noise = levels_of("equation=heat", "grid=[32,32]", "initial.u='random_normal(1)'").plans
    for coarse, fine in itertools.pairwise(noise):
        np.testing.assert_allclose(halve(fine.state, (True, True), True), coarse.state, atol=1e-12)


def test_given_steps_are_refined_as_far_as_stability_allows():
    words = ("equation=heat", "equation.D=0.05", "grid=[32]", "time.end=1", "stepper=euler")
    levels = levels_of(*words, "time.dt=0.008")
    coarse, middle, fine = (plan.step.dt for plan in levels.plans)
    assert coarse / middle == pytest.approx(4) and middle / fine == pytest.approx(4)
    assert middle <= 0.008 and "divided by 4" in " ".join(levels.notes)
    with pytest.raises(PdesimError, match=r"on 32 cells: .*stability limit"):
        levels_of(*words, "time.dt=0.05")


def test_noise_is_refused_since_it_differs_between_grids():
    with pytest.raises(PdesimError, match="whose noise differs"):
        levels_of("equation=kpz", "grid=[32]")


def test_odd_and_small_grids():
    levels = levels_of(*HEAT, "grid=[33]")
    assert levels.plans[1].grid.points == (34,) and "34 cells are used" in levels.notes[0]
    with pytest.raises(PdesimError, match="too few"):
        levels_of(*HEAT, "grid=[6]")


def test_failures_are_messages(capsys, tmp_path, placement):
    words = ("equation=custom", "equation.rhs={u: 'u**2'}", "grid=[16]", "time.end=3")
    steps = ("stepper=rk4", "time.dt=0.05", "time.unsafe=true", f"hydra.run.dir={tmp_path}")
    assert main(["converge", *words, *steps, "initial.u='1 + 0.1*sin(2*pi*x)'"]) == 3
    told = capsys.readouterr().err
    assert "on 8 cells" in told and "Traceback" not in told
    for wrong, named in (("grdi=3", "grid"), ("equation=heta", "heat"), ("--jsn", "--json"),
                         ("no_such_folder", "no_such_folder")):  # fmt: skip
        assert main(["converge", wrong]) == 2
        assert named in capsys.readouterr().err


def test_a_run_and_what_info_says_of_it(capsys, tmp_path, monkeypatch, placement):
    import pdesim

    monkeypatch.chdir(tmp_path)
    pdesim.simulate(*HEAT, "grid=[16]", "output.frames=2", "animation=none", folder="run")
    assert main(["info", "run"]) == 0
    assert "not estimated (pdesim converge)" in capsys.readouterr().out
    assert main(["converge", "run"]) == 0
    capsys.readouterr()
    assert main(["info", "run"]) == 0
    assert "of its range (order 2.0" in capsys.readouterr().out
    assert main(["info", "run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["convergence"]
    assert told["fields"]["u"]["order_rms"] == pytest.approx(2, abs=0.1)
    # of other settings it says nothing; alone it is shown as a table
    words = [word for word in HEAT if "D=" not in word]
    pdesim.simulate(*words, "equation.D=0.1", "grid=[16]", "output.frames=2", "animation=none",
                    "output.overwrite=true", folder="run")  # fmt: skip
    assert main(["info", "run"]) == 0
    assert "not estimated" in capsys.readouterr().out
    (tmp_path / "study").mkdir()
    (tmp_path / "run" / "converge.json").rename(tmp_path / "study" / "converge.json")
    assert main(["info", "study"]) == 0
    assert "error in space on 16 cells" in capsys.readouterr().out


def test_every_column_has_a_heading():
    from pdesim.output.convergence import header

    assert all(header()) and header()[-1] == "verdict"
