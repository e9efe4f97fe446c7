"""``pdesim recover``: repair a snapshot file whose writer was killed."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, one_path


def parser() -> Parser:
    return Parser(
        "recover",
        "PATH",
        "Repair a snapshots.h5 whose writer was killed. Every frame that was complete is kept.",
    )


def run(arguments: Sequence[str]) -> int:
    """Carry out the command; returns the exit code."""
    from pdesim.output import recover

    done = recover(one_path(parser(), parser().read(arguments).words))
    state = "recovered" if done.changed else "was complete already"
    print(f"{done.path} {state}: {done.frames} frames")
    return 0
