"""The overrides of each member of a sweep, from the command line and ``sweep.parameters``.

The values of a setting are written in the syntax of Hydra: ``a=1,2,3``, ``range(0, 1, 0.1)``,
``glob(*)``, ``interval(0.02, 0.06)``, ``tag(log, interval(1e-6, 1e-4))``, ``int(interval(1, 9))``.
The sampler determines which values are combined.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    Glob,
    IntervalSweep,
    Override,
)

from pdesim.config.compose import choices, compose_settings, open_override
from pdesim.config.messages import translate_errors
from pdesim.config.override_text import override_text
from pdesim.config.trust import check_swept
from pdesim.errors import ConfigError, nearest
from pdesim.output.sweeps import leaves
from pdesim.sweeps.drawing import draw
from pdesim.sweeps.values import MAX_MEMBERS, Choices, Interval

#: samplers that combine listed values, and those that draw a given number of members
LISTING, DRAWING = ("grid", "zip"), ("random", "latin_hypercube", "sobol")
SAMPLERS = (*LISTING, *DRAWING)


def expand(
    overrides: Sequence[str],
    sampler: str = "grid",
    n: int | None = None,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    folders: Sequence[Path] = (),
) -> list[list[str]]:
    """Return the overrides of each member, in the order of the members' numbers.

    ``grid`` combines every value with every other; the last setting varies fastest. ``zip``
    combines the first values of all settings, then the second values, and so on. ``random``,
    ``latin_hypercube`` and ``sobol`` draw ``n`` points of the unit cube, which has one axis for
    each swept setting, and map the coordinates to ``interval`` (uniform distribution),
    ``tag(log, interval)`` (log-uniform), ``int(interval)`` (integers, both ends included) and lists
    (equal probabilities). If all swept settings have finitely many values, no combination is
    repeated before all have been drawn. The members depend only on the sampler, ``n``, ``seed``,
    and the swept settings and their order.

    Args:
        overrides: arguments of a command line, such as ``["equation=heat", "equation.D=1,2"]``.
        sampler: one of :data:`SAMPLERS`.
        n: number of members to draw; None for ``grid`` and ``zip``.
        seed: seed of the draws.
        parameters: swept settings from a file: lists of values, or text as on the command line.
            ``overrides`` take precedence.
        folders: folders of the user's configuration files, in which ``glob`` also searches.

    Returns:
        For each member, a list of overrides with one value each.

    Raises:
        ConfigError: for overrides that cannot be read, or that the sampler does not support.
        MissingExtraError: if SciPy is needed and not installed.

    McKay, Beckman, Conover, Technometrics 21 (1979) 239, doi:10.1080/00401706.1979.10489755;
    Sobol', USSR Comput. Math. Math. Phys. 7 (1967) 86, scrambled as in Owen, J. Complexity 14
    (1998) 466, doi:10.1006/jcom.1998.0487.
    """
    if sampler not in SAMPLERS:
        raise ConfigError(f"sweep={sampler} is unknown", nearest(sampler, SAMPLERS))
    words = _words(overrides, parameters or {}, folders)
    swept = [word for word in words.values() if not isinstance(word, str)]
    if sampler in DRAWING:
        rows = draw(swept, sampler, _count(n, sampler), seed)
    else:
        lists = _checked_lists(swept, sampler, n)
        rows = _product(lists) if sampler == "grid" else _zipped(lists)
    members = []
    for row in rows:
        values = iter(row)
        chosen = [w if isinstance(w, str) else f"{w.key}={next(values)}" for w in words.values()]
        members.append([open_override(word) for word in chosen])
    return members


def members(overrides: Sequence[str], config_dir: str | None = None) -> list[list[str]]:
    """Return the result of :func:`expand` for the sampler and the number that the settings choose.

    Args:
        overrides: arguments of a command line.
        config_dir: folder of the user's configuration files.

    Raises:
        ConfigError: see :func:`expand`; also for settings that are invalid for every member.
    """
    sweep = compose_settings(first_values(overrides), config_dir).settings.sweep
    folders = [Path(config_dir)] if config_dir else []
    return expand(overrides, sweep.name, sweep.n, sweep.seed, sweep.parameters, folders)


def swept_settings(
    overrides: Sequence[str], config_dir: str | None = None
) -> dict[str, Choices | Interval]:
    """Return the names of the swept settings, with their lists of values or intervals.

    Args:
        overrides: arguments of a command line.
        config_dir: folder of the user's configuration files.

    Raises:
        ConfigError: see :func:`members`.
    """
    sweep = compose_settings(first_values(overrides), config_dir).settings.sweep
    folders = [Path(config_dir)] if config_dir else []
    words = _words(overrides, sweep.parameters, folders)
    return {name: word for name, word in words.items() if not isinstance(word, str)}


def first_values(overrides: Sequence[str]) -> list[str]:
    """Return overrides in which each list is replaced by its first value, without intervals.

    Raises:
        ConfigError: for overrides that cannot be read.
    """
    words = _words(overrides, {}, ()).values()
    chosen = [w if isinstance(w, str) else f"{w.key}={w.at(0)}" for w in words]
    intervals = {w.key for w in words if isinstance(w, Interval)}
    return [word for word in chosen if word.partition("=")[0] not in intervals]


def _words(
    overrides: Sequence[str], parameters: Mapping[str, Any], folders: Sequence[Path]
) -> dict[str, str | Choices | Interval]:
    """Return a mapping from names of settings to overrides, in the order of first appearance.

    As in Hydra, a later override of the same setting takes precedence.
    """
    words = dict(_from_file(parameters, folders))
    for text in overrides:
        name, word = _read(text, folders)
        words[name] = word
    return words


def _from_file(
    parameters: Mapping[str, Any], folders: Sequence[Path]
) -> Iterator[tuple[str, str | Choices | Interval]]:
    for name, value in leaves(parameters):
        check_swept(name, f"sweep.parameters.{name}")
        if isinstance(value, list | tuple | Mapping) and not value:
            raise ConfigError(f"sweep.parameters.{name} is empty", "a list of values")
        if isinstance(value, list | tuple):
            yield name, Choices(name, tuple(override_text(one) for one in value))
        else:
            text = value if isinstance(value, str) else override_text(value)
            yield _read(f"{name}={text}", folders)


def _read(text: str, folders: Sequence[Path]) -> tuple[str, str | Choices | Interval]:
    """Return the name of the setting in an override, and the override or its swept values."""
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
) -> Choices | Interval:
    sweep = parsed.value()
    if isinstance(sweep, IntervalSweep):
        return _interval(parsed, key, sweep)
    if getattr(sweep, "shuffle", False):
        # Hydra shuffles differently each time, so that an interrupted sweep could not be resumed
        raise ConfigError(
            f"{parsed.input_line} would give a different order each time",
            "the values without shuffle",
        )
    if isinstance(sweep, Glob):
        texts = sweep.filter(choices(name, folders))
    else:
        with translate_errors([str(parsed.input_line)]):
            texts = list(itertools.islice(parsed.sweep_string_iterator(), MAX_MEMBERS + 1))
    if not texts:
        raise ConfigError(f"{parsed.input_line} has no values", "at least one value")
    _check_count(len(texts))
    return Choices(key, tuple(texts))


def _interval(parsed: Override, key: str, sweep: IntervalSweep) -> Interval:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if unknown := sweep.tags - {"log"}:
        raise ConfigError(f"{parsed.input_line}: unknown tag {min(unknown)}", "tag(log, ...)")
    finite = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    if low is None or high is None or not (finite and low < high):
        raise ConfigError(
            f"{parsed.input_line} is not an interval", "interval(low, high), finite, low < high"
        )
    if log and low <= 0:
        raise ConfigError(
            f"{parsed.input_line} has a bound without a logarithm", "bounds above 0 with tag(log)"
        )
    return Interval(key, low, high, log, isinstance(low, int) and isinstance(high, int))


def _count(n: int | None, sampler: str) -> int:
    if n is None or n < 1:
        given = "is missing" if n is None else f"is {n}"
        raise ConfigError(
            f"sweep={sampler}: sweep.n {given}", "the number of members, such as sweep.n=64"
        )
    _check_count(n)
    return n


def _check_count(n: int) -> None:
    if n > MAX_MEMBERS:
        raise ConfigError(f"the sweep has {n:,} members", f"at most {MAX_MEMBERS:,}")


def _checked_lists(
    swept: Sequence[Choices | Interval], sampler: str, n: int | None
) -> list[Choices]:
    """Return the swept settings of a sampler that combines lists, after checking them.

    Raises:
        ConfigError: if a setting is an interval, or ``sweep.n`` is set.
    """
    lists = []
    for word in swept:
        if isinstance(word, Interval):
            raise ConfigError(
                f"sweep={sampler} cannot take {word.key}=interval({word.low}, {word.high})",
                "values a,b,c or range(start, stop, step)",
                f"sweep={'|'.join(DRAWING)} with sweep.n=64 draws from intervals",
            )
        lists.append(word)
    if n is not None:
        raise ConfigError(
            f"sweep.n={n} applies only to random samplers; with sweep={sampler} the number of "
            "members follows from the values",
            f"sweep={'|'.join(DRAWING)}",
        )
    return lists


def _product(swept: Sequence[Choices]) -> Iterator[tuple[str, ...]]:
    _check_count(math.prod(len(word.texts) for word in swept))
    return itertools.product(*(word.texts for word in swept))


def _zipped(swept: Sequence[Choices]) -> Iterator[tuple[str, ...]]:
    lengths = {word.key.lstrip("+"): len(word.texts) for word in swept}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise ConfigError(
            f"sweep=zip got lists of different lengths: {counts}",
            "lists of equal length",
            "sweep=grid combines every value with every other",
        )
    return zip(*(word.texts for word in swept), strict=True) if swept else iter([()])
