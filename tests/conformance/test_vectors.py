"""Every recorded vector, step by step, on the emulator's kernel of the same generation."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.execute.conform import conform, replay
from actors.program import load_vectors

HERE = Path(__file__).parent
FILES = sorted((HERE / "vectors").glob("*.json"))


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_vector_agrees_in_every_step(path: Path) -> None:
    file = load_vectors(str(path))
    results = list(conform(file, file.generation))
    scored = [result for result in results if result.tag != "danger"]
    assert len(results) == len(file.programs) > 0
    assert [failure for result in scored for failure in result.failures] == []
    assert all(result.passed == result.steps for result in scored)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_dangerous_vectors_do_not_break_the_emulator(path: Path) -> None:
    file = load_vectors(str(path))
    for program in file.programs:
        if program.tag == "danger":
            result = replay(program, file.generation, file.pinned_counts)
            assert result.steps == len(program.setup)


@pytest.mark.parametrize("kernel", ["fixed", "v4.9", "v4.10"])
@pytest.mark.parametrize("path", FILES[::3], ids=name_of)
def test_vectors_run_on_kernels_that_were_not_recorded(path: Path, kernel: str) -> None:
    """They differ, but in answers only: nothing of the emulator fails."""
    file = load_vectors(str(path))
    for result in conform(file, kernel):
        assert result.passed <= result.steps


def test_no_name_of_a_vector_is_known_to_the_emulator() -> None:
    names = {program.name for path in FILES for program in load_vectors(str(path)).programs}
    names -= {"api_version"}  # A field of the interface has this name too.
    root = HERE.parents[1]
    sources = [*(root / "actors").rglob("*"), *(root / "hw").rglob("*")]
    for source in sources:
        if source.is_file() and source.suffix != ".pyc":
            text = source.read_text(errors="replace")
            assert not [name for name in names if name in text], source
