"""The forward function and its derivatives, compared with single runs of the ordinary engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_fits import computed_fit, decaying_mode, fit_task

from pdesim.fitting.forward import Batches, Forward, record_schedule
from pdesim.fitting.members import build_family
from pdesim.fitting.residuals import STEPS, Residuals

#: two parameters, a nonlinear reaction, and walls for some
PAIR = [
    "equation=custom", "equation.rhs={u: 'D*laplacian(u) + q*u*(1 - u)'}", "equation.D=0.004",
    "equation.q=1.5", "initial.u='0.5 + 0.3*sin(2*pi*x)*cos(2*pi*y)'", "grid=[12,10]",
    "domain.extent=[1,1]", "fit={equation.D: [0.001, 0.02], equation.q: [0.5, 4]}",
]  # fmt: skip
WAVE = [
    "equation=wave", "initial={u: 'sin(2*pi*x)', w: 0}", "grid=[16]", "domain.extent=1",
    "fit={equation.c: [0.5, 2], equation.damping: [0.01, 1]}", "equation.damping=0.1",
]  # fmt: skip
TIMES = np.array([0.0, 0.1, 0.25, 0.3])
#: stepper and settings; all families of steppers, with and without a direct solver
CASES = {
    "explicit": (PAIR, ["stepper=rk4", "time.dt=0.02"]),
    "explicit between walls": (PAIR, ["stepper=heun", "time.dt=0.02", "boundary=neumann"]),
    "adaptive": (PAIR, ["stepper=dormand_prince"]),
    "stabilized": (PAIR, ["stepper=rkl2", "time.dt=0.05"]),
    "exponential": (PAIR, ["stepper=etdrk4", "time.dt=0.05"]),
    "multistep": (PAIR, ["stepper=cnab2", "time.dt=0.025"]),
    "implicit, direct": (
        [*PAIR[:1], "equation.rhs={u: 'D*laplacian(u) - q*u'}", *PAIR[2:]],
        ["stepper=crank_nicolson", "time.dt=0.05"],
    ),
    "implicit, iterations": (
        [*PAIR[:1], "equation.rhs={u: 'divergence(D*(1 + x)*gradient(u)) - q*u'}", *PAIR[2:]],
        ["stepper=implicit_euler", "time.dt=0.05", "boundary=neumann"],
    ),
    "spectral": (PAIR, ["stepper=rk4", "time.dt=0.02", "operators=spectral"]),
    "values at walls": (
        PAIR, ["stepper=rk4", "time.dt=0.02", "boundary={default: {dirichlet: '0.5 + 0.1*q'}}"]
    ),
    "symplectic": (WAVE, ["stepper=verlet", "time.dt=0.01"]),
    "automatic": (PAIR, []),
}  # fmt: skip


def residuals_of(folder: Path, words: list[str], placement, starts: int = 1):
    """Return the residuals of a fit of noise, whose values are as good as any others."""
    fields = ("u", "w") if words[0] == "equation=wave" else ("u",)
    shape = (16,) if words[0] == "equation=wave" else (10, 12)
    rng = np.random.default_rng(2)
    arrays = {name: rng.standard_normal((len(TIMES), *shape)) for name in fields}
    task = fit_task(folder, words, {"time": TIMES, **arrays})
    family = build_family(task, folder)
    batches = Batches.choose(family.base, placement, 3, starts)
    schedule = record_schedule(family, placement, batches)
    forward = Forward(family, schedule, placement, batches)
    return Residuals(forward, task.observations), arrays


def single_run(words: list[str], values: dict[str, float], steps: np.ndarray, evolve):
    """Return the frames of an ordinary run with these parameters."""
    times = [float(t) for t in TIMES[1:-1]]
    settings = [f"{key}={value!r}" for key, value in values.items()]
    words = [word for word in words if not word.startswith("fit=")]
    return evolve(*words, *settings, "time.end=0.3", f"output.times={times}")


@pytest.mark.parametrize("case", [one for one in CASES if one not in ("adaptive", "automatic")])
def test_derivatives_equal_differences_of_single_runs(case, tmp_path, placement, evolve):
    common, more = CASES[case]
    words = [*common, *more]
    residuals, arrays = residuals_of(tmp_path, words, placement)
    family = residuals.forward.family
    point = np.array([0.4, 0.6])
    (found,) = residuals.evaluate([tuple(point)])
    steps = np.array(
        [p.step(x, STEPS["forward"]) for p, x in zip(family.parameters, point, strict=True)]
    )
    places = [point, *(point + np.diag(steps))]
    runs = [single_run(words, family.values(one), steps, evolve) for one in places]
    for name, values in arrays.items():
        states = [run.field(name).reshape(-1) for run in runs]
        slopes = [(moved - states[0]) / step for moved, step in zip(states[1:], steps, strict=True)]
        full = np.stack([*slopes, states[0] - values.reshape(-1)], axis=1)
        factor = found.factors[name]
        expected = full.T @ full
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        # frames of 1e-14 divided by steps of 1e-6 leave 1e-8 of a derivative, and the iterations
        # of implicit steps end at 1e-13
        assert np.abs(factor.T @ factor - expected).max() < 1e-5 * scale.max()
        assert np.abs((factor.T @ factor - expected) / scale).max() < 1e-5


@pytest.mark.parametrize("case", ["adaptive", "automatic", "multistep", "implicit, iterations"])
def test_several_points_are_those_of_one(case, tmp_path, placement):
    """Points that are evaluated together, and in programs of other sizes, are the same."""
    common, more = CASES[case]
    points = [(0.4, 0.6), (0.1, 0.9), (0.7, 0.2)]
    together, _ = residuals_of(tmp_path / "a", [*common, *more], placement, starts=3)
    alone, _ = residuals_of(tmp_path / "b", [*common, *more], placement)
    several = together.evaluate(points)
    for point, one in zip(points, several, strict=True):
        (other,) = alone.evaluate([point])
        assert one.places == other.places == point
        for name in one.factors:
            first, second = one.factors[name], other.factors[name]
            assert np.allclose(first.T @ first, second.T @ second, rtol=1e-5)


@pytest.mark.parametrize("stepper", ["dormand_prince", "auto"])
def test_derivatives_with_chosen_steps_are_smooth(stepper, tmp_path, placement):
    """Steps that followed the parameters would make differences of 1e-6 and 1e-4 disagree."""
    words = [*PAIR, f"stepper={stepper}"]
    residuals, _ = residuals_of(tmp_path, words, placement)
    central = Residuals(residuals.forward, residuals.data, "central")
    (one,), (other,) = residuals.evaluate([(0.4, 0.6)]), central.evaluate([(0.4, 0.6)])
    for name in one.factors:
        first, second = one.factors[name], other.factors[name]
        assert np.allclose(first.T @ first, second.T @ second, rtol=2e-4)


def test_a_large_evaluation_is_divided_into_programs(tmp_path, placement):
    residuals, _ = residuals_of(tmp_path, [*PAIR, "stepper=rk4", "time.dt=0.02"], placement)
    forward = residuals.forward
    parts = Forward(forward.family, forward.schedule, placement, Batches(3, 1, 2))
    divided = Residuals(parts, residuals.data)
    (one,), (other,) = residuals.evaluate([(0.4, 0.6)]), divided.evaluate([(0.4, 0.6)])
    first, second = one.factors["u"], other.factors["u"]
    assert np.allclose(first.T @ first, second.T @ second, rtol=1e-5)


def test_runs_that_fail_leave_the_others(tmp_path, placement):
    """Growth without bound at the upper end of q; the lower end remains finite."""
    words = [
        "equation=custom", "equation.rhs={u: 'q*u**2 + D'}", "equation.q=0.1", "equation.D=0",
        "initial.u=1", "grid=[8]", "stepper=rk4", "time.dt=0.01",
        "fit={equation.q: {bounds: [0.01, 10], scale: linear}, equation.D: [-1, 1]}",
    ]  # fmt: skip
    times = np.linspace(0, 1, 5)
    exact = 1 / (1 - 0.5 * times)
    found = computed_fit(tmp_path, words, {"time": times, "u": exact[:, None] * np.ones(8)}).result
    assert found.parameters["equation.q"] == pytest.approx(0.5, rel=1e-4)
    bad = computed_fit(
        tmp_path / "bad",
        [*words[:-1], "fit={equation.q: {bounds: [0.01, 9], start: 8}, starts: 3}"],
        {"time": times, "u": exact[:, None] * np.ones(8)},
    ).result
    assert bad.parameters["equation.q"] == pytest.approx(0.5, rel=1e-4)


def test_runs_at_bounds_that_fail_are_mentioned(tmp_path, placement):
    """1/(1 - q t) is infinite before t = 1 for q > 1."""
    words = [
        "equation=custom", "equation.rhs={u: 'q*u**2'}", "equation.q=0.1", "initial.u=1",
        "grid=[8]", "stepper=rk4", "fit={equation.q: {bounds: [0.01, 9], scale: linear}}",
    ]  # fmt: skip
    times = np.linspace(0, 1, 5)
    arrays = {"time": times, "u": np.ones((5, 8))}
    family = build_family(fit_task(tmp_path, words, arrays), tmp_path)
    batches, notes = Batches.choose(family.base, placement, 2, 1), []
    schedule = record_schedule(family, placement, batches, note=notes.append)
    assert len(notes) == 1 and "at equation.q=9: " in notes[0]
    assert schedule.steps.min() > 0


def test_the_program_is_compiled_once(tmp_path, placement, monkeypatch):
    from pdesim.engine import step

    traces = []
    original = step.StepContext.compiled

    def counted(self, function):
        def noted(*arguments):
            traces.append(getattr(function, "__qualname__", repr(function)))
            return function(*arguments)

        return original(self, noted)

    monkeypatch.setattr(step.StepContext, "compiled", counted)
    times = np.linspace(0, 1, 6)
    data, _ = decaying_mode(0.05, times, 20)
    words = ["equation=heat", "initial.u='sin(2*pi*x)'", "fit={equation.D: [0.003, 0.3]}",
             "stepper=rk4"]  # fmt: skip
    found = computed_fit(tmp_path, words, {"time": times, "u": data}).result
    assert found.evaluations > 3
    assert len(traces) == len(set(traces)) > 0, traces
