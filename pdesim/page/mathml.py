"""Formulas as MathML, which browsers typeset; terms keep the order in which they were written."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from pdesim.formula.language import CONVOLVE, DERIVATIVE_ALIASES, DERIVATIVES, powers_of
from pdesim.page.document import escaped

MAX_LENGTH, MAX_DEPTH = 4000, 80
_LOWER = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma "
    "tau upsilon phi chi psi omega"
)
_UPPER = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
_GREEK = {
    **dict(zip(_LOWER.split(), "αβγδεζηθικλμνξοπρστυφχψω", strict=True)),
    **dict(zip(_UPPER.split(), "ΓΔΘΛΞΠΣΦΨΩ", strict=True)),
    "lam": "λ",  # lambda is a keyword in Python, and no name in formulas
}
#: how tightly a formula binds: sums, products, signs, powers, and what needs no parentheses
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)
_COMPARED = {
    "Lt": "&lt;", "LtE": "≤", "Gt": "&gt;", "GtE": "≥", "Eq": "=", "NotEq": "≠",
}  # fmt: skip
_TIMES = "<mo>&#x2062;</mo>"  # an invisible product sign
_APPLY = "<mo>&#x2061;</mo>"  # an invisible sign between a function and its argument

_Part = tuple[str, int]


def formula(text: object) -> str:
    """Return the MathML of a formula; if the text is not a formula, the text itself."""
    source = " ".join(str(text).split())
    try:
        if len(source) > MAX_LENGTH:
            raise ValueError("too long")
        return _Typesetter().part(ast.parse(source, mode="eval").body, 0)[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"<mtext>{escaped(source)}</mtext>"


def name(text: str) -> str:
    """Return the MathML of a name: Greek letters, and digits or words after ``_`` as subscripts."""
    base, _, below = text.partition("_")
    if not below:
        stem = text.rstrip("0123456789")
        base, below = (stem, text[len(stem) :]) if stem else (text, "")
    if not below and len(text) == 2 and text[0].isupper() and text[1].islower():
        base, below = text[0], text[1]  # Du, the diffusivity of u
    if not base:
        base, below = text, ""
    letter = f"<mi>{escaped(_GREEK.get(base, base))}</mi>"
    if not below:
        return letter
    inner = (
        f"<mn>{below}</mn>"
        if below.isdecimal()
        else f"<mi>{escaped(_GREEK.get(below, below))}</mi>"
    )
    return f"<msub>{letter}{inner}</msub>"


def number(value: object) -> str:
    """Return the MathML of a number, with a power of ten instead of an exponent."""
    text = repr(value) if isinstance(value, int | float) else str(value)
    digits, _, exponent = text.partition("e")
    digits = digits.removesuffix(".0")
    sign = "<mo>−</mo>" if digits.startswith("-") else ""
    result = f"{sign}<mn>{escaped(digits.lstrip('-'))}</mn>"
    if exponent:
        power = str(int(exponent)).replace("-", "−")
        result += f"<mo>·</mo><msup><mn>10</mn><mn>{power}</mn></msup>"
    return f"<mrow>{result}</mrow>"


def rate(field: str) -> str:
    """Return the MathML of the time derivative of a field."""
    return f"<mfrac><mrow><mo>∂</mo>{name(field)}</mrow><mrow><mo>∂</mo><mi>t</mi></mrow></mfrac>"


def iterate(field: str) -> str:
    """Return the MathML of the next iterate of a field of a map."""
    return f"<msub>{name(field)}<mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msub>"


def block(rows: Sequence[tuple[str, str]]) -> str:
    """Return equations below each other, as a ``<math>`` element.

    Args:
        rows: the MathML of the left and the right side of each equation.
    """
    cells = "".join(
        f'<mtr><mtd class="left">{left}</mtd><mtd><mo>=</mo></mtd><mtd>{right}</mtd></mtr>'
        for left, right in rows
    )
    return f'<math display="block"><mtable>{cells}</mtable></math>'


def inline(content: str) -> str:
    """Return MathML as a part of a line."""
    return f"<math>{content}</math>"


class _Typesetter:
    """Turns nodes of Python's syntax tree to MathML, with how tightly they bind."""

    def part(self, node: ast.expr, depth: int) -> _Part:
        if depth > MAX_DEPTH:
            raise ValueError("too deep")
        handler: Callable[[ast.expr, int], _Part] | None = getattr(
            self, f"_{type(node).__name__.lower()}", None
        )
        if handler is None:
            raise ValueError(f"{type(node).__name__} is not part of a formula")
        return handler(node, depth + 1)

    def inside(self, node: ast.expr, least: int, depth: int) -> str:
        """The node, in parentheses if it binds less tightly than ``least``."""
        content, strength = self.part(node, depth)
        return content if strength >= least else _bracketed(content)

    def _constant(self, node: ast.Constant, depth: int) -> _Part:
        if isinstance(node.value, str):
            return f"<mtext>“{escaped(node.value)}”</mtext>", _ATOM
        if isinstance(node.value, complex):
            size = node.value.imag
            unit = "<mi>i</mi>"
            return unit if size == 1 else f"<mrow>{number(size)}{_TIMES}{unit}</mrow>", _PRODUCT
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise ValueError("not a number")
        return number(node.value), _ATOM if "e" not in repr(node.value) else _PRODUCT

    def _list(self, node: ast.List, depth: int) -> _Part:
        return _bracketed("<mo>,</mo>".join(self.part(one, depth)[0] for one in node.elts)), _ATOM

    def _name(self, node: ast.Name, depth: int) -> _Part:
        return name(node.id), _ATOM

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> _Part:
        if not isinstance(node.op, ast.USub | ast.UAdd):
            raise ValueError("not an operator of formulas")
        sign = "−" if isinstance(node.op, ast.USub) else "+"
        inner = self.inside(node.operand, _PRODUCT, depth)
        return f'<mrow><mo form="prefix">{sign}</mo>{inner}</mrow>', _SUM

    def _binop(self, node: ast.BinOp, depth: int) -> _Part:
        kind = type(node.op).__name__
        if kind in ("Add", "Sub"):
            left = self.inside(node.left, _SUM, depth)
            right = self.inside(node.right, _PRODUCT, depth)
            sign = "+" if kind == "Add" else "−"
            return f"<mrow>{left}<mo>{sign}</mo>{right}</mrow>", _SUM
        if kind == "Mult":
            return self._product(node, depth)
        if kind == "Div":
            above, below = (self.part(side, depth)[0] for side in (node.left, node.right))
            return f"<mfrac>{above}{below}</mfrac>", _PRODUCT
        if kind == "Pow":
            base = self.inside(node.left, _ATOM, depth)
            return f"<msup>{base}{self.part(node.right, depth)[0]}</msup>", _POWER
        if kind == "Mod":
            sides = [self.inside(side, _PRODUCT, depth) for side in (node.left, node.right)]
            return f"<mrow>{sides[0]}<mo>mod</mo>{sides[1]}</mrow>", _SUM
        raise ValueError("not an operator of formulas")

    def _product(self, node: ast.BinOp, depth: int) -> _Part:
        left = self.inside(node.left, _PRODUCT, depth)
        right = self.inside(node.right, _PRODUCT, depth)
        first = node.right
        while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Mult | ast.Pow):
            first = first.left
        digits = isinstance(first, ast.Constant)
        return f"<mrow>{left}{'<mo>·</mo>' if digits else _TIMES}{right}</mrow>", _PRODUCT

    def _compare(self, node: ast.Compare, depth: int) -> _Part:
        content = self.inside(node.left, _SUM, depth)
        for operator, side in zip(node.ops, node.comparators, strict=True):
            if type(operator).__name__ not in _COMPARED:
                raise ValueError("not a comparison of formulas")
            sign = _COMPARED[type(operator).__name__]
            content += f"<mo>{sign}</mo>{self.inside(side, _SUM, depth)}"
        return f"<mrow>{content}</mrow>", _SUM - 1

    def _ifexp(self, node: ast.IfExp, depth: int) -> _Part:
        return self._cases(node.test, node.body, node.orelse, depth)

    def _call(self, node: ast.Call, depth: int) -> _Part:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ValueError("not a call of formulas")
        word, arguments = node.func.id, node.args
        word = DERIVATIVE_ALIASES.get(word, word)
        if word == "where" and len(arguments) == 3:
            return self._cases(arguments[0], arguments[1], arguments[2], depth)
        if word == CONVOLVE and len(arguments) == 2:
            return self._convolution(arguments[0], arguments[1], depth)
        if word == "dot" and len(arguments) == 2:
            sides = [self.inside(side, _SIGN, depth) for side in arguments]
            return f"<mrow>{sides[0]}<mo>·</mo>{sides[1]}</mrow>", _PRODUCT
        if len(arguments) == 1 and (found := self._of_one(word, arguments[0], depth)):
            return found
        inner = "<mo>,</mo>".join(self.part(one, depth)[0] for one in arguments)
        return f"<mrow>{name(word)}{_APPLY}{_bracketed(inner)}</mrow>", _ATOM

    def _of_one(self, word: str, argument: ast.expr, depth: int) -> _Part | None:
        """Functions and operators of one argument that have a notation of their own."""
        if word in DERIVATIVES:
            inner = self.inside(argument, _POWER, depth)
            return f"<mrow>{_derivative(word)}{inner}</mrow>", _PRODUCT
        prefixes = {
            "laplacian": "<msup><mo>∇</mo><mn>2</mn></msup>", "gradient": "<mo>∇</mo>",
            "curl": "<mo>∇</mo><mo>×</mo>",
        }  # fmt: skip
        if word in prefixes:
            return f"<mrow>{prefixes[word]}{self.inside(argument, _ATOM, depth)}</mrow>", _PRODUCT
        if word == "divergence":
            inner = self.part(argument, depth)[0]
            return f"<mrow><mo>∇</mo><mo>·</mo>{_bracketed(inner)}</mrow>", _PRODUCT
        if word == "integral":
            return f"<mrow><mo>∫</mo>{self.inside(argument, _PRODUCT, depth)}</mrow>", _PRODUCT
        if word == "gradient_squared":
            inner = self.inside(argument, _ATOM, depth)
            return (
                f"<msup><mrow><mo>|</mo><mo>∇</mo>{inner}<mo>|</mo></mrow><mn>2</mn></msup>",
                _POWER,
            )
        if word == "conj":
            return f"<mover>{self.part(argument, depth)[0]}<mo>¯</mo></mover>", _ATOM
        if word == "sqrt":
            return f"<msqrt>{self.part(argument, depth)[0]}</msqrt>", _ATOM
        if word == "exp":
            return f"<msup><mi>e</mi>{self.part(argument, depth)[0]}</msup>", _POWER
        if word in ("abs", "mean"):
            ends = "||" if word == "abs" else "⟨⟩"
            return _bracketed(self.part(argument, depth)[0], ends), _ATOM
        return None

    def _convolution(self, kernel: ast.expr, argument: ast.expr, depth: int) -> _Part:
        if not isinstance(kernel, ast.Constant) or not isinstance(kernel.value, str):
            raise ValueError("not a kernel in quotes")
        weight = self.inside(ast.parse(kernel.value.strip(), mode="eval").body, _SIGN, depth)
        inner = self.inside(argument, _SIGN, depth)
        return f"<mrow>{weight}<mo>∗</mo>{inner}</mrow>", _PRODUCT

    def _cases(self, test: ast.expr, body: ast.expr, other: ast.expr, depth: int) -> _Part:
        yes, condition, no = (self.part(one, depth)[0] for one in (body, test, other))
        rows = f"<mtr><mtd>{yes}</mtd><mtd><mtext>if </mtext>{condition}</mtd></mtr>"
        rows += f"<mtr><mtd>{no}</mtd><mtd><mtext>otherwise</mtext></mtd></mtr>"
        return f'<mrow><mo>{{</mo><mtable class="cases">{rows}</mtable></mrow>', _SUM - 1


def _bracketed(content: str, ends: str = "()") -> str:
    return f"<mrow><mo>{ends[0]}</mo>{content}<mo>{ends[1]}</mo></mrow>"


def _derivative(word: str) -> str:
    """The fraction of a derivative, such as ∂²/∂x∂y."""
    orders = dict(zip("xyz", powers_of(word), strict=True))
    total = sum(orders.values())
    above = "<mo>∂</mo>" if total == 1 else f"<msup><mo>∂</mo><mn>{total}</mn></msup>"
    below = "".join(
        f"<mo>∂</mo><mi>{axis}</mi>"
        if n == 1
        else f"<mo>∂</mo><msup><mi>{axis}</mi><mn>{n}</mn></msup>"
        for axis, n in orders.items()
        if n
    )
    return f"<mfrac>{above}<mrow>{below}</mrow></mfrac>"
