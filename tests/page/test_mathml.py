"""Formulas as MathML: well-formed, in the order of the text, and harmless for any text."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from pdesim.page import mathml

CONFIGS = Path(__file__).parents[2] / "configs" / "equation"


def shown(text: str) -> str:
    """The characters of a formula, without invisible signs; ^ and / mark powers and fractions."""
    return _walk(ElementTree.fromstring(f"<math>{mathml.formula(text)}</math>"))


def _walk(node: ElementTree.Element) -> str:
    parts = [_walk(child) for child in node]
    if node.tag == "msup":
        return f"{parts[0]}^{parts[1]}"
    if node.tag == "msub":
        return f"{parts[0]}_{parts[1]}"
    if node.tag == "mfrac":
        return f"[{parts[0]}/{parts[1]}]"
    if node.tag == "msqrt":
        return f"√[{''.join(parts)}]"
    text = (node.text or "") if node.tag in ("mi", "mn", "mo", "mtext") else ""
    return re.sub("[\u2061\u2062]", "", text) + "".join(parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Du*laplacian(u) - u*v**2 + F*(1 - u)", "D_u∇^2u−uv^2+F(1−u)"),
        ("a - (b - c)", "a−(b−c)"),
        ("a - b - c", "a−b−c"),
        ("(a + b)*c/d", "[(a+b)c/d]"),
        ("-u**2", "−u^2"),
        ("(-u)**2", "(−u)^2"),
        ("2.0e-5*x", "2·10^−5x"),
        ("3*2**x", "3·2^x"),
        ("(2e-5)**2", "(2·10^−5)^2"),
        ("d2_dx2(u) + d2_dxdy(a + b)", "[∂^2/∂x^2]u+[∂^2/∂x∂y](a+b)"),
        ("divergence(D*gradient(u))", "∇·(D∇u)"),
        ("gradient_squared(u)", "|∇u|^2"),
        ("(1 + 2j*b)*psi - 1j*conj(psi)", "(1+2ib)ψ−iψ¯"),
        ("dot(v, gradient(v)) - curl([a, b])", "v·(∇v)−∇×(a,b)"),
        ('-u + convolve("exp(-r**2) - a", u + v)', "−u+(e^−r^2−a)∗(u+v)"),
        ("exp(-x**2/w)", "e^[−x^2/w]"),
        ("sqrt(abs(alpha_1))", "√[|α_1|]"),
        ("mean(u) + integral(v)", "⟨u⟩+∫v"),
        ("where(u > 0, 1, -1)", "{1if u>0−1otherwise"),
        ("a if b <= c else d", "{aif b≤cdotherwise"),
        ('image("p.png")', "image(“p.png”)"),
        ("a % b + net(u, v)", "amod b+net(u,v)".replace(" ", "")),
        ("sin(u)**2", "sin(u)^2"),
    ],
)  # fmt: skip
def test_notation(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "u +", "<b>u</b>", "(" * 500, "a." * 50 + "b", "u" * 5000, "lambda: 1", "f(*x)",
     "-" * 300 + "u", "1 if", "x[0]", "None", "'</math>'", "&<>", "f(a=1)", "True", "~u",
     "convolve(r, u)", "convolve('r +', u)"],
)  # fmt: skip
def test_other_texts_are_shown_as_they_are(text):
    found = mathml.formula(text)
    node = ElementTree.fromstring(f"<math>{found}</math>")
    assert "".join(node.itertext()).strip("“”")[:3900] == " ".join(text.split()).strip("'")[:3900]
    assert {child.tag for child in node.iter()} == {"math", "mtext"}


def test_all_equations_are_typeset():
    for path in CONFIGS.glob("*.yaml"):
        equation = yaml.safe_load(path.read_text()).get("equation", {})
        for key in ("rhs", "solve", "map"):
            for text in (equation.get(key) or {}).values():
                assert "<mtext>" not in mathml.formula(text).replace(
                    "<mtext>if </mtext>", ""
                ).replace("<mtext>otherwise</mtext>", ""), text


def test_names_and_numbers():
    assert mathml.name("gamma") == "<mi>γ</mi>"
    assert mathml.name("u0") == "<msub><mi>u</mi><mn>0</mn></msub>"
    assert mathml.name("_") == "<mi>_</mi>" and "<" not in mathml.name("<x")[4:-5]
    assert mathml.number(-0.5) == "<mrow><mo>−</mo><mn>0.5</mn></mrow>"
    assert "<mn>−20</mn>" in mathml.number(1e-20)
