"""What the command line says about mistakes and defects: one message each, and no traceback."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy
from conftest import make_plan
from made_runs import make_run

import pdesim
from pdesim.cli import info as info_command
from pdesim.cli import main as cli
from pdesim.config import compose as config
from pdesim.config.compose import compose_settings
from pdesim.config.folders import choices
from pdesim.engine.step_timing import seconds_per_step
from pdesim.errors import PdesimError
from pdesim.export import export
from pdesim.files import read_picture
from pdesim.formula import expansion
from pdesim.formula import language as lang
from pdesim.render import montage, poster, render
from pdesim.render.movie import _delays
from pdesim.run.resolution import growing_waves, notes_before
from pdesim.settings import Animation, Montage


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def broken(*arguments, **options):
    raise ZeroDivisionError("a defect")


def test_a_defect_is_reported_with_a_log_file(monkeypatch, capsys):
    monkeypatch.setattr(info_command, "run", broken)
    assert cli.main(["info", "x"]) == 70
    told = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: a defect" in told and "report it" in told
    assert "Traceback" not in told and len(told.splitlines()) < 6
    log = Path(re.search(r"log file: (.*)", told).group(1))
    assert "Traceback" in log.read_text() and "pdesim info x" in log.read_text()
    log.unlink()


def test_a_defect_while_settings_are_read_is_no_mistake_of_the_user(monkeypatch, capsys):
    """What Hydra raises is explained to the user; the same exception from pdesim is reported."""

    def missing(composed):
        raise KeyError("gone")

    monkeypatch.setattr(config, "_chosen_equation", missing)
    assert cli.main(["equation=heat"]) == 70
    assert "internal error: KeyError: 'gone'" in capsys.readouterr().err


def test_a_defect_in_a_run_is_logged_in_its_folder(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("pdesim.run.execute.execute", broken)
    Path("out").mkdir()
    Path("target").write_text("kept")
    assert cli.main(["equation=heat", "grid=8", "hydra.run.dir=out"]) == 70
    told = capsys.readouterr().err
    assert "log file: out/pdesim-error.log" in told
    assert "ZeroDivisionError" in (tmp_path / "out" / "pdesim-error.log").read_text()
    (tmp_path / "out" / "pdesim-error.log").unlink()
    (tmp_path / "out" / "pdesim-error.log").symlink_to(tmp_path / "target")
    # a folder with a link under a name that pdesim writes is refused before the run
    assert cli.main(["equation=heat", "grid=8", "hydra.run.dir=out"]) == 2
    assert Path("target").read_text() == "kept"


def test_the_traceback_on_request(monkeypatch, capsys):
    monkeypatch.setattr(info_command, "run", broken)
    monkeypatch.setenv("PDESIM_DEBUG", "1")
    assert cli.main(["info", "x"]) == 70
    told = capsys.readouterr().err
    assert "Traceback" in told
    Path(re.search(r"log file: (.*)", told).group(1)).unlink()


def told(capsys, *arguments: str) -> str:
    """What is printed about a mistake; checks that it is one message with exit code 2."""
    assert cli.main([*arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("pdesim: ") and "Traceback" not in message
    assert len(message.splitlines()) < 8
    return message


FILE = """\
# a comment before the header
# @package _global_
equation:
  fields: [u]
  D: 0.1
  rhs:
    u: D*laplacian(u)
