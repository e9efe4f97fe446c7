"""The analysis of a problem that is given by settings."""

from __future__ import annotations

from dataclasses import replace

from pdesim.analysis.compute import analyze_problem
from pdesim.analysis.result import Analysis
from pdesim.analysis.thresholds import find_thresholds, parse_over
from pdesim.errors import ConfigError, nearest
from pdesim.model.equation_settings import KEYS
from pdesim.model.iterated_map import check_no_map
from pdesim.model.scalars import check_no_scalars
from pdesim.problem import build_problem, initial_values
from pdesim.settings import Settings


def analyze_settings(settings: Settings, name: str, over: str | None = None) -> Analysis:
    """Analyse the uniform states of the problem of a run.

    Args:
        settings: the settings of the run.
        name: the name of the equation if its settings contain none.
        over: a parameter and an interval, ``equation.NAME=LOW..HIGH``, over which thresholds are
            sought.

    Raises:
        PdesimError: if a setting is invalid; for steady problems and for coefficients that depend
            on position; and for an unknown parameter.
    """
    interval = None if over is None else parse_over(over)
    if interval is not None and interval.parameter not in set(settings.equation) - set(KEYS):
        known = [key for key in settings.equation if key not in KEYS]
        raise ConfigError(
            f"--over names equation.{interval.parameter}, which this equation does not have",
            nearest(interval.parameter, known),
        )
    check_no_map(settings.equation, "analyze")
    check_no_scalars(settings.equation, "analyze")
    problem, initial, notes = build_problem(settings, name)
    start = settings.time.start
    found = analyze_problem(problem, initial_values(settings, problem, initial), start)
    found = replace(found, notes=(*(n.removeprefix("note: ") for n in notes), *found.notes))
    if interval is None:
        return found
    # a parameter that is a formula becomes a number
    equation = {**settings.equation, interval.parameter: interval.low}
    varied = settings.model_copy(update={"equation": equation})
    problem, initial, _ = build_problem(varied, name)
    state = initial_values(varied, problem, initial)
    return replace(found, thresholds=find_thresholds(problem, state, start, interval))
