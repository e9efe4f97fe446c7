"""Standard output and error that may be closed, full, or in another encoding than UTF-8.

A run must not end because its reader has left (``pdesim ... | head -1``), because the file that
standard output is redirected to cannot grow, or because a terminal has no Greek letters.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

#: descriptors of the standard streams, with the names of their objects in ``sys``
STREAMS = {1: "stdout", 2: "stderr"}


class _Lenient(io.FileIO):
    """A file that drops what cannot be written, and keeps the first error."""

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

    Characters that their encoding lacks are replaced. Descriptors that are closed are opened on the
    null device: the next file to be opened would get their numbers, and everything that a library
    writes to standard error with them.
    """
    for descriptor in (0, *STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # the lowest free number, which is this one
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
    """Write what is left in the buffers; say on standard error if output was lost.

    A reader that left (a closed pipe) has seen what it wanted and is not mentioned.
    """
    sys.stdout.flush()
    error = getattr(sys.stdout.buffer.raw, "error", None)
    if error is not None and not isinstance(error, BrokenPipeError):
        print(f"pdesim: standard output is incomplete: {error.strerror}", file=sys.stderr)
    sys.stderr.flush()
