"""Pictures of snapshot files: GIF, MP4 and PNG. Reads files only, never a running simulation."""

from pdesim.render.montage import montage
from pdesim.render.pictures import poster, render
from pdesim.render.plots import diagnostics_plot

__all__ = ["diagnostics_plot", "montage", "poster", "render"]
