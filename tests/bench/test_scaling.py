"""``pdesim bench --devices``: the model, the measured programs, and the command on small grids."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_plan

from pdesim.bench.scaling import (
    Load,
    ScalingRow,
    predict_speed_up,
    predict_step_seconds,
    single,
)
from pdesim.engine.distributed.link import Link, fit_link

FREE = Link(0.0, math.inf)


def test_the_time_of_a_step_is_the_sum_of_its_parts():
    load = Load(4, 100, 25, ghost_rows=10, steps=5, exchanges=0.2, exchanged=3000.0)
    link = Link(latency=1e-3, bandwidth=1e6)
    # 35 of 100 rows, 4 devices on 2 cores; a fifth of an exchange; 3 kB at 1 MB/s
    expected = 2.0 * 35 / 100 * 2 + 0.2 * 1e-3 + 3e-3
    found = predict_step_seconds(load, single(100), 2.0, parallel=2, link=link)
    assert found == pytest.approx(expected, rel=1e-12)
    speed_up = predict_speed_up(load, single(100), 2.0, parallel=2, link=link)
    assert speed_up == pytest.approx(2.0 / expected, rel=1e-12)


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("link", [FREE, Link(1.0, 1.0)])
def test_one_device_has_the_speed_up_one(parallel, link):
    assert predict_speed_up(single(64), single(64), 0.1, parallel, link) == 1.0


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_without_costs_the_speed_up_is_ideal(devices):
    strong, weak = Load(devices, 64, 64 // devices), Load(devices, 64 * devices, 64)
    for load in (strong, weak):
        assert predict_speed_up(load, single(64), 0.1, devices, FREE) == pytest.approx(devices)
        # devices that share cores are not faster than the cores
        assert predict_speed_up(load, single(64), 0.1, 2, FREE) == pytest.approx(2)


def test_more_costs_never_increase_the_predicted_speed_up():
    load = Load(4, 64, 16, ghost_rows=4, steps=2, exchanges=0.5, exchanged=1e4)
    base = predict_speed_up(load, single(64), 1e-3, 4, Link(1e-5, 1e9))
    for worse, link in (
        (replace(load, ghost_rows=8), Link(1e-5, 1e9)),
        (replace(load, exchanges=1.0), Link(1e-5, 1e9)),
        (load, Link(1e-4, 1e9)),
        (load, Link(1e-5, 1e8)),
    ):
        assert predict_speed_up(worse, single(64), 1e-3, 4, link) < base


def test_latency_and_bandwidth_of_a_line():
    link = fit_link((1e3, 1e6), (2e-5 + 1e3 / 5e9, 2e-5 + 1e6 / 5e9))
    assert link.latency == pytest.approx(2e-5, rel=1e-9)
    assert link.bandwidth == pytest.approx(5e9, rel=1e-9)
    # large arrays that are not slower, by noise or because memory is shared
    assert fit_link((1e3, 1e6), (3e-5, 2e-5)) == Link(3e-5, math.inf)
    # a slope that noise makes too large gives no negative latency
    assert fit_link((1e3, 2e3), (1e-5, 4e-5)).latency == 0


def test_ratios_of_a_row_are_medians_over_rounds():
    one = ScalingRow("strong", (4, 8), single(8), 10, (1.0, 2.0, 4.0), (0.0,) * 3)
    load = Load(2, 8, 4, ghost_rows=2, exchanges=1.0, exchanged=64.0)
    row = ScalingRow("strong", (4, 8), load, 20, (1.0, 2.0, 8.0), (0.5, 0.5, 2.0), FREE, 2.0, one)
    assert row.speed_up == 2.0 and row.efficiency == 1.0 and row.exchange_share == 0.25
    assert row.cells == 32 and row.step_seconds == 0.1
    assert one.speed_up == one.efficiency == 1.0


@pytest.mark.parametrize(
    ("words", "fields", "operations"),
    [
        (("equation=gray_scott", "stepper=euler"), 2, 1),
        # positions and momenta are two arrays
        (("equation=wave", "stepper=verlet"), 2, 2),
        # adaptive steppers exchange rows, and then gather errors
        (("equation=gray_scott", "stepper=dormand_prince", "device.precision=float64"), 4, 2),
        (("equation=custom", "stepper=euler", "equation.fields=[u]", "time.end=0.1",
          "equation.k='random_uniform(1, 2)'", "equation.rhs.u='0.01*laplacian(u) - k*u'"), 1, 1),
    ],
)  # fmt: skip
def test_devices_take_the_steps_of_one(placement, words, fields, operations):
    from pdesim.bench.distributed_program import DistributedProgram, single_program

    plan = make_plan(*words, "grid=[24,33]")
    program = DistributedProgram(plan, placement.all_of(2), threads=1)
    load = program.load
    assert (load.devices, load.total_rows, load.rows) == (2, 33, 17)
    # 24 cells in a row, 4 bytes of a value; a field of float64 counts twice
    assert load.exchanged == load.ghost_rows * 24 * 4 * fields / load.steps
    assert load.exchanges == operations / load.steps
    one = single_program(plan, placement, threads=1).run(2 * load.steps).numpy()
    np.testing.assert_array_equal(np.concatenate(program.run(2 * load.steps), 1), one)
    assert len(program.exchange_seconds) == 1 and program.exchange_seconds[0] > 0


@pytest.fixture
def quick(monkeypatch):
    """Short rounds: the values of the times are not tested."""
    from pdesim.bench import scaling_command, timing

    monkeypatch.setattr(timing, "TRIAL_SECONDS", 0.001)
    monkeypatch.setattr(scaling_command, "ROUND_SECONDS", 0.001)


WORDS = ("bench", "equation=gray_scott", "stepper=euler", "device=cpu", "--repeats", "3")


def test_strong_and_weak_scaling_as_json(quick, capsys, tmp_path, monkeypatch):
    from pdesim.cli.main import main

    monkeypatch.chdir(tmp_path)
    files = ["--markdown", "table.md", "--plot", "plot.svg"]
    assert main([*WORDS, "grid=[16,32]", "--devices", "2,1", "--json", *files]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["equation"] == "gray_scott" and result["threads_per_device"] >= 1
    found = [(row["scaling"], row["devices"], row["grid"]) for row in result["rows"]]
    assert found == [
        ("strong", 1, [16, 32]), ("strong", 2, [16, 32]), ("weak", 1, [16, 32]),
        ("weak", 2, [16, 64]),
    ]  # fmt: skip
    for row in result["rows"]:
        assert row["cells"] == row["grid"][0] * row["grid"][1]
        assert len(row["seconds"]) == len(row["exchange_seconds"]) == 3
        assert row["efficiency"] == row["speed_up"] / row["devices"]
        several = row["devices"] > 1
        assert (0 < row["exchange_share"] < 1) == several
        assert (row["latency_seconds"] is not None) == several
        if not several:
            assert row["speed_up"] == row["predicted_speed_up"] == 1
            assert row["ghost_rows"] == row["exchanged_bytes_per_step"] == 0
    strong, weak = result["rows"][1], result["rows"][3]
    # at most an eighth of the rows of a device on each side: 2 of 16, 4 of 32
    assert (strong["rows_per_device"], strong["ghost_rows"], strong["steps_per_exchange"]) == (
        16, 4, 2
    )  # fmt: skip
    assert (weak["rows_per_device"], weak["ghost_rows"], weak["steps_per_exchange"]) == (32, 8, 4)
    assert strong["exchanged_bytes_per_step"] == 4 * 16 * 2 * 4 / 2
    table = (tmp_path / "table.md").read_text().splitlines()
    assert len(table) == 6 and table[5].startswith("| weak | 16x64 | 1,024 | 2 | 8 | 4 |")
    assert (tmp_path / "plot.svg").read_text().count("<path") > 10


def test_the_table_of_several_sizes(quick, capsys):
    from pdesim.cli.main import main

    assert main([*WORDS, "--sizes", "16,24", "--devices", "2"]) == 0
    text = capsys.readouterr().out
    for word in ("speed-up", "predicted", "efficiency", "16x32", "24x48", "each device", "latency"):
        assert word in text
    assert "…" not in text


def test_weak_scaling_keeps_the_spacing():
    from pdesim.bench.scaling_command import _grown

    plan = make_plan("equation=heat", "grid=[16,20]", "domain.extent=[2,3]")
    grown = make_plan("equation=heat", "grid=[16,20]", "domain.extent=[2,3]", *_grown(plan, 3))
    assert grown.grid.points == (16, 60) and grown.grid.extent == (2, 9)
    assert grown.grid.spacing == pytest.approx(plan.grid.spacing, rel=1e-14)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "1"], "at least one number of devices above 1"),
        (["--devices", "0,2"], "--devices got 0"),
        (["--devices", "2,many"], "--devices got many"),
        (["--devices", "2000"], "integers from 1 to 1,024"),
        (["--devices", "2", "device.count=2"], "both --devices and device.count=2"),
        (["device.count=2"], "--devices 1,2"),
        (["--devices", "2", "--sizes", "16", "grid=16"], "only one of them"),
        (["--devices", "1,64", "grid=32"], "32 rows on 64 devices"),
        (["--devices", "2", "operators=spectral"], "spectral operators need the complete grid"),
        (["--devices", "2", "equation=kpz"], "noise"),
        (["--devices", "2", "equation=poisson"], "takes no steps"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_computed(
    words, message, capsys, monkeypatch
):
    from pdesim.bench import scaling_command
    from pdesim.cli.main import main

    monkeypatch.setattr(scaling_command, "_rows", None)
    assert main(["bench", "equation=heat", "stepper=euler", "operators=stencil", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and "expected:" in error and "Traceback" not in error


def test_linear_systems_do_not_take_devices(capsys):
    from pdesim.cli.main import main

    assert main(["bench", "linear_system", "--devices", "1,2"]) == 2
    assert "--devices cannot be used with linear_system" in capsys.readouterr().err


def test_a_failed_exchange_is_measured_too():
    from pdesim.bench.distributed_program import TimedCommunicator

    class Broken:
        rank, size = 1, 3

        def gather(self, values, equal=False):
            raise OSError

    timed = TimedCommunicator(Broken())
    with pytest.raises(OSError):
        timed.gather(np.zeros(2))
    assert (timed.rank, timed.size) == (1, 3) and timed.seconds > 0


def test_measured_links_are_positive(placement):
    from pdesim.bench.distributed_program import measure_link

    link = measure_link(placement.all_of(3), 3)
    assert link.latency >= 0 and link.bandwidth > 0
