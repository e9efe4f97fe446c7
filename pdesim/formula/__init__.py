"""Text -> SymPy -> numbers: the language in which equations, states and walls are written."""

from pdesim.formula.calculus import derivative
from pdesim.formula.compact import compact
from pdesim.formula.evaluate import NUMPY, Evaluator, Library, library, literal
from pdesim.formula.linear import Split, jacobian, split
from pdesim.formula.parse import Scope, names_in, parse

__all__ = [
    "NUMPY",
    "Evaluator",
    "Library",
    "Scope",
    "Split",
    "compact",
    "derivative",
    "jacobian",
    "library",
    "literal",
    "names_in",
    "parse",
    "split",
]
