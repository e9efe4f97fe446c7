"""Commands of pdesim in processes of their own, which do not import TensorFlow anew.

TensorFlow takes most of the time of a short command to import. A server process imports the
libraries that pdesim uses, and nothing of pdesim, and forks for every command. What a command does
from there is its own: the imports of pdesim, the environment, the folder, the start of TensorFlow's
runtime and its threads, signals, streams and the exit code.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

#: everything that a run imports from other packages
LIBRARIES = [
    "tensorflow", "sympy", "h5py", "yaml", "hydra", "omegaconf", "filelock", "rich.console",
    "rich.progress", "rich.table", "matplotlib.figure", "matplotlib.backends.backend_agg",
    "PIL.Image",
]  # fmt: skip
TESTS = str(Path(__file__).parent)
#: forks of a process with TensorFlow are safe before its runtime starts; known of Linux only
FORKS = sys.platform == "linux"

#: for functions of tests that need a process of their own
context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    context.set_forkserver_preload(LIBRARIES)
    # what a test has left running does not keep the tests from ending
    atexit.register(lambda: [process.kill() for process in multiprocessing.active_children()])


def _become_pdesim(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], streams: Sequence[str]
) -> None:
    """Do as ``python -m pdesim`` in a folder, with standard streams that are files."""
    for number, path in enumerate(streams, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = ["", *(p for p in sys.path if p and not p.startswith(TESTS))]
    sys.argv = ["pdesim", *arguments]
    runpy.run_module("pdesim", run_name="__main__", alter_sys=True)


class Forked:
    """A command that runs; a part of the interface of ``subprocess.Popen``."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]):
        self._held = tempfile.TemporaryDirectory()  # disappears with this object
        self._streams = [str(Path(self._held.name, name)) for name in ("out", "err")]
        self.args = ["pdesim", *arguments]
        self._process = context.Process(
            target=_become_pdesim,
            args=([*arguments], str(folder), dict(environment), self._streams),
        )
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # as pdesim does before it imports
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; return what was written to standard output and to standard error."""
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        out, error = (Path(path).read_text() for path in self._streams)
        return out, error


def start(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    fresh: bool = False,
    **options,
) -> Forked | subprocess.Popen[str]:
    """Start ``python -m pdesim`` in a folder.

    Args:
        fresh: whether in a new interpreter, which imports everything itself.
        options: of ``subprocess.Popen``; they need a new interpreter.
    """
    if FORKS and not (fresh or options):
        return Forked(arguments, folder, environment)
    return subprocess.Popen(
        [sys.executable, "-m", "pdesim", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
