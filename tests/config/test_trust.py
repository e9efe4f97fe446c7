"""Configuration files of others may set pdesim's settings, and nothing that runs code."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdesim.cli import main as cli
from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.errors import ConfigError

EQUATION = """
rhs:
  u: -u
"""
#: what a stranger's equation file may contain, and the setting that the message must name
ATTACKS = {
    "callbacks": (
        "hydra:\n  callbacks:\n    one: {_target_: sympy.sympify, a: \"__import__('os')\"}\n",
        "hydra.callbacks.one",
    ),
    "formatter": (
        "hydra:\n  job_logging:\n    version: 1\n    formatters:\n      f: {(): builtins.print}\n",
        "hydra.job_logging.formatters",
    ),
    "log file": (
        "hydra:\n  job_logging:\n    handlers:\n      h: {class: logging.FileHandler, mode: w, "
        "filename: victim}\n",
        "hydra.job_logging.handlers",
    ),
    "environment": ("hydra:\n  job:\n    env_set: {TF_XLA_FLAGS: x}\n", "hydra.job.env_set"),
    "folder": ("hydra:\n  run:\n    dir: ../elsewhere\n", "hydra.run.dir=../elsewhere"),
    "absolute folder": ("hydra:\n  run:\n    dir: /nowhere/run\n", "hydra.run.dir"),
    "sweep folder": ("hydra:\n  sweep:\n    dir: outputs/../../sweep\n", "hydra.sweep.dir"),
    "member folders": ("hydra:\n  sweep:\n    subdir: ../../../x\n", "hydra.sweep.subdir"),
    "record": ("hydra:\n  output_subdir: ../../elsewhere\n", "hydra.output_subdir"),
    "workers": ("workers:\n  options: {local_setup: [touch victim]}\n", "workers.options"),
    "change of folder": ("hydra:\n  job:\n    chdir: true\n", "hydra.job.chdir"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "my" / "equation").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my"


def write(folder: Path, more: str, package: str = "# @package _global_\n") -> None:
    text = f"{package}equation:{EQUATION.replace(chr(10), chr(10) + '  ')}\n{more}"
    (folder / "equation" / "mine.yaml").write_text(text)


@pytest.mark.parametrize("attack", ATTACKS)
def test_files_cannot_set_what_runs_code_or_writes_elsewhere(folder, capsys, attack):
    text, name = ATTACKS[attack]
    write(folder, text)
    for words in (["grid=8"], ["-m", "grid=8,9"]):
        assert main(["--config-dir", "my", "equation=mine", *words]) == 2
        said = capsys.readouterr().err
        assert name in said
        assert "--trust-config" in said
        assert "Traceback" not in said
    assert [path.name for path in folder.parent.iterdir()] == ["my"]


def test_a_chosen_group_of_hydra_is_refused_too(folder, capsys):
    """``override /hydra/launcher`` takes a file of the stranger's own."""
    (folder / "hydra" / "launcher").mkdir(parents=True)
    (folder / "hydra" / "launcher" / "mine.yaml").write_text("_target_: sympy.sympify\n")
    (folder / "equation" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/launcher: mine\n"
        f"equation:{EQUATION.replace(chr(10), chr(10) + '  ')}"
    )
    assert main(["--config-dir", "my", "equation=mine", "grid=8"]) == 2
    assert "hydra.launcher" in capsys.readouterr().err


def test_workers_of_a_strangers_file_are_refused_where_they_have_options(folder, capsys):
    (folder / "workers").mkdir()
    (folder / "workers" / "mine.yaml").write_text("name: joblib\noptions: {backend: threading}\n")
    write(folder, "")
    words = ["--config-dir", "my", "-m", "equation=mine", "grid=8,9", "workers=mine"]
    assert main(words) == 2
    assert "workers=mine" in capsys.readouterr().err


def test_what_is_allowed(folder):
    """Settings of pdesim, folders inside outputs, and everything from the command line."""
    write(folder, "grid: 9\nhydra:\n  run:\n    dir: outputs/mine\nworkers:\n  n: 3\n")
    composed = compose_settings(["equation=mine"], "my").check_trust()
    assert composed.settings.grid == 9
    assert composed.run_folder == Path("outputs/mine")
    typed = ["equation=mine", "hydra.run.dir=elsewhere", "++hydra.job.env_set={A: b}"]
    assert compose_settings(typed, "my").check_trust().run_folder == Path("elsewhere")
    write(folder, ATTACKS["callbacks"][0])
    attack = compose_settings(["equation=mine"], "my")
    with pytest.raises(ConfigError, match=r"hydra\.callbacks"):
        attack.check_trust()
    assert attack.check_trust(trusted=True) is attack


