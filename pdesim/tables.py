"""Tables on the console, which never cut a number or a word.

Columns that do not fit beside each other are narrowed at the spaces of their texts; the least
important ones are then left out and named below the table. If even the others do not fit, each
row is printed as a block of lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

#: the width of the console if it is not a terminal and COLUMNS is not set
WIDTH = 120
#: texts up to this length stay on one line
UNBROKEN = 14
#: words beyond this length, which are parts of formulas and paths, are continued in the next line
LONGEST_WORD = 24
#: number of characters between columns
GAP = 2
#: largest number of names in the line below a table
MOST_NAMED = 8


def result_console(width: int = WIDTH) -> Console:
    """Return the console for results.

    Its width is that of the terminal or, where there is none, the variable COLUMNS of the
    environment, or else ``width``.
    """
    console = Console(highlight=False)
    known = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return console if known else Console(highlight=False, width=width)


def print_table(
    table: Table, console: Console, optional: Sequence[str] = (), elsewhere: str = ""
) -> None:
    """Print a table that fits into the width of the console.

    Args:
        table: the table. Its title, its columns with their alignment, and its rows are used.
        console: the console.
        optional: the headings of columns that may be left out, the least important one first.
        elsewhere: what shows all columns, such as ``--json``, for the line below the table.
    """
    if isinstance(table.title, str | Text) and str(table.title):
        console.print(table.title, soft_wrap=True)
    shown, left_out = _choose(table, console.width, optional)
    if shown is None:
        _print_blocks(table, console)
        return
    console.print(_arranged(table, shown))
    if left_out:
        console.print(Text(_note(left_out, elsewhere), style="dim"))


@dataclass(frozen=True)
class _Fitted:
    """A column, and the number of characters that it gets."""

    column: Column
    width: int


def _choose(
    table: Table, width: int, optional: Sequence[str]
) -> tuple[list[_Fitted] | None, list[str]]:
    """Return the columns that fit, None if there are none, and the headings of the others."""
    columns, left_out = list(table.columns), []
    for heading in (*optional, None):
        needed = sum(map(_least, columns)) + GAP * (len(columns) - 1)
        if needed <= width:
            break
        if heading is None:
            return None, []
        found = [column for column in columns if _plain(column.header) == heading]
        columns = [column for column in columns if column not in found]
        left_out += [heading] * bool(found)
    spare = width - needed
    widths, wanted = [*map(_least, columns)], [*map(_natural, columns)]
    for _ in range(spare):  # the narrowest columns first: long texts take what remains
        open_ = [n for n, one in enumerate(widths) if one < wanted[n]]
        if not open_:
            break
        widths[min(open_, key=lambda n: wanted[n])] += 1
    return [_Fitted(*pair) for pair in zip(columns, widths, strict=True)], left_out


def _arranged(table: Table, shown: Sequence[_Fitted]) -> Table:
    """Return the table with the given columns alone."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)
    for one in shown:
        column = one.column
        result.add_column(
            Text(_plain(column.header)), justify=column.justify, width=one.width, overflow="fold"
        )
    for number, row in enumerate(zip(*(one.column.cells for one in shown), strict=True)):
        about = table.rows[number]
        cells = [_text(cell) for cell in row]
        result.add_row(*cells, style=about.style, end_section=about.end_section)
    return result


def _print_blocks(table: Table, console: Console) -> None:
    """Print a line for each cell, with the heading before it; rows are separated by a line."""
    headings = [_plain(column.header) for column in table.columns]
    widest = max(map(len, headings), default=0)
    for number, row in enumerate(zip(*(column.cells for column in table.columns), strict=True)):
        if number:
            console.print()
        for heading, cell in zip(headings, row, strict=True):
            line = Text(f"{heading:{widest}}  ")
            console.print(line.append_text(_text(cell)), soft_wrap=True)


def _note(left_out: Sequence[str], elsewhere: str) -> str:
    named = ", ".join(left_out[-MOST_NAMED:][::-1])
    more = len(left_out) - MOST_NAMED
    named += f" and {more} more" if more > 0 else ""
    return f"not shown, because the table would be too wide: {named}" + (
        f"; {elsewhere} shows all" if elsewhere else ""
    )


def _least(column: Column) -> int:
    """Return the smallest width at which no number and no word of a column is broken."""
    words = [len(word) for word in _plain(column.header).split()]
    for cell in map(_plain, column.cells):
        parts = [cell] if len(cell) <= UNBROKEN else cell.split()
        words += [min(len(part), LONGEST_WORD) for part in parts]
    return max(words, default=1) or 1


def _natural(column: Column) -> int:
    """Return the width at which no text of a column is broken."""
    texts = [_plain(column.header), *map(_plain, column.cells)]
    return max(1, *(len(line) for text in texts for line in text.split("\n")))


def _text(cell: object) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text.from_markup(str(cell))


def _plain(cell: object) -> str:
    return _text(cell).plain
