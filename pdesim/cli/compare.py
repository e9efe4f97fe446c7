"""``pdesim compare``: norms of the difference of two runs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pdesim.cli.arguments import Parser
from pdesim.completion.words import PATH


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "compare",
        "A B [--field NAME] [--json]",
        "Print the norms of the difference of two runs, for each field and each time at which\n"
        "both have a frame. A and B are folders of runs, or snapshot files. Frames on different\n"
        "grids of one domain are interpolated to the coarser grid. Relative norms refer to B.",
        "  pdesim compare RUN OTHER\n  pdesim compare RUN OTHER --field u --json",
        completes=(PATH,),
    )
    result.add_argument("--field", metavar="NAME", help="compare this field only")
    result.add_argument("--json", action="store_true", help="print JSON, with all frames")
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code, which does not depend on the differences."""

    from pdesim.comparison import compare
    from pdesim.comparison.report import as_json, print_comparison
    from pdesim.tables import result_console

    command = parser()
    options = command.read(arguments)
    if len(options.words) != 2 or not all(options.words):
        command.error(f"expected two paths, got {len(options.words)}: {' '.join(options.words)}")
    a, b = options.words
    found = compare(a, b, options.field)
    if options.json:
        print(json.dumps(as_json(found), indent=1, allow_nan=False))
        return 0
    print_comparison(found, result_console())
    return 0
