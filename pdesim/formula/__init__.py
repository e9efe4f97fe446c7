"""The formula language of equations, initial states and boundary conditions.

`parse` turns text into a SymPy expression, which an `Evaluator` evaluates with NumPy or TensorFlow.
"""

from pdesim.formula.calculus import derivative
from pdesim.formula.compact import compact
from pdesim.formula.evaluate import NUMPY, Evaluator, Library, library, literal
from pdesim.formula.linear import Split, jacobian, split
from pdesim.formula.names import functions_in, is_condition, names_in
from pdesim.formula.parse import parse, parse_value
from pdesim.formula.reductions import (
    Reduction,
    needed_reductions,
    separate_reductions,
    with_reductions,
)
from pdesim.formula.scope import Scope

__all__ = [
    "NUMPY",
    "Evaluator",
    "Library",
    "Reduction",
    "Scope",
    "Split",
    "compact",
    "derivative",
    "functions_in",
    "is_condition",
    "jacobian",
    "library",
    "literal",
    "names_in",
    "needed_reductions",
    "parse",
    "parse_value",
    "separate_reductions",
    "split",
    "with_reductions",
]
