"""The words of a sweep -> one list of plain overrides per member.

A sweep is written in Hydra's own language: ``a=1,2,3``, ``range(0, 1, 0.1)``, ``glob(*)``,
``interval(0.02, 0.06)``, ``tag(log, interval(1e-6, 1e-4))``, ``int(interval(1, 9))``. What becomes
of it is the sampler's business.
"""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
)

from pdesim.config.compose import choices, compose_settings, open_override, translate_errors
from pdesim.config.trust import check_swept
from pdesim.errors import ConfigError, MissingExtraError, nearest

#: every member from the listed values, or a number of members drawn at random
LISTING, DRAWING = ("grid", "zip"), ("random", "latin_hypercube", "sobol")
SAMPLERS = (*LISTING, *DRAWING)
#: words that need no quotes and mean no number, truth value or interpolation
_PLAIN_WORD = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_][\w-]*", re.I | re.A)
#: more members than any machine computes; a slip of a finger rather than a wish
_MOST = 1_000_000


@dataclass(frozen=True)
class _Choices:
    """A setting and the texts of its values, in order."""

    key: str
    texts: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The different values, in order."""
        return tuple(dict.fromkeys(self.texts))

    @property
    def size(self) -> float:
        """How many different values there are."""
        return len(self.values)

    def at(self, fraction: float) -> str:
        return self.texts[min(int(fraction * len(self.texts)), len(self.texts) - 1)]


@dataclass(frozen=True)
class _Interval:
    """A setting and its range; ``whole`` numbers include both ends."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool

    @property
    def values(self) -> Iterator[str]:
        """All values of an interval of whole numbers."""
        return map(repr, range(int(self.low), int(self.high) + 1))

    @property
    def size(self) -> float:
        """How many different values there are; infinite but for whole numbers."""
        return int(self.high) - int(self.low) + 1 if self.whole else math.inf

    def at(self, fraction: float) -> str:
        """The value below which lies ``fraction`` of the range, or of its logarithm."""
        above = self.high + 1 if self.whole else self.high
        if self.log:
            value = math.exp(math.log(self.low) + fraction * math.log(above / self.low))
        else:
            value = self.low + fraction * (above - self.low)
        value = min(max(value, self.low), self.high + self.whole)
        return repr(min(math.floor(value), int(self.high)) if self.whole else value)


def expand(
    overrides: Sequence[str],
    sampler: str = "grid",
    n: int | None = None,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    folders: Sequence[Path] = (),
) -> list[list[str]]:
    """One list of plain overrides per member, in the order of their numbers.

    ``grid`` combines everything with everything, the last setting fastest; ``zip`` takes the first
    values together, then the second ones, and so on. ``random``, ``latin_hypercube`` and ``sobol``
    draw ``n`` points of a unit cube, an axis per swept setting, and carry them over to
    ``interval``s (uniform), ``tag(log, interval)`` (log-uniform), ``int(interval)`` (whole numbers,
    both ends included) and lists (each value alike). Where all swept settings have finitely many
    values, no combination is drawn twice before all were drawn. Members depend on sampler, n, seed
    and the swept settings in their order alone.

    Args:
        overrides: the words of a command line: ``["equation=heat", "equation.D=1,2"]``.
        sampler: one of :data:`SAMPLERS`.
        n: how many members to draw; of ``grid`` and ``zip`` the values say how many.
        seed: of the draws.
        parameters: swept settings from a file, name -> list of values or text as in the shell;
            a word of the shell for the same setting takes its place.
        folders: with configs of the user's own, where ``glob`` looks besides the shipped ones.

    Raises:
        ConfigError: for words that cannot be read, or a sweep that the sampler cannot make.
        MissingExtraError: where SciPy is missing, and needed.

    McKay, Beckman, Conover, Technometrics 21 (1979) 239, doi:10.1080/00401706.1979.10489755;
    Sobol', USSR Comput. Math. Math. Phys. 7 (1967) 86, scrambled as in Owen, J. Complexity 14
    (1998) 466, doi:10.1006/jcom.1998.0487.
    """
    if sampler not in SAMPLERS:
        raise ConfigError(f"sweep={sampler} is unknown", nearest(sampler, SAMPLERS))
    words = _words(overrides, parameters or {}, folders)
    swept = [word for word in words.values() if not isinstance(word, str)]
    if sampler in DRAWING:
        rows = _draw(swept, sampler, _count(n, sampler), seed)
    else:
        _check_lists(swept, sampler, n)
        rows = _product(swept) if sampler == "grid" else _together(swept)
    members = []
    for row in rows:
        values = iter(row)
        told = [w if isinstance(w, str) else f"{w.key}={next(values)}" for w in words.values()]
        members.append([open_override(word) for word in told])
    return members


