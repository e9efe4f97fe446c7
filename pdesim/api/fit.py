"""Fits from Python: estimates of parameters from files or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pdesim.api.arguments import as_directory, as_overrides, plain_value
from pdesim.api.run import Run
from pdesim.api.simulate import simulate
from pdesim.config.override_text import override_text
from pdesim.errors import ConfigError
from pdesim.files import as_path
from pdesim.fitting.result import FITTED, FitResult, Start
from pdesim.fitting.run import run_fit
from pdesim.fitting.settings import FORM
from pdesim.fitting.train import TrainingResult
from pdesim.sweeps.compose import Composer


@dataclass(frozen=True, repr=False)
class Fit:
    """The result of a fit. ``print`` shows the estimates with their standard errors.

    Args:
        result: all numbers of the result.
    """

    result: FitResult | TrainingResult

    @property
    def folder(self) -> Path:
        """The folder of the fit, with ``fit.yaml`` and ``fit.png``."""
        return self.result.folder

    @property
    def parameters(self) -> dict[str, float]:
        """Setting -> estimate."""
        return dict(self.result.parameters)

    @property
    def errors(self) -> dict[str, float]:
        """Setting -> standard error; infinite if the data do not determine the parameter.

        Empty if arrays are fitted.
        """
        return dict(getattr(self.result, "errors", {}))

    @property
    def correlations(self) -> np.ndarray:
        """The correlations of the estimates, ``(parameters, parameters)``; empty for arrays."""
        return np.array(getattr(self.result, "correlations", np.empty((0, 0))))

    @property
    def arrays(self) -> dict[str, Any]:
        """The fitted arrays: ``initial.u`` -> an array, ``networks.f`` -> a list of arrays."""
        if isinstance(self.result, FitResult):
            return {}
        arrays = self.result.arrays
        found: dict[str, Any] = {f"initial.{n}": v.copy() for n, v in arrays.initial.items()}
        return found | {f"networks.{n}": list(w) for n, w in arrays.networks.items()}

    @property
    def history(self) -> tuple[float, ...]:
        """The objective at all evaluations of a fit of arrays."""
        return () if isinstance(self.result, FitResult) else self.result.history

    @property
    def residuals(self) -> dict[str, float]:
        """Field -> the root mean square of the differences between the fitted run and the data."""
        return dict(self.result.residuals)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about parameters that the data do not determine."""
        return self.result.warnings

    @property
    def starts(self) -> tuple[Start, ...]:
        """The start and the end of each optimiser, the best one first; empty for arrays."""
        return getattr(self.result, "starts", ())

    def run(self, *overrides: str, **settings: Any) -> Run:
        """Run the fitted model, with a frame at each time of the data.

        Args:
            overrides, settings: further arguments of :func:`pdesim.simulate`, such as
                ``time={"end": 20}``.
        """
        given = {"config_dir": self.folder, **settings}
        return simulate(f"equation={FITTED}", *overrides, **given)

    def __repr__(self) -> str:
        lines = "\n".join(f"  {line}" for line in str(self.result).splitlines())
        return f"<Fit of {self.result.equation} in {self.folder}\n{lines}>"

    def __str__(self) -> str:
        warnings = (f"warning: {line}" for line in self.warnings)
        return "\n".join([str(self.result), *warnings])


def fit(
    *overrides: str,
    data: Any,
    parameters: Mapping[str, Any],
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    trust_config: bool = False,
    **settings: Any,
) -> Fit:
    """Find the parameters with which runs fit data best.

    >>> pdesim.fit('heat', data='film.h5',
    ...            parameters={'equation.D': [1e-4, 1e-2]})  # doctest: +SKIP

    Args:
        overrides: settings of the runs, as for :func:`simulate`.
        data: a file or the folder of a run; or another run; or a mapping from ``time`` and fields
            to arrays ``(time, y, x)``, with NaN where nothing was observed, optionally with the
            cell centres ``x``, ``y``, ``z``; or an ``xarray.Dataset`` of this form. With options
            (``noise``, ``times``, ``every``, ``fields``, ``trajectory``) a mapping with a file:
            ``{"file": "film.h5", "noise": 0.1}``.
        parameters: setting -> its bounds, such as ``{"equation.D": [1e-4, 1e-2]}``, or a mapping
            with ``bounds``, ``scale`` (``log``, ``linear``) and ``start``; for an array, ``"free"``
            (``{"initial.u": "free", "networks.f": "free"}``).
        folder: folder for the files of the fit; None: ``outputs/fits/<date>_<time>``.
        config_dir: a folder with your own configuration files (``--config-dir``).
        quiet: whether to print neither notes nor progress.
        trust_config: whether files in ``config_dir`` may set everything (``--trust-config``).
        settings: settings as keywords, which take precedence over ``overrides``. Options of the fit
            are in ``fit``: ``fit={"starts": 8, "method": "L-BFGS-B"}``.

    Returns:
        Estimates, standard errors, correlations and residuals.

    Raises:
        PdesimError: if settings or data are invalid, if no run is possible, or if no parameter has
            an effect on the data.
    """
    if not isinstance(parameters, Mapping) or not parameters:
        raise ConfigError(f"the argument parameters is {parameters!r}", FORM)
    words = as_overrides(overrides, settings)
    for key, entry in parameters.items():
        try:
            words.append(f"fit={{{key}: {override_text(plain_value(entry))}}}")
        except TypeError:
            raise ConfigError(
                f"the argument parameters[{key!r}] is {entry!r}", "[LOW, HIGH], or a mapping"
            ) from None
    target = None if folder is None else as_path(folder)
    compose = Composer(as_directory(config_dir), trust_config)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    file, arrays = _data(data)
    words += file
    composed = compose(words).check_single()
    return Fit(run_fit(composed, compose, console, target, arrays))


def _data(data: Any) -> tuple[list[str], dict[str, np.ndarray] | None]:
    """Return the overrides for the data, and their arrays if they are not in a file."""
    if isinstance(data, Run | str | Path):
        path = data.folder if isinstance(data, Run) else as_path(data)
        return [f"data.file={override_text(str(path))}"], None
    if hasattr(data, "data_vars"):  # an xarray.Dataset
        data = {str(name): data[name].values for name in data.variables}
    if not isinstance(data, Mapping) or not data:
        raise ConfigError(
            f"the argument data is of the type {type(data).__name__}",
            "a file, a run, a mapping from time and fields to arrays, or an xarray.Dataset",
        )
    if "file" in data:
        options = {**data, "file": str(data["file"])}
        try:
            return [f"data={override_text(plain_value(options))}"], None
        except TypeError:
            expected = "options as text and numbers"
            raise ConfigError(f"the argument data is {data!r}", expected) from None
    arrays = {}
    for name, values in data.items():
        try:
            arrays[str(name)] = np.asarray(values)
        except ValueError:
            raise ConfigError(f"the argument data[{name!r}] is not an array", "an array") from None
    return [], arrays
