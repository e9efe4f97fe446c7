"""Pictures of snapshot files: GIF, MP4 and PNG. Only files are read, never a running simulation."""

from pdesim.render.film import film
from pdesim.render.montage import montage
from pdesim.render.pictures import poster, render
from pdesim.render.plots import diagnostics_plot

__all__ = ["diagnostics_plot", "film", "montage", "poster", "render"]
