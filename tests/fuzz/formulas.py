"""Fuzzing of formulas: parsed, and planned for an equation of the user's own; nothing computed.

python tests/fuzz/formulas.py --count 10000 --seed 1
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.common import garble, main

from pdesim.config.compose import compose_settings
from pdesim.formula import language as lang
from pdesim.plan import build_plan
from pdesim.settings import read_settings

NUMBERS = ("0", "1", "2", "3", "0.5", "1.5", "1e-3", "60", "2.5e-5", "7", "-1", "100",
           "1/3", "pi", "e",
           "1e30", "1e-30", "1e300", "1e308", "1e-320", "9", "64", "65", "10**9",
           "123456789012345678901")  # fmt: skip
GRIDS = (("8",), ("[8,6]",), ("[4,4,4]",))
#: what is tried besides what the generator makes: each once found slow or wrong
KNOWN = (
    "(u+v+1)**60", "(u+v+1)**30*(u-v)**30", "9**9**9", "9**9**9**9", "sin(exp(exp(25)))",
    "exp(exp(exp(10)))", "(1+u)*(2+v)*(3+u)*(4+v)*(5+u)*(6+v)*(7+u)*(8+v)*(9+u)*(1+v)*(2+u)*(3+v)",
    "laplacian((u+v+1)**40)", "d_dx((u+v+x)**50)", "((((u+1)**8+v)**8+1)**8+u)**8",
    "sin(1e300)", "cos(10**60)", "tanh(1e308)", "2**0.1**0.1", "exp(u)**exp(v)", "u**v**u**v",
    "(2*u+3*v)**(1/3)", "((u+v)*(u-v))**20", "laplacian(laplacian(laplacian(laplacian(u))))",
    "(1+laplacian(u))**20", "divergence((1+u+v)**30*gradient(u))", "d_dx((1+d_dx(u))**40)",
    "mod(1e300, 1e-300)", "floor(exp(exp(20)))", "sin(10**64**64)", "(1e200)**64", "3**(64**64)",
    "exp(10**18)", "log(exp(exp(exp(5))))", "(u**64)**64**64", "abs(9**64**8)", "erf(exp(exp(9)))",
    "sqrt(2)**64**3", "(1+sqrt(2))**64*(1+sqrt(3))**64*(1+sqrt(5))**64",
    "where(u > exp(exp(30)), 1, 0)", "maximum(exp(exp(30)), u)", "exp(exp(30))*0", "0*exp(exp(30))",
    "tan(exp(exp(12)))", "(pi**e)**(pi**e)**(pi**e)", "(-8)**(1/3)", "0**0", "0**u", "0**-u", "1/0",
    "u/(u-u)", "log(0)", "log(-1)", "sqrt(-1)", "arcsin(2)", "arccos(2)*u", "tan(pi/2)", "1e400",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    formula: str
    use: str = "rhs"
    dimensions: int = 2
    options: tuple[str, ...] = ()


def make(chance: random.Random) -> Case:
    """A formula from a grammar, often with a mistake, and what it is used for."""
    dimensions = chance.choice((1, 2, 2, 2, 3))
    use = chance.choice(("rhs", "rhs", "rhs", "rhs", "coupled", "solve", "parameter",
                         "initial", "wall", "mask", "picture"))  # fmt: skip
    if chance.random() < 0.05:
        formula = chance.choice(KNOWN)
        if chance.random() < 0.5:
            formula = _joined(formula, chance.choice(KNOWN), chance)
    else:
        grammar = _Grammar(chance, use, dimensions)
        formula = grammar.expression(chance.choice((1, 2, 3, 4, 5, 6, 8)))
    if chance.random() < 0.3:
        formula = garble(formula, chance)
    options = chance.choice(
        ((), (), ("operators=spectral",), ("operators.order=4",), ("operators=conv",),
         ("boundary=neumann",), ("boundary=dirichlet",), ("boundary=dirichlet",
          "operators=spectral"),
         ("stepper=crank_nicolson",), ("stepper=etdrk2",), ("device.precision=float64",))
    )  # fmt: skip
    return Case(formula, use, dimensions, options)


def run(case: Case) -> None:
    """Plan an equation with the formula in it; raises what is wrong with it."""
    values = _values(case.dimensions, case.options)
    equation, settings = {"name": "mine", "k": 2.0, "D": 0.01}, dict(values)
    text = case.formula
    if case.use == "coupled":
        equation["rhs"] = {"u": text, "v": f"laplacian(v) + ({text})"}
    elif case.use == "solve":
        equation["solve"] = {"u": text}
    elif case.use == "parameter":
        equation["q"] = text
        equation["rhs"] = {"u": "laplacian(q*u) + q**2", "v": "q*v"}
    else:
        rhs = text if case.use == "rhs" else "laplacian(u)"
        equation["rhs"] = {"u": rhs, "v": "D*laplacian(v) - k*u"}
    if case.use == "initial":
        settings["initial"] = {"u": text, "default": 0}
    elif case.use == "wall":
        settings["boundary"] = {"x": {"lower": {"dirichlet": text}, "upper": "neumann"}}
    elif case.use == "mask":
        settings["domain"] = settings["domain"] | {"mask": text}
    elif case.use == "picture":
        settings["animation"] = settings["animation"] | {"field": text}
    build_plan(read_settings(settings | {"equation": equation}), "mine")


@lru_cache(maxsize=100)
def _values(dimensions: int, options: tuple[str, ...]) -> dict:
    (grid,) = GRIDS[dimensions - 1]
    words = ("equation=custom", "equation.rhs={u: '-u'}", f"grid={grid}", "time.end=0.1")
    composed = compose_settings(
        (*words, "output.frames=2", "initial={default: 'cos(x)'}", *options)
    )
    return composed.values


def _joined(a: str, b: str, chance: random.Random) -> str:
    return chance.choice(("({})*({})", "({})+({})", "({})**({})", "laplacian({})*({})")).format(
        a, b
    )


class _Grammar:
    """Formulas of a given depth, with the names that may stand where it is used."""

    def __init__(self, chance: random.Random, use: str, dimensions: int) -> None:
        self.chance = chance
        axes = lang.AXES[:dimensions]
        fields = () if use in ("initial", "wall", "mask") else ("u", "v", "u", "v")
        self.names = (*fields, *axes, "t", "r", f"L{axes[0]}", "k", "D")
        if chance.random() < 0.05:
            self.names = (*self.names, "z", "u", "w", "lambda", "True", "None", "__import__", "'a'")
        words = [w for w in (*lang.OPERATORS, lang.GRADIENT) if lang.exists_in(w, dimensions)]
        self.operators = (
            words if use in ("rhs", "coupled", "solve") or chance.random() < 0.05 else []
        )
        self.generators = list(lang.GENERATORS) if use in ("initial", "mask") else []

    def expression(self, depth: int) -> str:
        chance = self.chance
        if depth == 0 or chance.random() < 0.1:
            return chance.choice(self.names) if chance.random() < 0.6 else chance.choice(NUMBERS)
        kind = chance.random()
        if kind < 0.45:
            sign = chance.choice("++--**/%")
            return f"({self.expression(depth - 1)} {sign} {self.expression(depth - 1)})"
        if kind < 0.55:
            return f"({self.expression(depth - 1)})**{self._exponent(depth)}"
        if kind < 0.58:
            return f"-{self.expression(depth - 1)}"
        if kind < 0.70 and self.operators:
            return self._operator(depth)
        if kind < 0.75 and self.generators:
            return self._generator(depth)
        if kind < 0.78:
            factors = [self.expression(min(depth - 1, 2)) for _ in range(chance.randint(3, 10))]
            return "*".join(f"({factor})" for factor in factors)
        if kind < 0.81:
            a, b = self.expression(depth - 1), self.expression(depth - 1)
            return f"({a} if {self._condition(depth)} else {b})"
        return self._function(depth)

    def _exponent(self, depth: int) -> str:
        if self.chance.random() < 0.8:
            return self.chance.choice(
                ("2", "3", "4", "0.5", "-1", "(1/3)", "12", "64", "0", "-2.5")
            )
        return f"({self.expression(depth - 1)})"

    def _operator(self, depth: int) -> str:
        word = self.chance.choice(self.operators)
        inner = self.expression(depth - 1)
        if word == lang.DIVERGENCE and self.chance.random() < 0.9:
            return f"divergence(({self.expression(min(depth - 1, 2))})*gradient({inner}))"
        return f"{word}({inner})"

    def _generator(self, depth: int) -> str:
        word = self.chance.choice(self.generators)
        literals = ("'nowhere.png'", "'u'", "1", "-3", "1e8", "0.1", "2.5", "1e300")
        count = self.chance.choice((len(lang.GENERATORS[word].arguments), 1, 2, 3))
        given = [
            self.chance.choice(literals) if self.chance.random() < 0.8 else self.expression(1)
            for _ in range(count)
        ]
        return f"{word}({', '.join(given)})"

    def _condition(self, depth: int) -> str:
        sign = self.chance.choice(("<", "<=", ">", ">=", "==", "!="))
        text = f"{self.expression(min(depth - 1, 2))} {sign} {self.expression(min(depth - 1, 2))}"
        if self.chance.random() < 0.2:
            text = f"({text}) {self.chance.choice(('and', 'or'))} not ({text})"
        return text

    def _function(self, depth: int) -> str:
        name = self.chance.choice(list(lang.FUNCTIONS))
        word = lang.FUNCTIONS[name]
        count = len(word.arguments) + (self.chance.randint(0, 2) if word.variadic else 0)
        if self.chance.random() < 0.02:
            count += self.chance.choice((-1, 1))
        given = [self.expression(depth - 1) for _ in range(count)]
        if word.arguments[0] == "condition" and given:
            given[0] = self._condition(depth)
        return f"{name}({', '.join(given)})"


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())
    sys.exit(main(make, run, __doc__))