def test_a_search_path_is_a_strangers_folder_too(folder):
    write(folder, ATTACKS["callbacks"][0])
    words = ["equation=mine", f"hydra.searchpath=[{folder}]"]
    assert compose_settings(words).untrusted


def test_an_equation_chooses_no_folder_by_its_name(folder, capsys):
    write(folder, "")
    (folder.parent / "my" / "victim.yaml").write_text((folder / "equation/mine.yaml").read_text())
    assert main(["--config-dir", "my", "equation=../victim", "grid=8"]) == 2
    assert not (folder.parent / "outputs").exists()


@pytest.mark.parametrize("flag", ["--experimental-rerun=a.pickle", "--config-path=x", "--exp=a",
                                  "--config-name=x"])  # fmt: skip
def test_options_that_load_other_code_are_unknown(folder, capsys, flag):
    assert main(["equation=heat", flag]) == 2
    assert "unknown option" in capsys.readouterr().err


def test_hydras_launchers_need_trust(folder, capsys):
    write(folder, "")
    words = ["-m", "equation=mine", "grid=8,9", "hydra/launcher=basic"]
    assert main(["--config-dir", "my", *words]) == 2
    assert "--trust-config" in capsys.readouterr().err


def test_options_of_hydra_need_no_settings(folder, monkeypatch):
    handed = []
    monkeypatch.setattr(cli, "_start", lambda arguments, folder: handed.append(arguments) or 0)
    assert main(["--hydra-help"]) == 0
    assert handed == [["--hydra-help"]]


@pytest.mark.parametrize("option", ["--shell-completion", "-sc"])
def test_hydras_completion_is_replaced(option, capsys):
    assert main([option, "install=bash"]) == 2
    assert "pdesim completion bash" in capsys.readouterr().err


def test_a_folder_given_with_its_section_is_given(folder):
    write(folder, "")
    typed = ["equation=mine", "hydra.run={dir: elsewhere}"]
    assert compose_settings(typed, "my").check_trust().run_folder == Path("elsewhere")


def experiment(folder: Path, over: str, more: str = "") -> list[str]:
    (folder / "experiment").mkdir(exist_ok=True)
    text = "# @package _global_\ndefaults:\n  - override /equation: heat\ngrid: 8\n"
    text += "animation: {name: none}\nsweep:\n  parameters:\n    equation.D: [0.1, 0.2]\n"
    text += f"    {over}\n"
    (folder / "experiment" / "mine.yaml").write_text(text + more)
    return ["--config-dir", "my", "-m", "experiment=mine"]


@pytest.mark.parametrize(
    "over",
    [
        'workers.options: [{local_setup: ["touch victim"]}]',
        "workers: [submitit_local]",
        "hydra.callbacks.one: [{_target_: sympy.sympify}]",
        "hydra: {sweep: {dir: [../elsewhere]}}",
        "+hydra/job_logging: [mine]",
        "animation@workers.options: [mine]",
        "sweep.n: [1, 2]",
    ],
)
def test_files_sweep_over_no_settings_of_hydra_and_workers(folder, capsys, over):
    assert main(experiment(folder, over)) == 2
    assert "cannot differ between the members of a sweep" in capsys.readouterr().err
    assert not (folder.parent / "victim").exists()
    assert not (folder.parent / "outputs").exists()


def test_a_member_is_checked_like_a_single_run(folder, capsys):
    """A group that a sweep chooses may set what the base settings do not."""
    words = experiment(folder, "device: [mine]")
    (folder / "device").mkdir()
    text = "# @package _global_\nworkers: {options: {local_setup: [touch victim]}}\n"
    (folder / "device" / "mine.yaml").write_text(text)
    assert main(words) == 2
    assert "workers.options" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("workers: null", "workers is None"),
        ("hydra: null", "hydra is None"),
        ('hydra:\n  run:\n    dir: "outputs/a\\0b"', "hydra.run.dir"),
        ('hydra:\n  run:\n    dir: "outputs/\\e[31mred"', "hydra.run.dir"),
        ('hydra:\n  run:\n    dir: ""', "hydra.run.dir is empty"),
    ],
)
def test_sections_and_folders_of_odd_values(folder, capsys, text, told):
    write(folder, text + "\n")
    assert main(["--config-dir", "my", "equation=mine", "grid=8"]) == 2
    error = capsys.readouterr().err
    assert told in error and "\x1b" not in error


def test_another_run_is_not_touched_by_settings_that_cannot_continue_it(tmp_path, capsys):
    """``resume=auto`` with another equation: refused before Hydra writes into the folder."""
    words = ["time.end=0.01", "output.frames=1", "animation=none", f"hydra.run.dir={tmp_path}/run"]
    assert main(["equation=heat", "grid=8", *words]) == 0
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert main(["equation=allen_cahn", "grid=8", *words, "resume=auto"]) == 2
    assert {p: p.read_bytes() for p in before} == before
