"""Initialisation of TensorFlow: quiet, on the requested device, in full precision."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace

from pdesim.engine.gpu import gpu_support, no_gpu_error
from pdesim.errors import DeviceError, PdesimError
from pdesim.settings import Device

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: options of glibc's malloc.h: free memory retained at the end of the heap, increment of the heap,
#: largest array allocated on the heap (the maximum that glibc accepts), and number of heaps
MALLOC_OPTIONS = {
    "trim threshold": (-1, 2**30),
    "top pad": (-2, 2**26),
    "mmap threshold": (-3, 2**25),
    "arenas": (-8, 1),
}
#: bytes of address space that TensorFlow 2 needs (measured: 1.9 GB; its threads fail at 1.7)
ADDRESS_SPACE = 1_900_000_000
#: makes XLA's CPU compiler fuse kernels with several outputs
SEVERAL_ARRAYS = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true"


@dataclass(frozen=True)
class Placement:
    """The device of a run: a TensorFlow device name, and a description for messages."""

    name: str
    about: str

    @property
    def is_gpu(self) -> bool:
        return "GPU" in self.name

    def all_of(self, count: int) -> list[Placement]:
        """Return the placements of ``count`` devices: GPUs, or the same CPU for each.

        Raises:
            DeviceError: if there are fewer GPUs.
        """
        if not self.is_gpu:
            return [self] * count
        import tensorflow as tf

        present = len(tf.config.list_logical_devices("GPU"))
        if present < count:
            raise DeviceError(
                f"device.count={count}, but this machine has {present} GPU"
                f"{'s' if present != 1 else ''} that TensorFlow can use",
                f"device.count at most {present}, or device=cpu",
            )
        return [replace(self, name=f"/GPU:{number}") for number in range(count)]


def start_tensorflow(
    device: Device,
    threads: Callable[[], int | None] | None = None,
    connect: Callable[[], None] | None = None,
) -> Placement:
    """Import TensorFlow without its start-up messages and select a device.

    TF32 is switched off, since it would silently reduce the precision of convolutions and products
    by 13 bits. GPU memory is allocated on demand.

    Args:
        threads: a function that is called before TensorFlow starts its threads. It returns in how
            many threads a CPU computes a kernel, which are few if parallel programs would otherwise
            wait for each other; None for all.
        connect: a function that is called before the first operation, which fixes the devices.

    Raises:
        DeviceError: if a GPU is requested but not available, or if TensorFlow cannot be loaded
            because it is damaged, was built for another processor, or lacks memory.
    """
    _check_address_space()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _keep_memory()
    with _captured_stderr():
        tf = _load_tensorflow()
        tf.get_logger().setLevel("ERROR")
        tf.config.experimental.enable_tensor_float_32_execution(False)
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            with contextlib.suppress(RuntimeError):  # already initialised by the caller's code
                tf.config.experimental.set_memory_growth(gpu, True)
        if threads is not None and (device.name == "cpu" or not gpus) and (number := threads()):
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(number)
        if connect is not None:
            connect()
        tf.zeros(()).numpy()  # the first operation also prints messages
    if device.name == "gpu" and not gpus:
        raise no_gpu_error(gpu_support(tf.test.is_built_with_cuda()))
    if gpus and device.name != "cpu":
        details = tf.config.experimental.get_device_details(gpus[0])
        return Placement("/GPU:0", f"GPU ({details.get('device_name', 'unknown')})")
    return Placement("/CPU:0", f"CPU ({os.cpu_count()} cores)")


def _load_tensorflow():
    try:
        import tensorflow
    except (ImportError, OSError, MemoryError) as error:
        reason = (str(error).splitlines() or ["no memory"])[0][:300]
        raise DeviceError(
            f"TensorFlow cannot be loaded: {reason}",
            "an installed TensorFlow, and enough memory for it",
            hint='python -c "import tensorflow" shows details',
        ) from None
    return tensorflow


def _check_address_space() -> None:
    """Check that the address space suffices for TensorFlow, which would otherwise abort."""
    if resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise DeviceError(
            f"this process may use only {limit / 1e9:.2g} GB of address space (ulimit -v)",
            f"at least {ADDRESS_SPACE / 1e9:.2g} GB, most of which TensorFlow needs",
        )


def fill_several_arrays() -> None:
    """Enable XLA's fusion of kernels with several outputs; call before TensorFlow starts.

    One kernel then computes all fields of a step. XLA reads this option once per process. With the
    option, XLA stores shared intermediate results instead of recomputing them, which makes programs
    with stages, slabs or boundary conditions much slower. The option is therefore used only if all
    plans of a process satisfy ``fuses_to_one_kernel``.
    """
    requested = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in requested:
        os.environ["XLA_FLAGS"] = f"{requested} {SEVERAL_ARRAYS}".strip()


def fills_several_arrays() -> bool:
    """Whether :func:`fill_several_arrays` was called, or its option is in the environment."""
    return SEVERAL_ARRAYS in os.environ.get("XLA_FLAGS", "")


def _keep_memory() -> None:
    """Let the C library retain freed memory for the new arrays of every compiled call.

    glibc returns arrays above about 100 kB to the operating system immediately, and the page faults
    of a new allocation cost more than computing its values; see mallopt(3). Arrays above 32 MiB are
    still returned, since they would fragment the heap.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in MALLOC_OPTIONS.values():
            mallopt(option, value)


def release_memory() -> None:
    """Return the memory that the C library retains to the operating system."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def _captured_stderr():
    """Capture the standard error of native code; print it if the block fails unexpectedly."""
    saved: dict[int, int] = {}
    # native code writes to descriptor 2. In a notebook, sys.stderr has another one: the standard
    # error of the process before the notebook replaced descriptor 2 by a pipe
    for descriptor in {2, _descriptor_of(sys.stderr)}:
        with contextlib.suppress(OSError):  # the process has no standard error
            saved[descriptor] = os.dup(descriptor)
    with tempfile.TemporaryFile() as held:
        for descriptor in saved:
            os.dup2(held.fileno(), descriptor)
        try:
            yield
        except PdesimError:  # its message says what is wrong
            raise
        except BaseException:
            held.seek(0)
            text = held.read()
            for copy in saved.values():
                os.write(copy, text)
            raise
        finally:
            for descriptor, copy in saved.items():
                os.dup2(copy, descriptor)
                os.close(copy)


def _descriptor_of(stream) -> int:
    """Return the descriptor of a stream; 2 if it was replaced by an object without a file."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return 2
