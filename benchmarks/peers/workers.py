"""A process per contestant, and only one at work at a time: the others are stopped.

Threads that wait for work in a loop (of OpenMP, of compilers' pools) would otherwise take the cores
from whoever has the turn.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from pdesim.bench.timing import pace
from peers.contestants import CONTESTANTS, build
from peers.problems import PROBLEMS

#: (problem, cells per axis)
Case = tuple[str, int]


def serve(name: str, cases: Sequence[Case], connection) -> None:
    """A contestant's process: compile everything, then run what is asked for, timed."""
    forms, troubles = {}, {}
    for case in cases:
        try:
            forms[case] = build(name, PROBLEMS[case[0]], case[1])
        except Exception as error:
            troubles[case] = f"{type(error).__name__}: {error}".splitlines()[0]
    connection.send(troubles)
    while (asked := connection.recv()) is not None:
        task, case, form, steps = asked
        run = forms[case][form] if form else None
        if task == "forms":
            connection.send(list(forms[case]))
        elif task == "state":
            connection.send(run(steps))
        elif task == "pace":
            connection.send(pace(run))
        else:
            began = time.perf_counter()
            run(steps)
            connection.send(time.perf_counter() - began)


class Worker:
    """One contestant's process."""

    def __init__(self, name: str, cases: Sequence[Case]) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, (self._here, there) = name, context.Pipe()
        self.cases = [case for case in cases if case[0] in CONTESTANTS[name][2]]
        self._process = context.Process(target=serve, args=(name, self.cases, there), daemon=True)
        self._process.start()
        there.close()

    def wait(self) -> None:
        """Until all is compiled; what could not be built is told and left out."""
        try:
            troubles = self._here.recv()
        except EOFError:
            troubles = dict.fromkeys(self.cases, "its process died")
        for case, trouble in troubles.items():
            tell(f"{self.name} leaves out {case[0]} {case[1]}: {trouble}")
        self.cases = [case for case in self.cases if case not in troubles]
        self._halt()
        tell(f"{self.name} is ready")

    def _ask(self, *question):
        self._wake()
        self._here.send(question)
        answer = self._here.recv()
        self._halt()
        return answer

    def _halt(self) -> None:
        if hasattr(signal, "SIGSTOP"):
            os.kill(self._process.pid, signal.SIGSTOP)

    def _wake(self) -> None:
        if hasattr(signal, "SIGCONT"):
            os.kill(self._process.pid, signal.SIGCONT)

    def forms(self, case: Case) -> list[str]:
        return self._ask("forms", case, "", 0)

    def pace(self, case: Case, form: str) -> float:
        return self._ask("pace", case, form, 0)

    def state(self, case: Case, form: str, steps: int) -> np.ndarray:
        return self._ask("state", case, form, steps)

    def seconds(self, case: Case, form: str, steps: int) -> float:
        return self._ask("run", case, form, steps)

    def close(self) -> None:
        with suppress(BrokenPipeError, ProcessLookupError):
            self._wake()
            self._here.send(None)


@contextmanager
def started(names: Sequence[str], cases: Sequence[Case]) -> Iterator[list[Worker]]:
    """All contestants, compiling side by side."""
    workers = [Worker(name, cases) for name in names]
    try:
        for worker in workers:
            worker.wait()
        yield workers
    finally:
        for worker in workers:
            worker.close()


def tell(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
