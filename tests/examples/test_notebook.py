"""The notebook runs, cell by cell, and shows what its text says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook" / "teardown.ipynb"

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
print(nbformat.writes(notebook))
"""


def outputs(cell: dict[str, Any], form: str) -> str:
    """What a cell shows in one form, as one text."""
    texts = [each["data"].get(form, "") for each in cell["outputs"] if "data" in each]
    return "".join("".join(text) for text in texts)


def test_the_notebook_runs() -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXECUTE, str(NOTEBOOK)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cells = [cell for cell in json.loads(done.stdout)["cells"] if cell["cell_type"] == "code"]
    broken, proved, counted, free = cells[1:]
    assert "J-Q1 in order" in outputs(broken, "text/plain")
    assert "<iframe" in outputs(broken, "text/html")
    assert "calls exit_group" in outputs(broken, "text/plain")
    assert outputs(proved, "text/plain").startswith("('ok', True, ")
    assert "Access" in outputs(counted, "text/plain")
    assert outputs(free, "text/plain") == "0"


def test_it_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if "outputs" in cell)
