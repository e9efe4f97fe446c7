"""HTML documents from templates; all texts are escaped, and no document may use the network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from pdesim.errors import clip, printable

#: largest number of characters of a text from a file
LONGEST = 4000


def escaped(text: object, most: int = LONGEST) -> str:
    """Return a text for the content or an attribute of an HTML element."""
    return html.escape(printable(clip(str(text), most)), quote=True)


def plain(value: Any) -> Any:
    """Return a value for strict JSON: lists for arrays, None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return printable(clip(value, 2**26)) if isinstance(value, str) else value


def json_text(value: Any) -> str:
    """Return JSON that can stand in a ``<script>`` element, whatever its texts contain."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def asset(name: str, package: str = "pdesim.page") -> str:
    """Return the text of a file in the folder ``assets`` of a package."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")


def document(
    template: str,
    scripts: Sequence[str],
    data: Any,
    package: str = "pdesim.page",
    code: Sequence[str] = (),
    **parts: str,
) -> str:
    """Return a document.

    Args:
        template: the name of the template, an asset in which ``{{name}}`` stands for a part.
        scripts: the names of the scripts, assets.
        data: the value that the scripts read.
        package: the package of the assets; its style is ``page.css``.
        code: generated scripts, which run before the others.
        parts: HTML for the other names in the template.
    """
    style = asset("page.css", package)
    script = "\n".join([*code, *(asset(name, package) for name in scripts)])
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    known = parts | {"policy": policy, "style": style, "script": script, "data": json_text(data)}
    # in one pass, so that {{ }} in a text from a file is not replaced
    return re.sub(r"\{\{(\w+)\}\}", lambda match: known[match[1]], asset(template, package))


def _digest(text: str) -> str:
    """Return the source expression that allows only this script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
