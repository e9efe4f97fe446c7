"""Text -> SymPy -> numbers: the language in which equations, states and walls are written."""

from pdesim.formula.compact import compact
from pdesim.formula.evaluate import NUMPY, Evaluator, Library, library, literal
from pdesim.formula.linear import Split, jacobian, split
from pdesim.formula.parse import Scope, parse

__all__ = [
    "NUMPY",
    "Evaluator",
    "Library",
    "Scope",
    "Split",
    "compact",
    "jacobian",
    "library",
    "literal",
    "parse",
    "split",
]
