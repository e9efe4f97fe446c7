"""Times at which a step must end: frames, events, and times at which automatic steps are adapted.

An event is a time at which a formula switches (``where(t < 1, ...)``, ``heaviside(t - 3)``) or
begins to change after it was constant (a pulse). If a step ends exactly at an event, the solution
before and after the event is integrated with the full order of the method. A step across an event
has a lower order, and may miss a pulse entirely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import sympy
from sympy.core.relational import Relational

from pdesim.errors import ConfigError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.language import TIME
from pdesim.model.grid import DIGITS
from pdesim.operators.problem import Problem
from pdesim.settings import Settings

#: maximum number of samples of a formula between two frames; a pulse must be longer than several
#: sampling intervals to be found
SAMPLES = 400
#: maximum number of samples in a run
MOST_SAMPLES = 2_000_000
#: number of cells at which formulas of position and time are sampled
CELLS = 32
#: a formula is considered constant in a sampling interval if it changes by less than this fraction
#: of its largest change in any interval
CONSTANT = 1e-7
#: the minimum number of points at which an automatic step is adapted, and the number of times the
#: first interval is halved, since solutions change most at the start
POINTS, HALVINGS = 32, 8
#: times whose distance is less than this fraction of the duration of the run are considered equal
TOGETHER = 1e-12
#: maximum number of times at multiples of an interval, at each of which a step ends
MOST_REGULAR = 1_000_000


def frame_times(settings: Settings) -> np.ndarray:
    """Return the times of all frames, including the initial state."""
    start, end = settings.time.start, settings.time.end
    if end <= start:
        raise ConfigError(f"time.end={end:g} does not come after time.start={start:g}")
    if not DIGITS * max(abs(start), abs(end)) < end - start:
        raise ConfigError(
            f"time.start={start:g} and time.end={end:g} are equal except for rounding",
            "a duration of at least 10^-12 of these times",
        )
    every, given = settings.output.every, settings.output.times
    if given is not None:
        return _at_times(start, end, given)
    if every is None:
        if settings.output.frames is None:
            raise ConfigError(
                "neither output.frames nor output.every is set", "a value for one of them"
            )
        return np.linspace(start, end, settings.output.frames + 1)
    count = (end - start) / every * (1 + 1e-12)
    if count > 1_000_000:
        raise ConfigError(
            f"output.every={every:g} results in {count:.3g} frames", "at most a million frames"
        )
    times = start + every * np.arange(math.floor(count) + 1)
    return times if end - times[-1] <= 1e-9 * min(every, end - start) else np.append(times, end)


def iteration_times(settings: Settings, times: np.ndarray) -> np.ndarray:
    """Return the times of the frames of an iterated map: numbers of iterations.

    Raises:
        ConfigError: for settings of the time step, and for ends that are not integers.
    """
    time = settings.time
    for name, value in (("time.start", time.start), ("time.end", time.end)):
        if value != round(value):
            raise ConfigError(f"{name}={value:g}", "an integer, the number of iterations")
    if time.dt not in ("auto", 1.0) or time.tolerance is not None or time.events:
        raise ConfigError(
            "time.dt, time.tolerance and time.events do not apply to an iterated map",
            "time.end, the number of iterations",
        )
    return np.unique(np.round(times))


def _at_times(start: float, end: float, given: Sequence[float]) -> np.ndarray:
    """Return given times in ascending order, with the start and the end of the run."""
    near = 1e-12 * (end - start)
    for time in given:
        if not start - near <= time <= end + near:
            raise ConfigError(
                f"output.times contains {time:g}",
                f"times from time.start={start:g} to time.end={end:g}",
            )
    times = np.unique([start, *given, end])
    inside = times[(times > start + near) & (times < end - near)]
    return np.array([start, *inside[np.diff(inside, append=np.inf) > near], end])


def find_events(problem: Problem, times: np.ndarray, given: Sequence[float] = ()) -> np.ndarray:
    """Return the events between the first and the last frame, in ascending order.

    Args:
        times: the times of all frames.
        given: further events (the setting ``time.events``).

    Raises:
        ConfigError: for a given event before the start or after the end of the run.
    """
    start, end = float(times[0]), float(times[-1])
    for event in given:
        if not start <= event <= end:
            raise ConfigError(
                f"time.events contains {event:g}", f"times between {start:g} and {end:g}"
            )
    candidates = list(given)
    expressions = list(_time_dependent(problem))
    if expressions:
        samples = _sample_times(times)
        for expression in expressions:
            candidates.extend(_changes(problem, expression, samples))
    events, near = np.unique(np.array(candidates, dtype=float)), nearness(times)
    events = events[(events > start + near) & (events < end - near)]
    # keep the last of several nearly equal times, at which all formulas have switched
    return events[np.append(np.diff(events) > near, True)] if len(events) else events


def merge(
    times: np.ndarray, events: np.ndarray, more: Sequence[float] | np.ndarray = ()
) -> np.ndarray:
    """Return the targets of a run in ascending order: times of frames, events, and further times.

    If an event is nearly equal to the time of a frame, the event replaces the time of the frame,
    since a formula must not switch within a step. A time in ``more`` that is nearly equal to one of
    the others, or to an earlier one in ``more``, is omitted.

    Args:
        times: the times of all frames.
        more: further times at which steps must end.
    """
    merged = np.array(times, dtype=float)
    near = nearness(merged)
    for event in events:
        place = int(np.abs(merged - event).argmin())
        if abs(merged[place] - event) > near:
            merged = np.sort(np.append(merged, event))
        elif 0 < place < len(merged) - 1:
            merged[place] = event
    extra = np.unique(more)
    # multiples of 0.03 and of 0.07 differ by rounding at 0.21
    extra = extra[np.diff(extra, prepend=-np.inf) > near]
    places = np.searchsorted(merged, extra)
    below, above = merged[np.maximum(places - 1, 0)], merged[np.minimum(places, len(merged) - 1)]
    distance = np.minimum(np.abs(extra - below), np.abs(extra - above))
    return np.sort(np.concatenate([merged, extra[distance > near]]))


def regular_times(times: np.ndarray, every: float | None, setting: str) -> np.ndarray:
    """Return the times between the start and the end of a run at multiples of an interval.

    Args:
        times: the times of all frames.
        every: the interval; None for no times.
        setting: the name of the setting, for errors.

    Raises:
        ConfigError: for an interval that results in more than a million times.
    """
    if every is None:
        return np.empty(0)
    start, end = float(times[0]), float(times[-1])
    count = (end - start) / every
    if count > MOST_REGULAR:
        raise ConfigError(
            f"{setting}={every:g} results in {count:.3g} times", f"at most {MOST_REGULAR:,} times"
        )
    regular = start + every * np.arange(1, math.floor(count * (1 + 1e-12)) + 1)
    return regular[regular < end - nearness(times)]


def nearness(times: np.ndarray) -> float:
    """Return the distance below which two times are considered equal."""
    return TOGETHER * float(times[-1] - times[0])


def control_points(times: np.ndarray, early: bool) -> np.ndarray:
    """Return the times, in addition to those of frames, at which an automatic step is adapted.

    With these times, a run with few frames also has at least ``POINTS`` intervals.

    Args:
        times: the times of all frames.
        early: whether to add times at the start of the run; not useful for multistep methods, which
            must be restarted whenever dt changes.
    """
    intervals = len(times) - 1
    parts = -(-POINTS // intervals)
    steps = np.arange(1, parts) / parts
    inside = (times[:-1, None] + np.diff(times)[:, None] * steps).reshape(-1)
    if not early:
        return inside
    first = (times[1] - times[0]) / parts
    return np.append(inside, times[0] + first * 0.5 ** np.arange(1, HALVINGS + 1))


def extend_targets(
    times: np.ndarray,
    planned: np.ndarray,
    events: np.ndarray,
    automatic: bool,
    more: np.ndarray | Sequence[float] = (),
) -> np.ndarray:
    """Return the targets of a run whose end may have changed since its targets were planned.

    Args:
        times: the times of all frames, up to the new end.
        planned: the targets up to the previous end.
        events: the events of the run.
        automatic: whether automatic steps are adapted.
        more: further times at which steps must end.
    """
    end, before = times[-1], planned[-1]
    if end == before:
        return planned
    if end < before:
        return np.append(planned[planned < end], end)
    later = np.append(before, times[times > before])
    control = control_points(later, early=False) if automatic else later[:0]
    more = np.asarray(more)
    control = np.append(control, more[more > before])
    return np.append(planned[:-1], merge(later, events[events > before], control))


def _time_dependent(problem: Problem) -> Iterator[sympy.Expr]:
    """Yield the largest subexpressions that depend on time but not on fields.

    A condition on t, or a step function of t, yields a function that jumps where it switches.
    """
    equation, reductions = problem.equation, problem.boundary.reductions
    fields = equation.state_symbols | {reduction.symbol for reduction in reductions}
    values = problem.boundary.formulas
    seen: set[sympy.Basic] = set()
    waiting: list[sympy.Basic] = [*equation.all_formulas, *values, *(r.inner for r in reductions)]
    while waiting:
        node = waiting.pop()
        if TIME not in node.free_symbols or node in seen or node == TIME:
            continue
        seen.add(node)
        waiting.extend(node.args)
        if isinstance(node, Relational):
            node = node.lhs - node.rhs
            if not node.free_symbols & fields and not node.has(lang.AppliedUndef):
                yield sympy.Heaviside(node, 0)
        elif isinstance(node, sympy.Heaviside | sympy.sign):
            if not node.free_symbols & fields and not node.has(lang.AppliedUndef):
                yield sympy.Heaviside(node.args[0], 0)
        elif (
            isinstance(node, sympy.Expr)
            and not node.free_symbols & fields
            and not node.has(lang.AppliedUndef)
            and not node.atoms(sympy.Piecewise)
        ):
            yield node


def _sample_times(times: np.ndarray) -> np.ndarray:
    per_interval = int(max(4, min(SAMPLES, MOST_SAMPLES // max(1, len(times) - 1))))
    fractions = np.arange(per_interval) / per_interval
    inside = times[:-1, None] + np.diff(times)[:, None] * fractions
    return np.append(inside.reshape(-1), times[-1])


def _changes(problem: Problem, expression: sympy.Expr, samples: np.ndarray) -> list[float]:
    """Return the times at which an expression jumps, or begins to change after it was constant."""
    evaluate = _evaluator(problem, expression)
    with np.errstate(all="ignore"):
        values = np.atleast_2d(np.nan_to_num(evaluate(samples)))
    if values.shape[-1] != len(samples):
        return []
    changes = np.abs(np.diff(values, axis=-1))
    moving = (changes > CONSTANT * changes.max(axis=-1, keepdims=True)).any(axis=0)
    if isinstance(expression, sympy.Heaviside):
        return [_bisect(evaluate, *samples[i : i + 2]) for i in np.flatnonzero(moving)[:1000]]
    onsets = np.flatnonzero(moving[1:] & ~moving[:-1]) + 1
    # the change is assumed to begin at the last sample of the constant part
    return samples[onsets[:1000]].tolist()


def _evaluator(problem: Problem, expression: sympy.Expr) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that evaluates an expression at an array of times.

    If the expression depends on position, the function evaluates it at several cells.
    """
    grid = problem.grid
    names: Mapping[str, object] = dict(problem.parameters)
    used = {symbol.name for symbol in expression.free_symbols}
    cells = np.linspace(0, grid.cells - 1, min(CELLS, grid.cells)).astype(int)
    coordinates = grid.namespace(grid.coordinates_of(cells), used)
    if used & set(coordinates):
        at_cells = {
            name: np.broadcast_to(value, cells.shape)[:, None]
            for name, value in coordinates.items()
        }
        names = {**names, **at_cells}

    def evaluate(times: np.ndarray) -> np.ndarray:
        return np.asarray(Evaluator({**names, "t": times})(expression), dtype=float)

    return evaluate


def _bisect(evaluate: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    """Return the first float64 time between ``low`` and ``high`` at which a switch has changed."""
    before = evaluate(np.array([low]))
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        if np.array_equal(evaluate(np.array([middle])), before):
            low = middle
        else:
            high = middle
