"""What the terminal shows while a run goes on: a bar, or lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from pdesim.output.status import speed as rates

#: seconds between lines where there is no terminal
LINE_SECONDS = 10.0


@dataclass(frozen=True)
class Share:
    """What a run or batch is of a sweep: fractions done before it and by it, in words, too."""

    before: float = 0.0
    size: float = 1.0
    told: str = ""

    def done(self, fraction: float) -> float:
        return self.before + self.size * fraction


WHOLE = Share()


class _Speed(ProgressColumn):
    """Steps and cell updates per second, from the engine's own clock."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["speed"], style="cyan")


def speed(steps: int, seconds: float, cells: int) -> str:
    """The steps and cell updates of each of these seconds; nothing where there are none."""
    return rates(steps / seconds, steps / seconds * cells) if steps > 0 and seconds > 0 else ""


@contextmanager
def progress_display(
    console: Console, name: str, start: float, end: float, cells: int, share: Share = WHOLE
) -> Iterator[Callable[[int, float, float], None]]:
    """Yield ``update(steps, time, seconds)``; simulated time drives the bar.

    Within a sweep the bar, its percentage and the time that remains are the whole sweep's.
    """
    kind = _bar if console.is_terminal else _lines
    yield from kind(console, f"{share.told}{name}", start, end, cells, share)


def _bar(console, name, start, end, cells, share):
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("t = {task.fields[time]:.6g}/{task.fields[end]:.6g}"),
        _Speed(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(
            name, total=1.0, completed=share.before, time=start, end=end, speed="compiling"
        )

        def update(steps: int, now: float, seconds: float) -> None:
            done = share.done((now - start) / (end - start))
            bar.update(task, completed=done, time=now, speed=speed(steps, seconds, cells))

        yield update


def _lines(console, name, start, end, cells, share):
    last = time.monotonic()

    def update(steps: int, now: float, seconds: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            percent = 100 * share.done((now - start) / (end - start))
            told = speed(steps, seconds, cells)
            console.print(
                f"{name}: {percent:.0f} %  t = {now:.6g}  {told}", highlight=False, markup=False
            )

    yield update
