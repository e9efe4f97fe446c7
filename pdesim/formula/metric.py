"""Differential operators in curvilinear coordinates and on stretched axes.

The grid is uniform in computational coordinates (the symbols x, y, z). The physical coordinate on
an axis is ``Y_a(a)`` with the scale ``h_a = dY_a/da``; on an axis that is not stretched, both
coordinates are the same. In radial, spherical and axisymmetric geometry the first axis is a radius
``r = Y_x(x)``, and the element of volume is ``J = w h_x h_y h_z`` with ``w = r**power``. Operators
become operators in computational coordinates with coefficients that depend on position,

    divergence(v) = sum_a 1/(w_a h_a) d/da(w_a v_a),    gradient(f)_a = 1/h_a df/da,

where ``w_a`` is w along the first axis and 1 along the others, on which it cancels. Everything
after the parser therefore works on a uniform grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative
from pdesim.formula.nodes import jumps
from pdesim.formula.values import ValueMismatch, Vector, VectorGradient, dot

#: geometry -> (names of its axes, power of the radius in the element of volume, factor of volumes)
GEOMETRIES: Mapping[str, tuple[tuple[str, ...], int, sympy.Expr]] = {
    "radial": (("r",), 1, 2 * sympy.pi),
    "spherical": (("r",), 2, 4 * sympy.pi),
    "axisymmetric": (("r", "z"), 1, 2 * sympy.pi),
}
#: the width of cells along the first computational axis, which the areas and volumes of spherical
#: shells contain. The space distinguishes it from all names of users
CELL = sympy.Symbol("cell x", real=True)


def axis_symbol(axis: int) -> sympy.Symbol:
    """Return the symbol of a computational coordinate."""
    return sympy.Symbol(lang.AXES[axis], real=True)


def in_the_limit(expression: sympy.Basic) -> sympy.Basic:
    """Return an expression in the limit of small cells."""
    return expression.xreplace({CELL: sympy.S.Zero}) if expression.has(CELL) else expression


@dataclass(frozen=True)
class Metric:
    """The relation of computational and physical coordinates.

    Attributes:
        geometry: a key of ``GEOMETRIES``, or ``cartesian``.
        maps: for each axis, the physical coordinate as a formula of the computational coordinate;
            None if they are equal.
        centre: the middle of the domain in physical coordinates.
        correction: the volume of the domain, divided by the sum of the volumes of cells that
            :attr:`cell_volume` gives.
    """

    geometry: str
    maps: tuple[sympy.Expr | None, ...]
    centre: tuple[float, ...]
    correction: float = 1.0

    @property
    def dimensions(self) -> int:
        return len(self.maps)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the axes in formulas and files."""
        known = GEOMETRIES.get(self.geometry)
        return known[0] if known else lang.AXES[: self.dimensions]

    @property
    def power(self) -> int:
        """The power of the radius in the element of volume; 0 for Cartesian coordinates."""
        return GEOMETRIES[self.geometry][1] if self.geometry in GEOMETRIES else 0

    @property
    def stretched(self) -> tuple[str, ...]:
        """The names of the stretched axes."""
        pairs = zip(self.names, self.maps, strict=True)
        return tuple(name for name, formula in pairs if formula is not None)

    @property
    def what(self) -> str:
        """The settings that make the coordinates other than Cartesian, for messages."""
        if self.power:
            return f"domain.geometry={self.geometry}"
        return "domain.stretch"

    def position(self, axis: int) -> sympy.Expr:
        """Return the physical coordinate."""
        known = self.maps[axis]
        return axis_symbol(axis) if known is None else known

    def scale(self, axis: int) -> sympy.Expr:
        """Return h, the derivative of the physical by the computational coordinate."""
        known = self.maps[axis]
        return sympy.S.One if known is None else derivative(known, axis_symbol(axis))

    def is_plain(self, axis: int) -> bool:
        """Whether derivatives along an axis are those of Cartesian coordinates."""
        return self.maps[axis] is None and not (axis == 0 and self.power)

    def _shell(self, axis: int, share: sympy.Expr) -> sympy.Expr:
        """Return ``w``, with a correction of spherical shells: ``r**2 + share*(width of cell)**2``.

        With -1/4, the mean in two neighbouring cells is the square of the radius of the face
        between them. With 1/12, it is the mean over a cell.
        """
        if axis or not self.power:
            return sympy.S.One
        r = self.position(0)
        return r if self.power == 1 else r**2 + share * (CELL * self.scale(0)) ** 2

    def volume(self, axis: int) -> sympy.Expr:
        """Return the factor of an axis in the element of volume."""
        return self._shell(axis, sympy.Rational(1, 12)) * self.scale(axis)

    @property
    def cell_volume(self) -> sympy.Expr:
        """The element of volume, by which the computational cells are to be multiplied."""
        factor = GEOMETRIES[self.geometry][2] if self.power else sympy.S.One
        return factor * sympy.Mul(*map(self.volume, range(self.dimensions)))

    def places(self) -> dict[str, sympy.Expr]:
        """Return the values of the names of positions and lengths in formulas."""
        axes = range(self.dimensions)
        lengths = [sympy.Symbol(f"L{lang.AXES[axis]}", real=True) for axis in axes]
        found: dict[str, sympy.Expr] = {}
        for axis, name in enumerate(self.names):
            for known in (lang.AXES[axis], name):
                found |= {known: self.position(axis), f"L{known}": lengths[axis]}
        if not self.power:
            squares = ((self.position(a) - self.centre[a]) ** 2 for a in axes)
            found["r"] = sympy.sqrt(sympy.Add(*squares))
        return found

    def word(self, name: str) -> str:
        """Return the word of a derivative that is written with the names of the axes: ``d_dr``."""
        kind, _, below = name.partition("_")
        if not self.power or not below.startswith("d") or not kind.startswith("d"):
            return name
        renamed = dict(zip(self.names, lang.AXES, strict=False))
        found = f"{kind}_" + "".join(renamed.get(letter, letter) for letter in below)
        found = lang.DERIVATIVE_ALIASES.get(found, found)
        return found if found in lang.DERIVATIVES else name

    def differentiated(self, word: str, f: sympy.Expr) -> sympy.Expr:
        """Return a derivative or the Laplacian of a number."""
        if word == lang.LAPLACIAN:
            return self.divergence(self.gradient(f))
        result = f
        for axis, power in enumerate(lang.DERIVATIVES[word][: self.dimensions]):
            if self.maps[axis] is None:
                continue
            for _ in range(power // 2):
                flux = lang.operator(_flux(axis), 1 / self.scale(axis), result)
                result = flux / self.scale(axis)
            if power % 2:
                result = self.slope(axis, result)
        rest = tuple(
            power if self.maps[axis] is None else 0
            for axis, power in enumerate(lang.DERIVATIVES[word][: self.dimensions])
        )
        rest = (*rest, *(0,) * (3 - len(rest)))
        return lang.differentiated(lang.derivative_word(rest), result) if any(rest) else result

    def slope(self, axis: int, f: sympy.Expr) -> sympy.Expr:
        """Return the derivative by the physical coordinate of an axis."""
        inner = lang.differentiated(f"d_d{lang.AXES[axis]}", f)
        return inner / self.scale(axis)

    def gradient(self, f: sympy.Expr) -> Vector:
        """Return the gradient of a number."""
        return Vector(tuple(self.slope(axis, f) for axis in range(self.dimensions)))

    def gradient_squared(self, f: sympy.Expr) -> sympy.Expr:
        return dot(self.gradient(f), self.gradient(f))

    def gradient_of_vector(self, v: Vector) -> VectorGradient:
        """Return the derivatives of the components; without swirl, none of them are mixed."""

        def along(axis: int) -> Vector:
            return v.each(lambda part: self.slope(axis, part))

        return VectorGradient(tuple(map(along, range(self.dimensions))))

    def laplacian_of_vector(self, v: Vector) -> Vector:
        """Return the vector Laplacian, whose radial component is that of v_r minus power*v_r/r^2.

        Batchelor, An Introduction to Fluid Dynamics (1967), appendix 2.
        """
        first, *others = v.each(lambda part: self.differentiated(lang.LAPLACIAN, part)).parts
        if self.power:
            first = first - self.power * v.parts[0] / self.position(0) ** 2
        return Vector((first, *others))

    def divergence(self, v: Vector) -> sympy.Expr:
        """Return the divergence of a vector.

        Terms ``D*df/da`` become differences of fluxes through the faces of cells.
        """
        return sympy.Add(*(self._divergence(axis, part) for axis, part in enumerate(v.parts)))

    def _divergence(self, axis: int, component: sympy.Expr) -> sympy.Expr:
        slope = f"d_d{lang.AXES[axis]}"
        if self.is_plain(axis):
            terms = sympy.Add.make_args(component)
            return sympy.Add(*(lang.differentiated(slope, term) for term in terms))
        fluxes: dict[sympy.Expr, sympy.Expr] = {}
        rest = sympy.S.Zero
        for term in sympy.Add.make_args(sympy.expand_mul(component)):
            inside = [
                factor
                for factor in sympy.Mul.make_args(term)
                if lang.is_operator(factor) and lang.word_of(factor) == slope
            ]
            if inside:
                f = inside[0].args[0]
                fluxes[f] = fluxes.get(f, sympy.S.Zero) + term / inside[0]
            else:
                rest += term
        total = sympy.S.Zero
        for f, factor in fluxes.items():
            share = sympy.S.Zero if jumps(factor) else sympy.Rational(-1, 4)
            total += lang.operator(_flux(axis), self._shell(axis, share) * factor, f)
        total = total / self.volume(axis)
        if rest != 0:
            # w is not differentiated by differences, which would not be accurate next to the axis
            total += self.slope(axis, rest)
            if axis == 0 and self.power:
                total += self.power * rest / self.position(0)
        return total

    def curl_along(self, axis: str, part: sympy.Expr) -> sympy.Expr:
        """Return a derivative in a curl.

        Raises:
            ValueMismatch: in curvilinear coordinates.
        """
        if self.power:
            raise ValueMismatch(
                f"curl is not available in {self.what}",
                "its components as formulas, such as d_dz(v_r) - d_dr(v_z)",
            )
        return self.slope(lang.AXES.index(axis), part)

    def advection(self, velocity: Sequence[sympy.Expr], u: sympy.Expr) -> sympy.Expr:
        """Return ``advect(v, u)``, a difference of fluxes through the faces of cells."""
        return sympy.Add(
            *(
                lang.operator(word, self._shell(axis, sympy.S.Zero) * a, u) / self.volume(axis)
                for axis, (word, a) in enumerate(zip(lang.ADVECTION, velocity, strict=False))
                if a != 0
            )
        )

    def reduced(self, word: str, f: sympy.Expr) -> sympy.Expr:
        """Return ``mean(f)`` or ``integral(f)``, in which cells count with their volumes."""
        if word not in ("mean", "integral"):
            return lang.operator(word, f)
        weighted = lang.operator(word, self.cell_volume * f)
        if word == "integral":
            return sympy.Float(self.correction) * weighted if self.correction != 1 else weighted
        return weighted / lang.operator("mean", self.cell_volume)


def _flux(axis: int) -> str:
    return next(word for word, number in lang.FLUXES.items() if number == axis)