def members(overrides: Sequence[str], config_dir: str | None = None) -> list[list[str]]:
    """:func:`expand` with the sampler that the words themselves choose, as in ``sweep=sobol``.

    Raises:
        ConfigError: as :func:`expand`, and for settings that no member could have.
    """
    sweep = compose_settings(first_values(overrides), config_dir).settings.sweep
    folders = [Path(config_dir)] if config_dir else []
    return expand(overrides, sweep.name, sweep.n, sweep.seed, sweep.parameters, folders)


def first_values(overrides: Sequence[str]) -> list[str]:
    """The words with every list at its first value and without intervals: what all members share.

    Raises:
        ConfigError: for words that cannot be read.
    """
    words = _words(overrides, {}, ()).values()
    chosen = [w if isinstance(w, str) else f"{w.key}={w.at(0)}" for w in words]
    intervals = {w.key for w in words if isinstance(w, _Interval)}
    return [word for word in chosen if word.partition("=")[0] not in intervals]


def _words(
    overrides: Sequence[str], parameters: Mapping[str, Any], folders: Sequence[Path]
) -> dict[str, str | _Choices | _Interval]:
    """Every setting once, by its name without plus signs, where it was named first.

    A later word for the same setting wins, as it does in Hydra.
    """
    found = dict(_from_file(parameters, folders))
    for text in overrides:
        name, word = _read(text, folders)
        found[name] = word
    return found


