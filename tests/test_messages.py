"""What the command line says about mistakes and defects: one message each, and no traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pdesim import cli, commands


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def broken(*arguments, **options):
    raise ZeroDivisionError("a defect")


def test_a_defect_is_reported_with_a_log_file(monkeypatch, capsys):
    monkeypatch.setattr(commands, "info", broken)
    assert cli.main(["info", "x"]) == 70
    told = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: a defect" in told and "report it" in told
    assert "Traceback" not in told and len(told.splitlines()) < 6
    log = Path(re.search(r"log file: (.*)", told).group(1))
    assert "Traceback" in log.read_text() and "pdesim info x" in log.read_text()
    log.unlink()


def test_a_defect_in_a_run_is_logged_in_its_folder(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("pdesim.run.execute", broken)
    Path("out").mkdir()
    Path("target").write_text("kept")
    assert cli.main(["equation=heat", "grid=8", "hydra.run.dir=out"]) == 70
    told = capsys.readouterr().err
    assert "log file: out/pdesim-error.log" in told
    assert "ZeroDivisionError" in (tmp_path / "out" / "pdesim-error.log").read_text()
    (tmp_path / "out" / "pdesim-error.log").unlink()
    (tmp_path / "out" / "pdesim-error.log").symlink_to(tmp_path / "target")
    assert cli.main(["equation=heat", "grid=8", "hydra.run.dir=out"]) == 70
    assert Path("target").read_text() == "kept"  # links are not followed
    Path(re.search(r"log file: (.*)", capsys.readouterr().err).group(1)).unlink()


def test_the_traceback_on_request(monkeypatch, capsys):
    monkeypatch.setattr(commands, "info", broken)
    monkeypatch.setenv("PDESIM_DEBUG", "1")
    assert cli.main(["info", "x"]) == 70
    told = capsys.readouterr().err
    assert "Traceback" in told
    Path(re.search(r"log file: (.*)", told).group(1)).unlink()
