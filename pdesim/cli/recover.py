"""``pdesim recover``: repair a snapshot file whose writer was killed."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, one_path


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    return Parser(
        "recover",
        "PATH",
        "Repair a snapshots.h5 whose writer was killed. All complete frames are kept.",
    )


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.output import RunFolder, recover
    from pdesim.output.series import recover_series

    command = parser()
    done = recover(one_path(command, command.read(arguments).words))
    state = "recovered" if done.changed else "was complete already"
    print(f"{done.path} {state}: {done.frames} frames")
    series = RunFolder(done.path.parent).series
    records = recover_series(series)
    if records is not None:
        print(f"{series} recovered: {records} records")
    return 0
