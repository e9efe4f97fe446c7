"""What the generators share: a limit on each case, counts, and the report of a fuzzing run."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pdesim.errors import PdesimError

#: seconds of processor time that an answer may take
SECONDS = 5.0
#: seconds after which a case that does not return to Python ends the process, with its traceback
STUCK = 120.0
#: bytes of address space that a generator may take beside what it has at its start
MEMORY = 2 << 30


class TooSlow(BaseException):
    """A case that takes longer than ``SECONDS``; no ``except Exception`` catches it."""


@dataclass
class Report:
    """Counts of a fuzzing run, and the cases that show a defect."""

    seed: int
    accepted: int = 0
    refused: int = 0
    slowest: float = 0.0
    slowest_case: str = ""
    tracebacks: list[tuple[str, str, str]] = field(default_factory=list)
    too_slow: list[tuple[str, str]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.tracebacks or self.too_slow)

    def text(self, examples: int = 2) -> str:
        """The seed, the counts, and examples of each kind of defect."""
        count = self.accepted + self.refused + len(self.tracebacks) + len(self.too_slow)
        lines = [
            f"seed {self.seed}: {count} cases, {self.accepted} accepted, {self.refused} refused, "
            f"{len(self.tracebacks)} tracebacks, {len(self.too_slow)} over {SECONDS:g} s",
            f"slowest answer: {self.slowest:.2f} s for {self.slowest_case[:200]}",
        ]
        kinds = Counter(kind for kind, _, _ in self.tracebacks)
        for kind, number in kinds.most_common():
            lines.append(f"{number} x {kind}")
            same = [(case, where) for k, case, where in self.tracebacks if k == kind]
            lines += [f"    {case[:400]}\n      {where}" for case, where in same[:examples]]
        lines += [f"too slow: {case[:400]}\n      {where}" for case, where in self.too_slow]
        return "\n".join(lines)


def fuzz(
    make: Callable[[random.Random], object],
    run: Callable[[object], None],
    count: int,
    seed: int,
    seconds: float = SECONDS,
) -> Report:
    """Run ``count`` cases, or as many as there are before SIGINT or SIGTERM.

    Args:
        make: returns a case for a generator of random numbers; its ``repr`` is reported.
        run: carries the case out; a :class:`PdesimError` is an answer, other exceptions are not.
        seconds: of processor time for each.
    """
    report = Report(seed)
    for number in range(count):
        case = make(random.Random(f"{seed}.{number}"))
        began = time.process_time()
        try:
            with _limited(seconds), _silent():
                run(case)
            report.accepted += 1
        except PdesimError as error:
            report.refused += 1
            if not error.problem.strip():
                report.tracebacks.append(("an error without words", repr(case), ""))
        except TooSlow:
            report.too_slow.append((repr(case), _where(sys.exc_info()[2])))
        except KeyboardInterrupt:
            break
        except BaseException as error:
            place = _where(error.__traceback__)
            kind = f"{type(error).__name__} in {place}"
            report.tracebacks.append((kind, repr(case), " ".join(str(error).split())[:200]))
        took = time.process_time() - began
        if took > report.slowest:
            report.slowest, report.slowest_case = took, repr(case)
    return report


def main(make: Callable[[random.Random], object], run: Callable[[object], None], about: str) -> int:
    """The command line of a generator; returns the exit code, 1 if a case shows a defect."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=1000, help="number of cases")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers")
    parser.add_argument("--examples", type=int, default=2, help="shown of each kind of defect")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _limit_memory()
    began = time.monotonic()
    report = fuzz(make, run, given.count, seed)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the report is printed whatever comes
    print(report.text(given.examples))
    print(f"{time.monotonic() - began:.0f} s")
    return int(report.failed)


