"""One runner per package: from a rung to a compiled, warmed-up run."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from precision.cases import DU, DV, EXTENT, FEED, KILL, Case, Rung, parameters, step_count

Run = Callable[[], np.ndarray]


class Pdesim:
    """Runs of pdesim: one compiled program per stepper, the time step being its argument."""

    def __init__(self, case: Case) -> None:
        from pdesim.engine.device import start_tensorflow
        from pdesim.settings import Device

        self.case, self.placement, self.programs = case, start_tensorflow(Device(name="cpu")), {}

    def program(self, stepper: str, operators: str):
        """The compiled blocks of a stepper, and the step with which an adaptive one begins."""
        if (stepper, operators) not in self.programs:
            from pdesim.config.compose import compose_settings
            from pdesim.engine.simulation import Simulation
            from pdesim.plan import build_plan

            composed = compose_settings(
                [
                    "equation=gray_scott",
                    *(f"equation.{name}={value}" for name, value in parameters().items()),
                    f"grid={self.case.grid}",
                    f"domain.extent={EXTENT}",
                    f"operators={operators}",
                    f"stepper={stepper}",
                    f"time.end={self.case.end}",
                    "output.frames=1",
                    "device=cpu",
                    "device.precision=float64",
                ]
            )
            plan = build_plan(composed.settings, composed.equation)
            blocks = Simulation(plan, self.placement).blocks
            self.programs[stepper, operators] = blocks, plan.step.dt
        return self.programs[stepper, operators]

    def runner(self, rung: Rung) -> Run:
        import tensorflow as tf

        def number(value):
            return tf.constant(value, tf.float64)

        def count(value):
            return tf.constant(value, tf.int64)

        blocks, first_dt = self.program(rung.method, rung.space)
        state, start, parameters = number(self.case.state()), number(0.0), blocks.parameters
        if rung.adaptive:
            end, first, tolerance = map(number, (self.case.end, first_dt, rung.tolerance))

            def follow(trials: int) -> np.ndarray:
                return blocks.follow(
                    state, start, end, first, count(trials), tolerance, parameters
                )[1].numpy()

            follow(2)
            return lambda: follow(10**9)
        steps = step_count(self.case, rung)
        dt = number(self.case.end / steps)
        coefficients = blocks.coefficients.tensors(self.case.end / steps)

        def march(steps: int) -> np.ndarray:
            carry = blocks.init(state, start, dt, parameters, coefficients)
            return blocks.advance(
                carry, start, dt, count(0), count(steps), parameters, coefficients
            )[1].numpy()

        march(2)
        return lambda: march(steps)


class Exponax:
    """Runs of Exponax: all steps in Fourier space, compiled as one loop."""

    def __init__(self, case: Case) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        jax.config.update("jax_enable_x64", True)
        import equinox

        self.case, self.march = case, equinox.filter_jit(self._march)

    def _march(self, stepper, state, steps):
        import exponax
        import jax

        modes = exponax.fft(state, num_spatial_dims=2)
        modes = jax.lax.fori_loop(0, steps, lambda _, m: stepper.step_fourier(m), modes)
        return exponax.ifft(modes, num_spatial_dims=2, num_points=self.case.grid)

    def runner(self, rung: Rung) -> Run:
        import exponax
        import jax
        import jax.numpy as jnp

        steps = step_count(self.case, rung)
        # a fraction of 2 keeps every mode; without it half of the modes of each axis are kept
        kept = {} if rung.space == "dealiased" else {"dealiasing_fraction": 2.0}
        stepper = exponax.stepper.reaction.GrayScott(
            2,
            EXTENT,
            self.case.grid,
            self.case.end / steps,
            diffusivity_1=DU,
            diffusivity_2=DV,
            feed_rate=FEED,
            kill_rate=KILL,
            order=int(rung.method[-1]),
            **kept,
        )
        # numbers as arrays are arguments of the program: one serves all time steps
        stepper = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float) else x, stepper)
        state = jnp.asarray(self.case.state())

        def run(steps: int) -> np.ndarray:
            return np.asarray(self.march(stepper, state, jnp.asarray(steps)))

        run(2)
        return lambda: run(steps)


class PyPde:
    """Runs of py-pde with its Numba backend, on cells with the same centres."""

    def __init__(self, case: Case) -> None:
        # waiting threads sleep: where cores are shared, spinning ones slow the others thirtyfold
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import pde

        self.case = case
        size = [case.grid, case.grid]
        grid = pde.CartesianGrid([(0, EXTENT), (0, EXTENT)], size, periodic=True)
        fields = [pde.ScalarField(grid, values) for values in case.state()]
        self.state = pde.FieldCollection(fields, labels=["u", "v"])
        self.equation = pde.PDE(
            {
                "u": f"{DU} * laplace(u) - u * v**2 + {FEED} * (1 - u)",
                "v": f"{DV} * laplace(v) + u * v**2 - {FEED + KILL} * v",
            }
        )
        self.scipy = None

    def runner(self, rung: Rung) -> Run:
        if rung.method.startswith("scipy"):
            return self._by_scipy(rung)
        from pde import solvers

        kind, options = {
            "euler": (solvers.EulerSolver, {}),
            "runge-kutta": (solvers.RungeKuttaSolver, {}),
            "runge-kutta adaptive": (solvers.RungeKuttaSolver, {"adaptive": True}),
            # iterations are carried far enough to show the orders
            "implicit euler": (solvers.ImplicitSolver, {"maxerror": 1e-9}),
            "crank-nicolson": (solvers.CrankNicolsonSolver, {"maxerror": 1e-9}),
        }[rung.method]
        if rung.adaptive:
            options = {**options, "tolerance": rung.tolerance}
        solver = kind(self.equation, backend="numba", **options)
        first = solver.dt_default if rung.adaptive else self.case.end / step_count(self.case, rung)
        step = solver.make_stepper(self.state, first)

        def run(end: float) -> np.ndarray:
            solver.info["dt"] = first  # adaptive solvers keep their last step here
            state = self.state.copy()
            step(state, 0, end)
            return state.data

        run(2 * first)
        return lambda: run(self.case.end)

    def _by_scipy(self, rung: Rung) -> Run:
        """SciPy's integrator around the compiled right-hand side; one program for all rungs."""
        if self.scipy is None:
            from pde import solvers

            solver = solvers.ScipySolver(self.equation, backend="numba", method="RK45")
            self.scipy = solver, solver.make_stepper(self.state)
        solver, step = self.scipy

        def run(end: float) -> np.ndarray:
            solver.solver_params |= {"rtol": rung.tolerance, "atol": rung.tolerance}
            state = self.state.copy()
            step(state, 0, end)
            return state.data

        run(1.0)
        return lambda: run(self.case.end)


BUILDERS = {"pdesim": Pdesim, "exponax": Exponax, "py-pde": PyPde}
