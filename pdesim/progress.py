"""What the terminal shows while a run goes on: a bar, or lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from pdesim.output.status import speed as rates

#: seconds between lines where there is no terminal
LINE_SECONDS = 10.0


class _Speed(ProgressColumn):
    """Steps and cell updates per second, from the engine's own clock."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["speed"], style="cyan")


def speed(steps: int, seconds: float, cells: int) -> str:
    """The steps and cell updates of each of these seconds; nothing where there are none."""
    return rates(steps / seconds, steps / seconds * cells) if steps > 0 and seconds > 0 else ""


@contextmanager
def progress_display(
    console: Console, name: str, start: float, end: float, cells: int
) -> Iterator[Callable[[int, float, float], None]]:
    """Yield ``update(steps, time, seconds)``; simulated time drives the bar."""
    if console.is_terminal:
        yield from _bar(console, name, start, end, cells)
    else:
        yield from _lines(console, name, start, end, cells)


def _bar(console, name, start, end, cells):
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("t = {task.fields[time]:.6g}/{task.fields[end]:.6g}"),
        _Speed(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=end - start, time=start, end=end, speed="compiling")

        def update(steps: int, now: float, seconds: float) -> None:
            bar.update(task, completed=now - start, time=now, speed=speed(steps, seconds, cells))

        yield update


def _lines(console, name, start, end, cells):
    last = time.monotonic()

    def update(steps: int, now: float, seconds: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            percent = 100 * (now - start) / (end - start)
            told = speed(steps, seconds, cells)
            console.print(f"{name}: {percent:.0f} %  t = {now:.6g}  {told}", highlight=False)

    yield update
