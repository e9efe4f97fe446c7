"""The notebook of the tutorial is executed in an empty folder, as a reader would."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after its execution, without settings that hide the messages of TensorFlow."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("tutorial")
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    )
    # with the variable of pytest, kernels do not show what native code writes to standard error
    hidden = ("TF_CPP", "PYTEST")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    paths = [str(NOTEBOOK.parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    client.execute(env=environment)
    return notebook


def outputs(notebook):
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [(cell.source, output) for cell in cells for output in cell.outputs]


def test_the_notebook_is_small_and_without_outputs():
    assert NOTEBOOK.stat().st_size < 100_000
    assert not outputs(nbformat.read(NOTEBOOK, as_version=4))


def test_the_tutorial(executed):
    found = outputs(executed)
    # neither warnings nor the lines that TensorFlow prints when it starts
    assert not [(s, o.text) for s, o in found if o.get("name") == "stderr"]
    shown = {
        source.splitlines()[-1]: output["data"] for source, output in found if "data" in output
    }
    kind, data = re.search(r"data:image/(\w+);base64,([^\"]+)", shown["run"]["text/html"]).groups()
    assert kind == "gif" and base64.b64decode(data).startswith(b"GIF8")
    assert shown["run"]["text/plain"].startswith("<Run tutorial/first: gray_scott on 64 x 64")
    assert "<table>" in shown["run.snapshots"]["text/html"]
    assert "xarray.Dataset" in shown["patterns"]["text/html"]
    pictures = [output for _, output in found if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    assert found[-1][1].text.startswith("equation.f is unknown")
