"""The predicted wavelength and growth rate beside runs that start from weak noise."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim


def spectrum(field: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(field, axis=-1)) ** 2


@pytest.mark.parametrize(
    "words",
    [
        (
            "equation=brusselator", "equation.Dv=8", "equation.B=1.95", "domain.extent=[600]",
            "grid=[1024]", "time.end=80", "initial.u='1 + random_normal(1e-6)'",
            "initial.v='1.95 + random_normal(1e-6)'",
        ),
        (
            "equation=swift_hohenberg", "domain.extent=[400]", "grid=[1024]", "time.end=30",
            "initial.u='random_normal(1e-6)'",
        ),
    ],
    ids=["brusselator", "swift_hohenberg"],
)  # fmt: skip
def test_noise_grows_with_the_predicted_wavelength(evolve, words):
    run = evolve(*words, "output.frames=10")
    state = next(s for s in pdesim.analyze(*words).states if s.kind == "Turing")
    assert np.abs(run.field("u")[-1] - state.values["u"]).max() < 1e-2  # still linear
    power = spectrum(run.field("u")[-1] - state.values["u"])
    k = 2 * np.pi * np.arange(len(power)) / run.plan.grid.extent[0]
    # noise makes single waves scatter; the mean over the spectrum does not
    mean = (k * power).sum() / power.sum()
    assert 2 * np.pi / mean == pytest.approx(state.pattern.wavelength, rel=0.1)
    assert 2 * np.pi / k[power.argmax()] == pytest.approx(state.pattern.wavelength, rel=0.1)
    # the wave nearest to the fastest one grows as exp(growth t)
    fastest = int(np.abs(k - state.pattern.wavenumber).argmin())
    early, late = (spectrum(run.field("u")[n])[fastest] for n in (6, 10))
    rate = np.log(late / early) / 2 / (run.times[10] - run.times[6])
    assert rate == pytest.approx(state.pattern.growth, rel=0.02)


def test_a_single_mode_grows_at_its_rate_on_the_grid(evolve):
    """Brusselator between no-flux walls: the mode's growth rate with second differences."""
    words = (
        "equation=brusselator", "equation.Dv=8", "equation.B=1.95", "domain.extent=[30]",
        "grid=[48]", "boundary=neumann",
    )  # fmt: skip
    state = pdesim.analyze(*words).states[0]
    mode = max(state.modes, key=lambda wave: wave.growth)
    assert mode.growth > 0 and abs(mode.growth_on_grid / mode.growth - 1) > 1e-3
    k = mode.wavenumber
    run = evolve(
        *words, f"initial.u='1 + 1e-7*cos({k!r}*x)'", "initial.v=1.95", "time.end=80",
        "output.frames=4", "time.dt=0.01", "stepper=rk4",
    )  # fmt: skip
    shape = np.cos(k * run.coordinates["x"])
    amplitude = (run.field("u") - 1) @ shape
    rate = np.log(amplitude[4] / amplitude[3]) / (run.times[4] - run.times[3])
    assert rate == pytest.approx(mode.growth_on_grid, rel=1e-4)
