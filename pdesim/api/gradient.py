"""Derivatives of functions of a run's frames with respect to its parameters and initial state."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdesim.api.arguments import as_directory
from pdesim.api.composing import check_independent, compose_with_initial, with_initial
from pdesim.api.initial import check_shapes, write_arrays
from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.formula import names_in
from pdesim.formula.networks import Network
from pdesim.model.grid import build_grid
from pdesim.model.networks import check_weights, write_networks
from pdesim.plan import Plan, build_plan
from pdesim.problem import build_problem, initial_values

if TYPE_CHECKING:
    import tensorflow as tf

    from pdesim.engine.device import Placement

#: ``loss(frames)``: a scalar tensor; ``frames`` contains ``time`` and all frames of each field
Loss = Callable[[Mapping[str, "tf.Tensor"]], "tf.Tensor"]


@dataclass(frozen=True)
class Gradient:
    """The value of a loss and its derivatives.

    Attributes:
        value: the loss.
        gradient: the derivative for each name in ``wrt``: a number for a parameter, an array of the
            grid's shape for an initial state (a number for a scalar), a list of arrays for the
            weights of a network.
        frames: the frames of each field, ``(time, y, x)`` in 2-D, and ``(time,)`` for a scalar.
        times: the times of the frames.
        steps: the number of time steps.
    """

    value: float
    gradient: dict[str, Any]
    frames: dict[str, np.ndarray]
    times: np.ndarray
    steps: int


class ForwardModel:
    """Runs in memory, without files, from given parameters and initial states.

    >>> model = pdesim.ForwardModel('heat', grid=64, time={"end": 0.1})  # doctest: +SKIP
    >>> model.frames({"D": 0.02})["u"].shape  # doctest: +SKIP
    (101, 64, 64)

    The settings are checked and the program is compiled once. The time steps are chosen for the
    parameters and the initial state of the settings; automatic and adaptive steps follow the
    solution during a run.

    Args:
        overrides, settings, config_dir, trust_config, initial: see :func:`pdesim.simulate`.

    Raises:
        PdesimError: if the settings are invalid or describe a steady problem, an iterated map, or a
            stop condition.
    """

    def __init__(
        self,
        *overrides: str,
        config_dir: str | Path | None = None,
        trust_config: bool = False,
        initial: Any = None,
        **settings: Any,
    ) -> None:
        directory = as_directory(config_dir)
        composed, given, words = compose_with_initial(
            overrides, settings, initial, directory, trust_config
        )
        self._words, self._directory, self._independent = words, directory, composed.independent
        # the files are read again if the initial state depends on a parameter
        self._files = tempfile.TemporaryDirectory()
        check_shapes(given.arrays, build_grid(composed.settings).shape)
        composed = with_initial(composed, write_arrays(Path(self._files.name), given.arrays))
        self._settings = composed.settings
        self._plan = build_plan(composed.settings, composed.equation)
        _check_supported(self._plan)
        _, self._conditions, _ = build_problem(composed.settings, composed.equation)
        self._placement: Placement | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the equation."""
        return self._plan.equation.fields

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters of the settings."""
        return dict(self._plan.equation.parameters)

    @property
    def networks(self) -> dict[str, list[np.ndarray]]:
        """The weights of the networks: the matrix and the biases of each layer in turn."""
        known = self._plan.equation.networks
        return {name: [w.copy() for w in network.weights] for name, network in known.items()}

    @property
    def times(self) -> np.ndarray:
        """The times of the frames."""
        return self._plan.times

    @property
    def initial(self) -> dict[str, np.ndarray]:
        """The initial state of the settings."""
        return self._plan.problem.by_name(self._plan.state)

    def frames(
        self,
        parameters: Mapping[str, float] | None = None,
        initial: Mapping[str, Any] | None = None,
        networks: Mapping[str, Sequence[Any]] | None = None,
    ) -> dict[str, np.ndarray]:
        """Compute a run and return its frames, ``(time, y, x)`` in 2-D, for each field.

        Args:
            parameters: values of parameters that differ from those of the settings.
            initial: arrays of the grid's shape for fields whose initial state differs.
            networks: weights of networks, in the form of :attr:`networks`.

        Raises:
            PdesimError: for unknown names and wrong shapes, and if the run fails.
        """
        plan, placement = self._with(parameters, initial, networks), self._device()
        from pdesim.engine.simulation import Simulation

        frames = Simulation(plan, placement, measures=False).frames()
        states = [frame.state.copy() for frame in frames]
        return plan.problem.by_name(np.stack(states, axis=1))

    def gradient(
        self,
        loss: Loss,
        wrt: Sequence[str],
        parameters: Mapping[str, float] | None = None,
        initial: Mapping[str, Any] | None = None,
        networks: Mapping[str, Sequence[Any]] | None = None,
    ) -> Gradient:
        """Compute a run and the derivatives of a function of its frames; see :func:`gradient`.

        Args:
            loss, wrt: see :func:`gradient`.
            parameters, initial, networks: see :meth:`frames`.
        """
        wanted = self._wanted(wrt)
        plan, placement = self._with(parameters, initial, networks), self._device()
        import tensorflow as tf

        from pdesim.engine.differentiation import differentiate

        def of_states(states: tf.Tensor) -> tf.Tensor:
            values = tf.unstack(states, axis=1)
            time = tf.constant(self.times, tf.float64)
            value = loss({"time": time, **plan.problem.by_name(values)})
            return _scalar(value)

        names = tuple(name for group in wanted.values() for name in group)
        result = differentiate(plan, placement, of_states, names)
        fields = dict(zip(self.fields, result.initial, strict=True))
        gradient: dict[str, Any] = {}
        for name in wrt:
            section, _, key = name.partition(".")
            if section == "initial":
                is_scalar = key in plan.equation.scalars
                gradient[name] = float(np.sum(fields[key])) if is_scalar else fields[key]
            elif section == "networks":
                gradient[name] = [result.parameters[part] for part in wanted[name]]
            else:
                through_initial = self._through_initial(plan, key, result.initial, initial)
                gradient[name] = float(result.parameters[key]) + through_initial
        frames = plan.problem.by_name(np.moveaxis(result.frames, 1, 0))
        return Gradient(result.value, gradient, frames, self.times, result.steps)

    def save_networks(
        self, path: str | Path, networks: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        """Write the weights of all networks to an HDF5 file, which replaces an existing file.

        ``equation.networks.NAME.weights=PATH`` reads them, in runs and in other models.

        Args:
            path: the file.
            networks: weights, in the form of :attr:`networks`; by default those of the settings.

        Raises:
            PdesimError: for unknown names, wrong shapes, weights that are not finite, an equation
                without networks, and if the file cannot be written.
        """
        written = dict(self._plan.equation.networks) | self._changed(networks)
        if not written:
            raise ConfigError(f"{self._plan.equation.name} has no networks", "equation.networks")
        try:
            write_networks(Path(path), written)
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror or error})") from None

    def _device(self) -> Placement:
        from pdesim.engine.device import start_tensorflow

        if self._placement is None:
            self._placement = start_tensorflow(self._settings.device)
        return self._placement

    def _with(
        self, parameters: Mapping[str, float] | None, initial: Any, networks: Any = None
    ) -> Plan:
        """Return the plan for given parameters, initial states and weights."""
        given = {name: float(value) for name, value in (parameters or {}).items()}
        for name in given:
            if name not in self.parameters:
                raise ConfigError(f"the equation has no parameter {name}", _known(self.parameters))
        state = self._initial_state(given)
        for name, values in (initial or {}).items():
            if name not in self.fields:
                raise ConfigError(f"the equation has no field {name}", _known(self.fields))
            shape = () if name in self._plan.equation.scalars else state.shape[1:]
            if np.shape(values) != shape or not np.isfinite(values).all():
                raise ConfigError(
                    f"the initial state of {name} has the shape {np.shape(values)}",
                    f"finite numbers of the shape {shape}",
                )
            state[self.fields.index(name)] = values
        return self._plan.with_values(given, state, self._changed(networks))

    def _changed(self, networks: Mapping[str, Sequence[Any]] | None) -> dict[str, Network]:
        """Return networks with given weights."""
        known, changed = self._plan.equation.networks, {}
        for name, weights in (networks or {}).items():
            if name not in known:
                raise ConfigError(f"the equation has no network {name}", _known(known))
            changed[name] = replace(known[name], weights=check_weights(known[name], weights))
        return changed

    def _initial_state(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Return the initial state of the settings for given parameters, in float64."""
        if not {symbol.name for symbol in self._conditions.symbols} & set(parameters):
            return self._plan.state.astype(float)
        values = self._plan.with_values(parameters, self._plan.state)
        return initial_values(self._settings, values.problem, self._conditions)

    def _through_initial(
        self, plan: Plan, parameter: str, slope: np.ndarray, given: Mapping[str, Any] | None
    ) -> float:
        """Return the derivative of the loss through formulas of the initial state."""
        from pdesim.engine.differentiation import difference

        if parameter not in {symbol.name for symbol in self._conditions.symbols}:
            return 0.0

        def state(values: Mapping[str, float]) -> dict[str, np.ndarray]:
            fields = dict(zip(self.fields, self._initial_state(values), strict=True))
            return {name: value for name, value in fields.items() if name not in (given or {})}

        changes = difference(state, dict(plan.equation.parameters), parameter)
        slopes = dict(zip(self.fields, slope.astype(float), strict=True))
        return float(sum(np.sum(slopes[name] * change) for name, change in changes.items()))

    def _wanted(self, wrt: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return name -> arguments of the programs, for the parameters and networks in ``wrt``.

        Raises:
            ConfigError: for unknown names, and parameters on which the run depends otherwise.
        """
        known = [f"equation.{name}" for name in self.parameters]
        known += [f"initial.{name}" for name in self.fields]
        known += [f"networks.{name}" for name in self._plan.equation.networks]
        wanted: dict[str, tuple[str, ...]] = {}
        for name in wrt:
            if name not in known:
                raise ConfigError(f"wrt contains {name!r}", nearest(str(name), known))
            section, _, key = name.partition(".")
            if section == "equation":
                self._check_differentiable(key)
                wanted[name] = (key,)
            elif section == "networks":
                wanted[name] = self._plan.equation.networks[key].argument_names
        return wanted

    def _check_differentiable(self, parameter: str) -> None:
        problem, value = self._plan.problem, self.parameters[parameter]
        if not self._independent:
            other = 1.1 * value if value else 1.0
            check_independent(
                self._words, self._directory, parameter, (value, other), "a derivative"
            )
        in_boundary = {symbol.name for symbol in problem.boundary.symbols}
        if problem.discretisation.is_spectral and parameter in in_boundary:
            raise ConfigError(
                f"operators=spectral has no derivative with respect to equation.{parameter}, which "
                "is part of a boundary value",
                "operators=stencil",
            )
        if parameter in names_in(self._settings.domain.mask or ""):
            raise ConfigError(
                f"domain.mask depends on equation.{parameter}: obstacles have no derivative",
                "a parameter that appears in other formulas only",
            )


def gradient(
    *overrides: str,
    loss: Loss,
    wrt: Sequence[str],
    config_dir: str | Path | None = None,
    trust_config: bool = False,
    initial: Any = None,
    **settings: Any,
) -> Gradient:
    """Compute a run in memory, and the derivatives of a function of its frames.

    >>> import tensorflow as tf  # doctest: +SKIP
    >>> result = pdesim.gradient(  # doctest: +SKIP
    ...     'heat', grid=64, loss=lambda frames: tf.reduce_mean(frames["u"][-1] ** 2),
    ...     wrt=["equation.D", "initial.u"],
    ... )
    >>> result.gradient["equation.D"]  # doctest: +SKIP

    The derivatives are those of the discrete solution, for the time steps of this run. They are
    computed backwards in time, so that the time does not depend on the number of initial values,
    and the memory grows with the square root of the number of steps.

    Args:
        loss: a function of the frames that is computed with TensorFlow and returns a scalar. Its
            argument is a mapping: ``time``, and for each field a tensor ``(time, y, x)`` (in 2-D).
        wrt: the names of parameters, such as ``"equation.D"``, of initial states, such as
            ``"initial.u"``, and of networks, such as ``"networks.f"``. The derivative with respect
            to a coefficient that depends on position is that of the initial state of a field whose
            right-hand side is 0.
        overrides, settings, config_dir, trust_config, initial: see :func:`pdesim.simulate`.
            ``device={"precision": "float64"}`` gives derivatives with relative errors of about
            1e-10, the default float32 of about 1e-4.

    Returns:
        The loss and its derivatives.

    Raises:
        PdesimError: if the settings are invalid, a name is unknown, or the run fails.
    """
    model = ForwardModel(
        *overrides, config_dir=config_dir, trust_config=trust_config, initial=initial, **settings
    )
    return model.gradient(loss, wrt)


def _check_supported(plan: Plan) -> None:
    """Check that a plan has a number of steps that does not depend on conditions.

    Raises:
        ConfigError: for steady problems, iterated maps, noise and stop conditions.
    """
    if plan.is_steady or plan.equation.iterated is not None:
        kind = "a steady problem" if plan.is_steady else "an iterated map"
        raise ConfigError(f"{plan.equation.name} is {kind}", "an equation with rhs")
    if plan.equation.noise:
        raise ConfigError(
            f"{plan.equation.name} has noise, through which derivatives are not propagated",
            "equation.noise=null, the equation without noise",
        )
    if plan.stops is not None:
        raise ConfigError(
            "this run has a stop condition", "a run to time.end", "stop.when=null stop.steady=null"
        )


def _scalar(value: Any) -> tf.Tensor:
    import tensorflow as tf

    value = tf.convert_to_tensor(value)
    if value.shape.rank != 0 or not value.dtype.is_floating:
        raise ConfigError(
            f"loss returned the type {value.dtype.name} and the shape {tuple(value.shape)}",
            "a real number, such as tf.reduce_mean(...)",
        )
    return value


def _known(names: Any) -> str:
    return ", ".join(names) or "no name"
