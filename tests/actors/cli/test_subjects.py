"""What the words of a command line mean."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from actors.cli.exits import BadInput
from actors.cli.stress import compose
from actors.cli.subjects import find_subject, kernels_of
from actors.explore.scenario import NoScenario
from actors.explore.scenarios import builtin
from actors.program import Program, ProgramError, save_program

LAZY = "exit-with-lazy-borrower"


def test_built_in() -> None:
    subject = find_subject(LAZY)
    assert subject == builtin(LAZY)
    assert kernels_of(subject, ()) == ("v4.9", "v4.10", "v6.12", "fixed")
    assert kernels_of(subject, ("v4.19",)) == ("v4.19",)


def test_nearest_name() -> None:
    with pytest.raises(BadInput, match=f"did you mean {LAZY}"):
        find_subject("exit-with-lazy-borower")


def test_file(tmp_path: Path) -> None:
    program = builtin(LAZY)
    save_program(program, tmp_path / "mine.json")
    assert find_subject(str(tmp_path / "mine.json")) == program
    with pytest.raises(ProgramError, match=r"absent\.json: cannot be read: No such file"):
        find_subject(str(tmp_path / "absent.json"))


def test_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tcemu_of_mine.py").write_text("async def scenario(machine): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    function = find_subject("tcemu_of_mine:scenario")
    assert not isinstance(function, Program)
    assert kernels_of(function, ()) == ("fixed",)
    with pytest.raises(NoScenario, match="did you mean scenario"):
        find_subject("tcemu_of_mine:scenarios")
    with pytest.raises(NoScenario, match="cannot import"):
        find_subject("tcemu_of_yours:scenario")


def test_switches_of_program_and_command_line_add_up() -> None:
    program = Program(name="x", with_=("lookup-uaf",), without=("ioctl-vs-release",))
    assert compose(program, "fixed", (), ()).slugs == {"lookup-uaf"}
    assert "ioctl-vs-release" not in compose(program, "v6.12", (), ()).slugs
    both = compose(program, "fixed", ("ioctl-vs-release",), ()).slugs
    assert both == {"lookup-uaf", "ioctl-vs-release"}
