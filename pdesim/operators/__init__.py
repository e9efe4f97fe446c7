"""Differential operators on a grid: finite differences, convolutions and spectral transforms.

Importing this package does not import TensorFlow; ``pdesim.operators.method_of_lines`` does.
"""

from pdesim.operators.modes import Modes, build_modes
from pdesim.operators.schemes import Discretisation, build_discretisation

__all__ = ["Discretisation", "Modes", "build_discretisation", "build_modes"]
