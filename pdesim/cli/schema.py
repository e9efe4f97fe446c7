"""``pdesim schema``: the JSON Schema of configuration files, for editors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pdesim.cli.arguments import Parser, check_outputs


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "schema",
        "[equation|experiment] [--output FILE] [--overwrite] [--config-dir DIR]",
        "Print the JSON Schema (draft 2020-12) of equation files, experiment files, or both, with\n"
        "which editors complete and check these files.",
        "  pdesim schema --output pdesim.schema.json\n"
        "  and in the first line of a file:\n"
        "  # yaml-language-server: $schema=../../pdesim.schema.json",
        completes=("equation", "experiment"),
    )
    result.add_argument("--output", metavar="FILE", help="write a file instead of printing")
    result.add_overwrite()
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.config.folders import check_config_dir
    from pdesim.files import writing
    from pdesim.schema import build_schema

    command = parser()
    options = command.read(arguments)
    if len(options.words) > 1:
        command.error(
            f"expected at most one name, got {len(options.words)}: {' '.join(options.words)}"
        )
    check_outputs({"--output": options.output}, options.overwrite)
    folders = check_config_dir(options.config_dir)
    kind = options.words[0] if options.words else "any"
    text = json.dumps(build_schema(kind, folders), indent=2, ensure_ascii=False)
    if options.output is None:
        print(text)
        return 0
    with writing(Path(options.output), "--output") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    print(options.output)
    return 0
