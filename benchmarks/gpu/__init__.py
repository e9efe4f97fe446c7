"""The parts of ``benchmarks/gpu.py``. ``hlo``, ``beside`` and ``common`` need no TensorFlow."""
