"""Every error that a user can meet: what came, what was expected, and the hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    """The text with U+FFFD for what must not reach a terminal: control characters (escape
    sequences begin with one) and bytes that were no UTF-8."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


class PdesimError(Exception):
    """A user's mistake or the machine's limit, told on one screen without a traceback.

    The message is the first line; ``expected`` and ``hint`` follow on lines of their own.
    ``exit_code`` is what the command line returns. What a message quotes may come from a file of
    somebody else: see :func:`printable`.
    """

    exit_code = 2

    def __init__(self, problem: str, expected: str = "", hint: str = "") -> None:
        problem, expected, hint = map(printable, (problem, expected, hint))
        self.problem, self.expected, self.hint = problem, expected, hint
        lines = [problem]
        if expected:
            lines.append(f"  expected: {expected}")
        if hint:
            lines.append(f"  hint:     {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self):
        # between processes: subclasses take other arguments than the message
        return _again, (type(self), self.args, self.__dict__)


class ConfigError(PdesimError):
    """A setting that is unknown, of the wrong type, or out of range."""


class FormulaError(PdesimError):
    """A formula that cannot be read; shows the formula with a caret under the place."""

    def __init__(
        self, formula: str, column: int, problem: str, expected: str = "", where: str = ""
    ) -> None:
        start = max(0, column - 60)
        text = formula[start : start + 100]
        head = f"in the formula for {where}: {problem}" if where else problem
        super().__init__(f"{head}\n    {text}\n    {' ' * (column - start)}^", expected)


class BoundaryError(PdesimError):
    """Walls that the grid, the fields or the operators cannot have."""


class StepperError(PdesimError):
    """A stepper that cannot serve this equation, or a time step beyond its limit."""


class DeviceError(PdesimError):
    """A device that is not there, or TensorFlow that cannot be loaded."""


class OutputError(PdesimError):
    """A file or folder that cannot be read or written."""


class MissingExtraError(PdesimError):
    """An optional package is needed and not installed; names the extra that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package}, which is not installed",
            hint=f'pip install "pdesim[{extra}]"',
        )


class DivergedError(PdesimError):
    """The solution became NaN or infinite."""

    exit_code = 3


class SolverError(PdesimError):
    """An iterative solver did not reach its tolerance."""

    exit_code = 3


class InterruptedRun(PdesimError):
    """A signal ended the run early; everything up to then is on disk."""

    def __init__(self, problem: str, hint: str = "", *, exit_code: int = 130) -> None:
        super().__init__(problem, hint=hint)
        self.exit_code = exit_code


def _again(kind: type[PdesimError], arguments: tuple, attributes: dict) -> PdesimError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def nearest(name: str, known: Iterable[str]) -> str:
    """``"did you mean 'heat'? "`` for a near miss, then all that is known; for ``expected``."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.55)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}available: {', '.join(known)}" if known else hint + "nothing is available"
