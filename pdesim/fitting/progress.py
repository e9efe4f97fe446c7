"""Progress of a fit on the console: a line that is updated in a terminal, otherwise lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status

#: seconds between two lines if the output is not a terminal
LINE_SECONDS = 10.0


@dataclass
class Progress:
    """The state of a fit that is shown.

    Args:
        console: the console.
        name: the equation.
        end: the time at which runs end.
        status: the updated line; None if the output is not a terminal.
    """

    console: Console
    name: str
    end: float
    status: Status | None
    evaluations: int = 0
    residual: float = float("nan")
    _stage: str = ""
    _last: float = field(default_factory=time.monotonic)

    def stage(self, text: str) -> None:
        """Show what is being computed; empty for evaluations."""
        self._stage = text

    def note(self, text: str) -> None:
        """Print a line that remains."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def evaluated(self, evaluations: int, residual: float) -> None:
        """Show the number of evaluations, and the smallest residual so far."""
        self.evaluations, self.residual = evaluations, residual
        self._show(self._text())

    def now(self, simulated: float) -> None:
        """Show the simulated time of the runs in progress."""
        self._show(f"{self._text()}  t = {simulated:.4g}/{self.end:.4g}")

    def _text(self) -> str:
        if self._stage:
            return f"{self.name}: {self._stage}"
        if not self.evaluations:
            return f"{self.name}: first evaluation"
        residual = f"relative residual {self.residual:.4g}"
        return f"{self.name}: {self.evaluations} evaluations, {residual}"

    def _show(self, text: str) -> None:
        if self.status is not None:
            self.status.update(text)
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self.console.print(text, highlight=False, markup=False)


@contextmanager
def fit_progress(console: Console, name: str, end: float) -> Iterator[Progress]:
    """Show the progress of a fit during the context."""
    if not console.is_terminal:
        yield Progress(console, name, end, None)
        return
    with console.status(f"{name}: compiling") as status:
        yield Progress(console, name, end, status)
