"""Pages: a run or a sweep as one HTML file that shows stored frames without a server or network."""

from pdesim.page.write import FILE, write_page

__all__ = ["FILE", "write_page"]
