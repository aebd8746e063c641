"""``tcemu log`` over the log of a run."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors.cli.app import run
from actors.machine import Machine
from actors.runtime.bare import BareRuntime
from actors.trace.header import header_of
from actors.trace.jsonl import Log, dump, read_log, write_log
from actors.trace.recorder import Recorder
from actors.trace.schema import EVENT_NAMES, End

COMMANDS = (["tree"], ["tree", "--all"], ["grep"], ["why", "mm:0"], ["stats"], ["dmesg"], ["ftrace"])


def recorded(size: int) -> Log:
    """A process that maps and locks memory."""
    core = BareRuntime()
    machine = Machine.boot(core, "v6.12")
    recorder = Recorder()
    recorder.attach(core)

    async def life() -> None:
        qemu = await machine.spawn("qemu")
        await qemu.mlock(await qemu.mmap(size))
        await qemu.exit()

    core.run(core.spawn(machine.harness, life(), "qemu"))
    return Log(header_of(machine, "life", runtime="bare"), recorder.events(), End(step=len(recorder)))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "run.jsonl"
    write_log(path, recorded(1 << 20))
    return str(path)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_text_fits_a_pipe_and_json_is_json(
    file: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["log", *words, file]) == 0
    text = capsys.readouterr().out
    if words != ["ftrace"]:
        assert all(len(line) <= 100 for line in text.splitlines())
    assert "\033" not in text
    assert run(["log", *words, file, "--json"]) == 0
    output = capsys.readouterr().out
    for line in output.splitlines() if words == ["grep"] else [output]:
        json.loads(line)


def test_grep_gives_a_log_that_can_be_read_again(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["log", "grep", "--object", "mm:0", "--event", "access", file, "--json"]) == 0
    part = tmp_path / "part.jsonl"
    part.write_text(capsys.readouterr().out)
    whole = read_log(file)
    events = read_log(part).events
    assert 0 < len(events) < len(whole.events)
    assert all(event in whole.events for event in events)
    assert run(["log", "why", "mm:0.locked_vm", str(part)]) == 0
    assert "mm:0.locked_vm 0 → 16" in capsys.readouterr().out


def test_nothing_found_is_exit_code_1(file: str) -> None:
    assert run(["log", "grep", "--object", "mm:9", file]) == 1
    assert run(["log", "grep", "--steps", "0:0", file]) == 1


def test_why_ends_with_who_holds_it_now(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["log", "why", "mm:0.mm_count", file])
    assert capsys.readouterr().out.splitlines()[-1] == "mm:0.mm_count is 0: nobody holds it"


def test_an_unknown_object_is_refused_with_the_nearest(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "why", "mn:0", file]) == 2
    assert "nothing ever happens to 'mn:0'; there is mm:0" in capsys.readouterr().err


def test_a_search_without_a_hit_says_so(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("tree", "grep"):
        assert run(["log", command, "--thread", "nobody", file]) == 1
        output = capsys.readouterr()
        assert (output.out, output.err) == ("", f"{file}: nothing meets the conditions\n")


def test_diff(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.jsonl"
    write_log(other, recorded(2 << 20))
    assert run(["log", "diff", file, file]) == 0
    assert "no difference" in capsys.readouterr().out
    assert run(["log", "diff", file, str(other)]) == 1
    assert "then they part" in capsys.readouterr().out
    assert run(["log", "diff", file, str(other), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["same"] is False


def test_standard_input(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(file).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert run(["log", "stats", "-"]) == 0
    assert "mlock" in capsys.readouterr().out


def test_a_log_without_end_is_read_and_told_of(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.jsonl"
    lines = dump(read_log(file)).splitlines(keepends=True)
    for rest in (b"", lines[5][:30], lines[5][:-2]):
        cut.write_bytes(b"".join(lines[:5]) + rest)
        for command in ("tree", "stats", "dmesg", "ftrace"):
            assert run(["log", command, str(cut)]) == 0
            told = capsys.readouterr().err.splitlines()
            assert len(told) == 1 and "it was cut off" in told[0]
        assert run(["log", "check", str(cut)]) == 1
        assert "cut off, its end is missing" in capsys.readouterr().out
    cut.write_bytes(b"".join(lines[:5]) + lines[5][:30] + b"\n" + lines[6])
    assert run(["log", "tree", str(cut)]) == 2
    assert "line 6: found what is no JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["tree", "/nowhere"], "/nowhere: cannot be read: No such file or directory"),
        (["grep", "--event", "acess"], "--event: found 'acess', expected one of start"),
        (["grep", "--steps", "x"], "found 'x', expected FROM:TO in steps"),
    ],
)
def test_bad_input_is_one_line(
    file: str, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["log", *words, *([file] if words[0] == "grep" else [])]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_the_format_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "schema"]) == 0
    page = capsys.readouterr().out
    assert all(f"## `{name}`" in page for name in EVENT_NAMES)
    assert run(["log", "schema", "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_a_tree_of_some_calls_only(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    def tree(*words: str) -> list[str]:
        assert run(["log", "tree", *words, file]) == 0
        return capsys.readouterr().out.splitlines()

    whole, locks = tree(), tree("--operation", "mlock")
    assert 1 < len(locks) < len(whole)
    assert "mlock" in locks[0]
    assert all("mmap_anywhere" not in line for line in locks)
    charged = tree("--object", "mm:0.locked_vm")
    calls = [line for line in charged if not line[20:].startswith(" ")]
    assert len(calls) == 1
    assert "mlock" in calls[0]
    assert "locked_vm 0 → 16" in charged[-1]
    assert run(["log", "tree", "--object", "mm:7", file]) == 1


def test_the_first_of_many(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "grep", "--event", "request", "--first", "2", file]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_check_says_what_a_log_is(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "check", file]) == 0
    assert "whole, ended with ok" in capsys.readouterr().out
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(Path(file).read_bytes().splitlines(keepends=True)[:5]))
    assert run(["log", "check", str(cut), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["end"] is None
    assert run(["log", "check", __file__]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_only_a_terminal_is_coloured(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for words in (["tree"], ["grep"]):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        run(["log", *words, file])
        assert "\033[" in capsys.readouterr().out
        monkeypatch.setenv("NO_COLOR", "1")
        run(["log", *words, file])
        assert "\033" not in capsys.readouterr().out
        monkeypatch.delenv("NO_COLOR")


@pytest.mark.parametrize("words", [*COMMANDS, ["check"]], ids=" ".join)
def test_names_from_a_log_cannot_write_to_the_terminal(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\033]0;owned\007\033[31m\n"
    path = tmp_path / "evil.jsonl"
    head = {"event": "header", "format": "tcemu-log", "version": 1, "kernel": evil, "name": evil}
    common = {"thread": evil, "actor": evil, "operation": evil, "function": evil}
    lines = [
        head,
        {"event": "start", "step": 0, **common},
        {"event": "request", "step": 1, "to": evil, "request": evil, "args": {evil: evil}, **common},
        {"event": "access", "step": 2, "object": "mm:0", "field": evil, "after": evil, **common},
        {"event": "acquire", "step": 3, "object": evil, **common},
        {"event": "oops", "step": 4, "message": evil, "place": evil, **common},
        {"event": "end", "step": 5, "message": evil},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(["log", *words, str(path)]) in (0, 1)
    captured = capsys.readouterr()
    assert "\033" not in captured.out + captured.err
    assert "\007" not in captured.out + captured.err
