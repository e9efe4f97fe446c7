"""Export of runs to the file layouts of other tools. Imports neither TensorFlow nor Hydra."""

from pdesim.export.formats import FORMATS, Format, export
from pdesim.export.xdmf import write_xdmf

__all__ = ["FORMATS", "Format", "export", "write_xdmf"]
