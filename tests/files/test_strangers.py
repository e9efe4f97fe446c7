"""Run folders that somebody else made: odd settings, odd checkpoints, and traps under log names."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil

import h5py
import numpy as np
import pytest
import yaml

import pdesim
from pdesim.cli import main as cli
from pdesim.cli import resume as resume_command
from pdesim.errors import OutputError, printable
from pdesim.files import load_yaml
from pdesim.output import RunFolder, recover
from pdesim.output.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from pdesim.output.convergence import settings_digest

ESCAPE = "\x1b[31m"
#: beyond float64; and beyond the 4300 digits that Python prints
LARGE, HUGE = "1" + "0" * 400, "0x" + "f" * 5000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of two fields in float32."""
    folder = tmp_path_factory.mktemp("made") / "run"
    words = ("equation=gray_scott", "grid=16", "time.end=4", "output.frames=2", "animation=none")
    pdesim.simulate(*words, "stepper=cnab2", folder=folder)
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of it, in an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def store(run, text: str) -> None:
    with h5py.File(run / "snapshots.h5", "r+") as file:
        file.attrs["config"] = text


def stored(run) -> str:
    with h5py.File(run / "snapshots.h5") as file:
        return file.attrs["config"]


def told(capsys, *words: str) -> str:
    """All that a command prints; checks that it found no defect and printed no control code."""
    code = cli.main([*words])
    out, error = capsys.readouterr()
    assert code in (0, 2), error
    assert "\x1b" not in out + error and "\0" not in out + error
    return out + error


def broken(*arguments, **options):
    raise ZeroDivisionError(f"a defect {ESCAPE}")


@pytest.mark.parametrize("trap", ["hard link", "symbolic link", "pipe", "folder", "nine files"])
def test_the_report_of_a_defect_goes_into_a_new_file(run, monkeypatch, capsys, trap):
    victim, log = run.parent / "victim", run / "pdesim-error.log"
    victim.write_text("kept")
    if trap == "hard link":
        os.link(victim, log)
    elif trap == "symbolic link":
        log.symlink_to(victim)
    elif trap == "pipe":
        os.mkfifo(log)
    elif trap == "folder":
        log.mkdir()
    else:
        for number in ("", *(f"-{n}" for n in range(2, 10))):
            os.link(victim, run / f"pdesim-error{number}.log")
    monkeypatch.setattr(resume_command, "run", broken)
    monkeypatch.setenv("PDESIM_DEBUG", "1")
    assert cli.main(["resume", "run"]) == 70
    message = capsys.readouterr().err
    assert victim.read_text() == "kept" and "\x1b" not in message
    if trap == "nine files":
        assert "log file: run" not in message
    else:
        assert "log file: run/pdesim-error-2.log" in message
        assert "ZeroDivisionError" in (run / "pdesim-error-2.log").read_text()


def test_messages_have_no_control_characters():
    error = OutputError(f"a{ESCAPE}\n", f"b{ESCAPE}", "c\x07\0")
    assert str(error) == "a\ufffd[31m\n\n  expected: b\ufffd[31m\n  hint:     c\ufffd\ufffd"
    assert error.problem == printable(f"a{ESCAPE}\n") and printable("ü\t€") == "ü\t€"


@pytest.mark.parametrize("number", [LARGE, HUGE, "9" * 5000, f"-{HUGE}", "0b" + "1" * 1024])
def test_integers_that_no_float_holds_are_no_settings(number):
    with pytest.raises(OutputError, match="YAML"):
        load_yaml(f"a: [1, {number}]")
    assert load_yaml("a: " + "9" * 307) == {"a": 10**307 - 1}


@pytest.mark.parametrize(
    "text",
    ["!!bool x", "!!int ''", "!!float ''", "!!timestamp x", "a: 2001-01-01", "!!binary x",
     "!!set {a}", "!!python/name:os.system x", "=", "? [1]\n: 2"],
)  # fmt: skip
def test_yaml_of_other_kinds_is_refused(text):
    with pytest.raises(OutputError, match="YAML"):
        load_yaml(text)


