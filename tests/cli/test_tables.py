"""Tables on consoles of any width contain every number in full."""

from __future__ import annotations

import io

import pytest
from made_runs import make_run
from rich.console import Console
from rich.table import Table

from pdesim.cli.main import main
from pdesim.tables import print_table, result_console

HEADINGS = ("field", "order (RMS)", "error max", "max / range", "verdict")
ROW = ("u", "1.87", "7.512e-05", "0.18941", "converging, but slower than the order 2 of the scheme")


def printed(width: int, optional=(), elsewhere="") -> str:
    table = Table(*HEADINGS, title="a title that is longer than the narrowest console")
    table.add_row(*ROW)
    file = io.StringIO()
    print_table(table, Console(file=file, width=width), optional, elsewhere)
    return file.getvalue()


@pytest.mark.parametrize("width", [12, 20, 30, 40, 60, 80, 120])
def test_no_word_and_no_number_is_cut(width):
    text = printed(width)
    assert "…" not in text and set(ROW[:4]) <= set(text.split())
    assert {*ROW[-1].split(), *["order", "(RMS)", "error", "max"]} <= set(text.split())
    if width >= 60:  # a table; otherwise a block of lines
        assert max(map(len, text.splitlines()[1:])) <= width


def test_the_least_important_columns_are_named_below_the_table():
    text = printed(40, ("max / range", "error max"), "--json")
    assert "0.18941" not in text and "7.512e-05" in text
    assert "not shown, because the table would be" in text and "max / range" in text
    assert "--json shows all" in " ".join(text.split())
    assert "not shown" not in printed(120, ("max / range", "error max"))


def test_the_width_follows_the_environment(monkeypatch):
    monkeypatch.setenv("COLUMNS", "64")
    assert result_console().width == 64
    monkeypatch.delenv("COLUMNS")
    assert result_console().width == 120


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_a_folder_of_unlike_runs(columns, tmp_path, monkeypatch, capsys):
    """Runs that differ in many settings have a table of the most important ones."""
    for number in range(3):
        many = {f"p{n}": 0.123456789 + number + n for n in range(30)}
        make_run(tmp_path / str(number), parameters=many)
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["info", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "…" not in text and "not shown" in text
    table = text[text.index("run ") : text.index("not shown")].splitlines()
    assert max(map(len, table)) <= int(columns)
    assert {"run", "state", "t"} <= set(table[0].split())
