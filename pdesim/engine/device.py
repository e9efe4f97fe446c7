"""TensorFlow's start: quiet, on the device that was asked for, in full precision."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pdesim.errors import DeviceError, PdesimError
from pdesim.settings import Device

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: options of glibc's malloc.h: free memory that may stay at the heap's end, what the heap grows by,
#: arrays up to which size are kept at all (the largest that glibc accepts), and heaps for threads
MALLOC_OPTIONS = {
    "trim threshold": (-1, 2**30),
    "top pad": (-2, 2**26),
    "mmap threshold": (-3, 2**25),
    "arenas": (-8, 1),
}
#: bytes of address space in which TensorFlow 2 starts (measured: 1.9 GB; its threads fail at 1.7)
ADDRESS_SPACE = 1_900_000_000
#: lets kernels of XLA's CPU compiler fill several arrays
SEVERAL_ARRAYS = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true"


@dataclass(frozen=True)
class Placement:
    """Where a run computes: a TensorFlow device name, and words for people."""

    name: str
    about: str

    @property
    def is_gpu(self) -> bool:
        return "GPU" in self.name


def start_tensorflow(device: Device, one_thread: Callable[[], bool] | None = None) -> Placement:
    """Import TensorFlow without its start-up lines and pick a device.

    TF32 is switched off (it would silently take 13 bits from convolutions and products), and GPU
    memory grows on demand.

    Args:
        one_thread: asked before TensorFlow makes its threads: whether a CPU is to compute every
            kernel in one of them. Programs that run side by side are then left to themselves.

    Raises:
        DeviceError: if a GPU is asked for where there is none, and where TensorFlow cannot be
            loaded: it is damaged, made for another processor, or has too little memory.
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
        if one_thread is not None and (device.name == "cpu" or not gpus) and one_thread():
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.zeros(()).numpy()  # the first operation prints, too
    if device.name == "gpu" and not gpus:
        raise DeviceError(
            "device=gpu, but TensorFlow sees no GPU on this machine",
            hint='device=cpu; with an NVIDIA card: pip install "pdesim[cuda]"',
        )
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
            hint='python -c "import tensorflow" shows more',
        ) from None
    return tensorflow


def _check_address_space() -> None:
    """Refuse a limit in which TensorFlow cannot start its threads, and would end the process."""
    if resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise DeviceError(
            f"this process may use {limit / 1e9:.2g} GB of address space (ulimit -v)",
            f"at least {ADDRESS_SPACE / 1e9:.2g} GB: TensorFlow alone takes most of that",
        )


@contextlib.contextmanager
def enough_memory(cells: int) -> Iterator[None]:
    """Turn the exceptions for a lack of memory, here or on a GPU, into a message.

    Raises:
        DeviceError: with the number of cells that were too many.
    """
    try:
        yield
    except PdesimError:
        raise
    except Exception as error:  # TensorFlow's exceptions can be named only once it is imported
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            raise DeviceError(
                f"there is not enough memory for {cells:,} cells",
                hint="a smaller grid, device.precision=float32, device=cpu, or more memory",
            ) from None
        raise


def fill_several_arrays() -> None:
    """Before TensorFlow starts: let one kernel compute all fields, where a step is one pass.

    XLA reads this once, for everything that the process compiles, and then computes nothing twice
    rather than keep it: programs with stages, slabs or walls become much slower. So it is for
    processes with nothing but plans that are ``fuses_to_one_kernel``.
    """
    requested = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in requested:
        os.environ["XLA_FLAGS"] = f"{requested} {SEVERAL_ARRAYS}".strip()


def fills_several_arrays() -> bool:
    """Whether :func:`fill_several_arrays` was called, or its option was given by hand."""
    return SEVERAL_ARRAYS in os.environ.get("XLA_FLAGS", "")


def _keep_memory() -> None:
    """Let the C library keep freed memory: a compiled call writes to arrays that are new to it.

    glibc hands arrays above some 100 kB back to the kernel at once, and the first touch of a page
    that comes back costs more than computing its numbers; see mallopt(3). Arrays above 32 MiB still
    go back: kept, they would leave holes of their size in the heap.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in MALLOC_OPTIONS.values():
            mallopt(option, value)


def release_memory() -> None:
    """Give back what the C library keeps: large arrays that were needed once, at the start."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def _captured_stderr():
    """Hold back what native code writes to standard error; replay it if the block fails."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # a notebook's or a test's stand-in
        yield
        return
    saved = os.dup(descriptor)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), descriptor)
        try:
            yield
        except BaseException:
            os.dup2(saved, descriptor)
            held.seek(0)
            os.write(descriptor, held.read())
            raise
        finally:
            os.dup2(saved, descriptor)
            os.close(saved)
