"""The commands, the Python and the YAML of README and docs are executed in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pdesim.formula.language import DERIVATIVES, FUNCTIONS, GENERATORS, OPERATORS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
EXTENDING = ROOT / "docs" / "extending.md"
VERIFICATION = (ROOT / "docs" / "verification.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands() -> list[str]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line for line in lines if line.startswith("pdesim ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    for block in blocks("yaml"):
        name = re.match(r"# (\S+\.yaml)\n", block).group(1)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(block)
    return folder


def test_the_reference_lists_every_word_of_the_formula_language():
    page = (ROOT / "docs" / "language.md").read_text().replace("\\", "")
    listed = set(re.findall(r"\w+", page))
    assert listed >= {*FUNCTIONS, *GENERATORS, *OPERATORS} - {*DERIVATIVES}
    assert listed >= {"min", "max", "d_dx", "d6_dx6", "d2_dxdy", "if", "gradient", "convolve"}


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_readme(command, workplace, line):
    command(*shlex.split(line)[1:], cwd=workplace)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_of_the_readme(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r"print\(.*\)  # (.*)", block)


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path != EXTENDING], ids=lambda path: path.name
)
def test_documents_run_from_top_to_bottom(document, command, tmp_path, monkeypatch, capsys):
    """Commands, Python and YAML files, in the order of the page, in one folder."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    text, told = document.read_text(), ""
    parts = re.findall(r"^```(console|python|yaml|text)\n(.*?)^```", text, flags=re.S | re.M)
    for language, block in parts:
        if language == "yaml":
            if named := re.match(r"# (\S+\.yaml)\n", block):
                (tmp_path / named[1]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / named[1]).write_text(block)
        elif language == "python":
            exec(compile(block, document.name, "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            assert printed == re.findall(r"print\(.*\)  # (.*)", block)
        elif language == "console":
            for line in block.splitlines():
                assert line.startswith("pdesim "), f"{line} is not a command of pdesim"
                done = command(*shlex.split(line)[1:])
                told = done.stdout + done.stderr
        elif document.name == "tutorial.md":
            for line in filter(without_numbers, block.splitlines()):
                assert without_numbers(line) in map(without_numbers, told.splitlines())


def without_numbers(line: str) -> str:
    """A line of output without what differs between machines; empty for the border of a table."""
    words = re.sub(r"\d[\d.,]*(e[-+]\d+)?", "N", line).split()
    return " ".join(words) if re.search(r"\w", line) else ""


def test_examples_of_extensions(command, tmp_path):
    """The Python of the page changes tables of the package, so it runs in another process."""
    text = EXTENDING.read_text()
    for name, block in re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", text, flags=re.S):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(block)
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.S):
        for line in block.splitlines():
            command(*shlex.split(line)[1:])
    script = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.S))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"^print\(.*\)  # (.*)", script, flags=re.M)


def test_replaced_lines_of_extensions_exist():
    for block in re.findall(r"```diff\n(.*?)```", EXTENDING.read_text(), flags=re.S):
        source = ""
        for line in block.splitlines():
            if line.startswith("--- "):
                source = (ROOT / line[4:]).read_text()
            elif line.startswith("-"):
                assert line[1:] in source.splitlines(), f"docs/extending.md replaces {line[1:]!r}"


@pytest.mark.parametrize("document", [ROOT / "README.md", *DOCUMENTS], ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
        assert (document.parent / link).exists(), link


def test_set_up_takes_two_commands():
    lines = [line for block in blocks("console") for line in block.splitlines() if "venv" in line]
    assert len(lines) == 2
    assert "pdesim equation=gray_scott grid=512" in lines[0] and "pytest" in lines[1]


def test_the_table_names_every_choice():
    from pdesim.config.compose import choices, groups

    rows = re.findall(r"^\| .*$", (ROOT / "docs" / "settings.md").read_text(), flags=re.M)
    for group in groups():
        if group in ("output", "equation"):  # the gallery shows the equations
            continue
        row = next(r for r in rows if f"`{group}=`" in r)
        for name in choices(group):
            assert f"`{name}`" in row, f"{group}={name} is missing in docs/settings.md"


def test_every_example_of_the_table_of_settings_is_valid():
    from pdesim.config.compose import compose_settings

    lines = re.findall(r"^\| `.*$", (ROOT / "docs" / "settings.md").read_text(), flags=re.M)
    for line in lines:
        setting, _, example = line.strip("| ").split(" | ")
        words = shlex.split(example.strip("`"))
        named = re.findall(r"`([\w.]+)=`", setting)
        assert any(word.startswith(name.split(".")[0]) for name in named for word in words), line
        equation = "kpz" if "noise" in setting or "ensemble" in example else "heat"
        if not any(word.startswith("equation=") for word in words):
            words.insert(0, f"equation={equation}")
        compose_settings(words)


def test_every_setting_is_described():
    """Settings of pictures are described in pictures.md, all others in the table of settings."""
    from pydantic import BaseModel

    from pdesim.settings import Settings

    settings = (ROOT / "docs" / "settings.md").read_text()
    pictures = (ROOT / "docs" / "pictures.md").read_text()
    for section, field in Settings.model_fields.items():
        kind, text = field.annotation, pictures if section == "animation" else settings
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            assert re.search(rf"`{section}[.=]", settings), section
            continue
        for name in kind.model_fields:
            if name not in ("name", "about"):
                assert re.search(rf"\b{section}\.{name}\b", text), f"{section}.{name}"


def test_pictures_are_there_and_small():
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    for text, folder in ((README, ROOT), *((t, ROOT / "docs") for t in (VERIFICATION, tutorial))):
        for path in re.findall(r"!\[[^\[\]]*\]\((.*?)\)", text):
            assert 10_000 < (folder / path).stat().st_size < 1_500_000


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.stem)
def test_commands_of_the_docs_compose(path, workplace, monkeypatch):
    from pdesim.config.compose import compose_settings
    from pdesim.datasets.settings import read_dataset_settings
    from pdesim.sweeps.overrides import members

    monkeypatch.chdir(workplace)
    for line in re.findall(r"^    pdesim (.*)", path.read_text(), flags=re.M):
        words = shlex.split(line)
        folder = "my" if "--config-dir" in words else None
        settings = [word for word in words if "=" in word]
        if words[0] == "dataset":
            settings = read_dataset_settings(settings)[1]
        if "-m" not in words and words[0] != "dataset":
            compose_settings(settings, folder)
        elif "experiment=rates" not in settings:  # that file is the page's own
            assert len(members(settings, folder)) > 1


def test_the_matrix_of_the_docs_is_whole_and_holds():
    from pdesim.steppers import METHODS
    from pdesim.verify.command import measured_equations

    rows = [line.strip("| ").split(" | ") for line in VERIFICATION.splitlines() if line[:1] == "|"]
    header, rows = rows[0], [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    assert header[-1] == "holds"
    missed = {(r["equation"], r["walls"], r["scheme"]) for r in rows if r["holds"] != "yes"}
    assert not missed
    assert {row["equation"].split()[0] for row in rows} >= set(measured_equations())
    schemes = {row["scheme"].partition(",")[0] for row in rows if row["refined"] == "time"}
    assert schemes == set(METHODS) - {"exact"}


@pytest.mark.slow
def test_the_main_job(command, tmp_path):
    command("equation=gray_scott", "grid=512", "hydra.run.dir=out", timeout=600)
    assert (tmp_path / "out" / "animation.gif").exists()
