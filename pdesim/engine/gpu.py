"""NVIDIA GPUs: which there are, how much memory they have, and what is missing to use them.

Everything is found without starting TensorFlow or CUDA in this process, except the memory.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from pdesim.errors import DeviceError

#: the library of the NVIDIA driver
DRIVER = "libcuda.so.1"
#: the environment variable that restricts CUDA to the GPUs with these numbers or names
VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
#: the device of all GPUs in the Windows Subsystem for Linux
WSL_DEVICE = "dxg"
INSTALL_EXTRA = 'pip install "pdesim[cuda]"'


@dataclass(frozen=True)
class GpuSupport:
    """What this machine has for computing on an NVIDIA GPU.

    Args:
        hidden: whether ``CUDA_VISIBLE_DEVICES`` hides all GPUs.
        driver_error: the reason why the driver's library cannot be loaded; empty if it can.
        has_devices: whether there are device files of GPUs.
        built_with_cuda: whether TensorFlow was built with CUDA.
        packages: the packages of the extra ``tensorflow[and-cuda]``.
        missing_packages: those of ``packages`` that are not installed.
    """

    hidden: bool
    driver_error: str
    has_devices: bool
    built_with_cuda: bool
    packages: tuple[str, ...]
    missing_packages: tuple[str, ...]


def gpu_support(built_with_cuda: bool) -> GpuSupport:
    """Return what this machine has for computing on a GPU.

    Args:
        built_with_cuda: the result of ``tf.test.is_built_with_cuda()``.
    """
    packages = _cuda_packages()
    missing = tuple(name for name in packages if not _is_installed(name))
    return GpuSupport(
        hidden=os.environ.get(VISIBLE, "all").strip() in ("", "-1", "NoDevFiles"),
        driver_error=_driver_error(),
        has_devices=bool(_device_files()) or (DEVICES / WSL_DEVICE).exists(),
        built_with_cuda=built_with_cuda,
        packages=packages,
        missing_packages=missing,
    )


def no_gpu_error(support: GpuSupport) -> DeviceError:
    """Return the error for ``device=gpu`` without a GPU, which names everything that is missing."""
    reasons: list[str] = []
    hints: list[str] = []
    if support.hidden:
        reasons.append(f"{VISIBLE}={os.environ.get(VISIBLE, '')} hides all GPUs")
        hints.append(f"unset {VISIBLE}")
    elif support.driver_error:
        reasons.append(f"no NVIDIA driver is installed ({support.driver_error})")
        hints.append("install the driver of the card, after which nvidia-smi lists it")
    elif not support.has_devices:
        reasons.append("the NVIDIA driver is installed, but there is no device /dev/nvidia0")
        hints.append("start the container with access to the GPU, such as docker run --gpus all")
    if not support.built_with_cuda:
        reasons.append("this TensorFlow was built without CUDA")
        hints.append(f"{INSTALL_EXTRA} on Linux")
    elif support.packages and support.missing_packages == support.packages:
        reasons.append("the extra pdesim[cuda] is not installed")
        hints.append(INSTALL_EXTRA)
    elif support.missing_packages:
        reasons.append(f"CUDA libraries are missing: {', '.join(support.missing_packages)}")
        hints.append(INSTALL_EXTRA)
    if not reasons:
        reasons.append("TensorFlow cannot load the CUDA libraries, or they do not suit the driver")
        hints.append(
            'TF_CPP_MAX_VLOG_LEVEL=1 python -c "import tensorflow as tf; '
            "tf.config.list_physical_devices('GPU')\" names the library"
        )
    return DeviceError(
        f"device=gpu, but TensorFlow sees no GPU on this machine: {'; '.join(reasons)}",
        hint="; ".join([*hints, "or device=cpu"]),
    )


@cache
def total_memory() -> int | None:
    """Return the memory of the first visible GPU in bytes; None if it is unknown.

    The driver is asked, since TensorFlow reports only the memory that it has allocated.
    """
    try:
        driver = _load_driver()
    except OSError:
        return None
    device, size = ctypes.c_int(), ctypes.c_size_t()
    calls: Sequence[Callable[[], int]] = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
        lambda: driver.cuDeviceTotalMem_v2(ctypes.byref(size), device),
    )
    try:
        failed = any(call() != 0 for call in calls)
    except AttributeError:  # a library of another maker
        return None
    return None if failed or not size.value else size.value


def visible_gpus() -> list[str]:
    """Return the numbers or names of the GPUs that CUDA may use, for ``CUDA_VISIBLE_DEVICES``.

    Without this variable, they are counted by their device files: CUDA numbers those GPUs from 0
    for which there is such a file. CUDA is not started, since a process that has started it cannot
    be forked.
    """
    given = os.environ.get(VISIBLE)
    if given is None:
        return [str(number) for number in range(len(_device_files()))]
    names = [name.strip() for name in given.split(",")]
    # CUDA ignores all entries after the first one that is not valid
    end = next((n for n, name in enumerate(names) if name in ("", "-1", "NoDevFiles")), len(names))
    return names[:end]


def gpus_of_workers(count: int) -> list[str | None]:
    """Return the GPU of each worker, round robin; None for all if there are fewer than two."""
    gpus = visible_gpus()
    return [gpus[n % len(gpus)] if len(gpus) > 1 else None for n in range(count)]


def use_gpu(gpu: str | None) -> None:
    """Restrict CUDA to one GPU, unless TensorFlow was imported before or ``gpu`` is None."""
    if gpu is not None and "tensorflow" not in sys.modules:
        os.environ[VISIBLE] = gpu


def _device_files() -> list[str]:
    if not DEVICES.is_dir():
        return []
    return sorted(p.name for p in DEVICES.iterdir() if re.fullmatch(r"nvidia\d+", p.name))


def _load_driver() -> ctypes.CDLL:
    return ctypes.CDLL(DRIVER)


def _driver_error() -> str:
    try:
        _load_driver()
    except OSError as error:
        return str(error)[:200]
    return ""


def _cuda_packages() -> tuple[str, ...]:
    """Return the packages with CUDA libraries that TensorFlow's extra ``and-cuda`` installs."""
    try:
        required = metadata.requires("tensorflow") or []
    except metadata.PackageNotFoundError:
        return ()
    needed = [text for text in required if "and-cuda" in text]
    return tuple(re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in needed)


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
