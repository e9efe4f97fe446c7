"""Compiled programs: what they are traced for, how they are called, and equal results."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan
from made_plans import GRAY_SCOTT


def test_frames_are_hit_exactly_and_blocks_do_not_change_bits(placement):
    from pdesim.engine.simulation import Simulation

    plan = make_plan(*GRAY_SCOTT, "time.end=100", "time.dt=0.7")
    plan_times = plan.times
    finals = []
    for first_block in (1, 7, 1000):
        simulation = Simulation(plan, placement)
        simulation.steps_per_block = first_block
        frames = list(simulation.frames())
        assert [f.time for f in frames] == plan_times.tolist()
        assert simulation.steps == plan.steps_left == 143
        finals.append(frames[-1].state)
    assert all(np.array_equal(finals[0], other) for other in finals[1:])


def test_nothing_retraces_between_blocks_and_frames(placement):
    from pdesim.engine.simulation import Simulation

    simulation = Simulation(make_plan(*GRAY_SCOTT, "time.end=50", "output.every=7"), placement)
    before = _traces(simulation)
    list(simulation.frames())
    assert before <= _traces(simulation) == 1


def _traces(simulation) -> int:
    loop = simulation.loop
    # called for measurements, too: with other steps, states and scales
    programs = loop.advance, loop.init, loop.advance_adaptive
    return max(program.experimental_get_tracing_count() for program in programs)


def test_new_parameters_steps_and_seeds_make_no_new_program(placement):
    """And give what a program of their own gives."""
    from pdesim.engine import compile_cache as programs
    from pdesim.engine.simulation import Simulation

    words = (*GRAY_SCOTT, "stepper=euler", "time.end=20", "initial.u='0.5 + random_normal(0.1)'")
    changes = [(), ("equation.F=0.03",), ("time.dt=0.5",), ("seed=7",), ("time.end=31",)]
    finals, loops = [], set()
    for change in changes:
        simulation = Simulation(make_plan(*words, *change), placement)
        finals.append(list(simulation.frames())[-1].state)
        loops.add(id(simulation.loop))
        assert _traces(simulation) == 1
    assert len(loops) == 1 and len({final.tobytes() for final in finals}) == len(changes)
    for change, final in zip(changes[1:3], finals[1:3], strict=True):
        programs._programs.clear()
        own = list(Simulation(make_plan(*words, *change), placement).frames())[-1].state
        np.testing.assert_array_equal(own, final)


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        (("operators.order=4",), True), (("boundary=neumann",), True), (("grid=[20,16]",), True),
        (("device.precision=float64",), True), (("stepper=heun",), True),
        (("domain.mask='where(r < 0.2, 1, 0)'",), True), (("equation.F='0.03 + 0.001*x'",), True),
        (("equation.k=0.05",), False), (("output.frames=3",), False),
    ],
)  # fmt: skip
def test_what_is_traced_into_a_program_tells_programs_apart(placement, more, changed):
    from pdesim.engine.simulation import Simulation

    first, second = (Simulation(make_plan(*GRAY_SCOTT, *m), placement) for m in ((), more))
    assert (first.loop is not second.loop) == changed


@pytest.mark.parametrize("stepper", ["rk4", "etdrk4", "dormand_prince"])
def test_one_call_takes_a_whole_frame(placement, monkeypatch, stepper):
    from pdesim.engine import simulation as module

    monkeypatch.setattr(module, "BLOCK_SECONDS", 1e3)  # however busy the machine is
    words = () if stepper == "dormand_prince" else ("time.dt=1",)
    plan = make_plan(*GRAY_SCOTT, f"stepper={stepper}", "time.end=60", "output.frames=6", *words)
    simulation = module.Simulation(plan, placement)
    simulation.prepare()
    calls = []
    list(simulation.frames(calls.append))
    assert len(calls) == 6


def test_a_first_state_on_the_device_is_held_there_alone(placement):
    from pdesim.engine.simulation import Simulation

    plan = make_plan(*GRAY_SCOTT, "time.end=2", "output.frames=1")
    first = plan.state.copy()
    assert plan.state_bytes == first.nbytes
    simulation = Simulation(plan, placement)
    simulation.prepare()
    with pytest.raises(RuntimeError, match="then released"):
        _ = plan.state
    frames = [frame.state.copy() for frame in simulation.frames()]
    assert np.array_equal(frames[0], first) and len(frames) == 2


def test_xla_and_plain_graphs_agree(evolve):
    states = [
        evolve(*GRAY_SCOTT, "time.end=50", f"device.jit={jit}").states for jit in ("true", "false")
    ]
    np.testing.assert_allclose(*states, atol=1e-13)
