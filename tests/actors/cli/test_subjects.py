"""What the words of a command line mean."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from msgspec import structs

from actors.cli.exits import BadInput
from actors.cli.stress import compose
from actors.cli.subjects import find_subject, kernels_of
from actors.explore.scenario import NoScenario
from actors.explore.scenarios import builtin
from actors.program import Program, ProgramError, save_program
from actors.program.values import FrozenDict

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


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"v9": "ok"}, "expect.v9: no kernel 'v9'; did you mean v4.9?"),
        ({"fixed": "J-Z9"}, "expect.fixed: no invariant 'J-Z9'"),
        ({"fixed": "J-Q11"}, "expect.fixed: no invariant 'J-Q11'; did you mean J-Q1?"),
    ],
)
def test_what_is_expected_must_exist(expect: dict[str, str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    save_program(structs.replace(builtin(LAZY), expect=FrozenDict(expect)), file)
    with pytest.raises(ProgramError, match=re.escape(f"{file}: {message}")):
        find_subject(str(file))


def test_kernels_of_a_program_that_only_expects() -> None:
    program = Program(name="x", expect=FrozenDict({"v4.19": "ok", "v6.12": "deadlock"}))
    assert kernels_of(program, ()) == ("v4.19", "v6.12")
    assert kernels_of(program, ("fixed",)) == ("fixed",)
    assert kernels_of(structs.replace(program, kernels=("v4.9",)), ()) == ("v4.9",)


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
