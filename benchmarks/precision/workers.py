"""A process per package, and only one at work at a time."""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from precision.cases import Case, Rung
from precision.runners import BUILDERS


def serve(package: str, case: Case, rungs: Sequence[Rung], connection) -> None:
    """A package's process: prepare all rungs, then run the one that is asked for, timed."""
    runs, troubles = {}, {}
    try:
        builder = BUILDERS[package](case)
        for rung in rungs:
            try:
                runs[rung] = builder.runner(rung)
            except Exception as error:
                troubles[rung] = _told(error)
    except Exception as error:
        troubles = {rung: _told(error) for rung in rungs}
    connection.send("ready")
    while (rung := connection.recv()) is not None:
        if rung in troubles:
            connection.send((math.nan, None, troubles[rung]))
            continue
        began = time.perf_counter()
        try:
            state = runs[rung]()
            connection.send((time.perf_counter() - began, state, ""))
        except Exception as error:
            connection.send((math.nan, None, _told(error)))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class Workers:
    """The processes of all packages, prepared together, then asked one at a time.

    py-pde compiles longer than all others, so its ladders are shared out among as many processes
    as there are cores.
    """

    def __init__(self, case: Case, rungs: Sequence[Rung]) -> None:
        context, self.connections = multiprocessing.get_context("spawn"), {}
        self.places: dict[Rung, tuple[str, int]] = {}
        for package in dict.fromkeys(rung.package for rung in rungs):
            own = [rung for rung in rungs if rung.package == package]
            lines = list(dict.fromkeys(rung.line for rung in own))
            shares = min(len(lines), os.cpu_count() or 1) if package == "py-pde" else 1
            self.places |= {r: (package, lines.index(r.line) % shares) for r in own}
        for place in dict.fromkeys(self.places.values()):
            share = [rung for rung in self.places if self.places[rung] == place]
            here, there = context.Pipe()
            arguments = (place[0], case, share, there)
            context.Process(target=serve, args=arguments, daemon=True).start()
            there.close()
            self.connections[place] = here

    def wait(self) -> None:
        for (package, number), connection in self.connections.items():
            try:
                connection.recv()
                tell(f"{package} ({number + 1}) is ready")
            except EOFError:
                tell(f"{package} ({number + 1}): its process died while it prepared")

    def run(self, rung: Rung) -> tuple[float, np.ndarray | None, str]:
        """Seconds, the final state, and what went wrong."""
        connection = self.connections[self.places[rung]]
        try:
            connection.send(rung)
            return connection.recv()
        except (EOFError, BrokenPipeError):
            return math.nan, None, "its process died"

    def close(self) -> None:
        for connection in self.connections.values():
            with suppress(BrokenPipeError):
                connection.send(None)


@contextmanager
def started(case: Case, rungs: Sequence[Rung]) -> Iterator[Workers]:
    workers = Workers(case, rungs)
    try:
        workers.wait()
        yield workers
    finally:
        workers.close()


def tell(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