def test_settings_with_keys_of_any_type_have_a_fingerprint():
    assert fingerprint({"equation": {1: 2, "a": 3, None: [4]}})
    assert fingerprint({"seed": 1, "equation": {"b": 1, "a": {"c": 2}}}) == (
        '{"equation": {"a": {"c": 2}, "b": 1}, "seed": 1}'
    )


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("equation", "F", LARGE),
        ("equation", "F", HUGE),
        ("equation", "F", r'"\e[31m"'),
        ("equation", "about", r'"\e[31m [/foo]"'),
        ("domain", "mask", "1" + "0" * 300),
        ("domain", "mask", r'"\e[31m"'),
        ("operators", "name", "[1, {}]"),
        ("stepper", "name", r'"\e[31m"'),
        ("animation", "field", "1" + "0" * 300),
        ("animation", "field", r'"\e[31m"'),
        ("animation", "limits", f"[0, {HUGE}]"),
        ("animation", r'"\e[31mx"', "4"),
        ("output", "fields", r'["\e[31m", "\0"]'),
        ("boundary", r'"\e[31mx"', "4"),
    ],
)
def test_odd_settings_in_a_file_get_one_message(run, capsys, section, key, value):
    values = yaml.safe_load(stored(run))
    values[section].pop(key, None)
    rest = yaml.safe_dump(values[section], default_flow_style=True, width=10**6).strip()
    del values[section]
    store(run, yaml.safe_dump(values) + f"{section}: {{{key}: {value}, {rest[1:]}\n")
    assert "frames" in told(capsys, "info", "run")
    told(capsys, "info", "run", "--json")
    told(capsys, "render", "run", "animation=none")
    told(capsys, "export", "run", "--to", "well")
    told(capsys, "resume", "run", "time.end=5")


@pytest.mark.parametrize("text", ["", "[1, 2]", 'a: "\\0"', "grid: 16", "1: {2: 3}", '"\\e": 1'])
def test_settings_that_lack_sections_get_one_message(run, capsys, text):
    store(run, text)
    assert "frames" in told(capsys, "info", "run")
    for words in (["render"], ["export", "--to", "well"], ["resume"], ["converge"]):
        told(capsys, words[0], "run", *words[1:])
    (run / ".hydra").mkdir(exist_ok=True)
    (run / ".hydra" / "config.yaml").write_text(f'a: {HUGE}\n"\\e[31m": 1\n')
    (run / ".hydra" / "overrides.yaml").write_text(f'- "\\e[31m=1"\n- a={HUGE}\n')
    (run / "snapshots.h5").unlink()
    shutil.copytree(run, run.parent / "sweep" / "0")
    shutil.copytree(run, run.parent / "sweep" / "1")
    told(capsys, "info", "sweep")


