"""Input that would be computed, but not as it is written, is refused before a run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_runs import make_run

import pdesim
from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.errors import PdesimError
from pdesim.files import check_target, writing
from pdesim.plan import build_plan
from pdesim.settings import Animation

#: a small run
HEAT = ("equation=heat", "grid=16", "time.end=0.01", "output.frames=1", "animation=none")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return pdesim.simulate(*HEAT, folder=tmp_path_factory.mktemp("finished") / "run").folder


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("boundary.x={dirichlet: 'log(y-5)'}", "the value of u at the lower end of x is infinite"),
        ("boundary.y={upper: {neumann: '1/(x-0.03125)'}, lower: neumann}", "the upper end of y"),
        ("boundary.x={robin: {a: 1, b: 1, value: 'sqrt(0.005-t)'}}", "at t = 0.01"),
        ("boundary.x={periodic: 5}", "periodic: 5"),
        ("domain.mask='where(t>0.5,1,0)'", "domain.mask depends on t"),
        ("equation.rhs={u: 'laplacian(u) #+ u'}", "'#' is not part of a formula"),
        ("equation.rhs={u: '1e-400*u'}", "this number is too small"),
        ("domain.origin=1e30", "the same coordinate"),
        ("time.tolerance=1e-20", "below the rounding error of float32"),
        ("animation.limits=[-1e308,1e308]", "animation.limits"),
        ("animation.limits=[0,1e-320]", "animation.limits"),
    ],
)
def test_settings_that_would_mislead(word, problem):
    with pytest.raises(PdesimError) as caught:
        build_plan(compose_settings([*HEAT, word]).settings)
    assert problem in str(caught.value)


def test_boundary_values_of_functions_may_be_undefined():
    """The condition for ``sqrt(u)`` follows from that of u, and its slope is infinite at u = 0."""
    rhs = "equation.rhs={u: 'divergence(gradient(sqrt(u)))'}"
    build_plan(compose_settings([*HEAT, rhs, "boundary=dirichlet", "initial.u=1"]).settings)


def test_a_positive_count_gives_a_spot():
    """Presets have a density of spots, which may be less than one on a small domain."""
    for count, spots in ((0.2, 1), (0, 0), (1.4, 1)):
        words = [*HEAT, f"initial.u='spots({count}, 0.1)'"]
        state = build_plan(compose_settings(words).settings).state
        assert (state.max() > 0) == bool(spots)


def test_times_that_are_equal_but_for_rounding():
    words = ["time.start=1e17", "time.end=1.0000000000000001e17"]
    with pytest.raises(PdesimError, match="equal except for rounding"):
        build_plan(compose_settings([*HEAT, *words]).settings)


def test_a_condition_for_obstacles_without_obstacles_is_noted():
    plan = build_plan(compose_settings([*HEAT, "boundary.mask={dirichlet: 5}"]).settings)
    assert plan.notes == ("note: boundary.mask has no effect without domain.mask",)


def test_obstacles_without_a_cell_are_noted():
    # r is at least the distance of the nearest cell from the centre, so that this is below 0.5
    plan = build_plan(compose_settings([*HEAT, "domain.mask=0.4-r"]).settings)
    assert "domain.mask=0.4-r contains no cell" in plan.notes[0]
    plan = build_plan(compose_settings([*HEAT, "domain.mask=0.8-r"]).settings)
    assert plan.notes == ()
    # a condition is a formula as well
    same = build_plan(compose_settings([*HEAT, "domain.mask='0 < r and not r >= 0.3'"]).settings)
    assert (same.problem.mask.solid == plan.problem.mask.solid).all()


@pytest.mark.parametrize("count", [33, 300])
def test_functions_of_very_many_arguments(count, capsys):
    terms = ",".join(f"u+{n}*x" for n in range(count))
    assert main(["equation=custom", "grid=16", f"equation.rhs={{u: 'max({terms})'}}"]) == 2
    assert f"max got {count} arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("boundary.x=dirichlet=3", "boundary.x={dirichlet: 3}"),
        ("grid=(16,16)", "grid=[16,16]"),
        ("initial.u=snapshot('a','u')+image('1.png')", "the value of initial.u cannot be read"),
    ],
)
def test_the_setting_that_cannot_be_read_is_named(word, told, capsys):
    assert main(["equation=heat", "output.frames=1", "grid=16", word]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, "9" * 400])
@pytest.mark.parametrize("line", ["D: {}", "title: {}", "units: {{u: [1, {}]}}"])
def test_whole_numbers_of_very_many_digits(number, line, tmp_path, capsys):
    (tmp_path / "equation").mkdir()
    text = f"rhs: {{u: laplacian(u)}}\n{line.format(number)}\n"
    (tmp_path / "equation" / "large.yaml").write_text(text)
    assert main(["--config-dir", str(tmp_path), "equation=large", "grid=16"]) == 2
    assert "more than 300 digits" in capsys.readouterr().err


def test_an_equation_of_very_many_fields(tmp_path, capsys):
    (tmp_path / "equation").mkdir()
    fields = ", ".join(f"u{n}: u{n}" for n in range(300))
    (tmp_path / "equation" / "many.yaml").write_text(f"rhs: {{{fields}}}\n")
    assert main(["--config-dir", str(tmp_path), "equation=many", "grid=16"]) == 2
    assert "300 fields" in capsys.readouterr().err


def test_a_file_that_is_a_folder_is_no_choice(tmp_path, capsys):
    (tmp_path / "equation" / "mine.yaml").mkdir(parents=True)
    assert main(["--config-dir", str(tmp_path), "equation=mine", "grid=16"]) == 2
    assert "did you mean 'mine'" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("time.end=[", "time.end cannot be read: ["),
        ("time.end={", "cannot be read"),
        ("a=!!python/object:os.system x", "cannot be read"),
        ("a=&x [*x]", "100,000 values"),
        ("initial=zero", "initial.name was not set"),
        ("boundary=neumann", "boundary.name was not set"),
        ("equation.Q=5", "equation.Q was not set"),
        ("grid.x=3", "unknown setting grid.x: grid is 16, not a section"),
        ("label.x=1", "unknown setting label.x"),
        ("sweep=random", "sweep has no effect when a run is resumed"),
        ("workers=joblib", "workers has no effect"),
        ("experiment=pearson", "experiment has no effect"),
        ("montage.x=zz", "montage.x has no effect"),
        ("output.overwrite=true", "output.overwrite has no effect"),
        ("animation.field=nope", "nope"),
        ("animation.limits=[1,0]", "animation.limits"),
        ("animation.colormap=nope", "nope"),
    ],
)
def test_settings_of_resume(word, told, finished, capsys):
    folder = finished
    assert main(["resume", str(folder), word]) == 2
    assert told in capsys.readouterr().err
    with pytest.raises(PdesimError):
        pdesim.resume(folder, word)


@pytest.mark.parametrize("command", ["info", "resume", "recover", "render"])
@pytest.mark.parametrize("path", ["~nosuchuser", "a" * 5000])
def test_paths_that_cannot_exist(command, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([command, path]) == 2
    assert "internal error" not in capsys.readouterr().err


def test_exports_replace_no_files_of_a_run_and_no_devices(tmp_path, capsys):
    folder = make_run(tmp_path).parent
    (folder / "checkpoint.h5").write_bytes(b"precious")
    os.mkfifo(tmp_path / "pipe")
    for target in (folder / "checkpoint.h5", tmp_path / "pipe", tmp_path / ("a" * 300)):
        words = ["--to", "npz", "--output", str(target), "--overwrite"]
        assert main(["export", str(folder), *words]) == 2
    assert (folder / "checkpoint.h5").read_bytes() == b"precious"
    assert (tmp_path / "pipe").is_fifo()


MEASUREMENTS = (["verify"], ["bench", "--sizes", "16"])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/nowhere/x.md", "no such folder: /nowhere"),
        ("", "the name of a file"),
        (".", "the name of a file"),
        ("..", "the name of a file"),
        ("a\0b", "the name of a file"),
        ("x" * 300, "File name too long"),
        ("x" * 254, "File name too long"),  # too long for the temporary name
        ("/dev/full", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("precious.md", "already exists; nothing was overwritten"),
        ("link.md", "already exists; nothing was overwritten"),
        ("run/status.json", "is a file of a run"),
    ],
)
def test_files_of_results_are_checked_before_the_work(name, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("precious.md").write_text("precious")
    Path("link.md").symlink_to("precious.md")
    make_run(Path("run"), status={"state": "finished"})
    for command in MEASUREMENTS:
        assert main([*command, "equation=heat", "--markdown", name]) == 2
        assert problem in capsys.readouterr().err
    assert Path("precious.md").read_text() == "precious" and Path("link.md").is_symlink()
    assert not list(tmp_path.glob(".*"))


def test_plots_have_a_known_format(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("x.foo", "plot", ".png"):
        assert main(["bench", "equation=heat", "--sizes", "16", "--plot", name]) == 2
        assert "a name that ends in .png, " in capsys.readouterr().err
    both = ["--plot", "x.png", "--markdown", "./x.png"]
    assert main(["bench", "equation=heat", "--sizes", "16", *both]) == 2
    assert "name the same file" in capsys.readouterr().err


def test_results_replace_a_link_and_not_its_target(tmp_path):
    target, link = tmp_path / "precious.md", tmp_path / "table.md"
    target.write_text("precious")
    link.symlink_to(target)
    check_target(link, "--markdown", overwrite=True)
    with writing(link, "--markdown") as temporary:
        temporary.write_text("results")
    assert target.read_text() == "precious" and link.read_text() == "results"
    assert not link.is_symlink()


@pytest.mark.parametrize("command", ["verify", "converge"])
def test_folders_of_results_are_checked_before_the_work(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("precious.txt").write_text("precious")
    for name, problem in (
        ("precious.txt", "is not a writable folder"),
        ("new/" + "x" * 300, "File name too long"),
    ):
        assert main([command, "equation=heat", "grid=16", f"hydra.run.dir={name}"]) == 2
        shown = capsys.readouterr()
        assert problem in shown.err and "compared with" not in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_results_of_verify_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "verify.json").write_text("[]")
    assert main(["verify", "equation=heat", "grid=[16]", f"hydra.run.dir={tmp_path}"]) == 2
    assert "already contains results of pdesim verify" in capsys.readouterr().err


def test_a_sweep_is_no_single_run():
    with pytest.raises(PdesimError, match="pdesim -m experiment=pearson"):
        pdesim.simulate("experiment=pearson")


def test_sweeps_over_all_that_the_documentation_names(tmp_path, monkeypatch, capsys):
    """Globs are checked before the sweep as lists are; intervals need another sampler."""
    monkeypatch.chdir(tmp_path)
    jobs = []
    monkeypatch.setattr("pdesim.sweeps.run.run_sweep", lambda found, *_: jobs.extend(found) or 0)
    assert main(["-m", *HEAT, "stepper=glob(etdrk*)"]) == 0
    assert len(jobs) == 4
    assert main(["-m", *HEAT, "equation.D=interval(0,1)"]) == 2
    assert "sweep=grid cannot take" in capsys.readouterr().err
    assert main(["-m", *HEAT, "grid=16,x"]) == 2
    assert np.size(jobs, 0) == 4


def test_the_list_of_equations_survives_a_file_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "equation").mkdir()
    (tmp_path / "equation" / "bad.yaml").write_text("rhs: {u: nonsense(u)}\n")
    about = 'rhs: {u: laplacian(u)}\nabout: "red \\e[31m"\n'
    (tmp_path / "equation" / "red.yaml").write_text(about)
    assert main(["list", "--config-dir", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "bad  cannot be read" in told and "gray_scott" in told and "\x1b[31m" not in told


def own_equation(folder: Path, text: str) -> list[str]:
    (folder / "equation").mkdir()
    (folder / "equation" / "mine.yaml").write_text(text)
    return ["--config-dir", str(folder), "equation=mine", "grid=16"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "rhs: {u: a39}\na0: u\n"
            + "".join(f"a{n}: a{n - 1}*(1 + a{n - 1})\n" for n in range(1, 40)),
            "the formula is too long after its parameters are substituted",
        ),
        ("rhs: {u: '" + "gradient_squared(" * 30 + "u" + ")" * 30 + "'}\n", "too long"),
        (
            "rhs: {u: u}\na0: lol\n"
            + "".join(
                f"a{n}: ${{oc.select:equation.a{n - 1}}}${{oc.select:equation.a{n - 1}}}\n"
                for n in range(1, 30)
            ),
            "1,000,000 characters",
        ),
        ("rhs: {u: no(u)}\nabout: '${" + " " * 5000 + "oc.env:HOME}'\n", "rhs.u"),
        ("rhs: {u: u}\na: '${equation.${b}}'\nb: a\n", "inside ${...}"),
        ("rhs: {u: u}\nq: [" + "1, " * 60_000 + "1]\n", "5,000 values"),
        ("rhs: {u: u}\n" + "".join(f"b{n}: 1\n" for n in range(1500)), "1500 parameters"),
    ],
    ids=["formulas", "operators", "resolvers", "spaces", "nested", "values", "parameters"],
)
def test_short_files_that_stand_for_much_work(text, problem, tmp_path, capsys):
    began = time.process_time()
    assert main(own_equation(tmp_path, text)) == 2
    assert problem in capsys.readouterr().err
    assert (
        time.process_time() - began < 15
    )  # seconds of this process; without a bound they take more than 20


def test_the_values_of_a_long_sweep_are_not_all_composed_before_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    jobs = []
    monkeypatch.setattr("pdesim.sweeps.run.run_sweep", lambda found, *_: jobs.extend(found) or 0)
    began = time.process_time()
    labels = ",".join(f"name{n}" for n in range(300))
    assert main(["-m", *HEAT, "seed=range(1000)", f"label={labels}"]) == 0
    assert len(jobs) == 300_000
    assert (
        time.process_time() - began < 40
    )  # seconds of this process; 300 compositions take a minute


@pytest.mark.parametrize("word", [5, ["grid=8"], {"grid": 8}, None])
def test_settings_from_python_are_text(word, finished):
    with pytest.raises(PdesimError, match="argument 2 is "):
        pdesim.simulate("equation=heat", word)
    with pytest.raises(PdesimError, match="argument 1 is "):
        pdesim.resume(finished, word)


@pytest.mark.parametrize("value", [None, 3, b"run", ["run"]])
def test_paths_from_python_are_text_or_paths(value):
    for call in (pdesim.open, pdesim.resume):
        with pytest.raises(PdesimError, match="is not a path"):
            call(value)
    with pytest.raises(PdesimError, match="is not a path"):
        pdesim.export.export(value, "npz")
    with pytest.raises(PdesimError, match="is not a path"):
        pdesim.render.render(value, Animation())


@pytest.mark.parametrize(
    "words, message",
    [
        (["--resolve", *HEAT], "--resolve needs --cfg"),
        (["--cfg", "job", "-m", *HEAT], "--cfg and --multirun cannot be combined"),
        (["--cfg", "foo", *HEAT], "one of job, hydra, all"),
        (["--info=foo", *HEAT], "defaults-tree"),
        ([*HEAT, "equation.rhs={}"], "has no effect"),
        ([*HEAT, "initial={ }"], "has no effect"),
    ],
)
def test_options_that_have_no_meaning(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_settings_of_sweeps_for_a_single_run(tmp_path, capsys):
    assert main([*HEAT, "sweep=random", f"hydra.run.dir={tmp_path}/run"]) == 0
    assert "sweep=random has no effect" in capsys.readouterr().err


def test_a_picture_without_any_value(finished):
    with pytest.raises(PdesimError, match="no finite value in any frame"):
        pdesim.render.render(finished, Animation(field="log(u - 1e6)"))


def test_empty_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["info", ""], ["list", "--config-dir", "nowhere"], [*HEAT, "hydra.run.dir="]):
        assert main(words) == 2
        assert "internal error" not in capsys.readouterr().err


def test_a_grid_that_the_frames_contradict(tmp_path, capsys):
    """Settings in a file that say 16384 x 16384 cells: refused before a state is made."""
    pdesim.simulate(*HEAT, folder=tmp_path / "run")
    (tmp_path / "run" / "checkpoint.h5").unlink()
    with h5py.File(tmp_path / "run" / "snapshots.h5", "r+") as file:
        stored = str(file.attrs["config"])
        file.attrs["config"] = stored.replace("grid: 16", "grid: 16384")
    for words in (
        ["resume", str(tmp_path / "run"), "time.end=0.02"],
        ["converge", str(tmp_path / "run")],
    ):
        assert main(words) == 2
        assert "have the shape (16, 16)" in capsys.readouterr().err
