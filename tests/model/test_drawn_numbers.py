"""Random numbers for the whole domain: parameters that are drawn, and random Fourier series."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import compose, make_plan

from pdesim.errors import ConfigError, PdesimError
from pdesim.settings.drawn import with_drawn_numbers

HEAT = ("equation=heat", "grid=[16]", "domain.extent=2")


def test_numbers_are_uniform_and_depend_on_seed_and_name():
    given = dict.fromkeys("ab", "random_number(2, 4)")
    values = np.array([list(with_drawn_numbers(given, seed).values()) for seed in range(400)])
    assert values.min() >= 2 and values.max() <= 4
    # four standard deviations of a mean of 400 uniform numbers of width 2, and of their correlation
    np.testing.assert_allclose(values.mean(axis=0), 3, atol=4 * 2 / np.sqrt(12 * 400))
    assert abs(np.corrcoef(values.T)[0, 1]) < 4 / np.sqrt(400)


def test_numbers_do_not_depend_on_other_parameters():
    given = {"b": "2*c", "c": "random_number(0, 1)", "k": 1.0}
    alone = with_drawn_numbers({"c": "random_number(0, 1)"}, 5)
    assert with_drawn_numbers(given, 5) == {**given, **alone}
    both = with_drawn_numbers({"d": "floor(c + random_number(3, 3.5))", **given}, 5)
    assert both["c"] == alone["c"] and both["d"] in (3, 4)


def test_a_drawn_parameter_is_a_number_of_the_equation():
    words = (*HEAT, "equation.D='random_number(0.1, 0.2)'", "seed=3")
    plan = make_plan(*words)
    assert 0.1 <= plan.equation.parameters["D"] <= 0.2 and not plan.equation.arrays
    assert plan.equation.parameters == make_plan(*words).equation.parameters
    assert plan.equation.parameters != make_plan(*words, "seed=4").equation.parameters
    # the settings that are stored keep the formula
    assert compose(words).values["equation"]["D"] == "random_number(0.1, 0.2)"


def test_initial_states_use_parameters_that_are_formulas_of_position():
    words = ("+equation.a='random_number(1, 2)'", "+equation.wave='a*sin(pi*x)'")
    plan = make_plan(*HEAT, *words, "initial.u='where(wave < 0, -wave, wave)'")
    x = (np.arange(16) + 0.5) / 8
    expected = np.abs(plan.equation.parameters["a"] * np.sin(np.pi * x))
    np.testing.assert_allclose(plan.state[0], expected, rtol=1e-6)  # float32
    assert plan.notes == ()


def test_a_number_in_an_initial_state_is_the_same_in_all_cells():
    state = make_plan(*HEAT, "initial.u='random_number(1, 2) + random_number(0, 1)'").state[0]
    assert (state == state[0]).all() and 1 <= state[0] <= 3 and state[0] % 1 != 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random_number(2, 1)", "the limits 2.0 and 1.0"),
        ("random_number(0, 1e999)", "not a finite real number"),
        ("log(random_number(0, 1) - 2)", "equation.D is nan"),
        ("random_number(1)", "random_number"),
    ],
)
def test_limits_are_checked(text, message):
    with pytest.raises(PdesimError, match=message):
        make_plan(*HEAT, f"equation.D='{text}'")


def test_limits_of_a_number_cannot_vary():
    with pytest.raises(ConfigError, match="the limits"):
        make_plan(*HEAT, "initial.u='random_number(0, x)'")


def test_a_series_has_its_waves_and_its_largest_value():
    """The Fourier transform on a grid that resolves all waves."""
    heights = []
    for seed in range(60):
        words = ("grid=[160]", "domain.extent=1", f"seed={seed}", "device.precision=float64")
        u = make_plan("equation=heat", *words, "initial.u='random_series(5)'").state[0]
        modes = np.fft.rfft(u) / 160
        assert np.abs(modes[6:]).max() < 1e-14 and abs(modes[0]) < 1e-14
        # half a cell from a maximum, the shortest wave has 1 - (5*pi/160)**2/2 of it
        assert 0.99 < np.abs(u).max() < 1.01
        heights.append(np.abs(modes[1:6]) / np.abs(modes[1:6]).max())
    # all wave numbers have the same distribution: four standard deviations of their means
    means = np.mean(heights, axis=0)
    assert np.ptp(means) < 2 * 4 * np.std(heights) / np.sqrt(60)


@pytest.mark.parametrize(("text", "most"), [("0", 256), ("2000", 256)])
def test_the_wave_number_of_a_series_is_checked(text, most):
    with pytest.raises(ConfigError, match=rf"from 1 to {most} in 1-D"):
        make_plan(*HEAT, f"initial.u='random_series({text})'")
