"""Differential operators on a grid: stencil, convolution, spectral, behind one face.

This front page needs no TensorFlow; ``pdesim.operators.lines`` does.
"""

from pdesim.operators.catalogue import Discretisation, build_discretisation
from pdesim.operators.modes import Modes, build_modes

__all__ = ["Discretisation", "Modes", "build_discretisation", "build_modes"]
