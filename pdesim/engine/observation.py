"""Records of observables and checks of stop conditions, for all members of a simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.members import Members
from pdesim.engine.time_loop import TimeLoop
from pdesim.operators.stops import Stops

#: ``record(member, times, values)``: called with new records of a member, shapes ``(records,)`` and
#: ``(records, series)``
Record = Callable[[int, np.ndarray, np.ndarray], None]


def ignore(member: int, times: np.ndarray, values: np.ndarray) -> None:
    """Do nothing with records."""


class Observation:
    """Records observables and checks stop conditions.

    Args:
        members: the members of the simulation.
        loop: the programs.
        record: called with new records.
        shown: the number of members whose records and frames are returned: the first ones.
    """

    def __init__(self, members: Members, loop: TimeLoop, record: Record, shown: int) -> None:
        self.members, self.loop, self.record, self.shown = members, loop, record, shown

    def of_block(self, records: tf.Tensor, counts: np.ndarray) -> None:
        """Pass on the records that a program returned with its steps.

        Args:
            records: shape ``(capacity, 1 + values)``, or ``(capacity, members, 1 + values)``.
            counts: the number of valid records of each member.
        """
        rows = records.numpy()
        for member in np.flatnonzero(self.members.alive).tolist():
            own = rows[: counts[member]]
            own = own[:, member] if self.members.at.many else own
            if len(own):
                self._pass_on(member, own[:, 0], own[:, 1:])

    def at_target(self, last: bool) -> None:
        """Record the present state if that is due.

        Args:
            last: whether this is the end of the run for all members.
        """
        plan = self.members.plan
        if plan.observables is None:
            return
        due = last if plan.observables.every is None else plan.observed_targets[self.members.target]
        if due:
            self._record_present(self.members.alive)

    def ending(self, frame: int) -> tuple[int, ...]:
        """Return the members that stop now, before the end of the run; see :meth:`stop`."""
        if self.members.target == len(self.members.plan.targets) - 1:
            return ()
        return tuple(member for member in self.stop(frame) if member < self.shown)

    def stop(self, frame: int) -> list[int]:
        """Return the members that stop now; their reasons are stored in ``members.stopped``.

        Their present state is recorded.

        Args:
            frame: the index of the frame at the present time, or of the last frame before.
        """
        stops, members = self.members.plan.stops, self.members
        if stops is None:
            return []
        reasons = self._reasons(stops, frame)
        ending = {m: reason for m, reason in reasons.items() if members.alive[m]}
        observables = members.plan.observables
        if ending and observables is not None:
            recorded = (
                observables.every is not None and members.plan.observed_targets[members.target]
            )
            if not recorded:
                which = np.isin(np.arange(len(members.plans)), list(ending))
                self._record_present(which)
        members.stopped |= ending
        return sorted(ending)

    def _reasons(self, stops: Stops, frame: int) -> dict[int, str]:
        members, at = self.members, self.members.at
        everyone = range(len(members.plans))
        reasons: dict[int, str] = {}
        if stops.frames is not None and frame >= stops.frames:
            reasons |= dict.fromkeys(everyone, f"stop.frames={stops.frames}")
        if stops.steady is not None:
            rates, sizes = np.asarray(self._evaluate(self.loop.rates))
            for m in everyone:
                pair = (rates[m], sizes[m]) if at.many else (rates, sizes)
                if stops.is_steady(*pair):
                    reasons[m] = f"steady state: |du/dt| <= {stops.steady:g} |u|"
        if self.loop.condition is not None:
            raw = np.asarray(self._evaluate(self.loop.condition.program))
            for m in everyone:
                values, plan = raw[m] if at.many else raw, members.plans[m]
                if stops.holds(values, float(at.now[m]), plan.equation.parameters):
                    reasons[m] = f"stop.when: {stops.when}"
        return reasons

    def _record_present(self, which: np.ndarray) -> None:
        assert self.loop.observed is not None
        raw, at = np.asarray(self._evaluate(self.loop.observed.program)), self.members.at
        for member in np.flatnonzero(which).tolist():
            own = raw[member] if at.many else raw
            # a copy, since the record may be written after the members have advanced
            self._pass_on(member, at.now[[member]], own[np.newaxis])

    def _evaluate(self, program: Any) -> tf.Tensor:
        at = self.members.at
        return program(at.parameters, at.state, at.double(at.now))

    def _pass_on(self, member: int, times: np.ndarray, raw: np.ndarray) -> None:
        if member >= self.shown:
            return
        plan = self.members.plans[member]
        assert plan.observables is not None
        values = plan.observables.series(times, raw, plan.equation.parameters)
        self.record(member, times, values)
