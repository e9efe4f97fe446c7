"""Sweeps as one program: every member as if it had run alone."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from conftest import make_plan
from made_plans import steppers_with_problems

from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.errors import DivergedError
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.members import can_share, prepare_member
from pdesim.sweeps.notes import settings_without_effect
from pdesim.sweeps.overrides import first_values, members

#: three members that differ in parameters, first state, and thereby in their steps
PROBLEMS = {
    "gray_scott spectral": (
        ("equation=gray_scott", "operators=spectral"),
        ("equation.F=0.03", "equation.F=0.05 seed=3", "equation.Du=4e-5 equation.k=0.055"),
    ),
    "heat": (
        ("equation=heat", "boundary.x=dirichlet"),
        ("equation.D=1e-3", "equation.D=5e-3", "seed=2"),
    ),
    "wave": (
        ("equation=wave", "boundary.y={lower: {dirichlet: 'sin(c*t)'}, upper: neumann}"),
        ("equation.c=1", "equation.c=0.5", "equation.damping=0.3"),
    ),
}


def member_plans(words, differences, *more):
    plans = [make_plan(*words, *more, *d.split(" ")) for d in differences]
    end = plans[0].times[0] + 25 * min(p.step.dt for p in plans)
    more = (*more, f"time.end={end}", "output.frames=3")
    return [make_plan(*words, *more, *d.split(" ")) for d in differences]


def frames_of(plans, placement) -> np.ndarray:
    from pdesim.engine.simulation import Simulation

    return np.stack([frame.state for frame in Simulation(plans, placement).frames()])


def pairs():
    named = {words: (name, differences) for name, (words, differences) in PROBLEMS.items()}
    for stepper, words in steppers_with_problems(named):
        name, differences = named[words]
        yield pytest.param(stepper, words, differences, id=f"{stepper} {name}")


@pytest.mark.parametrize(("stepper", "words", "differences"), pairs())
def test_members_are_what_single_runs_are(placement, stepper, words, differences):
    plans = member_plans(words, differences, "grid=[16,12]", f"stepper={stepper}",
                         "device.precision=float64")  # fmt: skip
    if not can_share(plans[0]):
        pytest.skip("runs alone: its iterations end when they are exact enough")
    together = frames_of(plans, placement)
    for number, plan in enumerate(plans):
        alone = frames_of(plan, placement)
        # the same operations in the same order; the compiler may contract products and sums
        # differently for other shapes, which is some units in the last place per step
        scale = np.abs(alone).max()
        np.testing.assert_allclose(together[:, number], alone, rtol=0, atol=1e-12 * scale)


def test_one_member_that_fails_disturbs_no_other(placement):
    from pdesim.engine.simulation import Simulation

    words = ("equation=custom", "equation.rhs={u: 'a*u**2'}", "equation.a=0", "grid=[8]")
    words += ("initial={u: 1}", "time.dt=0.001", "time.end=2", "output.frames=20")
    plans = [make_plan(*words, f"equation.a={a}") for a in (0.1, 1.0, -0.5)]
    simulation = Simulation(plans, placement)
    frames = np.stack([frame.state for frame in simulation.frames()])
    assert list(simulation.failures) == [1]
    for member, a in ((0, 0.1), (2, -0.5)):
        # Euler's error here is below dt * max|u''| * t
        np.testing.assert_allclose(frames[-1, member], 1 / (1 - 2 * a), rtol=2e-3)
        np.testing.assert_array_equal(frames[:, member], frames_of(plans[member], placement))
    with pytest.raises(DivergedError):
        list(Simulation([plans[1], plans[1]], placement).frames())


def test_stopped_members_go_on_with_the_same_bits(placement):
    from pdesim.engine.simulation import Simulation
    from pdesim.plan import build_plan

    class Stop(Exception):
        pass

    words, differences = PROBLEMS["gray_scott spectral"]
    plans = member_plans(words, differences, "grid=16", "stepper=sbdf2")
    whole = Simulation(plans, placement)
    expected = np.stack([frame.state for frame in whole.frames()])
    first, blocks = Simulation(plans, placement), 0
    first.steps_per_block = 3

    def report(progress):
        nonlocal blocks
        blocks += 1
        if blocks == 5:
            raise Stop

    with pytest.raises(Stop):
        list(first.frames(report))
    rest = Simulation(
        [build_plan(p.settings, p.equation.name, first.checkpoint(i)) for i, p in enumerate(plans)],
        placement,
    )
    frames = np.stack([frame.state for frame in rest.frames()])
    assert frames.tobytes() == expected[-len(frames) :].tobytes()


def test_a_member_goes_on_alone_with_the_bits_of_its_batch(placement):
    from pdesim.engine.simulation import Simulation
    from pdesim.plan import build_plan

    words = ("equation=gray_scott", "grid=128", "time.end=60", "output.frames=3")
    plans = [make_plan(*words, f"equation.F={feed}") for feed in (0.03, 0.04)]
    batch, expected = Simulation(plans, placement), []
    for frame in batch.frames():
        expected.append(frame.state[1])
        if frame.index == 1:
            moment = batch.checkpoint(1)
    alone = Simulation(build_plan(plans[1].settings, plans[1].equation.name, moment), placement)
    for frame, state in zip(alone.frames(), expected[2:], strict=True):
        np.testing.assert_array_equal(frame.state, state)
    assert (alone.members, alone.steps) == (1, batch.steps_of(1)[0])


SWEEP = ("-m", "equation=gray_scott", "grid=24", "time.end=60", "output.frames=3", "animation=none")


def test_a_sweep_leaves_a_run_in_every_folder(command, tmp_path):
    command(*SWEEP, "equation.F=0.03,0.04", "stepper=euler,rk4", "hydra.sweep.dir=s")
    command(*SWEEP[1:], "equation.F=0.04", "stepper=rk4", "hydra.run.dir=alone")
    member, alone = tmp_path / "s" / "3", tmp_path / "alone"
    assert {p.name for p in alone.iterdir()} - {".hydra"} == {p.name for p in member.iterdir()} - {
        ".hydra"
    }
    with h5py.File(member / "snapshots.h5") as a, h5py.File(alone / "snapshots.h5") as b:
        np.testing.assert_allclose(a["v"][:], b["v"][:], atol=1e-6)
        assert a.attrs["equation"] == b.attrs["equation"]
    status = json.loads((member / "status.json").read_text())
    assert status["state"] == "finished" and status["members_of_batch"] == 2
    assert "0.04" in (member / ".hydra" / "overrides.yaml").read_text()


def test_a_member_that_fails_is_named(command, tmp_path):
    words = ("equation=custom", "equation.rhs={u: 'a*u**2'}", "grid=[8]", "initial={u: 1}")
    words += ("time.dt=0.001", "time.end=2", "output.frames=10", "animation=none")
    done = command("-m", *words, "equation.a=0.1,1,-0.5", "hydra.sweep.dir=s", check=3)
    assert "2 of 3 members finished" in done.stderr and "without bound" in " ".join(
        done.stderr.split()
    )
    states = [json.loads((tmp_path / "s" / n / "status.json").read_text())["state"] for n in "012"]
    assert states == ["finished", "failed", "finished"]
    with h5py.File(tmp_path / "s" / "1" / "snapshots.h5") as file:
        assert 0 < len(file["time"]) < 11 and np.isfinite(file["u"][:]).all()


def test_odd_values_reach_their_members(tmp_path):
    for number, word in enumerate(("equation.D=1e-05", "equation.D=-0.0", "seed=7")):
        member = prepare_member(number, tmp_path / str(number), ["grid=8", word])
        assert member.plan is not None, member
    bad = prepare_member(9, tmp_path / "9", ["equation=heat", "stepper=euler", "time.dt=1e9"])
    assert bad.state == "failed" and "stability limit" in bad.error.problem
    assert json.loads((tmp_path / "9" / "status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize(
    ("words", "key", "values"),
    [
        (("equation=gray_scott",), "equation.F", ("0.03", "1e-05", "-0.0", "+.5", "3", "'4'")),
        (("equation=heat", "time.end=3"), "seed", ("1", "07", "2_000")),
        (("equation=heat",), "grid", ("16", "[16,8]", "32")),
        (("equation.A=2", "equation={A: 3}", "equation=custom"), "equation.A", ("3", "4")),
        (("initial.u=1", "+initial.v=2"), "time.end", ("2", "null", "1.5")),
        (("time.end=${equation.D}", "time.start=-1"), "equation.D", ("0.1", "0.2")),
        (
            ("equation.rhs={u: 'a*u + A'}", "equation=custom", "equation.A=0"),
            "equation.a",
            ("1", "2"),
        ),
    ],
)
def test_members_are_composed_as_hydra_does(words, key, values):
    compose = Composer()
    for value in values:
        for members_words in ([*words, f"{key}={value}"], [f"{key}={value}", *words]):
            quick, hydras = compose(members_words), compose_settings(members_words)
            assert (quick.equation, quick.overrides) == (hydras.equation, hydras.overrides)
            assert quick.yaml == hydras.yaml  # and so are the types: 1 == 1.0 for Python


def test_members_that_differ_in_numbers_ask_hydra_once(monkeypatch):
    from pdesim.sweeps import compose as composition

    asked = []
    monkeypatch.setattr(
        composition, "compose_settings", lambda *a: asked.append(a) or compose_settings(*a)
    )
    compose = Composer()
    for D in (0.1, 1e-05, 2, -3.5):
        assert compose(["equation=heat", f"equation.D={D}", "grid=16"]).values["equation"]["D"] == D
    assert len(asked) == 1


def test_runs_that_are_there_are_left_alone(tmp_path):
    import pdesim

    words = ["equation=heat", "grid=8", "output.frames=1", "animation=none"]
    run = pdesim.simulate(*words, folder=tmp_path / "0")
    before = {p.name: p.read_bytes() for p in run.folder.iterdir() if p.is_file()}
    for more in ([], ["time.dt=1e9"], ["resume=auto", "equation.D=7"]):
        outcome = prepare_member(0, run.folder, words + more)
        assert outcome.state == "failed", more
        assert {p.name: p.read_bytes() for p in run.folder.iterdir() if p.is_file()} == before


def test_hydras_own_launcher_still_serves(command, tmp_path):
    command(*SWEEP, "equation.F=0.03,0.04", "hydra/launcher=basic", "hydra.sweep.dir=s")
    assert (tmp_path / "s" / "1" / "snapshots.h5").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["workers.n=5"], ""),
        (["workers.options.x=1"], "workers.options has no effect with workers=local"),
        (["montage.x=D"], "montage has no effect with animation=none"),
        (["animation=gif", "montage.x=nope"], "montage.x=nope is not a setting that this sweep"),
        (["animation=gif", "montage.x=D", "montage.y=equation.D"], ""),
        (["workers=joblib", "workers.n=2"], ""),
    ],
)
def test_settings_without_effect_on_a_sweep_are_noted(words, expected):
    all_words = ["equation=heat", "grid=8", "animation=none", "equation.D=0.1,0.2", *words]
    composed = compose_settings(first_values(all_words))
    notes = settings_without_effect(composed, all_words, members(all_words))
    assert len(notes) == bool(expected) and expected in "".join(notes)


@pytest.mark.parametrize("empty", ["{}", "[]"])
def test_a_swept_setting_in_a_file_has_values(empty, tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    text = f"# @package _global_\nsweep:\n  parameters: {{equation.D: {empty}}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    words = ["--config-dir", str(tmp_path), "-m", "equation=heat", "experiment=mine"]
    assert main([*words, f"hydra.sweep.dir={tmp_path / 'sweep'}"]) == 2
    assert "sweep.parameters.equation.D is empty" in capsys.readouterr().err
