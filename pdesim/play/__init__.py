"""Pages that compute an equation in the browser, from the same formulas as a run."""

from pdesim.play.page import build_page
from pdesim.play.refuse import check_playable

__all__ = ["build_page", "check_playable"]
