"""``pdesim new``: a new equation file to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pdesim.cli.arguments import Parser


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "new",
        "NAME [--folder DIR]",
        "Write an equation file with comments to start from, DIR/equation/NAME.yaml.",
        "  pdesim new my_equation\n  pdesim --config-dir my equation=my_equation",
    )
    result.add_argument(
        "--folder", metavar="DIR", default="my", help="the folder with your own configs (my)"
    )
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command, print the file and the command that runs it, and return the exit code."""
    from pdesim.config.template import create_equation, run_command

    command = parser()
    options = command.read(arguments)
    if len(options.words) != 1 or not options.folder:
        given = " ".join(options.words) or "none"
        command.error(f"expected one name, got {given}" if options.folder else "--folder is empty")
    folder = Path(options.folder)
    path = create_equation(options.words[0], folder)
    print(f"{path}\nrun it with: {run_command(options.words[0], folder)}")
    return 0
