"""Crystals: speeds of fronts, growth rates and amplitudes that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim


def simulate(folder, equation, /, **settings):
    """Run an equation in double precision; return its last frame and all frames, by field."""
    settings = {"device": {"precision": "float64"}, "animation": "none"} | settings
    with pdesim.simulate(equation, folder=folder, **settings).snapshots as file:
        return {name: np.array(file[name][:]) for name in file.fields}, np.array(file.times)


@pytest.mark.parametrize("six", [0.02, -0.02])
def test_the_front_of_a_crystal_has_the_speed_of_its_direction(tmp_path, six):
    """At a fixed driving force m, a plane front has the speed sqrt(2) epsilon(theta) m/tau.

    It is phi = 1/2 - tanh((x - v t)/(2 sqrt(2) epsilon))/2, for which phi' = -phi (1 - phi)/
    (sqrt(2) epsilon): inserting it into tau phi_t = epsilon^2 phi'' + phi (1 - phi)
    (phi - 1/2 + m) leaves v tau/(sqrt(2) epsilon) = m. The terms of the slope of epsilon cancel.
    """
    m = 0.2
    frames, times = simulate(
        tmp_path,
        "dendrite",
        # no heat is set free, so that the temperature and m are constant
        equation={"K": 0, "epsilon": 0.04, "six": six, "m": m},
        grid=[300, 4],
        domain={"extent": [6, 0.08], "origin": 0},
        operators={"order": 4},
        initial={"phi": "0.5 - 0.5*tanh((x - 1.5)/(2*sqrt(2)*epsilon))", "T": 0},
        time={"end": 0.05},
        output={"frames": 2},
    )
    places = frames["phi"][:, 0].sum(-1) * 6 / 300
    speed = (places[2] - places[1]) / (times[2] - times[1])
    # fourth-order differences, with six cells in the width 2 sqrt(2) epsilon of the front. In the
    # first half of the time the front takes the form of its direction
    assert speed == pytest.approx(np.sqrt(2) * 0.04 * (1 + six) * m / 3e-4, rel=3e-3)


@pytest.mark.parametrize("k", [0.5, 1.0, 1.25])
def test_waves_in_a_melt_grow_at_their_rate(tmp_path, k):
    """The rate k^2 (epsilon - 3 psi0^2 - (1 - k^2)^2): Elder and Grant (2004), section II."""
    frames, _ = simulate(
        tmp_path,
        "phase_field_crystal",
        grid=[32],
        domain={"extent": 2 * np.pi / k},
        initial={"psi": f"-0.2 + 1e-6*cos({k}*x)"},
        time={"end": 2},
        output={"frames": 1},
    )
    size = abs(np.fft.rfft(frames["psi"])[:, 1])
    expected = k**2 * (0.25 - 3 * 0.2**2 - (1 - k**2) ** 2)
    # the cubic term is smaller by the amplitude, 1e-6; double precision leaves 1e-9 of it
    assert np.log(size[1] / size[0]) / 2 == pytest.approx(expected, abs=1e-6)


def test_a_crystal_of_atoms_has_its_amplitude_and_loses_free_energy(tmp_path):
    """Close to the threshold the modes of a hexagonal crystal have a known amplitude.

    For psi = psi0 + 2 a (cos y + 2 cos(sqrt(3) x/2) cos(y/2)), the mean of psi^3 over a mode gives
    0 = epsilon - 3 psi0^2 - 6 psi0 a - 15 a^2 (Elder and Grant (2004), equation 25, with
    A = 4 a). The cell has the sides 4 pi/sqrt(3), the distance of atoms, and 4 pi.
    """
    epsilon, mean = 0.02, -0.06
    frames, _ = simulate(
        tmp_path,
        "phase_field_crystal",
        equation={"epsilon": epsilon},
        grid=[16, 32],
        domain={"extent": ["4*pi/sqrt(3)", "4*pi"]},
        initial={"psi": f"{mean} + 0.1*(cos(y) + 2*cos(sqrt(3)*x/2)*cos(y/2))"},
        time={"end": 1500},
        output={"frames": 10},
    )
    psi = frames["psi"]
    # the mean is a mode that the equation does not change
    np.testing.assert_allclose(psi.mean((1, 2)), mean, atol=1e-14)
    ky = np.fft.fftfreq(32) * 32 / 2
    kx = np.fft.rfftfreq(16) * 16 * np.sqrt(3) / 2
    square = ky[:, None] ** 2 + kx**2
    linear = np.fft.irfft2((1 - epsilon - 2 * square + square**2) * np.fft.rfft2(psi), (32, 16))
    energy = (psi * linear / 2 + psi**4 / 4).mean((1, 2))
    # double precision: 1e-16 of terms of 2e-3
    assert (np.diff(energy) < 1e-15).all() and energy[-1] < energy[0]
    a = abs(np.fft.rfft2(psi[-1])[2, 0]) / psi[-1].size
    expected = (-3 * mean + np.sqrt(15 * epsilon - 36 * mean**2)) / 15
    # higher modes have amplitudes of a^2 psi0 and a^3 over their decay rates, 4 and 9
    assert a == pytest.approx(expected, rel=0.01)