ODD = {
    "nothing carried": {"carry": ()},
    "too little carried": {"carry": lambda m: m.carry[:1]},
    "other shape carried": {"carry": lambda m: tuple(part[..., :3] for part in m.carry)},
    "other type carried": {"carry": lambda m: tuple(part.astype("c16") for part in m.carry)},
    "NaN carried": {"carry": lambda m: tuple(part * np.nan for part in m.carry)},
    "errors of no field": {"errors": np.zeros((7, 9))},
    "complex errors": {"errors": np.zeros((7, 2), "c16")},
    "state of no field": {"state": np.zeros(3)},
    "state of another grid": {"state": np.zeros((2, 3)), "errors": np.zeros((7, 2))},
    "state in another type": {"state": lambda m: m.state.astype("f2")},
    "obstacles": {"solid": np.ones((16, 16), bool)},
    "obstacles of another grid": {"solid": np.ones((3, 3), bool)},
    "one time": {"times": lambda m: m.times[:1], "frame": 0},
    "one target": {"targets": lambda m: m.targets[:1], "target": 0},
    "an infinite target": {"targets": lambda m: np.append(m.targets, np.inf)},
    "times that are complex": {"times": lambda m: m.times * 1j},
    "tiny times": {"times": lambda m: m.times * 1e-300},
    "another frame": {"frame": 0},
    "another time": {"time": -1e30},
    "no stepper": {"stepper": "nope"},
    "a tiny step": {"max_dt": 1e-30},
} | {
    f"{name} is {value}": {name: value}
    for name in ("steps_since_target", "steps", "rejected", "checks", "checked", "in_batch",
                 "target", "frame", "time", "dt", "max_dt", "limit", "seconds", "measured_at")
    for value in (10**400, float("nan"))
} | {
    f"{name} is negative": {name: -3}
    for name in ("steps_since_target", "steps", "rejected", "checks", "checked", "in_batch", "dt",
                 "max_dt", "limit")
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_parts_of_a_checkpoint_get_one_message(run, capsys, name):
    """With a checksum that is right."""
    moment, settings = read_checkpoint(run / "checkpoint.h5")
    odd = {key: value(moment) if callable(value) else value for key, value in ODD[name].items()}
    write_checkpoint(run, dataclasses.replace(moment, **odd), settings)
    RunFolder(run).previous_checkpoint.unlink()
    assert cli.main(["resume", "run", "time.end=5"]) == 2
    message = capsys.readouterr().err
    assert "checkpoint" in message or "stepper=nope" in message or "output.every" in message
    assert "Warning" not in message


def test_the_checkpoint_as_it_was_goes_on(run):
    moment, settings = read_checkpoint(run / "checkpoint.h5")
    write_checkpoint(run, moment, settings)
    assert cli.main(["resume", "run", "time.end=5"]) == 0
    with pdesim.open(run) as snapshots:
        assert snapshots.times[-1] == 5


@pytest.mark.parametrize("damage", ["time nan", "u group", "x equal"])
def test_odd_parts_of_a_snapshot_file_get_one_message(run, capsys, damage):
    with h5py.File(run / "snapshots.h5", "r+") as file:
        if damage == "time nan":
            file["time"][-1] = np.inf
        elif damage == "u group":
            del file["u"]
            file.create_group("u")
        else:
            file["x"][:] = 1
    codes = [
        cli.main(words)
        for words in (["info", "run"], ["render", "run"], ["resume", "run", "time.end=9"])
    ]
    assert 70 not in codes and 2 in codes
    assert "internal error" not in capsys.readouterr().err


def test_a_table_of_diagnostics_with_a_vast_line(run, capsys):
    """Its rows are computed again; a sparse file of a gigabyte is not read as a whole."""
    table = run / "diagnostics.csv"
    for size in (200_000, 2**30):
        with table.open("wb") as file:
            file.write(b'frame,time,a\n"' + b"x" * 200_000)
            file.truncate(size)
        assert cli.main(["resume", "run", f"time.end={5 + size / 2**30}"]) == 0, capsys.readouterr()


def test_recover_copies_numbers_only(run):
    """Other datasets are none of a run's, and may be vast."""
    path = run / "snapshots.h5"
    for name, make in (
        ("texts", lambda file: file.create_dataset("odd", data=["a"] * 3)),
        ("a claim", lambda file: file.create_dataset("odd", (10**10,), "f8", chunks=(1024,))),
    ):
        with h5py.File(path, "r+") as file:
            if "odd" in file:
                del file["odd"]
            make(file)
            file["time"].resize(4, axis=0)
        before = path.read_bytes()
        with pytest.raises(OutputError, match="odd"):
            recover(path)
        assert path.read_bytes() == before, name


GOOD = {"order_rms": 2.0, "order_max": 2.0, "error_rms": 1.0, "error_max": 1.0,
        "relative_rms": 0.1, "relative_max": 0.1, "reliable": True, "verdict": "fine"}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["null", "[]", "{}", '{"fields": {}}', '{"fields": {"u": {}}}', '{"fields": {"u": 5}}',
     "[" * 9999]
    + [json.dumps({"fields": {"u": GOOD | {name: value}}, "time": 1.0, "equation": ESCAPE,
                   "refined": "space", "expected_order": 2,
                   "levels": [{"grid": [8]}, {"grid": [16]}, {"grid": [32]}]})
       for name in GOOD for value in ([1], ESCAPE, math.nan, 10**400, None)],
)  # fmt: skip
def test_odd_results_of_converge_get_one_message(run, capsys, text):
    with h5py.File(run / "snapshots.h5") as file:
        digest = settings_digest(yaml.safe_load(file.attrs["config"]))
    text = text.replace('{"fields"', f'{{"settings": "{digest}", "fields"')
    (run / "converge.json").write_text(text)
    told(capsys, "info", "run")
    told(capsys, "info", "run", "--json")
    (run / "snapshots.h5").unlink()
    told(capsys, "info", "run")
    told(capsys, "info", "run", "--json")
