"""What is said about GPUs on machines without one, and the check of their memory."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import pytest
from conftest import make_plan

from pdesim.engine import gpu, memory
from pdesim.engine.device import Placement
from pdesim.engine.gpu import GpuSupport, no_gpu_error
from pdesim.errors import DeviceError, is_out_of_memory
from pdesim.sweeps.members import LARGEST_BATCH, largest_batch

COMPLETE = GpuSupport(False, "", True, True, ("nvidia-cudnn-cu12", "nvidia-cufft-cu12"), ())
GPU = Placement("/GPU:0", "GPU (fake)")
GIB = 2**30


@pytest.mark.parametrize(
    ("changes", "named", "remedy", "not_named"),
    [
        ({"driver_error": "libcuda.so.1: cannot open"}, "no NVIDIA driver", "nvidia-smi", "extra"),
        ({"has_devices": False}, "no device /dev/nvidia0", "--gpus all", "no NVIDIA driver"),
        ({"built_with_cuda": False}, "built without CUDA", "pdesim[cuda]", "driver"),
        ({"missing_packages": COMPLETE.packages}, "the extra pdesim[cuda]", "pip", "driver"),
        ({"missing_packages": ("nvidia-cudnn-cu12",)}, "nvidia-cudnn-cu12", "pip", "cufft"),
        ({"hidden": True}, "CUDA_VISIBLE_DEVICES", "unset", "extra"),
        ({}, "cannot load the CUDA libraries", "TF_CPP_MAX_VLOG_LEVEL=1", "extra"),
    ],
)
def test_the_missing_part_is_named(changes, named, remedy, not_named):
    error = str(no_gpu_error(dataclasses.replace(COMPLETE, **changes)))
    assert "sees no GPU" in error and "device=cpu" in error
    assert named in error and remedy in error and not_named not in error


def test_all_missing_parts_are_named():
    nothing = dataclasses.replace(
        COMPLETE, driver_error="no such file", missing_packages=COMPLETE.packages
    )
    error = str(no_gpu_error(nothing))
    assert "no NVIDIA driver" in error and "pdesim[cuda]" in error


def test_the_parts_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libno-such-driver.so")
    monkeypatch.setattr(gpu, "DEVICES", tmp_path)
    monkeypatch.setenv(gpu.VISIBLE, "-1")
    support = gpu.gpu_support(built_with_cuda=False)
    assert support.hidden and "libno-such-driver.so" in support.driver_error
    assert not support.has_devices and not support.built_with_cuda
    monkeypatch.setenv(gpu.VISIBLE, "0")
    (tmp_path / "nvidia3").touch()
    support = gpu.gpu_support(built_with_cuda=True)
    assert support.has_devices and support.built_with_cuda and not support.hidden
    # TensorFlow's extra lists the libraries on every platform
    assert any("cudnn" in name for name in support.packages)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ["0", "1", "2"]),
        ("2", ["2"]),
        ("1, 0", ["1", "0"]),
        ("GPU-5b,3", ["GPU-5b", "3"]),
        ("0,-1,1", ["0"]),
        ("", []),
    ],
)
def test_visible_gpus(tmp_path, monkeypatch, given, expected):
    for name in ("nvidia0", "nvidia1", "nvidia4", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpu, "DEVICES", tmp_path)
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    if given is not None:
        monkeypatch.setenv(gpu.VISIBLE, given)
    assert gpu.visible_gpus() == expected
    count = len(expected)
    workers = gpu.gpus_of_workers(4)
    assert workers == ([expected[n % count] for n in range(4)] if count > 1 else [None] * 4)


def test_a_gpu_is_not_chosen_after_tensorflow_was_imported(monkeypatch):
    monkeypatch.setenv(gpu.VISIBLE, "7")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    gpu.use_gpu("1")
    assert gpu.os.environ[gpu.VISIBLE] == "7"
    monkeypatch.delitem(sys.modules, "tensorflow")
    gpu.use_gpu(None)
    assert gpu.os.environ[gpu.VISIBLE] == "7"
    gpu.use_gpu("1")
    assert gpu.os.environ[gpu.VISIBLE] == "1"


def fake_driver(size: int, code: int = 0):
    def total(pointer, device) -> int:
        pointer._obj.value = size
        return code

    return SimpleNamespace(
        cuInit=lambda flags: 0, cuDeviceGet=lambda *_: 0, cuDeviceTotalMem_v2=total
    )


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (fake_driver(80 * GIB), 80 * GIB),
        (fake_driver(80 * GIB, code=100), None),
        (SimpleNamespace(), None),
        (OSError("libcuda.so.1: cannot open shared object file"), None),
    ],
)
def test_the_memory_that_the_driver_reports(monkeypatch, driver, expected):
    def load():
        if isinstance(driver, Exception):
            raise driver
        return driver

    monkeypatch.setattr(gpu, "_load_driver", load)
    gpu.total_memory.cache_clear()
    try:
        assert gpu.total_memory() == expected
        assert memory.device_memory(GPU) == (float("inf") if expected is None else expected)
    finally:
        gpu.total_memory.cache_clear()


@pytest.mark.parametrize(
    ("words", "arrays"),
    [
        (("equation=gray_scott", "stepper=euler"), 4),
        (("equation=gray_scott", "stepper=rk4"), 7),
        (("equation=wave", "stepper=verlet"), 4),
        (("equation=gray_scott", "stepper=etdrk4", "operators=spectral"), 9),
        (("equation=poisson",), 3),
    ],
)
def test_the_memory_of_a_run_is_that_of_its_arrays(words, arrays):
    plan = make_plan(*words, "grid=16")
    assert memory.least_arrays(plan) == arrays
    assert memory.least_bytes(plan) == arrays * plan.state_bytes


def test_a_run_that_cannot_fit_is_refused(monkeypatch):
    plan = make_plan("equation=gray_scott", "grid=1024", "stepper=rk4")
    needed = 7 * 2 * 4 * 1024**2
    monkeypatch.setattr(gpu, "total_memory", lambda: needed)
    memory.check_device_memory([plan], GPU)
    monkeypatch.setattr(gpu, "total_memory", lambda: needed - 1)
    with pytest.raises(DeviceError) as refused:
        memory.check_device_memory([plan], GPU)
    message = str(refused.value)
    assert "gray_scott on 1024 x 1024 cells" in message and "GPU (fake)" in message
    assert "0.0547 GiB of memory: 7 arrays of 0.00781 GiB" in message
    monkeypatch.setattr(gpu, "total_memory", lambda: 3 * needed)
    memory.check_device_memory([plan] * 3, GPU)
    with pytest.raises(DeviceError, match="4 runs of gray_scott"):
        memory.check_device_memory([plan] * 4, GPU)


def test_a_refused_run_leaves_no_folder(tmp_path, monkeypatch, capsys):
    from pdesim.cli.main import main
    from pdesim.run import execute

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execute, "_start", lambda jobs, owns_process: GPU)
    monkeypatch.setattr(gpu, "total_memory", lambda: 1000)
    assert main(["equation=heat", "grid=16", "animation=none", "hydra.run.dir=out"]) == 2
    message = capsys.readouterr().err
    assert "heat on 16 x 16 cells needs at least" in message and "Traceback" not in message
    assert not (tmp_path / "out" / "status.json").exists()


def test_batches_of_a_sweep_fit_into_the_memory_of_the_gpu(monkeypatch):
    plan = make_plan("equation=gray_scott", "grid=256", "stepper=euler")
    need = memory.least_bytes(plan)
    for size, expected in ((20 * need, 10), (need, 1), (1000 * need, LARGEST_BATCH)):
        monkeypatch.setattr(gpu, "total_memory", lambda size=size: size)
        assert largest_batch(plan, GPU) == expected


def test_errors_that_report_a_lack_of_memory():
    import tensorflow as tf

    def internal(text):
        return tf.errors.InternalError(None, None, text)

    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
    assert is_out_of_memory(internal("failed to allocate: CUDA_ERROR_OUT_OF_MEMORY"))
    assert is_out_of_memory(internal("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"))
    assert not is_out_of_memory(internal("the kernel failed"))
    assert not is_out_of_memory(ValueError("out of memory"))
