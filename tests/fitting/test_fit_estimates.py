"""Estimates and their standard errors, compared with exact solutions and with statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_fits import QUIET, computed_fit, decaying_mode, fit_task

from pdesim.fitting.compute import compute

TIMES = np.linspace(0, 1, 11)
HEAT = ["equation=heat", "initial.u='sin(2*pi*x)'", "fit={equation.D: [0.003, 0.3]}"]


def test_standard_errors_of_an_exact_problem(tmp_path):
    """With one Fourier mode, du/dD = -k t u is known, and with it the covariance."""
    rng = np.random.default_rng(3)
    exact, _ = decaying_mode(0.03, TIMES)
    data = exact + 0.01 * rng.standard_normal(exact.shape)
    found = computed_fit(tmp_path, HEAT, {"time": TIMES, "u": data}).result
    estimate = found.parameters["equation.D"]
    model, k = decaying_mode(estimate, TIMES)
    slope = -k * TIMES[:, None] * model
    residual = model - data
    # at the estimate, the residuals are orthogonal to the derivative; the optimiser ends when the
    # residual changes by less than 1e-8, which leaves about the square root of this fraction
    cosine = (slope * residual).sum() / np.linalg.norm(slope) / np.linalg.norm(residual)
    assert abs(cosine) < 3e-4
    variance = (residual**2).sum() / (data.size - 1)
    expected = np.sqrt(variance / (slope**2).sum())
    # forward differences have relative errors of 1e-6
    assert found.errors["equation.D"] == pytest.approx(expected, rel=1e-5)
    assert found.residuals["u"] == pytest.approx(np.sqrt((residual**2).mean()), rel=1e-9)


def test_given_noise_determines_the_standard_error(tmp_path):
    exact, k = decaying_mode(0.03, TIMES)
    words = [*HEAT, "data.noise=0.05", "fit.differences=central"]
    found = computed_fit(tmp_path, words, {"time": TIMES, "u": exact}).result
    slope = -k * TIMES[:, None] * exact
    assert found.parameters["equation.D"] == pytest.approx(0.03, rel=1e-6)
    expected = 0.05 / np.linalg.norm(slope)
    assert found.errors["equation.D"] == pytest.approx(expected, rel=1e-5)


def test_two_standard_errors_contain_the_value_as_often_as_they_should(tmp_path):
    """Of 40 intervals of two standard errors 95 % contain the value; 33 or fewer: p = 0.003."""
    exact, _ = decaying_mode(0.03, TIMES, points=16)
    inside, scores = 0, []
    task = fit_task(tmp_path, HEAT, {"time": TIMES, "u": exact})
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data = {"u": exact + 0.05 * rng.standard_normal(exact.shape)}
        noisy = replace(task, observations=replace(task.observations, values=data))
        (tmp_path / str(seed)).mkdir()
        found = compute(noisy, tmp_path / str(seed), QUIET).result
        score = (found.parameters["equation.D"] - 0.03) / found.errors["equation.D"]
        inside += abs(score) <= 2
        scores.append(score)
    assert inside > 33
    # the standard deviation of 40 normal numbers is 1 +- 0.11; four of these
    assert 0.55 < np.std(scores) < 1.45


def test_a_noisy_film_with_missing_cells_and_frames(tmp_path):
    rng = np.random.default_rng(5)
    times = np.array([0.1, 0.15, 0.4, 0.9])
    exact, _ = decaying_mode(0.03, times)
    data = exact + 0.02 * rng.standard_normal(exact.shape)
    data[rng.random(data.shape) < 0.6] = np.nan
    data[2, 5:] = np.nan
    observed = np.ones(32, bool)
    observed[:8] = False
    arrays = {"time": times, "u": data, "observed": observed}
    found = computed_fit(tmp_path, HEAT, arrays).result
    assert found.values == np.isfinite(data[:, observed]).sum()
    error = found.errors["equation.D"]
    assert abs(found.parameters["equation.D"] - 0.03) < 4 * error < 0.012


@pytest.mark.slow
def test_growth_and_feed_rate_of_gray_scott_from_twenty_frames(tmp_path, evolve):
    words = ["equation=gray_scott", "grid=24", "domain.extent=0.5", "time.end=200"]
    run = evolve(*words, "output.frames=20", "equation.F=0.035", "equation.k=0.06")
    rng = np.random.default_rng(1)
    arrays = {"time": run.times} | {
        name: run.field(name) + np.r_[0, np.full(20, 0.01)][:, None, None]
        * rng.standard_normal(run.field(name).shape)
        for name in ("u", "v")
    }  # fmt: skip
    bounds = "fit={equation.F: [0.02, 0.06], equation.k: [0.05, 0.07]}"
    words = [*words[:3], "equation.F=0.045", "equation.k=0.055", bounds]
    found = computed_fit(tmp_path, words, arrays).result
    for key, value in (("equation.F", 0.035), ("equation.k", 0.06)):
        assert found.parameters[key] == pytest.approx(value, rel=0.01)
        assert abs(found.parameters[key] - value) < 4 * found.errors[key]
    # the weights are the noise of each field, of which 11520 values give 0.7 %
    assert found.sigma["u"] == pytest.approx(0.01, rel=0.05)
    assert found.sigma["v"] == pytest.approx(0.01, rel=0.05)


def test_fields_of_different_noise_have_different_weights(tmp_path):
    """Two uncoupled fields with the same D: the estimate is the weighted mean of the two."""
    rng = np.random.default_rng(8)
    exact, k = decaying_mode(0.03, TIMES)
    noise = {"a": 0.002, "b": 0.1}
    arrays = {n: exact + s * rng.standard_normal(exact.shape) for n, s in noise.items()}
    words = [
        "equation=custom", "equation.rhs={a: 'D*laplacian(a)', b: 'D*laplacian(b)'}",
        "initial={a: 'sin(2*pi*x)', b: 'sin(2*pi*x)'}", "equation.D=0.01",
        "fit={equation.D: [0.003, 0.3]}",
    ]  # fmt: skip
    both = computed_fit(tmp_path / "both", words, {"time": TIMES, **arrays}).result
    slope = np.linalg.norm(k * TIMES[:, None] * exact)
    expected = 1 / np.sqrt(sum((slope / s) ** 2 for s in noise.values()))
    # the noise is estimated from 352 values: 4 %
    assert both.errors["equation.D"] == pytest.approx(expected, rel=0.15)
    assert abs(both.parameters["equation.D"] - 0.03) < 4 * expected


def test_parameters_of_the_initial_state(tmp_path):
    """u' = g u from u0: both are exact, and neither changes the program."""
    times = np.linspace(0, 2, 9)
    data = (0.7 * np.exp(0.4 * times))[:, None] * np.ones(8)
    words = [
        "equation=custom", "equation.rhs={u: 'g*u'}", "equation.g=0.1", "initial.u=0.5",
        "fit={equation.g: [-1, 1], initial.u: [0.1, 2]}", "time.dt=0.01", "stepper=rk4",
    ]  # fmt: skip
    found = computed_fit(tmp_path, words, {"time": times, "u": data}).result
    # rk4 with 0.4 * dt = 0.004 has errors of 1e-12
    assert found.parameters["equation.g"] == pytest.approx(0.4, rel=1e-6)
    assert found.parameters["initial.u"] == pytest.approx(0.7, rel=1e-6)