def _limit_memory() -> None:
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise :class:`TooSlow` after so many seconds of processor time."""

    def stop(number, frame):
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    faulthandler.dump_traceback_later(STUCK, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _where(trace) -> str:
    """The innermost lines of a traceback that lie in pdesim, and the innermost of all."""
    frames = traceback.extract_tb(trace)
    own = [f for f in frames if "/pdesim/" in f.filename][-3:]
    if frames and frames[-1].name == "stop" and frames[-1].filename == __file__:
        frames.pop()  # the signal handler
    chosen = [*own, frames[-1]] if frames and frames[-1] not in own else own
    return " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(chosen))


#: values that are wrong for most settings, in the form of Hydra's overrides
WRONG_VALUES = (
    "", "null", "true", "false", "''", '""', "text", "[]", "{}", "[1,2,3]", "[1,2,3,4,5]",
    "[[1,2],[3]]", "{a: 1}", "{a: {b: [1, {c: null}]}}", "[null]", "[true,1]", "['a',2]",
    "0", "-1", "-0.0", "1.5", "1e300", "-1e300", "1e-300", "1e999", "nan", "inf", "-inf",
    str(10**25), str(2**63), str(-(2**63)), "1e5", "0x10", "1_000", ".5", "5.", "1e", "007",
    "${grid}", "${seed}", "${nowhere}", "${time.end}", "${time}", "${equation}", "${domain.extent}",
    "${oc.env:NO_SUCH_VARIABLE}", "${oc.env:HOME}", "${oc.decode:'[1'}", "${hydra:job.num}",
    "${hydra:nowhere}", "${unknown:1}", "${", "${}", "$", "\\${grid}", "${now:%Y}",
    "${.}", "${..a}",
    "'${grid}'", "\"${nowhere}\"", "${equation.${grid}}", "${oc.create:{a:1}}", "???",
    "'it''s'", "\"it's\"", "'a", "a'", '"a', "'", '"', "''a''", "\\'", "\\", "a\\", "`a`",
    "é", "ü→∞", "\u202eabc", "\u0000", "\ufeff1", "\u0661\u0662", "１２", "𝒖", "🙂", "a\u0301",
    "a b", " ", "\t", "a\tb", "\n", "a\nb", "1\n", "#", "a#b", "a # b", "%", "@", "!", "!!int 3",
    "!!python/object:os.system", "*x", "&x 1", "<<", "- 1", "? a", "| a", "> a", "a: b", "a:b",
    "{a: b", "[1, 2", "{a, b}", "{1: 2}", "{null: 1}", "{[1]: 2}", "{a: 1, a: 2}", "a=b",
    "=", "a,b",
    "1,2", "choice(1,2)", "range(1,3)", "interval(0,1)", "glob(*)", "sort(1,2)", "int(1.5)",
    "float('a')", "str(1)", "json_str(1)", "extend_list(1)", "sin(x)", "u**2", "[u m/s]", "[/]",
    "on", "off", "yes", "no", "~", "y", "n", "0o17", "0b1", "2001-01-01", "12:30:45", "1:2", "<x>",
    "x" * 300, "1" * 400, "[" * 60 + "]" * 60, "((((((((1))))))))", "../../x", "/", "a/b",
    "a.b", ".",
)  # fmt: skip


def garble(text: str, chance: random.Random) -> str:
    """Text with one to three characters deleted, doubled, swapped, replaced or inserted."""
    strange = " \t\n'\"\\{}[]()<>,;:.=+-*/%^&|!?#@$~`_0123456789abcxyzuvEé∞λ🙂\u202e"
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text) + 1)
        action = chance.randrange(5)
        if action == 0:
            text = text[:place] + text[place + 1 :]
        elif action == 1:
            text = text[:place] + text[place : place + chance.randint(1, 6)] + text[place:]
        elif action == 2:
            text = text[:place] + chance.choice(strange) + text[place:]
        elif action == 3:
            text = text[:place] + chance.choice(strange) + text[place + 1 :]
        else:
            other = chance.randrange(len(text) + 1)
            low, high = sorted((place, other))
            text = text[:low] + text[high:] + text[low:high]
    return text
