"""The exceptions of pdesim. Their messages state the problem, what is expected, and a hint.

::

    PdesimError
      ConfigError      FormulaError     BoundaryError    StepperError
      DeviceError      LostHostError    OutputError      MissingExtraError
      DivergedError    SolverError      InterruptedRun
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: texts in messages of XLA, CUDA, cuFFT and cuDNN that report a lack of memory
OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "out of memory",
    "Out of memory",
    "OUT_OF_MEMORY",
    "ALLOC_FAILED",
)


#: largest number of names that a message lists completely, and number of names of a longer list
MOST_NAMES, FEW_NAMES = 30, 12
#: number of characters in a line of a list of names
LINE = 84


def printable(text: str) -> str:
    """Replace control characters and invalid bytes by U+FFFD.

    Otherwise text from untrusted files could send escape sequences to the terminal.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def clip(text: str, most: int) -> str:
    """Return a text, with its end replaced by an ellipsis if it has more than ``most`` characters.

    Texts in untrusted files may have millions of characters.
    """
    return text if len(text) <= most else text[: most - 1] + "…"


@dataclass(frozen=True)
class Names:
    """The allowed names, as ``expected`` of an error. The hint of the error suggests similar ones.

    Attributes:
        known: the allowed names in the order in which they are listed.
        similar: the names that are most similar to the name that was given.
    """

    known: tuple[str, ...]
    similar: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The list of names, in lines of ``LINE`` characters; long lists are cut."""
        if not self.known:
            return "nothing is available"
        left = len(self.known) - FEW_NAMES if len(self.known) > MOST_NAMES else 0
        shown = self.known[:FEW_NAMES] if left else self.known
        text = ("one of " if len(self.known) > 1 else "") + ", ".join(shown)
        text += f", and {left} more" if left else ""
        return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)

    @property
    def hint(self) -> str:
        """The suggestion; empty if no name is similar."""
        return f"did you mean {' or '.join(map(repr, self.similar))}?" if self.similar else ""


class PdesimError(Exception):
    """Base class of all errors that are reported without a traceback.

    Args:
        problem: the first line of the message.
        expected: the allowed values or forms, which follow the problem.
        hint: a remedy, which follows the suggestion of ``expected``; the last lines.

    Attributes:
        exit_code: the exit code of the command line.
    """

    exit_code = 2

    def __init__(self, problem: str, expected: str | Names = "", hint: str = "") -> None:
        if isinstance(expected, Names):
            hint = "\n".join(filter(None, (expected.hint, hint)))
            expected = expected.expected
        # messages may quote text from untrusted files
        problem, expected, hint = map(printable, (problem, expected, hint))
        self.problem, self.expected, self.hint = problem, expected, hint
        lines = [problem]
        if expected:
            lines.append(textwrap.indent(expected, " " * 12).replace(" " * 12, "  expected: ", 1))
        if hint:
            lines.append(textwrap.indent(hint, " " * 12).replace(" " * 12, "  hint:     ", 1))
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Callable[..., PdesimError], tuple]:
        # copying would call the class with Exception.args, but subclasses have other arguments
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigError(PdesimError):
    """A setting that is unknown, of the wrong type, or out of range."""


class FormulaError(PdesimError):
    """A formula that is invalid. The message shows the formula with a caret at the position."""

    def __init__(
        self,
        formula: str,
        column: int,
        problem: str,
        expected: str | Names = "",
        where: str = "",
        hint: str = "",
    ) -> None:
        start = max(0, column - 60)
        text = formula[start : start + 100]
        head = f"in the formula for {where}: {problem}" if where else problem
        super().__init__(f"{head}\n    {text}\n    {' ' * (column - start)}^", expected, hint)


class BoundaryError(PdesimError):
    """Boundary conditions that are invalid, or not supported by the grid or the operators."""


class StepperError(PdesimError):
    """A stepper that does not apply to the equation, or a time step above the stability limit."""


class DeviceError(PdesimError):
    """The device does not exist or lacks memory, or TensorFlow cannot be loaded."""


class LostHostError(PdesimError):
    """The connection to another process of the same run was lost, usually because it has ended."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


class OutputError(PdesimError):
    """A file or folder that cannot be read or written."""


class MissingExtraError(PdesimError):
    """An optional package is not installed. The message names the extra that installs it."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package}, which is not installed",
            hint=f'pip install "pdesim[{extra}]"',
        )


class DivergedError(PdesimError):
    """The solution became NaN or infinite."""

    exit_code = 3


class SolverError(PdesimError):
    """An iterative solver did not reach its tolerance."""

    exit_code = 3


class InterruptedRun(PdesimError):
    """A run was stopped by a request, such as a signal. All frames computed before are stored."""

    def __init__(self, problem: str, hint: str = "", *, exit_code: int = 130) -> None:
        super().__init__(problem, hint=hint)
        self.exit_code = exit_code


def _rebuild(kind: type[PdesimError], arguments: tuple, attributes: dict) -> PdesimError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def similar_names(name: str, known: Iterable[str], cutoff: float = 0.55) -> tuple[str, ...]:
    """Return the names that are most similar to a name, apart from upper and lower case.

    There are several only if they differ from each other in upper and lower case alone. The result
    is empty if the similarity of all names (:func:`difflib.get_close_matches`) is below ``cutoff``.
    """
    folded: dict[str, list[str]] = {}
    for one in sorted(set(known)):
        folded.setdefault(one.casefold(), []).append(one)
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return tuple(folded[close[0]]) if close else ()


def nearest(name: str, known: Iterable[str]) -> Names:
    """Return the known names for ``expected`` of an error, and those similar to a given name.

    Lists that are cut begin with the most similar names; others are in alphabetical order.
    """
    names = sorted(set(known))
    similar = similar_names(name, names)
    if len(names) > MOST_NAMES:
        match = difflib.SequenceMatcher(b=name.casefold())
        ratios = {}
        for one in names:
            match.set_seq1(one.casefold())
            ratios[one] = match.ratio()
        names.sort(key=lambda one: (one not in similar, -ratios[one], one))
    return Names(tuple(names), similar)


def out_of_memory(cells: int | None = None) -> DeviceError:
    """Return the error for a lack of memory on the host or on a GPU.

    Args:
        cells: the number of cells of all runs that were computed together; None if unknown.
    """
    problem = "there is not enough memory" + ("" if cells is None else f" for {cells:,} cells")
    return DeviceError(
        problem,
        hint="a smaller grid, device.precision=float32, device=cpu, or more memory; "
        "pdesim resume FOLDER continues a run from its last checkpoint",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of Python, TensorFlow or CUDA reports a lack of memory.

    TensorFlow need not be imported. XLA and the libraries of CUDA report a lack of memory as an
    internal error with one of the texts in ``OUT_OF_MEMORY``.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    from_tensorflow = type(error).__module__.partition(".")[0] == "tensorflow"
    return from_tensorflow and any(text in str(error) for text in OUT_OF_MEMORY)
