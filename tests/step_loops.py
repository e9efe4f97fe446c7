"""Step loops of plans, for comparisons between the plain form, flat arrays and tiles."""

import functools
import shlex

import numpy as np
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.step import GPU_TARGET, StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import build_plan

STEPS = 23

#: several steps to one exchange of ghost cells, also on the small grids of the tests
DEEP = Tuning(small_grid_depths={})


def finely(cores: int = 3, ghosts: int = 2, most: int = 0, width: int = 9) -> Tuning:
    """Cut small grids into as many slabs, and those into as many tiles, as possible."""
    return Tuning(
        small_grid_depths={}, two_band_bytes=1, single_band_bytes=1,
        tile_bytes=1, tile_width=width, cores=cores,
        ghost_rows=dict.fromkeys((1, 2, 3), ghosts),
        max_ghost_rows=dict.fromkeys((1, 2, 3), most),
    )  # fmt: skip


def custom(rhs: str, words: str) -> str:
    return f"equation=custom equation.fields=[u] domain.extent=2 equation.rhs.u=\"'{rhs}'\" {words}"


#: boundary conditions, obstacles and coefficients of position
WALLS = {
    "no flux": "equation=heat grid=[24,64] stepper=euler boundary=neumann",
    "odd": "equation=wave grid=[24,64] stepper=verlet boundary=dirichlet",
    "not odd": "equation=gray_scott grid=[20,64] stepper=heun boundary=dirichlet",
    "sixth order": (
        "equation=gray_scott grid=[24,64] stepper=euler operators.order=6 boundary=neumann"
    ),
    "corners": (
        "equation=gray_scott grid=[24,64] stepper=euler boundary.y=dirichlet "
        "operators.isotropic=true domain.extent=[2.4,6.4]"
    ),
    "values of position and time": (
        "equation=heat grid=[24,64] stepper=heun boundary.x='{dirichlet: \"sin(y-3*t)\"}' "
        "boundary.y=neumann"
    ),
    "a different condition on each side and field": (
        "equation=gray_scott grid=[24,64] stepper=euler "
        "boundary.u.x='{lower: {dirichlet: 1}, upper: {neumann: 0.5}}' "
        "boundary.v.x='{robin: {a: 1, b: 2, value: 0.5}}' boundary.y=neumann"
    ),
    "first derivatives": custom(
        "laplacian(u) + u*d_dx(u)", "grid=[24,64] stepper=euler boundary.x='{neumann: 1.5}'"
    ),
    "three dimensions": (
        "equation=heat domain.dimensions=3 grid=[8,10,40] stepper=euler boundary=dirichlet "
        "boundary.y=periodic"
    ),
    "obstacles": "equation=heat grid=[24,64] stepper=euler domain.mask=0.8-r",
    "obstacles with values between walls": (
        "equation=heat grid=[24,64] stepper=heun boundary.x=neumann domain.mask=0.8-r "
        "boundary.mask='{dirichlet: 0.5}'"
    ),
    "diffusivity of position between walls": custom(
        "divergence((1 + 0.5*sin(pi*x)*y)*gradient(u))",
        "grid=[24,80] stepper=heun boundary=neumann",
    ),
    "a jump of the diffusivity": custom(
        "divergence((1 + heaviside(x - 1))*gradient(u))", "grid=[24,64] stepper=euler"
    ),
    "sources of position and time": custom(
        "laplacian(u) + exp(-r**2)*cos(t)*u + Lx*x*y",
        "grid=[24,64] stepper=heun boundary.x=dirichlet",
    ),
    "a speed that depends on position": (
        "equation=custom equation.fields=[u,w] domain.extent=2 grid=[24,64] stepper=verlet "
        "boundary=dirichlet equation.rhs.u=\"'w'\" "
        "equation.rhs.w=\"'(1 + x)**2*laplacian(u) - 0.1*w'\""
    ),
}


class Run:
    """A plan's step loop from its initial state."""

    def __init__(
        self,
        words: str,
        flat: bool = True,
        separate: bool = False,
        tuning: Tuning = DEEP,
        gpu: bool = False,
    ) -> None:
        composed = compose_settings([*shlex.split(words), "device.precision=float64"])
        plan = build_plan(composed.settings, composed.equation)
        target = GPU_TARGET if gpu else Target(flat=flat, separate_fields=separate)
        self.loop = TimeLoop(
            StepContext(plan.problem, plan.stepper, tf.float64, target, tuning=tuning)
        )
        self.zero, self.dt = (tf.constant(v, tf.float64) for v in (0.0, plan.step.dt))
        self.numbers = self.loop.parameters, self.loop.coefficients.tensors(plan.step.dt)
        state = tf.constant(plan.state, tf.float64)
        self.carry = self.loop.init(state, self.zero, self.dt, *self.numbers)

    def to(self, *stops: int) -> np.ndarray:
        carry = self.carry
        for first, last in zip((0, *stops), stops, strict=False):
            steps = tf.constant(first, tf.int64), tf.constant(last, tf.int64)
            new, state, _ = self.loop.advance(carry, self.zero, self.dt, *steps, *self.numbers)
            carry = state if new is None else new
        return state.numpy()


@functools.cache
def plain_form(words: str) -> np.ndarray:
    """The state after ``STEPS`` steps of the plain formulation."""
    return Run(words, flat=False).to(STEPS)


def followed(run: Run, *trials: int) -> list:
    """After blocks of so many steps of chosen size: the state, its time, and the next step."""
    end, tolerance = (tf.constant(value, tf.float64) for value in (50 * run.dt, 1e-6))
    state, time, dt, taken = run.carry, run.zero, run.dt, 0
    for some in trials:
        some = tf.constant(some, tf.int64)
        scale = tf.ones(len(run.loop.problem.equation.fields), run.loop.dtype)
        numbers = some, tolerance, scale, run.loop.parameters
        _, state, finite, progress = run.loop.advance_adaptive(state, time, end, dt, *numbers)
        (time, dt), taken = progress[:2], taken + int(progress[2])
        assert finite.numpy().all()
    assert taken > 5
    return [state.numpy(), time.numpy(), dt.numpy()]


def assert_same_steps(one: list, other: list) -> None:
    for a, b in zip(one, other, strict=True):
        # what differs by round-off, and chooses the steps by its size, differs by a little more
        assert np.abs(a - b).max() <= 1e-9 * np.abs(a).max()
