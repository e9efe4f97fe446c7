"""``pdesim export``: convert a run or a sweep to the format of another program."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, one_path


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "export",
        "PATH --to FORMAT [--output TARGET] [--overwrite]",
        "Convert a run, or the runs of a sweep, to the format of another program.",
        "  pdesim export RUN --to netcdf\n  pdesim export SWEEP --to well --output data.hdf5",
    )
    result.add_argument("--to", metavar="FORMAT", help="well, pdebench, netcdf, vti, npz or xdmf")
    result.add_argument("--output", metavar="TARGET", help="the file or folder to write")
    result.add_argument("--overwrite", action="store_true", help="replace an existing TARGET")
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command, print the target, and return the exit code."""
    from pdesim.export import export

    command = parser()
    options = command.read(arguments)
    path = one_path(command, options.words)
    if not options.to or options.output == "":
        command.error("--to needs a format, and --output needs a name")
    print(export(path, options.to, options.output, overwrite=options.overwrite))
    return 0