def test_a_parameter_in_the_formula_of_the_initial_state(tmp_path):
    exact, _ = decaying_mode(0.03, TIMES)
    words = ["equation=heat", "initial.u='A*sin(2*pi*x)'", "equation.A=1",
             "fit={equation.D: [0.003, 0.3], equation.A: [0.5, 5]}"]  # fmt: skip
    found = computed_fit(tmp_path, words, {"time": TIMES, "u": 2.5 * exact}).result
    assert found.parameters["equation.A"] == pytest.approx(2.5, rel=1e-6)
    assert found.parameters["equation.D"] == pytest.approx(0.03, rel=1e-6)


def test_twenty_one_parameters(tmp_path):
    """The amplitudes of twenty modes, in which the solution is linear, and the diffusivity."""
    points, rng = 64, np.random.default_rng(1)
    x, times = (np.arange(points) + 0.5) / points, np.linspace(0, 0.5, 11)
    true, parts, columns = {"D": 0.01}, [], []
    for k in range(1, 11):
        decay = np.exp(-0.01 * (2 * points * np.sin(np.pi * k / points)) ** 2 * times)
        for name, wave in ((f"a{k}", np.sin), (f"b{k}", np.cos)):
            true[name] = float(rng.normal())
            parts.append(f"{name}*{wave.__name__}({2 * k}*pi*x)")
            columns.append((decay[:, None] * wave(2 * np.pi * k * x)).ravel())
    exact = sum(true[part.partition("*")[0]] * c for part, c in zip(parts, columns, strict=True))
    data = (exact + 0.05 * rng.standard_normal(exact.shape)).reshape(11, points)
    bounds = [f"equation.{name}: {[0.001, 0.1] if name == 'D' else [-5, 5]}" for name in true]
    words = ["equation=heat", f"initial.u='{' + '.join(parts)}'", "data.noise=0.05"]
    words += [f"equation.{name}=0.1" for name in true if name != "D"]
    words.append(f"fit={{{', '.join(bounds)}}}")
    found = computed_fit(tmp_path, words, {"time": times, "u": data}).result
    for name, value in true.items():
        estimate, error = found.parameters[f"equation.{name}"], found.errors[f"equation.{name}"]
        assert abs(estimate - value) < 4 * error
    # the modes are orthogonal in every frame, so that only D correlates with the amplitudes;
    # with D known the errors would be those of separate fits
    separate = [0.05 / np.linalg.norm(column) for column in columns]
    errors = [found.errors[f"equation.{part.partition('*')[0]}"] for part in parts]
    assert np.all(errors >= np.array(separate) * (1 - 1e-4))
    assert np.allclose(errors, separate, rtol=0.3)


