"""Progress on the console: a bar in a terminal, otherwise lines of text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from pdesim.output.status import speed as rates

if TYPE_CHECKING:
    from pdesim.engine.distributed.simulation import AnySimulation

#: seconds between two lines of text if the output is not a terminal
LINE_SECONDS = 10.0


@dataclass(frozen=True)
class SweepProgress:
    """The share of a batch of members in the progress of a sweep.

    Args:
        before: fraction of the sweep that is done when the batch starts.
        size: size of the batch as a fraction of the sweep.
        prefix: text that is shown before the label of the batch.
    """

    before: float = 0.0
    size: float = 1.0
    prefix: str = ""

    def done(self, fraction: float) -> float:
        """Return the fraction of the sweep that is done when this fraction of the batch is done."""
        return self.before + self.size * fraction


#: the progress of a run that does not belong to a sweep
WHOLE = SweepProgress()


class _SpeedColumn(ProgressColumn):
    """A column that shows steps and cell updates per second, as measured by the engine."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["speed"], style="cyan")


def speed(steps: int, seconds: float, cells: int) -> str:
    """Return steps and cell updates per second as text, which is empty before the first step."""
    return rates(steps / seconds, steps / seconds * cells) if steps > 0 and seconds > 0 else ""


#: ``update(steps, time, seconds)``
Update = Callable[[int, float, float], None]


@contextmanager
def progress_display(
    console: Console,
    name: str,
    start: float,
    end: float,
    cells: int,
    progress: SweepProgress = WHOLE,
) -> Iterator[Update]:
    """Show the progress of a run or a batch: a bar in a terminal, otherwise lines of text.

    Args:
        console: the console.
        name: label of the run or the batch.
        start, end: interval of simulated time.
        cells: number of cells of the grid.
        progress: the share of the batch in the progress of a sweep. The bar, the percentage and the
            remaining time are those of the entire sweep.

    Yields:
        A function ``update(steps, time, seconds)``, to be called with the number of steps, the
        simulated time, and the computing time in seconds.
    """
    display = _bar if console.is_terminal else _lines
    yield from display(console, f"{progress.prefix}{name}", start, end, cells, progress)


def _bar(
    console: Console, name: str, start: float, end: float, cells: int, progress: SweepProgress
) -> Iterator[Update]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("t = {task.fields[time]:.6g}/{task.fields[end]:.6g}"),
        _SpeedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=1.0, time=start, end=end, speed="compiling")

        bar.update(task, completed=progress.before)

        def update(steps: int, now: float, seconds: float) -> None:
            done = progress.done((now - start) / (end - start))
            bar.update(task, completed=done, time=now, speed=speed(steps, seconds, cells))

        yield update


def _lines(
    console: Console, name: str, start: float, end: float, cells: int, progress: SweepProgress
) -> Iterator[Update]:
    last = time.monotonic()

    def update(steps: int, now: float, seconds: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            percent = 100 * progress.done((now - start) / (end - start))
            console.print(
                f"{name}: {percent:.0f} %  t = {now:.6g}  {speed(steps, seconds, cells)}",
                highlight=False,
                markup=False,
            )

    yield update


def steps_line(simulation: AnySimulation) -> str:
    """Return the number of steps of a simulation and its speed, as text."""
    cells, step = simulation.plan.grid.cells, simulation.plan.step
    line = f"{simulation.steps:,} steps"
    if simulation.members == 1 and step.adaptive:
        line += f" ({simulation.rejected:,} rejected)"
    return f"{line}  {speed(simulation.steps, simulation.seconds, cells)}"
