"""Fits of initial states and networks: gradients, estimates, and continuation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_fits import fit_task
from rich.console import Console

import pdesim
from pdesim.engine.device import start_tensorflow
from pdesim.errors import PdesimError
from pdesim.fitting import plot, run
from pdesim.fitting.descent import LOG
from pdesim.fitting.folder import FitFolder
from pdesim.fitting.free import first_arrays
from pdesim.fitting.members import build_family
from pdesim.fitting.objective import Objective
from pdesim.fitting.prepare import prepare_again
from pdesim.fitting.run import resume_fit

TIMES = np.array([0.0, 0.2, 0.5])
NETWORK = [
    "equation=custom", "equation.networks={f: {layers: [1, 4, 1], seed: 2}}",
    "equation.rhs={u: '1e-2*laplacian(u) + k*f(u)'}", "equation.k=0.5", "stepper=heun",
    "time.dt=0.05",
]  # fmt: skip


def film(points=12, seed=0):
    """Smooth data that no run of the model below gives exactly."""
    x = (np.arange(points) + 0.5) / points
    rows = [np.sin(2 * np.pi * x + t) * (1 + t) for t in TIMES]
    return {"time": TIMES, "u": np.stack(rows)}


def objective_of(task, staging):
    family = build_family(task, staging)
    start = first_arrays(task.free, ("u",), family.base.state, family.base.equation.networks)
    placement = start_tensorflow(task.settings.device)
    made = Objective(task, family, placement, start, {"u": 0.7})
    first = np.concatenate([[one.start for one in task.parameters], start.vector])
    return made, first


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_gradient_equals_differences(tmp_path, boundary):
    """Of parameters in formulas of the equation and the initial state, arrays, and penalties."""
    data = film()
    data["u"][1, 3:5] = np.nan
    words = [
        *NETWORK, f"boundary={boundary}", "initial.u='k*cos(2*pi*x)'",
        "fit={equation.k: [0.1, 1], networks.f: free}",
    ]  # fmt: skip
    check_gradient(fit_task(tmp_path, words, data), tmp_path)
    words[-2:] = ["fit={equation.k: [0.1, 1], initial.u: {free: {smoothness: 1e-3}}}"]
    check_gradient(fit_task(tmp_path, words, data), tmp_path)


def check_gradient(task, staging):
    objective, first = objective_of(task, staging)
    random = np.random.default_rng(1)
    first = first + 0.1 * random.normal(size=first.shape) * (np.arange(len(first)) > 0)
    value, gradient, misfits = objective(first)
    change = random.normal(size=first.shape)
    step = 1e-3
    near, far = (
        objective(first + n * step * change)[0] - objective(first - n * step * change)[0]
        for n in (1, 2)
    )
    # the fourth power of the step
    assert gradient @ change == pytest.approx((8 * near - far) / (12 * step), rel=1e-7)
    assert np.isfinite(value) and misfits.shape == (1,)


def test_initial_state_from_a_later_film(tmp_path):
    """Modes that have decayed by less than the noise are recovered to the noise."""
    x = (np.arange(32) + 0.5) / 32
    start = 0.3 + np.sin(2 * np.pi * x) - 0.5 * np.cos(4 * np.pi * x)
    times = np.array([0.5, 0.6])
    k = 2 * np.pi * np.array([1, 2])
    rows = [
        0.3 + np.exp(-0.01 * k[0] ** 2 * t) * np.sin(k[0] * x)
        - 0.5 * np.exp(-0.01 * k[1] ** 2 * t) * np.cos(k[1] * x) for t in times
    ]  # fmt: skip
    found = pdesim.fit(
        "heat", data={"time": times, "u": np.stack(rows)}, grid=[32], equation={"D": 0.01},
        operators="spectral", stepper="exact", time={"start": 0}, initial={"u": 0.0},
        parameters={"initial.u": {"free": {"smoothness": 1e-9}}}, folder=tmp_path / "fit",
    )  # fmt: skip
    assert (tmp_path / "fit" / "fit.png").stat().st_size > 5000
    # the penalty, relative to the data, is 1e-9 (2 pi k)^2 exp(0.02 k^2 t)
    np.testing.assert_allclose(found.arrays["initial.u"], start, atol=1e-4)
    again = found.run("animation=none", folder=tmp_path / "run")
    with again.snapshots as snapshots:
        np.testing.assert_allclose(snapshots["u"][-1], rows[-1], atol=1e-4)


def network_fit(folder, **options):
    words = [*NETWORK, "initial.u='0.3+sin(2*pi*x)'", "fit.initial_state=settings"]
    fit = {"evaluations": 12, **options}
    return pdesim.fit(
        *words, data=film(), parameters={"networks.f": "free"}, fit=fit, folder=folder
    )


def test_network_fit_is_continued_exactly(tmp_path):
    whole = network_fit(tmp_path / "whole")
    assert whole.history[-1] < 0.8 * whole.history[0]
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    for name in ("fit.yaml", "networks.h5"):
        (tmp_path / "part" / name).unlink()
    log = tmp_path / "part" / LOG
    log.write_bytes(log.read_bytes()[: int(0.55 * log.stat().st_size)])  # within a record
    part = resume_fit(tmp_path / "part", [], Console(quiet=True))
    assert part.history == whole.history
    for one, other in zip(part.arrays.networks["f"], whole.arrays["networks.f"], strict=True):
        np.testing.assert_array_equal(one, other)
    # the fitted equation reads the weights of its folder
    run = whole.run("animation=none", folder=tmp_path / "run")
    assert run.status["state"] == "finished"


def test_log_of_another_fit_is_refused(tmp_path):
    network_fit(tmp_path / "fit", evaluations=2)
    values, equation = FitFolder(tmp_path / "fit").read_settings()
    values["equation"]["k"] = 0.4
    task = prepare_again(values, equation)
    from pdesim.fitting.train import train

    with pytest.raises(PdesimError, match="belongs to another fit"):
        train(task, tmp_path / "fit", Console(quiet=True))


def test_first_step_of_adam(tmp_path):
    """Kingma and Ba (2015), algorithm 1: the first step is the learning rate in each coordinate."""
    found = network_fit(tmp_path / "fit", method="adam", learning_rate=1e-3, evaluations=2)
    start = pdesim.ForwardModel(*NETWORK, "grid=[12]", "initial.u=0").networks["f"]
    assert found.history[1] < found.history[0]
    for before, after in zip(start, found.arrays["networks.f"], strict=True):
        # the constant that avoids a division by 0 is 1e-7
        np.testing.assert_allclose(np.abs(after - before), 1e-3, rtol=1e-2)


def test_picture(tmp_path, monkeypatch):
    """Its curves contain the residuals of the result."""
    drawn = []

    def plot_and_keep(task, compared, path):
        drawn.append(compared)
        plot.plot(task, compared, path)

    monkeypatch.setattr(run, "plot", plot_and_keep)
    found = network_fit(tmp_path / "fit", evaluations=5)
    assert (tmp_path / "fit" / "fit.png").stat().st_size > 5000
    (compared,) = drawn
    for name, size in found.residuals.items():
        squares = compared.sizes[name] ** 2
        assert np.sqrt(np.nanmean(squares)) == pytest.approx(size, rel=1e-12)
    assert list(compared.history) == list(found.history)


def test_cross_entropy(tmp_path):
    """Two fields that are logits of two classes; the minimum is the entropy of the data."""
    shares = np.stack([np.full(8, 0.8), np.full(8, 0.2)])
    found = pdesim.fit(
        "equation=custom", "equation.rhs={a: 'f(a)[0]', b: 'f(b)[1]'}",
        "equation.networks={f: {layers: [1, 2]}}", "initial={a: 1, b: 1}", "time.dt=1",
        "stepper=euler", "time.start=0",
        data={"time": np.array([1.0]), "a": shares[:1], "b": shares[1:]},
        parameters={"networks.f": "free"}, fit={"loss": "cross_entropy"}, folder=tmp_path / "fit",
    )  # fmt: skip
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert found.history[0] > entropy + 1e-3
    assert min(found.history) == pytest.approx(entropy, rel=1e-6)
    assert (tmp_path / "fit" / "fit.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit={networks.g: free}"], "there is no such array"),
        (["fit={initial.w: free}"], "there is no such array"),
        (["fit={equation.k: free}"], "is a number, which cannot be free"),
        (["fit={networks.f: [0, 1]}"], "is fitted as a whole"),
        (["fit={networks.f: {free: {smoothness: 1}}}"], "networks have no options"),
        (["fit={initial.u: {free: {smooth: 1}}}"], "smooth"),
        (["fit={initial.u: {free: {bounds: [1, 0]}}}"], "LOW < HIGH"),
        (["fit={networks.f: free, method: least_squares}"], "cannot fit free arrays"),
        (["fit={networks.f: free, starts: 2}"], "fit.starts=1"),
        (["fit={equation.k: [0, 1], method: adam}"], "is for free arrays"),
        (["fit={equation.k: [0, 1], loss: cross_entropy}"], "is for free arrays"),
    ],
)
def test_wrong_settings(tmp_path, words, expected):
    with pytest.raises(PdesimError, match=expected):
        fit_task(tmp_path, [*NETWORK, "initial.u=x", *words], film())


def test_fit_that_cannot_move(tmp_path):
    words = [*NETWORK, "initial.u=x", "fit.initial_state=settings", "equation.k=0"]
    with pytest.raises(PdesimError, match="the gradient is zero at the start"):
        pdesim.fit(*words, data=film(), parameters={"networks.f": "free"}, folder=tmp_path / "fit")
    assert not Path(tmp_path / "fit" / "fit.yaml").exists()
