"""``pdesim export``: a run, or the runs of a sweep, in the layout of another program."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, one_path


def parser() -> Parser:
    result = Parser(
        "export",
        "PATH --to FORMAT [--output TARGET] [--overwrite]",
        "Write a run, or the runs of a sweep, in the layout of another program.",
        "  pdesim export RUN --to netcdf\n  pdesim export SWEEP --to well --output data.hdf5",
    )
    result.add_argument("--to", metavar="FORMAT", help="well, pdebench, netcdf, vti, npz or xdmf")
    result.add_argument("--output", metavar="TARGET", help="the file or folder to write")
    result.add_argument("--overwrite", action="store_true", help="replace an existing TARGET")
    return result


def run(arguments: Sequence[str]) -> int:
    """Carry out the command and print the target; returns the exit code."""
    from pdesim.export import export

    options = parser().read(arguments)
    path = one_path(parser(), options.words)
    if not options.to or options.output == "":
        parser().error("a format is needed (--to), and a name after --output")
    print(export(path, options.to, options.output, overwrite=options.overwrite))
    return 0
