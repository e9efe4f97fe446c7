"""Run the commands of the documentation that tests do not run, since they take long.

    python docs/run_commands.py [--limit SECONDS] [--only TEXT]

These are the lines that begin with four spaces and ``pdesim``. (Lines in blocks of code are run by
``tests/docs/test_readme.py``.) Each page's commands run in one folder, with the YAML files of the
page. The result is the table in ``docs/commands.md``. Results other than "done" are those of
commands that need more time or what this machine does not have. With ``--only``, only commands that
contain a text are run, and the other rows of the table are kept.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
TABLE = DOCS / "commands.md"
HEAD = """\
# Long commands

The commands of these pages that take long, in a run of `python docs/run_commands.py --limit
{limit}`. The other commands and all code are run by the tests. Times are those of whole commands
on {cores} cores.

| page | command | result | minutes |
|---|---|---|---|
"""
#: part of a command -> what it needs
NEEDS = {
    "submitit_slurm": "needs Slurm",
    "workers=ray": "needs the extra ray",
    "completion": "needs another shell",
    "device.hosts": "needs several hosts",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one command")
    parser.add_argument("--only", default="", help="a part of the commands to run")
    arguments = parser.parse_args()
    limit, only = arguments.limit, arguments.only
    before = TABLE.read_text(encoding="utf-8").splitlines() if only and TABLE.exists() else []
    lines = []
    for page in sorted(DOCS.glob("*.md")):
        if page.name not in ("README.md", TABLE.name):
            lines += list(results(page, limit, only, before))
    cores = len(os.sched_getaffinity(0))
    TABLE.write_text(HEAD.format(limit=round(limit), cores=cores) + "\n".join(lines) + "\n")
    if any("failed" in line for line in lines):
        raise SystemExit("some commands failed")


def results(page: Path, limit: float, only: str, before: list[str]) -> Iterator[str]:
    """Run the long commands of a page, and yield the rows of the table.

    Args:
        only: a text that commands must contain to be run.
        before: the lines of the present table, from which the rows of other commands are taken.
    """
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for name, block in re.findall(
            r"```yaml\n# (\S+\.yaml)\n(.*?)```", README + text, flags=re.S
        ):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")
        for line in re.findall(r"^    (pdesim .*)", text, flags=re.M):
            shown = f"| [{page.stem}]({page.name}) | `{line}` |".replace(" | source", r" \| source")
            if only not in line:
                yield from (row for row in before if row.startswith(shown))
                continue
            needed = next((need for part, need in NEEDS.items() if part in line), None)
            start = time.perf_counter()
            result = needed or run(line, folder, limit)
            minutes = (time.perf_counter() - start) / 60
            row = f"{shown} {result} | {minutes:.1f} |"
            print(row, flush=True)
            yield row


def run(line: str, folder: str, limit: float) -> str:
    """Run a command, and say how it ended."""
    command = [sys.executable, "-m", "pdesim", *shlex.split(line)[1:]]
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parent)}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return f"not finished in {limit:g} s"
    if done.returncode:
        print(done.stderr.decode(errors="replace")[-2000:], file=sys.stderr)
        return f"failed with exit code {done.returncode}"
    return "done"


README = (DOCS.parent / "README.md").read_text(encoding="utf-8")

if __name__ == "__main__":
    main()
