"""The notebook of the guide runs from top to bottom, as in a fresh kernel, and says what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

import attnviz

NOTEBOOK = Path(attnviz.__file__).parent / "guide" / "tour.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert " dog" in printed
    assert "grass: " in printed
    shown = [output.data for output in outputs if "data" in output]
    assert any("text/html" in data for data in shown)
    assert any("image/png" in data for data in shown)
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert (tmp_path / "figure.pdf").is_file()
    assert (tmp_path / "mine" / "attention.gif").is_file()
