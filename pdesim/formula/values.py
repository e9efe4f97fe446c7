"""Values of formulas that are not single real numbers: complex numbers and vectors.

Both consist of real SymPy expressions, so that everything after the parser, from time steps to
files, works with real fields: the complex field ``psi`` is computed as the two real fields
``psi_re`` and ``psi_im``, and the vector field ``v`` as ``v_x``, ``v_y`` and ``v_z``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import sympy

from pdesim.formula import language as lang
from pdesim.formula import nodes

#: largest integer to which a complex number can be raised
MAX_POWER = 16


class ValueMismatch(Exception):
    """An operation that is not defined for these values: the problem, and what is expected."""

    def __init__(self, problem: str, expected: str = "") -> None:
        super().__init__(problem)
        self.problem, self.expected = problem, expected


@dataclass(frozen=True)
class Complex:
    """A complex number ``re + 1j*im``."""

    re: sympy.Expr
    im: sympy.Expr

    #: what the value is, in messages
    kind: ClassVar[str] = "a complex number"
    #: how a real number is made of it
    hint: ClassVar[str] = "real(f), imag(f), abs(f) or angle(f)"

    @property
    def parts(self) -> tuple[sympy.Expr, ...]:
        return self.re, self.im

    def each(self, function: Callable[[sympy.Expr], sympy.Expr]) -> Complex:
        """Apply a linear function with real coefficients."""
        return Complex(function(self.re), function(self.im))


@dataclass(frozen=True)
class Vector:
    """A vector with one component for each axis of the grid."""

    parts: tuple[sympy.Expr, ...]

    kind: ClassVar[str] = "a vector"
    hint: ClassVar[str] = "a component such as v_x, dot(v, w), divergence(v) or curl(v)"

    def each(self, function: Callable[[sympy.Expr], sympy.Expr]) -> Vector:
        """Apply a linear function."""
        return Vector(tuple(map(function, self.parts)))


@dataclass(frozen=True)
class VectorGradient:
    """The gradient of a vector: its derivatives along each axis."""

    along: tuple[Vector, ...]

    kind: ClassVar[str] = "the gradient of a vector"
    hint: ClassVar[str] = "dot(v, gradient(w)), the derivative of w along v"

    @property
    def parts(self) -> tuple[sympy.Expr, ...]:
        return tuple(part for derivative in self.along for part in derivative.parts)


Composite: TypeAlias = "Complex | Vector | VectorGradient"
Value: TypeAlias = "sympy.Expr | Complex | Vector | VectorGradient"


def parts_of(value: Value | sympy.Basic) -> tuple[sympy.Basic, ...]:
    """The expressions that a value consists of."""
    return (value,) if isinstance(value, sympy.Basic) else value.parts


def as_complex(value: Value) -> Complex:
    """Return a number as a complex number.

    Raises:
        ValueMismatch: for a vector.
    """
    if isinstance(value, Vector | VectorGradient):
        raise ValueMismatch(f"this is {value.kind}", "a number")
    return value if isinstance(value, Complex) else Complex(value, sympy.S.Zero)


def as_vector(value: Value, axes: tuple[str, ...]) -> Vector:
    """Return a vector; ``gradient(f)`` and sums of its multiples become their components.

    Raises:
        ValueMismatch: for a number.
    """
    if isinstance(value, Vector):
        if len(value.parts) != len(axes):
            raise ValueMismatch(
                f"this vector has {len(value.parts)} components", f"{len(axes)}, one for each axis"
            )
        return value
    if isinstance(value, Complex | VectorGradient):
        raise ValueMismatch(f"this is {value.kind}", "a vector, such as [a, b]")
    gradients = gradients_in(value)
    if not gradients:
        if value == 0:
            return Vector((sympy.S.Zero,) * len(axes))
        raise ValueMismatch("this is a number", "a vector, such as v, [a, b] or gradient(f)")
    along = (
        {node: lang.differentiated(f"d_d{axis}", node.args[0]) for node in gradients}
        for axis in axes
    )
    return Vector(tuple(value.xreplace(components) for components in along))


def gradients_in(expression: sympy.Basic) -> set[sympy.Basic]:
    """Return the nodes ``gradient(f)`` in an expression."""
    found = expression.atoms(lang.AppliedUndef)
    return {node for node in found if lang.word_of(node) == lang.GRADIENT}


def combine(operation: str, left: Value, right: Value, axes: tuple[str, ...]) -> Value:
    """Return the result of Add, Sub, Mult, Div or Pow, of which one operand is composite.

    Raises:
        ValueMismatch: if the operation is not defined for these values.
    """
    for value in (left, right):
        if isinstance(value, VectorGradient):
            raise ValueMismatch(f"this is {value.kind}", value.hint)
    if operation == "Pow":
        return _power(left, right)
    if isinstance(left, Vector) or isinstance(right, Vector):
        return _with_vector(operation, left, right, axes)
    a, b = as_complex(left), as_complex(right)
    if operation in ("Add", "Sub"):
        sign = 1 if operation == "Add" else -1
        return Complex(a.re + sign * b.re, a.im + sign * b.im)
    if operation == "Mult":
        return _product(a, b)
    if operation == "Div":
        return _quotient(a, b)
    raise ValueMismatch("a remainder of complex numbers is not defined")


def _with_vector(operation: str, left: Value, right: Value, axes: tuple[str, ...]) -> Vector:
    if operation in ("Add", "Sub"):
        a, b = as_vector(left, axes).parts, as_vector(right, axes).parts
        sign = 1 if operation == "Add" else -1
        return Vector(tuple(x + sign * y for x, y in zip(a, b, strict=True)))
    if operation == "Mult" and isinstance(left, sympy.Expr):
        left, right = right, left
    if operation in ("Mult", "Div") and isinstance(left, Vector) and isinstance(right, sympy.Expr):
        if gradients_in(right):
            raise ValueMismatch("this is a product of two vectors", "dot(a, b)")
        return left.each(lambda part: part * right if operation == "Mult" else part / right)
    if isinstance(left, Complex) or isinstance(right, Complex):
        raise ValueMismatch("vectors have real components", "a real number times a vector")
    problem = "this is a product of two vectors" if operation == "Mult" else "this divides a vector"
    raise ValueMismatch(problem, "dot(a, b), or a number times a vector")


def _product(a: Complex, b: Complex) -> Complex:
    return Complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


def _quotient(a: Complex, b: Complex) -> Complex:
    if b.im == 0:
        if b.re.is_zero:
            raise ValueMismatch("division by zero")
        return a.each(lambda part: part / b.re)
    square = _squared(b)
    return _product(a, Complex(b.re, -b.im)).each(lambda part: part / square)


def _squared(a: Complex) -> sympy.Expr:
    return a.re**2 + a.im**2


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(base, Vector) or isinstance(exponent, Vector):
        raise ValueMismatch("this is a power of a vector", "dot(v, v) for its square")
    assert not isinstance(exponent, VectorGradient)
    if isinstance(exponent, Complex):
        if not isinstance(base, sympy.Expr) or not base.is_positive:
            raise ValueMismatch("the exponent is complex", "exp(f), or a positive number as base")
        return _exp(exponent.each(lambda part: part * sympy.log(base)))
    assert isinstance(base, Complex)
    if not exponent.is_Integer or abs(int(exponent)) > MAX_POWER:
        raise ValueMismatch(
            f"this is a complex number to the power {exponent}",
            f"an integer from -{MAX_POWER} to {MAX_POWER}, or abs(f)**p*exp(1j*p*angle(f))",
        )
    result = Complex(sympy.S.One, sympy.S.Zero)
    for _ in range(abs(int(exponent))):
        result = _product(result, base)
    return _quotient(Complex(sympy.S.One, sympy.S.Zero), result) if exponent < 0 else result


def negative(value: Composite) -> Composite:
    """``-value``.

    Raises:
        ValueMismatch: for the gradient of a vector.
    """
    if isinstance(value, VectorGradient):
        raise ValueMismatch(f"this is {value.kind}", value.hint)
    return value.each(lambda part: -part)


def _exp(a: Complex) -> Complex:
    size = sympy.exp(a.re)
    return Complex(size * sympy.cos(a.im), size * sympy.sin(a.im))


def _cosh(a: Complex) -> Complex:
    return Complex(
        sympy.cosh(a.re) * sympy.cos(a.im), sympy.sinh(a.re) * sympy.sin(a.im)
    )  # fmt: skip


def _sinh(a: Complex) -> Complex:
    return Complex(
        sympy.sinh(a.re) * sympy.cos(a.im), sympy.cosh(a.re) * sympy.sin(a.im)
    )  # fmt: skip


def _turned(a: Complex) -> Complex:
    """``1j*a``."""
    return Complex(-a.im, a.re)


def _sin(a: Complex) -> Complex:
    turned = _sinh(_turned(a))  # sin(a) = -1j*sinh(1j*a)
    return Complex(turned.im, -turned.re)


def modulus(a: Complex) -> sympy.Expr:
    """``|a|``; its square is a polynomial in the parts."""
    return sympy.sqrt(_squared(a))


def angle(a: Complex) -> sympy.Expr:
    """The angle of ``a`` in the complex plane, from -pi to pi."""
    return nodes.Arctan2(a.im, a.re)


#: functions of one complex number
COMPLEX_FUNCTIONS: dict[str, Callable[[Complex], Value]] = {
    "real": lambda a: a.re,
    "imag": lambda a: a.im,
    "conj": lambda a: Complex(a.re, -a.im),
    "abs": modulus,
    "angle": angle,
    "exp": _exp,
    "sin": _sin,
    "cos": lambda a: _cosh(_turned(a)),
    "sinh": _sinh,
    "cosh": _cosh,
}


def apply(name: str, arguments: list[Value]) -> Value:
    """Return the value of a function of which an argument is composite.

    Raises:
        ValueMismatch: if the function is not defined for it.
    """
    composite = next(a for a in arguments if not isinstance(a, sympy.Basic))
    if isinstance(composite, Vector) and name == "abs":
        return as_real(composite)
    if not isinstance(composite, Complex) or name not in COMPLEX_FUNCTIONS:
        is_complex = isinstance(composite, Complex)
        allowed = ", ".join(COMPLEX_FUNCTIONS) if is_complex else composite.hint
        raise ValueMismatch(f"{name} is not defined for {composite.kind}", allowed)
    return COMPLEX_FUNCTIONS[name](composite)


def where(condition: sympy.Basic, a: Value, b: Value) -> Value:
    """``a`` where the condition holds and ``b`` elsewhere.

    Raises:
        ValueMismatch: for a number and a vector, and for two vectors.
    """
    if isinstance(a, sympy.Expr) and isinstance(b, sympy.Expr):
        return nodes.where(condition, a, b)
    pairs = zip(as_complex(a).parts, as_complex(b).parts, strict=True)
    return Complex(*(nodes.where(condition, one, other) for one, other in pairs))


def as_real(value: Value) -> sympy.Expr:
    """The modulus of a complex number, the length of a vector, or the number itself."""
    if isinstance(value, Complex | Vector):
        return sympy.sqrt(sympy.Add(*(part**2 for part in value.parts)))
    return value


def dot(a: Vector, b: Vector) -> sympy.Expr:
    """The sum of the products of the components."""
    return sympy.Add(*(x * y for x, y in zip(a.parts, b.parts, strict=True)))


def gradient_of_vector(value: Vector, axes: tuple[str, ...]) -> VectorGradient:
    """The derivatives of a vector along the axes."""

    def along_axis(axis: str) -> Vector:
        return value.each(lambda part: lang.differentiated(f"d_d{axis}", part))

    return VectorGradient(tuple(map(along_axis, axes)))


def along(a: Vector, b: VectorGradient) -> Vector:
    """The derivative of a vector w along ``a``, ``a_x*d_dx(w) + a_y*d_dy(w) + a_z*d_dz(w)``."""
    components = zip(*(derivative.parts for derivative in b.along), strict=True)
    return Vector(tuple(dot(a, Vector(parts)) for parts in components))


def along_axis(axis: str, part: sympy.Expr) -> sympy.Expr:
    """The derivative of a number along an axis."""
    return lang.differentiated(f"d_d{axis}", part)


def curl(
    value: Value,
    axes: tuple[str, ...],
    along: Callable[[str, sympy.Expr], sympy.Expr] = along_axis,
) -> Value:
    """The curl of a vector: in 2-D ``d_dx(v_y) - d_dy(v_x)``, in 3-D a vector.

    The curl of a number f in 2-D is the vector ``[d_dy(f), -d_dx(f)]``.

    Args:
        along: returns the derivative of a number along an axis.

    Raises:
        ValueMismatch: in 1-D, and for a number in 3-D.
    """
    if len(axes) == 1:
        raise ValueMismatch("a curl needs 2 or 3 dimensions")
    if len(axes) == 2:
        if isinstance(value, sympy.Expr) and not gradients_in(value):
            return Vector((along("y", value), -along("x", value)))
        x, y = as_vector(value, axes).parts
        return along("x", y) - along("y", x)
    x, y, z = as_vector(value, axes).parts
    return Vector(
        (
            along("y", z) - along("z", y),
            along("z", x) - along("x", z),
            along("x", y) - along("y", x),
        )
    )