def test_parameters_that_appear_only_as_a_product(tmp_path):
    exact, _ = decaying_mode(0.03, TIMES)
    words = [
        "equation=custom", "equation.rhs={u: 'a*b*laplacian(u)'}", "equation.a=0.1",
        "equation.b=0.2", "initial.u='sin(2*pi*x)'",
        "fit={equation.a: [0.01, 1], equation.b: [0.01, 1]}",
    ]  # fmt: skip
    found = computed_fit(tmp_path, words, {"time": TIMES, "u": exact}).result
    a, b = found.parameters["equation.a"], found.parameters["equation.b"]
    assert a * b == pytest.approx(0.03, rel=1e-5)
    assert np.isinf([*found.errors.values()]).all()
    assert any("not determined separately" in line for line in found.warnings)
    assert found.singular_values[1] < 1e-5 * found.singular_values[0]


def test_a_parameter_without_effect_beside_one_with(tmp_path):
    exact, _ = decaying_mode(0.03, TIMES)
    words = [
        "equation=custom", "equation.rhs={u: 'D*laplacian(u) + where(t > 5, q, 0)'}",
        "equation.D=0.1", "equation.q=1", "initial.u='sin(2*pi*x)'",
        "fit={equation.D: [0.003, 0.3], equation.q: [0, 2]}",
    ]  # fmt: skip
    found = computed_fit(tmp_path, words, {"time": TIMES, "u": exact}).result
    assert found.parameters["equation.D"] == pytest.approx(0.03, rel=1e-4)
    assert np.isfinite(found.errors["equation.D"]) and np.isinf(found.errors["equation.q"])
    assert any("equation.q is not determined: it has no effect" in w for w in found.warnings)


def test_an_estimate_at_a_bound_is_mentioned(tmp_path):
    exact, _ = decaying_mode(0.03, TIMES)
    words = [*HEAT[:2], "fit={equation.D: [0.04, 0.3]}"]
    found = computed_fit(tmp_path, words, {"time": TIMES, "u": exact}).result
    assert found.parameters["equation.D"] == pytest.approx(0.04, rel=1e-3)
    assert any("at its lower bound 0.04" in line for line in found.warnings)


@pytest.mark.parametrize("method", ["least_squares", "L-BFGS-B"])
def test_several_starts_find_the_best_minimum(tmp_path, method):
    """The phase of a wave has many minima; only that near the value fits."""
    times = np.linspace(0, 1, 21)
    omega = 14.0
    data = np.stack([np.cos(omega * times), -omega * np.sin(omega * times)])
    words = [
        "equation=custom", "equation.rhs={a: 'b', b: '-w**2*a'}", "equation.w=4",
        "initial={a: 1, b: 0}", "stepper=rk4", "time.dt=0.002", f"fit.method={method}",
        "fit={equation.w: {bounds: [2, 30], scale: linear}, starts: 6}",
    ]  # fmt: skip
    arrays = {"time": times, "a": data[0][:, None] * np.ones(4)}
    several = computed_fit(tmp_path / "several", words, arrays).result
    # rk4: the phase error is (w dt)^5 / 120 for each of 500 steps, 1e-7
    assert several.parameters["equation.w"] == pytest.approx(omega, rel=1e-5)
    assert len(several.starts) == 6
    assert several.starts[0].residual == min(one.residual for one in several.starts)
    one = computed_fit(tmp_path / "one", [*words, "fit.starts=1"], arrays).result
    alone = next(s for s in several.starts if s.start["equation.w"] == pytest.approx(4))
    assert one.parameters["equation.w"] == pytest.approx(alone.end["equation.w"], rel=1e-6)
    assert one.starts[0].residual > 0.1