def _from_file(
    parameters: Mapping[str, Any], folders: Sequence[Path]
) -> Iterator[tuple[str, str | _Choices | _Interval]]:
    for name, value in _leaves(parameters):
        check_swept(name, f"sweep.parameters.{name}")
        if isinstance(value, list | tuple):
            if not value:
                raise ConfigError(f"sweep.parameters.{name} is empty", "a list of values")
            yield name, _Choices(name, tuple(_written(one) for one in value))
        else:
            text = value if isinstance(value, str) else _written(value)
            yield _read(f"{name}={text}", folders)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _written(value: Any) -> str:
    """A value of YAML in the language of the shell."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_written(k)}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    if _PLAIN_WORD.fullmatch(str(value)):
        return str(value)
    return QuotedString(str(value), Quote.single).with_quotes()


def _read(text: str, folders: Sequence[Path]) -> tuple[str, str | _Choices | _Interval]:
    """The setting that a word is for, and the word itself or what it sweeps over."""
    with translate_errors([text]):
        parsed = OverridesParser.create().parse_override(text)
    key = parsed.get_key_element()
    name = key.lstrip("+~")
    if not parsed.is_sweep_override():
        return name, text
    check_swept(name, text)
    return name, _read_sweep(parsed, key, name, folders)


def _read_sweep(
    parsed: Override, key: str, name: str, folders: Sequence[Path]
) -> _Choices | _Interval:
    sweep = parsed.value()
    if isinstance(sweep, IntervalSweep):
        return _interval(parsed, key, sweep)
    if getattr(sweep, "shuffle", False):
        # Hydra's shuffle is another one each time: a sweep that is interrupted could not go on
        raise ConfigError(
            f"{parsed.input_line} would give another order each time", "the values without shuffle"
        )
    if isinstance(sweep, Glob):
        texts = sweep.filter(choices(name, folders))
    else:
        with translate_errors([parsed.input_line]):
            texts = list(itertools.islice(parsed.sweep_string_iterator(), _MOST + 1))
    if not texts:
        raise ConfigError(f"{parsed.input_line} has no values", "at least one value")
    _check_count(len(texts))
    return _Choices(key, tuple(texts))


def _interval(parsed: Override, key: str, sweep: IntervalSweep) -> _Interval:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if strange := sweep.tags - {"log"}:
        raise ConfigError(f"{parsed.input_line}: unknown tag {min(strange)}", "tag(log, ...)")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(
            f"{parsed.input_line} is no interval", "interval(low, high), finite, low < high"
        )
    if log and low <= 0:
        raise ConfigError(f"{parsed.input_line} has no logarithm", "bounds above 0 with tag(log)")
    return _Interval(key, low, high, log, isinstance(low, int) and isinstance(high, int))


def _count(n: int | None, sampler: str) -> int:
    if n is None or n < 1:
        given = "is missing" if n is None else f"is {n}"
        raise ConfigError(
            f"sweep={sampler}: sweep.n {given}", "how many members, such as sweep.n=64"
        )
    _check_count(n)
    return n


def _check_count(n: int) -> None:
    if n > _MOST:
        raise ConfigError(f"the sweep has {n:,} members", f"at most {_MOST:,}")


def _check_lists(swept: Sequence[_Choices | _Interval], sampler: str, n: int | None) -> None:
    for word in swept:
        if isinstance(word, _Interval):
            raise ConfigError(
                f"sweep={sampler} cannot take {word.key}=interval({word.low}, {word.high})",
                "values a,b,c or range(start, stop, step)",
                f"sweep={'|'.join(DRAWING)} with sweep.n=64 draws from intervals",
            )
    if n is not None:
        raise ConfigError(
            f"sweep.n={n} is for samplers that draw; of sweep={sampler} the values say how many",
            f"sweep={'|'.join(DRAWING)}",
        )


def _product(swept: Sequence[_Choices]) -> Iterator[tuple[str, ...]]:
    _check_count(math.prod(len(word.texts) for word in swept))
    return itertools.product(*(word.texts for word in swept))


def _together(swept: Sequence[_Choices]) -> Iterator[tuple[str, ...]]:
    lengths = {word.key.lstrip("+"): len(word.texts) for word in swept}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise ConfigError(
            f"sweep=zip pairs lists of equal length: {told}",
            "as many values of each",
            "sweep=grid combines every value with every other",
        )
    return zip(*(word.texts for word in swept), strict=True) if swept else iter([()])


def _draw(
    swept: Sequence[_Choices | _Interval], sampler: str, n: int, seed: int
) -> Iterator[tuple[str, ...]]:
    """``n`` rows of values; no row twice before every combination of finite sets was drawn."""
    if not swept:
        raise ConfigError(
            f"sweep={sampler} has nothing to draw", "such as equation.F=interval(0.02,0.06)"
        )
    size = math.prod(word.size for word in swept)
    hypercube = sampler == "latin_hypercube"
    if math.isinf(size) or (hypercube and n > size):  # equal draws do not occur, or must
        return _rows(swept, _points(sampler, n, len(swept), seed), n)
    if hypercube and (rows := _distinct_hypercube(swept, n, seed)):
        return iter(rows)
    more = _points("random" if hypercube else sampler, n, len(swept), seed)
    return itertools.islice(_distinct(_rows(swept, more, None), swept, int(size)), n)


def _rows(swept, points: Iterator[np.ndarray], n: int | None) -> Iterator[tuple[str, ...]]:
    """The values at points of the unit cube, at most ``n`` of them."""
    for point in itertools.islice(points, n):
        yield tuple(word.at(float(u)) for word, u in zip(swept, point, strict=True))


def _distinct(rows: Iterator[tuple[str, ...]], swept, size: int) -> Iterator[tuple[str, ...]]:
    """Sampling without replacement: rows in the order of their first appearance.

    Once all ``size`` combinations were drawn, they are drawn again. A combination that does not
    turn up for long, because its probability is small, is taken from the list of all.
    """
    seen: set[tuple[str, ...]] = set()
    misses = 0
    for row in rows:
        if row not in seen:
            seen.add(row)
            misses = 0
            yield row
        else:
            misses += 1
        if misses > 1000 + 4 * size and size <= _MOST:
            yield from (row for row in itertools.product(*(w.values for w in swept))
                        if row not in seen)  # fmt: skip
            seen.clear()
        elif len(seen) == size:
            seen.clear()


def _distinct_hypercube(swept, n: int, seed: int) -> list[tuple[str, ...]]:
    """The first of many Latin hypercubes without equal rows; empty if there is none."""
    points = _points("latin_hypercube", n, len(swept), seed)
    for _ in range(max(1, min(500, 200_000 // n))):
        rows = list(_rows(swept, points, n))
        if len(set(rows)) == n:
            return rows
    return []


def _points(sampler: str, n: int, dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """Points of the unit cube, shape ``(dimensions,)``, each coordinate in [0, 1), without end.

    Of ``latin_hypercube`` the points 0 to n - 1, n to 2 n - 1, ... are hypercubes of their own.
    """
    if sampler == "random":
        # a stream per axis: more members, or one more setting, leave the others as they are
        axes = [np.random.Generator(np.random.PCG64([seed, d])) for d in range(dimensions)]
        while True:
            yield from np.stack([axis.random(n) for axis in axes], axis=1)
    try:
        from scipy.stats import qmc
    except ImportError:
        raise MissingExtraError(f"sweep={sampler}", "scipy", "sampling") from None
    stream = np.random.Generator(np.random.PCG64(seed))
    kinds = {"latin_hypercube": qmc.LatinHypercube, "sobol": qmc.Sobol}
    engine = kinds[sampler](dimensions, rng=stream)
    while True:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The balance properties")
            # n need not be a power of two here; docs/sweeps.md says what is lost otherwise
            points = engine.random(n)
        yield from points
