"""Choose the tests that only ``.ci/run`` runs, from measured durations.

    python -m pytest -m "not slow" --junitxml=durations.xml
    python tests/update_thorough.py durations.xml

Writes ``tests/thorough.txt``: the test functions, the most expensive first, without which the rest
takes less than ``SECONDS`` in all. Every package keeps its cheapest tests in the quick selection.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

#: seconds of all quick tests together, on one core
SECONDS = 400.0
TARGET = Path(__file__).with_name("thorough.txt")


def main(report: str) -> None:
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        function = case.get("name", "").partition("[")[0]
        seconds[f"{module}.py::{function}"] += float(case.get("time", 0))
    left, chosen = sum(seconds.values()), []
    for name in sorted(seconds, key=seconds.__getitem__, reverse=True):
        if left <= SECONDS:
            break
        left -= seconds[name]
        chosen.append(name)
    TARGET.write_text("\n".join(sorted(chosen)) + "\n")
    print(f"{len(chosen)} of {len(seconds)} functions are thorough; the others take {left:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1])
