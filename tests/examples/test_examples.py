"""Every example runs, and prints exactly what the file beside it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out == example.with_suffix(".out").read_text()


def test_every_output_has_its_example() -> None:
    outputs = {path.stem for path in EXAMPLES.glob("*.out")}
    assert outputs == {path.stem for path in EXAMPLES.glob("*.py")}
