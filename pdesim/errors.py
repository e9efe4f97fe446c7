"""The exceptions of pdesim. Their messages state the problem, what is expected, and a hint.

::

    PdesimError
      ConfigError      FormulaError     BoundaryError    StepperError
      DeviceError      OutputError      MissingExtraError
      DivergedError    SolverError      InterruptedRun
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

#: texts in messages of XLA, CUDA, cuFFT and cuDNN that report a lack of memory
OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "out of memory",
    "Out of memory",
    "OUT_OF_MEMORY",
    "ALLOC_FAILED",
)


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


class PdesimError(Exception):
    """Base class of all errors that are reported without a traceback.

    Args:
        problem: the first line of the message.
        expected: the allowed values or forms; the second line.
        hint: a remedy; the last line.

    Attributes:
        exit_code: the exit code of the command line.
    """

    exit_code = 2

    def __init__(self, problem: str, expected: str = "", hint: str = "") -> None:
        # messages may quote text from untrusted files
        problem, expected, hint = map(printable, (problem, expected, hint))
        self.problem, self.expected, self.hint = problem, expected, hint
        lines = [problem]
        if expected:
            lines.append(f"  expected: {expected}")
        if hint:
            lines.append(f"  hint:     {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Callable[..., PdesimError], tuple]:
        # copying would call the class with Exception.args, but subclasses have other arguments
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigError(PdesimError):
    """A setting that is unknown, of the wrong type, or out of range."""


class FormulaError(PdesimError):
    """A formula that is invalid. The message shows the formula with a caret at the position."""

    def __init__(
        self, formula: str, column: int, problem: str, expected: str = "", where: str = ""
    ) -> None:
        start = max(0, column - 60)
        text = formula[start : start + 100]
        head = f"in the formula for {where}: {problem}" if where else problem
        super().__init__(f"{head}\n    {text}\n    {' ' * (column - start)}^", expected)


class BoundaryError(PdesimError):
    """Boundary conditions that are invalid, or not supported by the grid or the operators."""


class StepperError(PdesimError):
    """A stepper that does not apply to the equation, or a time step above the stability limit."""


class DeviceError(PdesimError):
    """The device does not exist or lacks memory, or TensorFlow cannot be loaded."""


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


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a text for ``expected`` that suggests the most similar name and lists all known names.

    For example ``"did you mean 'heat'? available: burgers, heat, wave"``.
    """
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.55)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}available: {', '.join(known)}" if known else hint + "nothing is available"


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
