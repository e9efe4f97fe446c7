"""Constraints: fields without a time derivative, which are solved for at every evaluation.

The constraints of a group of solved fields v are ``L v + s = 0``. The operator L must be linear;
the source s, and coefficients in L, may depend on all other fields, on position and on time.

This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdesim.errors import StepperError
from pdesim.formula import language as lang
from pdesim.formula import with_reductions
from pdesim.operators.problem import Problem

#: maximum component of a source in the null space of the operator, relative to the root mean square
#: of the source
COMPATIBLE = {"float32": 1e-4, "float64": 1e-8}
#: an n x n matrix is singular if its determinant is at most (SINGULAR times the largest entry)**n
SINGULAR = 1e-13


def check_constraints(problem: Problem) -> None:
    """Check that constraints are linear in the fields that they determine.

    Raises:
        StepperError: if they are not, or if a constraint does not contain its fields.
    """
    for group in problem.constraints:
        own, name = frozenset(group.equation.field_symbols), ", ".join(group.equation.fields)
        complete = [with_reductions(f, group.equation.reductions) for f in group.equation.formulas]
        inner = [node.args[0].free_symbols for f in complete for node in lang.reductions_in(f)]
        inner += [one.inner.free_symbols for one in group.boundary.reductions]
        if any(wall.field is not None for wall in group.boundary.all_walls):
            raise StepperError(
                f"a boundary value of {name}, which equation.solve determines, contains fields",
                "boundary values that do not depend on fields for solved fields; those of the "
                "other fields may contain them",
            )
        entries = group.equation.jacobian
        if entries.free_symbols & own or any(names & own for names in inner):
            raise StepperError(
                f"the constraint for {name} is not linear in {name}, or contains means or "
                f"integrals of {name}",
                f"a formula such as laplacian({group.equation.fields[0]}) + source in "
                "equation.solve, in which coefficients and source depend on other fields only",
            )
        if any(entries[row, :].is_zero_matrix for row in range(entries.rows)):
            raise StepperError(
                f"a constraint for {name} does not contain {name}",
                "a formula in equation.solve that vanishes at the solution, such as "
                f"laplacian({group.equation.fields[0]}) + source",
            )


def has_constant_coefficients(group: Problem) -> bool:
    """Whether the operator of a group of constraints has constant coefficients."""
    own = frozenset(group.equation.field_symbols)
    return not any(term.free_symbols & own for term in group.split.rest)


def is_algebraic(group: Problem) -> bool:
    """Whether constraints with constant coefficients contain no derivatives of their fields."""
    names = {lang.operator_symbol(word) for word in lang.OPERATORS}
    return not group.split.matrix.free_symbols & names


def needs_iterations(group: Problem) -> bool:
    """Whether constraints are solved by iterations: by no transform, and not in each cell."""
    return not has_constant_coefficients(group) or not (group.has_modes or is_algebraic(group))


def eliminated(matrices: np.ndarray, solved: Sequence[int]) -> np.ndarray:
    """Eliminate solved fields from Jacobians whose rows of solved fields belong to constraints.

    The perturbations of solved fields follow from those of the other fields e:
    ``v = -D^-1 C e``, where C and D are the derivatives of the constraints. Rows and columns of
    solved fields are 0 in the result.

    Args:
        matrices: shape ``(fields, fields, ...)``.
        solved: the indices of the solved fields.
    """
    if not solved:
        return matrices
    kept = [n for n in range(len(matrices)) if n not in solved]
    response = responses(matrices[np.ix_(solved, solved)], matrices[np.ix_(solved, kept)])
    result = np.zeros(matrices.shape, np.result_type(matrices, response))
    coupling = np.einsum("ij...,jk...->ik...", matrices[np.ix_(kept, solved)], response)
    result[np.ix_(kept, kept)] = matrices[np.ix_(kept, kept)] + coupling
    return result


def responses(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return ``-own^-1 others`` for matrices in the first two axes; 0 where ``own`` is singular.

    Args:
        own: shape ``(solved, solved, ...)``.
        others: shape ``(solved, fields, ...)``.
    """
    own, others = np.moveaxis(own, (0, 1), (-2, -1)), np.moveaxis(others, (0, 1), (-2, -1))
    inverse, _ = inverses(own)
    return np.moveaxis(-inverse @ others, (-2, -1), (0, 1))


def inverses(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverses of matrices, 0 for singular ones, and whether each is singular.

    Args:
        matrices: shape ``(..., n, n)``.
    """
    scale = np.abs(np.nan_to_num(matrices)).max(initial=0.0)
    size = matrices.shape[-1]
    # a determinant or inverse of single numbers takes much longer than the numbers themselves
    determinants = np.abs(matrices[..., 0, 0] if size == 1 else np.linalg.det(matrices))
    singular = ~(determinants > (SINGULAR * scale) ** size)
    safe = np.where(singular[..., None, None], np.eye(size), matrices)
    inverse = 1 / safe if size == 1 else np.linalg.inv(safe)
    return np.where(singular[..., None, None], 0.0, inverse), singular
