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


ODD_WINDOWS = {
    "danger_v2_create_window_smaller_than_page",
    "danger_v2_create_window_smaller_than_page_21",
    "danger_v2_create_ps30_size_2M",
    "danger_v2_create_page_shift_64",
    "danger_v2_create_page_shift_76",
    "danger_v2_create_page_shift_128",
    "danger_v2_create_page_shift_140",
}
"""Dangerous for the kernel's arithmetic only: these went well, and what they answered is held to."""


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_windows_and_pages_of_odd_sizes_are_answered_and_charged_as_recorded(path: Path) -> None:
    file = load_vectors(str(path))
    found = {program.name: program for program in file.programs if program.name in ODD_WINDOWS}
    if not any(program.tag == "danger" for program in file.programs) or "80g" in path.stem:
        assert not found
        return
    assert found.keys() == ODD_WINDOWS
    for program in found.values():
        result = replay(program, file.generation, file.pinned_counts)
        assert result.failures == ()
        assert result.passed == result.steps
    small = found["danger_v2_create_window_smaller_than_page_21"].setup[-1]
    twice = found["danger_v2_create_page_shift_140"].setup[-1]
    assert small.ret == ((0,) if file.generation == "v6.12" else (-22,))
    assert small.observed is not None and twice.observed is not None
    assert small.observed.vmlck_kb == (
        2 * file.programs[0].machine.page_size >> 10 if small.ret == (0,) else 0
    )
    assert twice.ret == (-22,)
    assert twice.observed.vmlck_kb, "the charge of a table that could not be made stays (G15)"


@pytest.mark.parametrize("kernel", ["fixed", "v4.9", "v4.10"])
@pytest.mark.parametrize("path", FILES[::3], ids=name_of)
def test_vectors_run_on_kernels_that_were_not_recorded(path: Path, kernel: str) -> None:
    """They differ, but in answers only: nothing of the emulator fails."""
    results = [result for result in conform(load_vectors(str(path)), kernel) if result.tag != "danger"]
    passed, steps = sum(r.passed for r in results), sum(r.steps for r in results)
    assert passed > 0.4 * steps
    ended = {f.actual for r in results for f in r.failures if f.field == "verdict"} - {None}
    assert ended <= ({"livelock", "deadlock", "oops"} if kernel != "fixed" else set())


def test_no_name_of_a_vector_is_known_to_the_emulator() -> None:
    names = {program.name for path in FILES for program in load_vectors(str(path)).programs}
    names -= {"api_version"}  # A field of the interface has this name too.
    root = HERE.parents[1]
    sources = [*(root / "actors").rglob("*"), *(root / "hw").rglob("*")]
    for source in sources:
        if source.is_file() and source.suffix != ".pyc":
            text = source.read_text(errors="replace")
            assert not [name for name in names if name in text], source
