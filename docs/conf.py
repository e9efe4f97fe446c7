"""The documentation as a site: python -m sphinx -W docs outputs/site"""

from __future__ import annotations

from pathlib import Path

import pdesim

project = "pdesim"
author = copyright = "the pdesim developers"
version = release = pdesim.__version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["README.md"]
html_theme = "furo"
html_title = f"pdesim {release}"
html_extra_path = ["llms.txt"]
html_copy_source = False
# links such as boundaries.md#second-conditions
myst_heading_anchors = 4
# what GitHub shows as plain text has no lexer either
highlight_language = "text"
suppress_warnings = ["misc.highlighting_failure"]


def write_all_pages(app, error) -> None:
    """Write llms-full.txt, the text of all pages in the order of the table of contents."""
    if error or app.builder.name != "html":
        return
    source = Path(app.srcdir)
    names = list(app.env.toctree_includes["index"])
    texts = [(source / f"{name}.md").read_text(encoding="utf-8") for name in names]
    Path(app.outdir, "llms-full.txt").write_text("\n\n".join(texts), encoding="utf-8")


def setup(app) -> None:
    app.connect("build-finished", write_all_pages)