"""


def write(text: str) -> None:
    Path("my/equation").mkdir(parents=True, exist_ok=True)
    Path("my/equation/mine.yaml").write_text(text)


@pytest.mark.parametrize(
    "right, wrong, line, expected",
    [
        ("  D: 0.1", "\tD: 0.1", 5, "YAML does not allow tabs"),
        ("  D: 0.1", "   D: 0.1", 5, "same number of spaces"),
        ("  D: 0.1", "  D: 0.1\n  D: 0.2", 6, "duplicate key D"),
        ("  D: 0.1", "  D:0.1", 6, "a space after the colon in line 5"),
        ("u: D*laplacian(u)", "u: *x", 7, "undefined alias"),
        ("u: D*laplacian(u)", "u: %x", 7, "quotes around text"),
        ("  D: 0.1", "  on: 0.1", 5, "the name True"),
        ("  D: 0.1", "  no: 0.1", 5, "the name False"),
        ("  D: 0.1", "  D: !!python/object:os.system 1", 5, "no tags"),
        ("  D: 0.1", "  D: 0.1\n---", 6, "one document"),
    ],
)
def test_mistakes_in_a_file_are_located(capsys, right, wrong, line, expected):
    write(FILE.replace(right, wrong))
    message = told(capsys, "--config-dir", "my", "equation=mine", "grid=8")
    assert f"my/equation/mine.yaml, line {line}" in message and expected in message


def test_the_package_line_may_follow_other_comments():
    write(FILE)
    assert compose_settings(["equation=mine"], "my").settings.equation["D"] == 0.1
    Path("my/experiment").mkdir()
    Path("my/experiment/rates.yaml").write_text(
        "# my/experiment/rates.yaml\n\n  # @package _global_\ngrid: 24\n"
    )
    assert compose_settings(["experiment=rates"], "my").settings.grid == 24


@pytest.mark.parametrize(
    "setting, expected",
    [
        ("equation.units=[1,2,3]", "text for each field"),
        ("equation.fields=3", "a list of names"),
        ("equation.fields=[u,u]", "twice"),
        ("equation.labels=3", "text for each field"),
        ("equation.title={a: 1}", "equation.title"),
        ("output.every=1e300", "output.every"),
        ("output.times=[1e30]", "output.times contains 1e+30"),
        ("output.times='geomspace(0, 1, 4)'", "geomspace(0.01, 100, 21)"),
        ("output.times='geomspace(1, 2, 9999999)'", "geomspace(0.01, 100, 21)"),
        (f"grid=1{'0' * 400}", "from 4 to 2**31"),
        ("domain.extent=1e300", "between 1e-40 and 1e40"),
        ("equation.D=${nowhere}", "equation.D has a value with ${...}"),
        ("equation.D=${equation.D}", "Recursive interpolation"),
        ("initial.u='image(1)'", "text in quotes"),
        ("initial.u='spots(-3, 0.1)'", "not negative"),
        ("initial.u='spots(1e8, 0.1)'", "at most"),
        ("initial={u: [1]}", "initial.u is [1]"),
        ("boundary=3", "does not choose a config"),
        ("equation=null", "does not choose a config"),
        ("time={a: 1}", "unknown setting time.a"),
        ("domain.mask=w", "domain.mask"),
        ("time.end='2*w'", "unknown name 'w'"),
        ("time.end=0.1,0.2", "-m"),
        ("time.end=range(1,3)", "-m"),
        ("animation.limits=[1,0]", "animation.limits"),
        ("animation.colormap=nothing", "animation.colormap"),
        ("hydra.run.dir=/proc/x", "cannot be created"),
        (f"hydra.run.dir={'x' * 300}", "cannot be created"),
    ],
)
def test_wrong_settings(capsys, setting, expected):
    assert expected in told(capsys, "equation=heat", "grid=8", setting)


def test_spectral_operators_have_no_order(capsys):
    message = told(capsys, "equation=heat", "operators=spectral", "operators.order=2")
    assert "have no order" in message and "did you mean" not in message


def test_fields_cannot_be_named_like_coordinates(capsys):
    message = told(capsys, "equation=custom", "equation.rhs={x: '-x'}", "grid=8")
    assert "'x' cannot be the name of a field" in message


def test_steady_problems_without_a_solver_are_refused_before_tensorflow(capsys):
    solve = "equation.solve={u: 'laplacian(u) + max(u)'}"
    message = told(capsys, "equation=poisson", "grid=8", solve, "hydra.run.dir=out")
    assert "steady problem with the max of a field" in message and not Path("out").exists()


def test_numbers_may_be_formulas():
    plan = make_plan(
        "equation=heat", "grid=[8,4]", "domain.extent=2*pi", "domain.origin=['-pi', 1]",
        "time.end='1/4'", "output.every='1/8'", "time.dt='2**-7'", "time.events=['1/16']",
    )  # fmt: skip
    assert plan.grid.extent == (2 * math.pi, math.pi) and plan.grid.origin == (-math.pi, 1.0)
    assert plan.times.tolist() == [0.0, 0.125, 0.25] and plan.events.tolist() == [0.0625]
    assert plan.step.dt == 2**-7


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("[0,1,5]", [0, 1, 5, 10]),
        ("[5,1,1,'pi',10]", [0, 1, math.pi, 5, 10]),
        ("[]", [0, 10]),
        ("'geomspace(0.01, 2*5, 4)'", [0, 0.01, 0.1, 1, 10]),
        ("'linspace(2, 4, 3)'", [0, 2, 3, 4, 10]),
    ],
)
def test_frames_at_given_times(setting, expected):
    plan = make_plan("equation=heat", "grid=8", "time.end=10", f"output.times={setting}")
    assert np.allclose(plan.times, expected, rtol=1e-14)


def test_frames_further_apart_than_the_end():
    plan = make_plan("equation=heat", "grid=8", "time.end=1", "output.every=1e9")
    assert plan.times.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "words, ill_posed",
    [
        (["equation.D=-1"], True),
        (["equation.rhs.u='d_dx((u - 0.5)*d_dx(u))'"], True),  # negative where u < 0.5
        (["equation.rhs.u='-laplacian(u) - 0.001*laplacian(laplacian(u))'"], False),
        (["equation.rhs.u='-laplacian(u) - 1e-9*laplacian(laplacian(u))'"], False),
        (["equation.rhs.u='laplacian(u) + d2_dxdy(u)'"], False),
        (["equation.rhs.u='laplacian(u) + 3*d2_dxdy(u)'"], True),  # along x = -y
        (["equation.rhs.u='d4_dx4(u)'"], True),
        (["equation.fields=[u,v]", "equation.rhs.u=v", "equation.rhs.v='-laplacian(u)'"], True),
        (["equation.fields=[u,v]", "equation.rhs.u=v", "equation.rhs.v='laplacian(u)'"], False),
        (["equation.rhs.u='u - u**3'"], False),
        ([], False),
    ],
)
def test_ill_posed_problems_are_noted(words, ill_posed):
    plan = make_plan("equation=heat", "grid=32", "time.unsafe=true", *words)
    notes = [note for note in notes_before(plan) if "ill-posed" in note]
    assert bool(notes) == ill_posed
    assert not words or "equation.D=-1" not in words or "D = -1" in notes[0]


@pytest.mark.parametrize("name", sorted({*choices("equation")} - {"custom"}))
def test_no_equation_of_the_library_is_ill_posed(name):
    plan = make_plan(f"equation={name}", "time.unsafe=true")
    if plan.equation.iterated is None and not plan.equation.steady:
        assert not growing_waves(plan).unbounded


@pytest.mark.parametrize("words", [[], ["stepper=rk4"], ["stepper=euler", "time.dt=1e-3"]])
def test_the_error_of_an_ill_posed_run_names_the_cause(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*words, "time.unsafe=true"] if "time.dt=1e-3" in words else words
    assert cli.main(["equation=heat", "equation.D=-1", "grid=32", "animation=none", *words]) == 3
    message = capsys.readouterr().err.split("earlier frames are kept")[-1]
    assert "ill-posed" in message and "D = -1" in message and "a smaller time.dt" not in message


def test_markup_in_text_is_printed_as_it_is(capsys):
    write(FILE.replace("  D:", "  about: u [m/s] [/b]\n  D:"))
    assert cli.main(["list", "--config-dir", "my"]) == 0
    assert "u [m/s] [/b]" in capsys.readouterr().out


def test_submodules_are_found_after_import(monkeypatch):
    monkeypatch.delattr(pdesim, "export", raising=False)
    assert callable(pdesim.export.export)


@pytest.mark.parametrize("fps", [30, 40, 24])
def test_a_gif_has_the_mean_rate(fps):
    delays = list(itertools.islice(_delays(fps), fps))
    assert sum(delays) == 100 and min(delays) >= 2  # hundredths of a second


def test_the_time_of_a_step_is_measured_in_long_calls(monkeypatch):
    """A call that costs 1 ms and 1 us a step: with 4 steps a call it would seem 250 us a step."""
    now = [0.0]
    monkeypatch.setattr("pdesim.engine.step_timing.clock_module.perf_counter", lambda: now[0])

    def trial(steps: int) -> None:
        now[0] += 1e-3 + 1e-6 * steps

    # no longer calls than those of the run, whose cost counts
    assert seconds_per_step(trial, 1, None) == pytest.approx(1e-6 + 1e-3 / 1024)
    assert seconds_per_step(trial, 1, 10) == pytest.approx(1e-6 + 1e-3 / 10)


def test_long_products_are_not_multiplied_out():
    u, v = sympy.symbols("u v", real=True)
    power = (u + v + 1) ** 60
    assert expansion.terms_expanded(power) == 1891  # binomial(62, 2)
    assert expansion.expand_products(power) == power
    assert expansion.expand_products((u + v) ** 3) == u**3 + 3 * u**2 * v + 3 * u * v**2 + v**3


def test_a_flux_with_a_long_factor_is_read():
    plan = make_plan(
        "equation=custom", "equation.rhs={u: 'divergence((1+u+x)**60*gradient(u))'}",
        "grid=8", "time.end=1e-40", "initial.u=0",
    )  # fmt: skip
    (formula,) = plan.equation.formulas
    assert {lang.word_of(node) for node in lang.operators_in(formula)} == {"divergence"}


LONG = "x" * 300


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made") / "run").parent


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda run: pdesim.open(LONG), "File name too long"),
        (lambda run: pdesim.open("a\0b"), "is not a path"),
        (lambda run: pdesim.open("a/" * 3000), "File name too long"),
        (lambda run: pdesim.resume(LONG), "File name too long"),
        (lambda run: pdesim.simulate("equation=heat", config_dir=LONG), "File name too long"),
        (lambda run: pdesim.simulate("equation=heat", folder=LONG), "File name too long"),
        (lambda run: export(LONG, "npz"), "File name too long"),
        (lambda run: export(run, "npz", LONG), "File name too long"),
        (lambda run: export(run, "npz", "a\0b"), "is not a path"),
        (lambda run: export(run, "npz", 3), "3 is not a path"),
        (lambda run: export(run, "npz", b"o"), "b'o' is not a path"),
        (lambda run: export(run, None), "unknown format None"),
        (lambda run: export(run, []), r"unknown format \[\]"),
        (lambda run: render(LONG, Animation()), "File name too long"),
        (lambda run: render(run, Animation(), b"o.gif"), "is not a path"),
        (lambda run: render(run, {"name": "gif"}), "settings of a picture"),
        (lambda run: render(run, None), "settings of a picture"),
        (lambda run: render(run, "o.gif"), "settings of a picture"),
        (lambda run: render(run, Animation(name="none")), "animation=none disables drawing"),
        (lambda run: poster(run, "o.png", "o.png"), "settings of a picture"),
        (lambda run: montage(run, Animation(), None), "settings of a picture"),
        (lambda run: montage(LONG, Animation(), Montage()), "File name too long"),
        (lambda run: read_picture(LONG), "File name too long"),
    ],
)
def test_wrong_arguments_in_python_get_one_message(run, call, problem):
    with pytest.raises(PdesimError, match=problem):
        call(run)


def test_destinations_may_be_text(run, tmp_path):
    assert render(str(run), Animation(), str(tmp_path / "o.gif")) == tmp_path / "o.gif"


def test_settings_that_a_finished_run_does_not_use_are_noted(tmp_path, capsys):
    words = (
        "equation=gray_scott",
        "output.fields=[u]",
        "animation.field=v",
        "grid=8",
        "time.end=0.01",
        "output.frames=1",
        "animation=none",
    )
    folder = pdesim.simulate(*words, folder=tmp_path / "run").folder
    assert cli.main(["resume", str(folder), "animation.fps=10", "time.wall_limit=9"]) == 0
    shown = capsys.readouterr().err
    assert "animation.fps, time.wall_limit: no effect, since the run is finished" in shown
    assert f"pdesim render {folder}" in shown
    assert cli.main(["resume", str(folder)]) == 0
    assert "no effect" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["~output", "output.overwrite=true"], "output.overwrite=true sets a part of output"),
        (["equation=/etc/passwd"], "equation=/etc/passwd is unknown"),
        (["equation=heta"], "did you mean 'heat'"),
        (["-m", "grid=8,16", "hydra.sweep.dir=a=b"], "value of hydra.sweep.dir cannot be read"),
        (["-m", "grid=8,16", f"hydra.sweep.dir={LONG}"], "hydra.sweep.dir=DIR"),
        (["-m", "grid=8,16", "hydra.sweep.dir=/proc/x"], "hydra.sweep.dir=DIR"),
        (["-m", "seed=range(0,10,nan)"], "seed=range(0,10,nan) cannot be evaluated"),
        (["resume=auto", f"hydra.run.dir={LONG}"], "File name too long"),
    ],
)
def test_messages_name_the_setting_that_is_wrong(capsys, words, expected):
    first = [] if any(word.startswith("equation=") for word in words) else ["equation=heat"]
    assert cli.main([*words, *first]) == 2
    shown = capsys.readouterr().err
    assert expected in shown and "hydra.run.dir" not in shown.replace(expected, "")
