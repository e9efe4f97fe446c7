"""Standard output and standard error whose writes never fail.

A run must not stop because the reader of a pipe has exited (``pdesim ... | head -1``), because the
disk that standard output is redirected to is full, or because a terminal cannot show Greek letters.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

#: file descriptor of a standard stream -> its name in ``sys``
STREAMS = {1: "stdout", 2: "stderr"}


class _Lenient(io.FileIO):
    """A file that records its first error instead of raising it, and ignores all later writes."""

    error: OSError | None = None

    def write(self, data) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


def keep_streams_usable() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams whose writes never fail.

    Characters that the encoding of a stream does not contain are replaced. If a standard stream is
    closed, its descriptor is opened on the null device. Otherwise the next opened file could get
    the descriptor of standard error, and libraries would write their messages into this file.
    """
    for descriptor in (0, *STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # open returns the lowest free descriptor, which is this one
            os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
    for descriptor, name in STREAMS.items():
        old = getattr(sys, name)
        if old is not None:
            with contextlib.suppress(OSError, ValueError):
                old.flush()
        new = io.TextIOWrapper(
            io.BufferedWriter(_Lenient(descriptor, "w", closefd=False)),
            encoding=getattr(old, "encoding", None) or "utf-8",
            errors="backslashreplace" if name == "stderr" else "replace",
            line_buffering=name == "stderr" or getattr(old, "line_buffering", False),
        )
        setattr(sys, name, new)


def close_streams() -> None:
    """Flush the streams, and report lost output on standard error.

    Output that was lost because the reader of a pipe has exited is not reported.
    """
    sys.stdout.flush()
    raw = getattr(sys.stdout.buffer, "raw", None)
    error = getattr(raw, "error", None)
    if error is not None and not isinstance(error, BrokenPipeError):
        print(f"pdesim: standard output is incomplete: {error.strerror}", file=sys.stderr)
    sys.stderr.flush()
