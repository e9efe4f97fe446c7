"""Communication between processes, by the collective operations of TensorFlow's runtime.

``tf.distribute.MultiWorkerMirroredStrategy`` connects the processes (gRPC). After that, every
exchange is a gather operation (``CollectiveGatherV2``) of two processes. That of all processes at
once would take a time that is proportional to their number.
"""

from __future__ import annotations

import contextlib
import faulthandler
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.distributed.hosts import CONNECT_SECONDS, Hosts, answers, wait_for_all
from pdesim.engine.flat.tuning import TUNING
from pdesim.errors import LostHostError

#: the first key of the groups of two processes
PAIRS = 100
#: a number above the key of every group
MOST_GROUPS = 100_000
#: threads besides those that compute, without which an exchange would wait for the computation
EXCHANGE_THREADS = 2
#: errors of TensorFlow after the end of another process
_LOST = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
    tf.errors.DeadlineExceededError, tf.errors.InternalError, tf.errors.UnknownError,
    tf.errors.FailedPreconditionError, tf.errors.OutOfRangeError,
)  # fmt: skip
#: TensorFlow has one connection for the whole process
_strategy: Any = None


def connect(hosts: Hosts, seconds: float = CONNECT_SECONDS) -> None:
    """Connect this process with all others. TensorFlow must not have computed anything before.

    Raises:
        DeviceError: if a host is unknown, or if the port of this process is in use.
        LostHostError: if a process has not started within ``seconds``.
    """
    global _strategy
    wait_for_all(hosts, seconds)
    tf.config.threading.set_inter_op_parallelism_threads(TUNING.threads + EXCHANGE_THREADS)
    cluster = tf.train.ClusterSpec({"worker": list(hosts.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, task_type="worker", task_id=hosts.number, rpc_layer="grpc"
    )
    # if a process ends at this moment, TensorFlow waits for it forever and holds Python's lock, so
    # that only this timer, which does not need the lock, can end this process
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        _strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    finally:
        faulthandler.cancel_dump_traceback_later()


class ProcessCommunicator:
    """This process, with the interface of ``communicator.Communicator``.

    All processes must call the same methods in the same order. If another process has ended, all
    methods raise :class:`LostHostError`.

    Args:
        hosts: the processes.
        ring: whether the first process is a neighbour of the last one.
    """

    def __init__(self, hosts: Hosts, ring: bool = True) -> None:
        self.hosts, self.rank, self.size = hosts, hosts.number, hosts.count
        self.ring = ring
        self.is_lost = False
        self._programs: dict[Any, Any] = {}
        self._operations: Counter[int] = Counter()
        self._places: dict[int, int] = {}

    def exchange(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See ``communicator.Communicator.exchange``.

        At an end without neighbour, the rows of this process are returned, which are not used.
        """
        key = ("exchange", first.shape, first.dtype)
        if key not in self._programs:
            pairs = neighbour_pairs(self.rank, self.size, self.ring)
            places = {pair: self._place_in_pair(PAIRS + pair) for pair in pairs}
            both = len(pairs) == 2 and self.size == 2
            make = self._mutual_program if both else self._exchange_program
            self._programs[key] = make(pairs, places)
        with self._translated():
            return self._programs[key](first, last)

    def gather(self, values: np.ndarray, equal: bool = False) -> list[np.ndarray]:
        """See ``communicator.Communicator.gather``."""
        values = np.asarray(values)
        if values.dtype == bool:  # which the operation does not support
            return [one.astype(bool) for one in self.gather(values.astype(np.int32), equal)]
        if equal:
            return self._gather_equal(values)
        shape = np.array([values.ndim, *values.shape, *[0] * (8 - values.ndim)], np.int64)
        shapes = [tuple(one[1 : 1 + one[0]].tolist()) for one in self._gather_equal(shape)]
        largest = max(int(np.prod(one)) for one in shapes)
        flat = np.zeros(max(largest, 1), values.dtype)
        flat[: values.size] = values.ravel()
        found = self._gather_equal(flat)
        return [
            one[: int(np.prod(shape))].reshape(shape)
            for one, shape in zip(found, shapes, strict=True)
        ]

    def gather_text(self, text: str) -> list[str]:
        """Return the texts of all processes."""
        octets = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        return [bytes(one.astype(np.uint8)).decode() for one in self.gather(octets)]

    def _gather_equal(self, values: np.ndarray) -> list[np.ndarray]:
        known = {self.rank: values}
        for group, mine, theirs in self._rounds:
            sent = np.zeros((max(len(mine), len(theirs)), *values.shape), values.dtype)
            sent[: len(mine)] = [known[rank] for rank in mine]
            place = self._place_in_pair(group)
            known |= dict(zip(theirs, self._gathered(sent[np.newaxis], group)[place], strict=False))
        return [known[rank] for rank in range(self.size)]

    @cached_property
    def _rounds(self) -> list[tuple[int, list[int], list[int]]]:
        """The rounds of :meth:`gather` in which this process takes part.

        Each consists of the key of a pair, the ranks whose values this process sends, and those
        whose values it receives.
        """
        first, result = PAIRS + self.size, []
        for number, (pairs, known) in enumerate(rounds_of_gather(self.size)):
            for one, two in pairs:
                if self.rank in (one, two):
                    other = two if self.rank == one else one
                    key = first + number * self.size + min(one, two)
                    result.append((key, known[self.rank], known[other]))
        return result

    def _gathered(self, values: np.ndarray, group: int) -> np.ndarray:
        key = (group, values.shape, values.dtype)
        if key not in self._programs:
            instance = self._new_instance(group)
            self._programs[key] = _compiled(lambda tensor: _gather(tensor, group, 2, instance))
        with self._translated():
            return self._programs[key](tf.constant(values)).numpy()

    def _place_in_pair(self, group: int) -> int:
        """Return the place of the other process in the gathered arrays of a pair."""
        if group not in self._places:
            ranks = self._gathered(np.array([self.rank], np.int32), group)
            self._places[group] = 1 - ranks.tolist().index(self.rank)
        return self._places[group]

    def _exchange_program(self, pairs: Sequence[int], places: dict[int, int]) -> Any:
        instances = {pair: self._new_instance(PAIRS + pair) for pair in pairs}

        def program(first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            before, after = last, first
            for pair in pairs:
                # process k - 1 gives its last rows to pair k, and process k its first rows
                own = first if pair == self.rank else last
                rows = _gather(own[tf.newaxis], PAIRS + pair, 2, instances[pair])[places[pair]]
                if pair == self.rank:
                    before = rows
                else:
                    after = rows
            return before, after

        return _compiled(program)

    def _mutual_program(self, pairs: Sequence[int], places: dict[int, int]) -> Any:
        """Return the program for two processes that are neighbours on both sides.

        One operation exchanges all rows, which takes less time than one for each side.
        """
        pair = pairs[0]
        instance = self._new_instance(PAIRS + pair)

        def program(first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            both = tf.stack([last, first])
            rows = _gather(both[tf.newaxis], PAIRS + pair, 2, instance)[places[pair]]
            return rows[0], rows[1]

        return _compiled(program)

    def _new_instance(self, group: int) -> int:
        """Return a key of an operation, which must be the same in all processes of a group."""
        self._operations[group] += 1
        return MOST_GROUPS * self._operations[group] + group

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        if self.is_lost:
            raise self._lost()
        try:
            yield
        except _LOST:
            self.is_lost = True
            raise self._lost() from None

    def _lost(self) -> LostHostError:
        others = [one for one in self.hosts.addresses if one != self.hosts.here]
        silent = [one for one in others if not answers(one)] or others
        which = f"process{'es' if len(silent) > 1 else ''} {', '.join(silent)}"
        return LostHostError(f"the connection to {which} was lost")


def neighbour_pairs(rank: int, size: int, ring: bool) -> list[int]:
    """Return the pairs of neighbours to which a process belongs, in the order of their exchanges.

    Pair ``k`` consists of the processes ``k - 1`` and ``k``, pair 0 of the last and the first one.
    A process takes part in one exchange at a time. Even pairs precede odd pairs, so that no
    processes wait for each other in a circle. In a ring of an odd number of processes, the last
    pair and pair 0 are both even and share a process: the last pair follows all others.
    """
    pairs = {rank, (rank + 1) % size} if size > 1 else set()
    if not ring:
        pairs.discard(0)

    def turn(pair: int) -> int:
        return 2 if ring and size % 2 and pair == size - 1 else pair % 2

    return sorted(pairs, key=turn)


def rounds_of_gather(size: int) -> list[tuple[list[tuple[int, int]], list[list[int]]]]:
    """Return the rounds in which all processes learn the values of all others.

    In a round, the processes of each pair exchange what they know (recursive doubling: Thakur,
    Rabenseifner, Gropp, Int. J. High Perform. Comput. Appl. 19 (2005) 49,
    doi:10.1177/1094342005051521). Those beyond the largest power of two tell their values to
    another one before, and learn all values from it afterwards.

    Returns:
        For each round, the pairs, and for each process, the ranks whose values it knows before.
    """
    core = 1 << (size.bit_length() - 1)
    outer = [(rank, core + rank) for rank in range(size - core)]
    doubling = [
        [(rank, rank | bit) for rank in range(core) if not rank & bit]
        for bit in (1 << number for number in range(core.bit_length() - 1))
    ]
    known, result = [[rank] for rank in range(size)], []
    for pairs in (outer, *doubling, outer):
        result.append((pairs, [list(ranks) for ranks in known]))
        for one, two in pairs:
            known[one] = known[two] = sorted({*known[one], *known[two]})
    return result


def _compiled(program: Callable[..., Any]) -> Any:
    """Return a graph function; operations of a function run in the order of the program."""

    @tf.function(autograph=False)
    def on_cpu(*tensors: tf.Tensor) -> Any:
        with tf.device("/CPU:0"):
            return program(*tensors)

    return on_cpu


def _gather(tensor: tf.Tensor, group: int, size: int, instance: int) -> tf.Tensor:
    """Return the tensors of a group of processes, joined along the first axis."""
    # a positive timeout would start a thread for each call
    return tf.raw_ops.CollectiveGatherV2(
        input=tensor, group_size=size, group_key=group, instance_key=instance, ordering_token=[],
        communication_hint="auto", timeout_seconds=0.0,
    )  # fmt: skip
