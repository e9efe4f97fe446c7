"""Differential operators on a grid: stencil, convolution, spectral, behind one face.

This front page needs no TensorFlow; ``pdesim.operators.lines`` does.
"""

from pdesim.operators.catalogue import (
    Discretisation,
    build_discretisation,
    fourier_wavenumbers,
)

__all__ = ["Discretisation", "build_discretisation", "fourier_wavenumbers"]
